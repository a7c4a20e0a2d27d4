/**
 * What a partition counts over its whole life: events, commits, snapshots, recoveries, and operations of the stores.
 *
 * COUNTERS1. They cost nothing: as a row of numbers they ride in the statistics of the last segment of each group, and in each
 *     manifest (SNAP9).
 * COUNTERS2. They never fall. An opening goes on from the greatest of what the last segment, the row's manifests and the object's mark
 *     say, number by number; a segment or a manifest that is there counts itself. The mark is kept with each
 *     snapshot and every ten minutes (high-water-mark.ts), and a segment counts what its own append costs, so that an object which sleeps
 *     between events loses nothing of their price. What was counted after the last of all these is lost in a crash.
 * COUNTERS3. A place of the row never changes its meaning; new ones are added at the end. Numbers that only newer code knows are
 *     carried along, since old and new code take turns for minutes (CODE1).
 */

/** Upper bounds of histograms; what is above the last one has a place of its own. */
export const COMMIT_BOUNDS_MS = [10, 25, 50, 100, 250, 500, 1_000, 5_000] as const;

export const GROUP_BOUNDS = [1, 10, 100, 1_000, 10_000] as const;

/** The places of the row. */
export const COUNTERS = [
  "applied",
  "refused",
  "quarantined",
  "duplicates",
  /** Ids that came again with another content. */
  "reused",
  /** Slices: calls of the object that brought events. */
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
] as const;

export type Counter = (typeof COUNTERS)[number];

export type Counts = Readonly<Partial<Record<Counter, number>>>;

const VERSION = 1;

const PLACES = new Map<Counter, number>(COUNTERS.map((name, i) => [name, i + 1]));

/** As it is stored: its version, then the numbers. */
export type CounterRow = readonly number[];

/** Also for what is to be trusted no further than any text: another version, or no row at all, is null. */
export function readCounters(value: unknown): CounterRow | null {
  if (!isCounterRow(value) || value[0] !== VERSION) return null;
  return value;
}

/** Of any version. */
export const isCounterRow = (value: unknown): value is CounterRow =>
  Array.isArray(value) && value.length > 0 && value.every((n) => Number.isSafeInteger(n) && n >= 0);

/** The greater of each number: of two moments of one partition, what the later one says (COUNTERS2). */
export function laterOf(rows: readonly (CounterRow | null)[]): CounterRow {
  const there = rows.filter((row) => row !== null);
  const length = Math.max(PLACES.size + 1, ...there.map((row) => row.length));
  return Array.from({ length }, (_, i) => (i === 0 ? VERSION : Math.max(0, ...there.map((row) => row[i] ?? 0))));
}

export const countOf = (row: CounterRow, name: Counter): number => row[PLACES.get(name)!] ?? 0;

/** Who held the right to write. */
export interface Holder {
  readonly epoch: number;
  readonly writer: string;
}

export class Counters {
  #base = laterOf([]);
  readonly #own = laterOf([]).map(() => 0);
  /** This instance, once it writes, and whom it follows. */
  holder: Holder | null = null;
  before: Holder | null = null;
  /** Is it known what was counted before? */
  restored = false;

  add(counts: Counts): void {
    for (const [name, n] of Object.entries(counts)) this.#own[PLACES.get(name as Counter)!]! += whole(n);
  }

  /** What was known before this instance counted. */
  restore(rows: readonly (CounterRow | null)[]): void {
    this.#base = laterOf([this.#base, ...rows]);
    this.restored = true;
  }

  /** All of it, with what is about to be true. */
  row(more: Counts = {}): CounterRow {
    const row = this.#base.map((n, i) => (i === 0 ? n : n + (this.#own[i] ?? 0)));
    for (const [name, n] of Object.entries(more)) row[PLACES.get(name as Counter)!]! += whole(n);
    return row;
  }
}

/** A clock that is set back takes nothing away. */
const whole = (n: number): number => Math.max(0, Math.round(n));

/** What one commit took. */
export const commitCounts = (ms: number): Counts => ({
  commitMs: ms,
  [placeIn("commit", COMMIT_BOUNDS_MS, ms)]: 1,
});

/** One group, by its events. */
export const groupCounts = (events: number): Counts => ({
  groupEvents: events,
  [placeIn("group", GROUP_BOUNDS, events)]: 1,
});

function placeIn(name: "commit" | "group", bounds: readonly number[], n: number): Counter {
  const bound = bounds.find((one) => n <= one);
  return (bound === undefined ? `${name}>` : `${name}<=${bound}`) as Counter;
}
