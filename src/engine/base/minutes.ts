/**
 * Counts of a partition in each minute of the last hour: the past that charts begin with.
 *
 * MINUTES6. The minutes cost no row of their own. A manifest holds the whole hour. The last segment of a group holds
 *     the minutes since the current manifest, so that a tail of many rows stays small.
 * MINUTES7. A minute's numbers only grow. If two rows describe one minute, the greater of each number counts (COUNTERS2
 *     of counters.ts).
 * MINUTES8. The minutes are for looking only. Counts between two rows belong to the minute of the later row.
 */
import { COMMIT_BOUNDS_MS, countOf, laterOf, type CounterRow } from "./counters.ts";
import { isWhole } from "./json.ts";

/** The counts of a minute, in their stored order. */
export const MINUTE_COUNTS = [
  "applied",
  "refused",
  "quarantined",
  "duplicates",
  "reused",
  "snapshotFailures",
  "commitMs",
  "commits",
] as const;

/** Minutes since 1970, then the counts. Zeros at the end are left out. */
export type MinuteCounts = readonly [minute: number, ...counts: number[]];

/** An hour, and the current minute. */
export const MINUTES = 61;
export const MINUTE_MS = 60_000;

export const minuteOf = (ms: number): number => Math.floor(ms / MINUTE_MS);

export const isMinutes = (value: unknown): value is readonly MinuteCounts[] =>
  Array.isArray(value) &&
  value.length <= MINUTES &&
  value.every((one) => Array.isArray(one) && one.length > 0 && one.every(isWhole));

/** Reads stored minutes. Unreadable minutes count as none, because minutes are for looking only. */
export const readMinutes = (value: unknown): readonly MinuteCounts[] => (isMinutes(value) ? value : []);

/** Merges rows about the same hour (MINUTES7), in the order of time. */
export function mergeMinutes(all: readonly (readonly MinuteCounts[])[]): MinuteCounts[] {
  const merged = new Map<number, MinuteCounts>();
  for (const one of all.flat()) {
    const before = merged.get(one[0]) ?? [one[0]];
    const length = Math.max(before.length, one.length);
    const counts = Array.from({ length: length - 1 }, (_, i) => Math.max(before[i + 1] ?? 0, one[i + 1] ?? 0));
    merged.set(one[0], [one[0], ...counts]);
  }
  return [...merged.values()].sort(([a], [b]) => a - b).slice(-MINUTES);
}

export class Minutes {
  #minutes: MinuteCounts[] = [];
  /** The counters as of the last row that was counted. */
  #told: CounterRow = laterOf([]);

  /** Takes over the minutes of earlier rows, and the counters from which an opening continues. */
  restore(all: readonly (readonly MinuteCounts[])[], counted: CounterRow): void {
    this.#minutes = mergeMinutes([this.#minutes, ...all]);
    this.#told = laterOf([this.#told, counted]);
  }

  /** Counts a row that is about to be written with these counters. */
  count(row: CounterRow, nowMs: number): void {
    const [before, after] = [countsOf(this.#told), countsOf(row)];
    this.#told = laterOf([this.#told, row]);
    const grown = after.map((n, i) => Math.max(0, n - before[i]!));
    if (grown.every((n) => n === 0)) return;
    const last = this.#minutes.at(-1);
    // If the clock is set back, the counts go to the last minute.
    const minute = Math.max(minuteOf(nowMs), last?.[0] ?? 0);
    const open = last?.[0] === minute ? last : null;
    if (open !== null) this.#minutes.pop();
    const counts = grown.map((n, i) => n + (open?.[i + 1] ?? 0));
    this.#minutes.push([minute, ...counts.slice(0, counts.findLastIndex((n) => n > 0) + 1)]);
    this.#minutes.splice(0, this.#minutes.length - MINUTES);
  }

  /** Returns the minutes from the minute of `ms` on, within the last hour. */
  since(ms: number): MinuteCounts[] {
    const newest = this.#minutes.at(-1)?.[0] ?? 0;
    const from = Math.max(minuteOf(ms), newest - MINUTES + 1);
    return this.#minutes.filter(([minute]) => minute >= from);
  }
}

const countsOf = (row: CounterRow): number[] =>
  MINUTE_COUNTS.map((name) => (name === "commits" ? commitsOf(row) : countOf(row, name)));

const commitsOf = (row: CounterRow): number =>
  COMMIT_BOUNDS_MS.reduce((sum, bound) => sum + countOf(row, `commit<=${bound}`), countOf(row, "commit>"));
