/** All operators at a glance. */
import type { OperatorGlance } from "./answers.ts";
import { healthOf, worst } from "./health.ts";
import { lookedAt, overview, samples } from "./live.ts";
import { hrefOf } from "./place.ts";
import { RateChart } from "./rate-chart.tsx";
import { rateOf } from "./rates.ts";
import { Strip } from "./strip.tsx";
import { age, count, rate } from "./text.ts";
import { Waiting } from "./waiting.tsx";

export function OverviewPage() {
  const found = overview.value;
  if (found === null) return <Waiting />;
  const { operators } = found;
  if (operators.length === 0) return <p class="empty">This app has no operator yet.</p>;
  const partitions = operators.flatMap((one) => one.partitions);
  const all = rateOf(samples.value);
  return (
    <>
      <section class="panel flow" aria-labelledby="flow-title">
        <div class="figure">
          <h2 id="flow-title">Events per second</h2>
          <p class="big">{all === null ? "–" : rate(all)}</p>
          <dl class="facts">
            <dt>events so far</dt>
            <dd>{count(partitions.reduce((sum, { appliedSeq }) => sum + appliedSeq, 0))}</dd>
            <dt>keys</dt>
            <dd>{count(partitions.reduce((sum, { keys }) => sum + keys, 0))}</dd>
            <dt>in no snapshot yet</dt>
            <dd>{count(partitions.reduce((sum, { tailEvents }) => sum + tailEvents, 0))}</dd>
          </dl>
        </div>
        <RateChart />
      </section>
      {operators.map((one) => (
        <OperatorPanel key={one.name} one={one} />
      ))}
      <Legend />
    </>
  );
}

function OperatorPanel({ one }: { readonly one: OperatorGlance }) {
  const { name, partitions, lost } = one;
  const per = rateOf(samples.value, name);
  const oldest = oldestTail(one);
  const health = worst(partitions.map((partition) => healthOf(partition, one, lookedAt())));
  const wrong = health.level === "note" || health.level === "bad";
  return (
    <section class="panel" aria-labelledby={`of-${name}`}>
      <div class="row">
        <h2 id={`of-${name}`}>
          <a href={hrefOf(name)}>{name}</a>
        </h2>
        <dl class="line">
          <dt>partitions</dt>
          <dd>{count(partitions.length)}</dd>
          <dt>events/s</dt>
          <dd>{per === null ? "–" : rate(per)}</dd>
          <dt>tail</dt>
          <dd>{count(partitions.reduce((sum, { tailEvents }) => sum + tailEvents, 0))}</dd>
          <dt>oldest unsaved</dt>
          <dd>{oldest === null ? "none" : age(lookedAt() - oldest)}</dd>
        </dl>
      </div>
      {lost !== undefined ? (
        <p class="trouble">
          It can't be used: <code>{lost}</code>
        </p>
      ) : (
        <>
          <Strip operator={one} />
          {wrong && <p class={`verdict ${health.level}`}>{sentence(one)}</p>}
        </>
      )}
    </section>
  );
}

/** When the oldest event was logged that no snapshot covers. */
function oldestTail({ partitions }: OperatorGlance): number | null {
  const times = partitions.flatMap(({ tailSince }) => (tailSince === undefined ? [] : [Date.parse(tailSince)]));
  return times.length === 0 ? null : Math.min(...times);
}

function sentence(one: OperatorGlance): string {
  const bad = one.partitions.flatMap((partition) => {
    const { level, why } = healthOf(partition, one, lookedAt());
    return level === "note" || level === "bad" ? [{ at: partition.partition, why }] : [];
  });
  const [first] = bad;
  const rest = bad.length - 1;
  return `Partition ${first!.at}: ${first!.why}${rest === 0 ? "." : `; and ${count(rest)} more.`}`;
}

const Legend = () => (
  <p class="legend">
    <span>
      <i class="gauge ok tone0">
        <i style={{ "--level": "0.55" }} />
      </i>
      level: events that no snapshot covers (full at 100,000)
    </span>
    <span>
      <i class="gauge ok tone2">
        <i style={{ "--level": "0.55" }} />
      </i>
      darker: older snapshot
    </span>
    <span>
      <i class="gauge note tone0">
        <i style={{ "--level": "0.55" }} />
      </i>
      capped: look at it
    </span>
  </p>
);
