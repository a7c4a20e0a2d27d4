/** An operator: its partitions, and of one of them the snapshots and the last recovery. */
import type { OperatorGlance, PartitionGlance, PartitionInfo } from "../client/admin-answers.ts";
import { useAnswer } from "./answer.ts";
import { partitionPath } from "../client/paths.ts";
import { troublesOf } from "./health.ts";
import { LastHourCharts } from "./last-hour.tsx";
import { lookedAt, lastOverview, samples, stale } from "./live.ts";
import { Silent } from "./overview.tsx";
import { PartitionTable } from "./partition-table.tsx";
import { hrefOf, place } from "./place.ts";
import { RateChart } from "./rate-chart.tsx";
import { rateOf } from "./rates.ts";
import { Recoveries } from "./recoveries.tsx";
import { Snapshots } from "./snapshots.tsx";
import { Strip } from "./strip.tsx";
import { bytes, count, many, span } from "../client/amounts.ts";
import { rate } from "./text.ts";

export function OperatorPage({ operator }: { readonly operator: string }) {
  const one = lastOverview.value?.operators.find(({ name }) => name === operator);
  if (one === undefined) return null;
  const wanted = Number(place.value.query.get("partition") ?? 0);
  const chosen = one.partitions[wanted] ?? one.partitions[0]!;
  const per = rateOf(samples.value, operator);
  return (
    <>
      <section class="panel flow" aria-labelledby="rate-title">
        <div class="figure">
          <h2 id="rate-title">Events per second</h2>
          <p class="big">{per === null || stale.value ? "–" : rate(per)}</p>
          <Silent partitions={one.partitions} />
        </div>
        <RateChart operator={operator} />
        <LastHourCharts operators={[one]} />
      </section>
      <section class="panel" aria-labelledby="partitions-title">
        <h2 id="partitions-title">Partitions</h2>
        <Strip operator={one} />
        <PartitionTable operator={operator} partitions={one.partitions.length} chosen={chosen.partition} />
      </section>
      <Chosen operator={one} one={chosen} />
      <Recoveries operator={one} />
    </>
  );
}

/** All troubles of the partition, in whole sentences. */
function Troubles({ operator, one }: { readonly operator: OperatorGlance; readonly one: PartitionGlance }) {
  return (
    <>
      {troublesOf(one, operator, lookedAt()).map(({ level, kind, why }) => (
        <p key={kind} class={`trouble ${level}`}>
          {why}
        </p>
      ))}
    </>
  );
}

/**
 * The status reads as many rows of the log as the tail has, so it is requested when the snapshot changes, not at each
 * overview.
 */
function Chosen({ operator, one }: { readonly operator: OperatorGlance; readonly one: PartitionGlance }) {
  const { partition, lastSnapshot, epoch } = one;
  const current = lastSnapshot !== undefined && "manifest" in lastSnapshot ? lastSnapshot.manifest : 0;
  const path = partitionPath(operator.name, partition);
  const { value: status, error } = useAnswer<PartitionInfo>(path, `${current} ${epoch}`);
  return (
    <section class="panel" aria-labelledby="chosen-title">
      <div class="row">
        <h2 id="chosen-title">Partition {partition}</h2>
        <dl class="line">
          <dt>epoch</dt>
          <dd>{count(epoch)}</dd>
          {status !== null && (
            <>
              <dt>in the log, not yet in a snapshot</dt>
              <dd>
                {many(one.tailEvents, "event")}, {bytes(status.tailBytes)}
              </dd>
              <dt>estimated recovery</dt>
              <dd>{span(status.estimatedRecoveryMs)}</dd>
            </>
          )}
          <dt>target</dt>
          <dd>{span(operator.recoveryMs)}</dd>
        </dl>
        <a class="button" href={hrefOf(operator.name, "verify", { partition: String(partition) })}>
          Evict or snapshot it
        </a>
      </div>
      {error !== null && <p class="trouble">{error}</p>}
      <Troubles operator={operator} one={one} />
      <Snapshots operator={operator.name} partition={partition} current={current} />
    </section>
  );
}
