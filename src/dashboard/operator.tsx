/** An operator: its partitions, and of one of them the snapshots and how it last came back. */
import type { OperatorGlance, PartitionGlance, PartitionStatus } from "./answers.ts";
import { useAnswer } from "./answer.ts";
import { partitionPath } from "./api.ts";
import { healthOf } from "./health.ts";
import { lookedAt, overview, samples } from "./live.ts";
import { hrefOf, place } from "./place.ts";
import { RateChart } from "./rate-chart.tsx";
import { rateOf } from "./rates.ts";
import { Recoveries } from "./recoveries.tsx";
import { Snapshots } from "./snapshots.tsx";
import { Strip } from "./strip.tsx";
import { bytes, count, rate, span } from "./text.ts";
import { When } from "./when.tsx";

export function OperatorPage({ operator }: { readonly operator: string }) {
  const one = overview.value?.operators.find(({ name }) => name === operator);
  if (one === undefined) return null;
  const wanted = Number(place.value.query.get("partition") ?? 0);
  const chosen = one.partitions[wanted] ?? one.partitions[0]!;
  const per = rateOf(samples.value, operator);
  return (
    <>
      <section class="panel flow" aria-labelledby="rate-title">
        <div class="figure">
          <h2 id="rate-title">Events per second</h2>
          <p class="big">{per === null ? "–" : rate(per)}</p>
        </div>
        <RateChart operator={operator} />
      </section>
      <section class="panel" aria-labelledby="partitions-title">
        <h2 id="partitions-title">Partitions</h2>
        <Strip operator={one} />
        <Partitions operator={one} chosen={chosen.partition} />
      </section>
      <Chosen operator={one} one={chosen} />
      <Recoveries operator={one} />
    </>
  );
}

function Partitions({ operator, chosen }: { readonly operator: OperatorGlance; readonly chosen: number }) {
  return (
    <div class="scroll tall" tabIndex={0} role="region" aria-label={`Table of the partitions of ${operator.name}`}>
      <table>
        <thead>
          <tr>
            <th scope="col">Partition</th>
            <th scope="col" class="n">
              Events/s
            </th>
            <th scope="col" class="n">
              Events
            </th>
            <th scope="col" class="n">
              Tail
            </th>
            <th scope="col" class="n wide">
              Keys
            </th>
            <th scope="col" class="n wide">
              State
            </th>
            <th scope="col">Snapshot</th>
            <th scope="col" class="wide">
              Last event
            </th>
            <th scope="col" class="wide">
              Health
            </th>
          </tr>
        </thead>
        <tbody>
          {operator.partitions.map((one) => (
            <Row key={one.partition} operator={operator} one={one} chosen={chosen === one.partition} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface RowProps {
  readonly operator: OperatorGlance;
  readonly one: PartitionGlance;
  readonly chosen: boolean;
}

function Row({ operator, one, chosen }: RowProps) {
  const { partition, appliedSeq, tailEvents, keys, stateBytes, lastSnapshot, lastEventAt } = one;
  const per = rateOf(samples.value, operator.name, partition);
  const { level, why } = healthOf(one, operator, lookedAt());
  return (
    <tr class={chosen ? "chosen" : ""}>
      <th scope="row">
        <a
          href={hrefOf(operator.name, "partitions", { partition: String(partition) })}
          aria-current={chosen ? "true" : undefined}
        >
          {partition}
        </a>
      </th>
      <td class="n">{per === null ? "–" : rate(per)}</td>
      <td class="n">{count(appliedSeq)}</td>
      <td class="n">{count(tailEvents)}</td>
      <td class="n wide">{count(keys)}</td>
      <td class="n wide">{bytes(stateBytes)}</td>
      <td>
        {lastSnapshot === undefined ? (
          "none"
        ) : "unreadable" in lastSnapshot ? (
          "unreadable"
        ) : (
          <When at={lastSnapshot.at} />
        )}
      </td>
      <td class="wide">{lastEventAt === undefined ? "" : <When at={lastEventAt} />}</td>
      <td class={`wide verdict ${level}`}>{why}</td>
    </tr>
  );
}

/** The rows of the log that this status counts are as many as the tail has: asked for when the snapshot changes, not each time. */
function Chosen({ operator, one }: { readonly operator: OperatorGlance; readonly one: PartitionGlance }) {
  const { partition, lastSnapshot, epoch } = one;
  const version = lastSnapshot !== undefined && "version" in lastSnapshot ? lastSnapshot.version : 0;
  const path = partitionPath(operator.name, partition);
  const { value: status, error } = useAnswer<PartitionStatus>(path, `${version} ${epoch}`);
  return (
    <section class="panel" aria-labelledby="chosen-title">
      <div class="row">
        <h2 id="chosen-title">Partition {partition}</h2>
        <dl class="line">
          <dt>epoch</dt>
          <dd>{count(epoch)}</dd>
          {status !== null && (
            <>
              <dt>tail</dt>
              <dd>{bytes(status.tailBytes)}</dd>
              <dt>would be back in</dt>
              <dd>{span(status.predictedRecoveryMs)}</dd>
            </>
          )}
          <dt>promised</dt>
          <dd>{span(operator.recoveryMs)}</dd>
        </dl>
        <a class="button" href={hrefOf(operator.name, "drill", { partition: String(partition) })}>
          Evict or snapshot it
        </a>
      </div>
      {error !== null && <p class="trouble">{error}</p>}
      <Snapshots operator={operator.name} partition={partition} version={version} />
    </section>
  );
}
