/**
 * The table of an operator's partitions. What changes with each overview are texts in signals, so that news change texts, and
 * no row is drawn anew: with many partitions that is what keeps a frame short.
 */
import { computed, type ReadonlySignal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import type { OperatorGlance, PartitionGlance } from "./answers.ts";
import { healthOf } from "./health.ts";
import { lookedAt, now, overview, samples } from "./live.ts";
import { hrefOf } from "./place.ts";
import { rateOf } from "./rates.ts";
import { ago, bytes, clock, count, rate } from "./text.ts";

export interface PartitionTableProps {
  readonly operator: string;
  readonly partitions: number;
  readonly chosen: number;
}

export function PartitionTable({ operator, partitions, chosen }: PartitionTableProps) {
  return useMemo(
    () => (
      <div class="scroll tall" tabIndex={0} role="region" aria-label={`Table of the partitions of ${operator}`}>
        <table>
          <thead>
            <tr>
              {COLUMNS.map(([words, kind]) => (
                <th key={words} scope="col" class={kind}>
                  {words}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {Array.from({ length: partitions }, (_, i) => (
              <Row key={i} operator={operator} partition={i} chosen={chosen === i} />
            ))}
          </tbody>
        </table>
      </div>
    ),
    [operator, partitions, chosen],
  );
}

const COLUMNS = [
  ["Partition", ""],
  ["Events/s", "n"],
  ["Events", "n"],
  ["Tail", "n"],
  ["Keys", "n wide"],
  ["State", "n wide"],
  ["Snapshot", ""],
  ["Last event", "wide"],
  ["Health", "wide"],
] as const;

interface RowProps {
  readonly operator: string;
  readonly partition: number;
  readonly chosen: boolean;
}

function Row({ operator, partition, chosen }: RowProps) {
  const cells = useMemo(() => cellsOf(operator, partition), [operator, partition]);
  return (
    <tr class={chosen ? "chosen" : ""}>
      <th scope="row">
        <a
          href={hrefOf(operator, "partitions", { partition: String(partition) })}
          aria-current={chosen ? "true" : undefined}
        >
          {partition}
        </a>
      </th>
      <td class="n">{cells.rate}</td>
      <td class="n">{cells.events}</td>
      <td class="n">{cells.tail}</td>
      <td class="n wide">{cells.keys}</td>
      <td class="n wide">{cells.state}</td>
      <Moment at={cells.snapshotAt} text={cells.snapshot} kind="" />
      <Moment at={cells.lastAt} text={cells.last} kind="wide" />
      <td class={cells.healthClass}>{cells.health}</td>
    </tr>
  );
}

interface MomentProps {
  readonly at: ReadonlySignal<string | undefined>;
  readonly text: ReadonlySignal<string>;
  readonly kind: string;
}

const Moment = ({ at, text, kind }: MomentProps) => (
  <td
    class={kind}
    onMouseEnter={(event) => (event.currentTarget.title = at.peek() === undefined ? "" : clock(at.peek()!))}
  >
    {text}
  </td>
);

/** What a row shows, each a signal. */
function cellsOf(operator: string, partition: number) {
  const one = computed(() => glanceOf(operator, partition));
  const text = (of: (glance: PartitionGlance) => string): ReadonlySignal<string> =>
    computed(() => (one.value === null ? "" : of(one.value.glance)));
  const health = computed(() => {
    const found = one.value;
    return found === null ? null : healthOf(found.glance, found.operator, lookedAt());
  });
  const snapshotAt = computed(() => {
    const last = one.value?.glance.lastSnapshot;
    return last !== undefined && "at" in last ? last.at : undefined;
  });
  const lastAt = computed(() => one.value?.glance.lastEventAt);
  return {
    rate: computed(() => {
      const per = rateOf(samples.value, operator, partition);
      return per === null ? "–" : rate(per);
    }),
    events: text(({ appliedSeq }) => count(appliedSeq)),
    tail: text(({ tailEvents }) => count(tailEvents)),
    keys: text(({ keys }) => count(keys)),
    state: text(({ stateBytes }) => bytes(stateBytes)),
    snapshotAt,
    snapshot: computed(() =>
      snapshotAt.value === undefined
        ? one.value?.glance.lastSnapshot === undefined
          ? "none"
          : "unreadable"
        : ago(snapshotAt.value, now.value),
    ),
    lastAt,
    last: computed(() => (lastAt.value === undefined ? "" : ago(lastAt.value, now.value))),
    health: computed(() => health.value?.why ?? ""),
    healthClass: computed(() => `wide verdict ${health.value?.level ?? ""}`),
  };
}

function glanceOf(
  name: string,
  partition: number,
): { readonly operator: OperatorGlance; readonly glance: PartitionGlance } | null {
  const operator = overview.value?.operators.find((one) => one.name === name);
  const glance = operator?.partitions[partition];
  return operator === undefined || glance === undefined ? null : { operator, glance };
}
