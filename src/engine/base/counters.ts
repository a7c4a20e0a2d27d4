/**
 * Counters of a partition since it was created: events, commits, snapshots, recoveries, and operations of the stores.
 *
 * COUNTERS1. Counters cost nothing. A row of numbers stands in the statistics of the last segment of each group, and in
 *     each manifest (SNAP9).
 * COUNTERS2. Counters never fall. An opening continues, number by number, from the greatest value in the last segment,
 *     the row's manifests and the object's high-water mark. A segment or a manifest in storage counts itself. The mark
 *     is kept with each snapshot and every ten minutes (high-water-mark.ts). A segment counts the cost of its own
 *     append, so that an object that sleeps between events loses nothing of their price. A crash loses only the counts
 *     after the last of these writes.
 * COUNTERS3. A place of the row never changes its meaning. New places are added at the end. Numbers that only newer
 *     code knows are carried along, because old and new code take turns for minutes (CODE1).
 */

/** Upper bounds of histograms. Values above the last bound have a place of their own. */
export const COMMIT_BOUNDS_MS = [10, 25, 50, 100, 250, 500, 1_000, 5_000] as const;

export const GROUP_BOUNDS = [1, 10, 100, 1_000, 10_000] as const;

/** The places of the row, in their order. */
export const COUNTERS = [
  "applied",
  "refused",
  "quarantined",
  "duplicates",
  /** Ids that came again with different content. */
  "reused",
  /** Requests: calls of the object that brought events. */
  "slices",
  "segments",
  "commitMs",
  ...COMMIT_BOUNDS_MS.map((bound) => `commit<=${bound}` as const),
  "commit>",
  ...GROUP_BOUNDS.map((bound) => `group<=${bound}` as const),
  "group>",
  "groupEvents",
  "fullSnapshots",
  "deltaSnapshots",
  "snapshotFailures",
  "snapshotMs",
  "fullBytes",
  "deltaBytes",
  "archiveBytes",
  "recoveries",
  "openMs",
  "loadMs",
  "replayMs",
  "replayedEvents",
  "fallbacks",
  "cacheHits",
  "cacheMisses",
  "d1Queries",
  "d1RowsRead",
  "d1RowsWritten",
  "r2ClassA",
  "r2ClassB",
  "r2Deletes",
  "ownRowsWritten",
  "wakes",
  /** Timers that fired, and keys that expired. They are among the events, too. */
  "timers",
] as const;

export type Counter = (typeof COUNTERS)[number];

export type CounterValues = Readonly<Partial<Record<Counter, number>>>;

const VERSION = 1;

const PLACES = new Map<Counter, number>(COUNTERS.map((name, i) => [name, i + 1]));

/** The stored form: the version, then the numbers. */
export type CounterRow = readonly number[];

/** Reads an untrusted value. Returns null if the value is no row, or a row of another version. */
export function readCounters(value: unknown): CounterRow | null {
  if (!isCounterRow(value) || value[0] !== VERSION) return null;
  return value;
}

/** Accepts a row of any version. */
export const isCounterRow = (value: unknown): value is CounterRow =>
  Array.isArray(value) && value.length > 0 && value.every((n) => Number.isSafeInteger(n) && n >= 0);

/** Returns the greater of each number: of two moments of one partition, the counts of the later one (COUNTERS2). */
export function laterOf(rows: readonly (CounterRow | null)[]): CounterRow {
  const there = rows.filter((row) => row !== null);
  const length = Math.max(PLACES.size + 1, ...there.map((row) => row.length));
  return Array.from({ length }, (_, i) => (i === 0 ? VERSION : Math.max(0, ...there.map((row) => row[i] ?? 0))));
}

export const countOf = (row: CounterRow, name: Counter): number => row[PLACES.get(name)!] ?? 0;

/** An instance that held the right to write. */
export interface Holder {
  readonly epoch: number;
  readonly writer: string;
}

export class Counters {
  #base = laterOf([]);
  readonly #own = laterOf([]).map(() => 0);
  /** `holder`: this instance, once it writes. `before`: the holder that it follows. */
  holder: Holder | null = null;
  before: Holder | null = null;
  /** True once the counts of earlier instances are known. */
  restored = false;

  add(counts: CounterValues): void {
    for (const [name, n] of Object.entries(counts)) this.#own[PLACES.get(name as Counter)!]! += whole(n);
  }

  /** Takes over the counts of earlier instances. */
  restore(rows: readonly (CounterRow | null)[]): void {
    this.#base = laterOf([this.#base, ...rows]);
    this.restored = true;
  }

  /** Returns all counts, plus `more`, which is about to become true. */
  row(more: CounterValues = {}): CounterRow {
    const row = this.#base.map((n, i) => (i === 0 ? n : n + (this.#own[i] ?? 0)));
    for (const [name, n] of Object.entries(more)) row[PLACES.get(name as Counter)!]! += whole(n);
    return row;
  }
}

/** Returns 0 if a clock was set back, so that no counter falls. */
const whole = (n: number): number => Math.max(0, Math.round(n));

export const commitCounts = (ms: number): CounterValues => ({
  commitMs: ms,
  [placeIn("commit", COMMIT_BOUNDS_MS, ms)]: 1,
});

export const groupCounts = (events: number): CounterValues => ({
  groupEvents: events,
  [placeIn("group", GROUP_BOUNDS, events)]: 1,
});

function placeIn(name: "commit" | "group", bounds: readonly number[], n: number): Counter {
  const bound = bounds.find((one) => n <= one);
  return (bound === undefined ? `${name}>` : `${name}<=${bound}`) as Counter;
}
