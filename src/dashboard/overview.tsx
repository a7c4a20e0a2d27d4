/** All operators at a glance. */
import type { OperatorGlance, PartitionGlance } from "../client/admin-answers.ts";
import { LastHourCharts } from "./last-hour.tsx";
import { lookedAt, lastOverview, samples, stale } from "./live.ts";
import { hrefOf } from "./place.ts";
import { RateChart } from "./rate-chart.tsx";
import { rateOf } from "./rates.ts";
import { Strip } from "./strip.tsx";
import { age, count, many } from "../client/amounts.ts";
import { rate } from "./text.ts";
import { Waiting } from "./waiting.tsx";

export function OverviewPage() {
  const found = lastOverview.value;
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
          <p class="big">{all === null || stale.value ? "–" : rate(all)}</p>
          <dl class="facts">
            <dt>events so far</dt>
            <dd>{count(partitions.reduce((sum, { appliedSeq }) => sum + appliedSeq, 0))}</dd>
            <dt>keys</dt>
            <dd>{count(partitions.reduce((sum, { keys }) => sum + keys, 0))}</dd>
            <dt>in the log, not yet in a snapshot</dt>
            <dd>{count(partitions.reduce((sum, { tailEvents }) => sum + tailEvents, 0))}</dd>
          </dl>
          <Silent partitions={partitions} />
        </div>
        <RateChart />
        <LastHourCharts operators={operators} />
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
          <dd>{per === null || stale.value ? "–" : rate(per)}</dd>
          <dt>not yet in a snapshot</dt>
          <dd>{count(partitions.reduce((sum, { tailEvents }) => sum + tailEvents, 0))}</dd>
          <dt>the oldest of them</dt>
          <dd>{oldest === null ? "none" : `${age(lookedAt() - oldest)} old`}</dd>
        </dl>
      </div>
      {lost !== undefined ? (
        <p class="trouble">
          It can't be used: <code>{lost}</code>
        </p>
      ) : (
        <Strip operator={one} />
      )}
    </section>
  );
}

/** The time at which the oldest event that no snapshot covers was logged. */
function oldestTail({ partitions }: OperatorGlance): number | null {
  const times = partitions.flatMap(({ tailSince }) => (tailSince === undefined ? [] : [Date.parse(tailSince)]));
  return times.length === 0 ? null : Math.min(...times);
}

/** Says that sums omit partitions of which D1 doesn't know what they hold. */
export function Silent({ partitions }: { readonly partitions: readonly PartitionGlance[] }) {
  const silent = partitions.filter(({ unknown }) => unknown !== undefined).length;
  const inherited = partitions.filter(({ inherited }) => inherited === true).length;
  return (
    <>
      {silent > 0 && <p class="verdict note">without {many(silent, "partition")} whose state is unknown</p>}
      {inherited > 0 && (
        <p class="hint">without {many(inherited, "partition")} to which nothing was sent since main was promoted</p>
      )}
    </>
  );
}

const Legend = () => (
  <p class="legend">
    <span>
      <i class="gauge ok tone0">
        <i style={{ "--level": "0.55" }} />
      </i>
      level: events in the log, not yet in a snapshot (full at 100,000)
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
      capped: needs a look
    </span>
  </p>
);
