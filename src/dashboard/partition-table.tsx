/**
 * The table of an operator's partitions. Values that change with each overview are texts in signals, so that an
 * overview changes texts, and no row is rendered again. A row out of sight skips most overviews. With many partitions
 * that keeps a frame short.
 */
import { computed, type ReadonlySignal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import type { OperatorGlance, PartitionGlance } from "../client/admin-answers.ts";
import { healthOf, NOT_KNOWN } from "./health.ts";
import { heardAt, looks, now, lastOverview, samples, stale } from "./live.ts";
import { hrefOf } from "./place.ts";
import { rateOf } from "./rates.ts";
import { useSight } from "./sight.ts";
import { bytes, count } from "../client/amounts.ts";
import { ago, clock, rate } from "./text.ts";

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
  ["Health", ""],
  ["Events/s", "n"],
  ["Events", "n"],
  ["Not yet in a snapshot", "n"],
  ["Keys", "n wide"],
  ["State", "n wide"],
  ["Snapshot", ""],
  ["Last event", "wide"],
] as const;

interface RowProps {
  readonly operator: string;
  readonly partition: number;
  readonly chosen: boolean;
}

function Row({ operator, partition, chosen }: RowProps) {
  const { ref, seen } = useSight<HTMLTableRowElement>();
  const cells = useMemo(() => cellsOf(operator, partition, seen), [operator, partition]);
  return (
    <tr ref={ref} class={chosen ? "chosen" : ""}>
      <th scope="row">
        <a
          href={hrefOf(operator, "partitions", { partition: String(partition) })}
          aria-current={chosen ? "true" : undefined}
        >
          {partition}
        </a>
      </th>
      <td class={cells.healthClass}>{cells.health}</td>
      <td class="n">{cells.rate}</td>
      <td class="n">{cells.events}</td>
      <td class="n">{cells.tail}</td>
      <td class="n wide">{cells.keys}</td>
      <td class="n wide">{cells.state}</td>
      <td>{cells.snapshot}</td>
      <td class="wide">{cells.last}</td>
    </tr>
  );
}

/**
 * A row out of sight is updated every so many overviews, in turns with the others: a search or a screen reader reads
 * it, too.
 */
const UNSEEN_TURNS = 8;

/** The cells of a row, each a signal. */
function cellsOf(operator: string, partition: number, seen: ReadonlySignal<boolean>) {
  const one = computed<Found | null>((): Found | null => {
    const isDue = (looks.value + partition) % UNSEEN_TURNS === 0 || seen.value || told === undefined;
    if (isDue) told = glanceOf(operator, partition);
    return told ?? null;
  });
  let told: Found | null | undefined;
  const text = (of: (found: Found) => string): ReadonlySignal<string> =>
    computed(() => (one.value === null ? "" : one.value.glance.unknown === undefined ? of(one.value) : "–"));
  const since = (at: string): string => {
    const nowMs = seen.value ? now.value : now.peek();
    return `${ago(at, nowMs)}, ${clock(at, nowMs)}`;
  };
  const health = computed(() => {
    const found = one.value;
    if (stale.value) return NOT_KNOWN;
    return found === null ? null : healthOf(found.glance, found.operator, heardAt.peek() ?? now.peek());
  });
  const snapshotAt = computed(() => {
    const last = one.value?.glance.lastSnapshot;
    return last !== undefined && "at" in last ? last.at : undefined;
  });
  const lastAt = computed(() => one.value?.glance.lastEventAt);
  return {
    rate: text(() => {
      const per = rateOf(samples.peek(), operator, partition);
      return per === null || stale.value ? "–" : rate(per);
    }),
    events: text(({ glance }) => count(glance.appliedSeq)),
    tail: text(({ glance }) => count(glance.tailEvents)),
    keys: text(({ glance }) => count(glance.keys)),
    state: text(({ glance }) => bytes(glance.stateBytes)),
    snapshot: computed(() => {
      if (snapshotAt.value !== undefined) return since(snapshotAt.value);
      const glance = one.value?.glance;
      if (glance?.unknown !== undefined) return "–";
      return glance?.lastSnapshot === undefined ? "none" : "unreadable";
    }),
    last: computed(() => (lastAt.value === undefined ? "" : since(lastAt.value))),
    health: computed(() => health.value?.why ?? ""),
    healthClass: computed(() => `verdict ${health.value?.level ?? ""}`),
  };
}

interface Found {
  readonly operator: OperatorGlance;
  readonly glance: PartitionGlance;
}

/** From the newest overview. `looks` changes with each one. */
function glanceOf(name: string, partition: number): Found | null {
  const operator = lastOverview.peek()?.operators.find((one) => one.name === name);
  const glance = operator?.partitions[partition];
  return operator === undefined || glance === undefined ? null : { operator, glance };
}
