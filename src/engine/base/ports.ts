/**
 * The interfaces of a partition to the outside world, with each method's contract in words. The adapters to D1 and R2
 * and every fake pass the same suites (test/contract).
 *
 * PORT1. Any rejection or silence of a write means "unknown": the write may have happened, or may still happen (LOG3).
 * PORT2. Ports decide nothing. The store evaluates guards, and the engine draws conclusions.
 */
import type { Aside } from "./aside.ts";
import type { Holder } from "./counters.ts";
import type { Epoch, Seq, Stamp } from "./ids.ts";
import type { LogLine, NoteFacts } from "./log-lines.ts";
import type {
  ChangedOutcome,
  ChangedSum,
  Explanation,
  HighWaterMark,
  LogStart,
  Main,
  Opening,
  PartitionHead,
  SegmentPage,
  PartitionRow,
  Pin,
  Promotion,
  Readers,
  Retention,
  Roots,
  Savepoint,
  Segment,
  Ancestors,
  Timeline,
} from "./records.ts";

export interface Watchers {
  /** The keys that are watched, each once. */
  readonly keys: Iterable<string>;
  /** Called after the event at `at` changed the state of a key, watched or not. `text` is null if the key has no state.
   *  Must be fast and never throw. */
  changed(key: string, text: string | null, at: Seq): void;
  /** The log ends at `head` when an instance opens. A watcher that heard of a higher seq heard of events that were
   *  given up, when D1 was restored to an older point and adopted. */
  opened(head: Seq): void;
}

export type Appended = "appended" | "refused";

export interface Log {
  /** Reads row and tail without taking an epoch. Returns null if the partition has no row. */
  peek(): Promise<Opening | null>;
  /** Takes the next epoch, then reads row and tail, in one transaction (LOG2). Returns null, and takes nothing, if
   *  there is no row. */
  open(writer: string, code: string): Promise<Opening | null>;
  /** Makes the row of a new partition, unless the row exists or the line doesn't. Then peeks, in one transaction. */
  create(seed: number, start: LogStart): Promise<Opening | null>;
  /** Returns the last event at or before the stamp. Returns null if D1 has no row and no snapshot that tells. */
  lastAt(at: Stamp): Promise<LogStart | null>;
  /** Returns the rows above `after`, with the epoch that holds at the same moment. */
  page(after: Seq): Promise<SegmentPage & { readonly epoch: Epoch }>;
  /** Returns the rows that begin below `before`, newest first, as many as a page holds. Returns none if the log has no
   *  more. */
  below(before: Seq): Promise<readonly Segment[]>;
  /** Appends the rows of one group, all or none. The conditions: `held` is the epoch that holds, the first seq is one
   *  above the head, the stamps rise above the head's and the floor, and the line is open, or replaying. Rows of the
   *  next epoch take that epoch (LOG2). */
  append(rows: readonly Segment[], held: Epoch, line?: "open" | "replaying"): Promise<Appended>;
  explain(at: Seq): Promise<Explanation>;
  /** Stores events whose outcome differs from the one on the line that is replayed, each once. */
  noteChanged(changed: readonly ChangedOutcome[]): Promise<void>;
  /** Returns the first changed outcomes above `after`, up to `limit`. */
  changed(after: Seq, limit: number): Promise<readonly ChangedOutcome[]>;
  /** Makes a snapshot current, cuts the rows up to `cutSeq` and makes the replaced snapshots restore points. Every
   *  statement checks that epoch and version hold. An existing restore point changes `replacedMs` alone. Beyond POINTS
   *  only a pinned snapshot becomes a restore point. */
  promote(promotion: Promotion): Promise<"current" | "refused">;
  /** Bytes of the whole database as last reported, freed pages included. 0 before the first report. The size need not
   *  shrink. */
  readonly size: number;
  /** Returns the bytes of the segments of all partitions in the database. Reads a row for each segment. */
  used(): Promise<number>;
  /** Returns the row alone. Returns null if there is none. */
  row(): Promise<PartitionRow | null>;
  /** Returns the row, and everything else that must stay. Returns null if there is no row. */
  roots(): Promise<Roots | null>;
  /** Gives up the points of `drop` that aren't pinned, and raises `retainFrom` and `archiveFrom`, if epoch and version
   *  hold and the savepoints are as given. Then reads the roots, in the same transaction. Returns null if epoch or
   *  version doesn't hold. */
  retain(retention: Retention): Promise<Roots | null>;
  /** Pins the current snapshot or a restore point. Returns "gone" if the version is neither, and "full" if PINS are
   *  pinned. */
  pin(pin: Pin): Promise<"pinned" | "gone" | "full">;
  /** Removes a pin. A missing pin is no error. */
  unpin(version: number, name: string): Promise<void>;
}

/** The floor of one database: rows with a stamp at or below it are refused (TIME2). */
export interface Floor {
  /** Returns the floor, and the database's own time in milliseconds since 1970. */
  facts(): Promise<{ readonly floor: Stamp; readonly nowMs: number }>;
  /** Returns the newest stamp that any partition has logged, or 0. */
  newest(): Promise<Stamp>;
  /** Raises the floor, unless it is higher. */
  raise(to: Stamp): Promise<void>;
}

/** The savepoints of one database. */
export interface SavepointStore {
  /** Returns all rows, by name. */
  all(): Promise<readonly Savepoint[]>;
  /** Adds a savepoint with the next number, unless the name is there. Returns the row that has the name then. Returns
   *  "gone" if a partition has given up the moment, and "full" if there are SAVEPOINTS. */
  add(name: string, at: Stamp, createdMs: number): Promise<Savepoint | "gone" | "full">;
  /** Holds a savepoint that the first database has added, unless it is there. */
  hold(savepoint: Savepoint): Promise<"held" | "gone">;
  /** Marks a savepoint as held, if it was being taken. Returns its state then, or "gone" if there is none. */
  confirm(number: number): Promise<Savepoint["state"] | "gone">;
  /** Marks a savepoint as being removed. */
  withdraw(number: number): Promise<void>;
  drop(number: number): Promise<void>;
  /** Returns how far each partition had come at a settled stamp. */
  heads(at: Stamp): Promise<readonly PartitionHead[]>;
  /** Returns the stamp of the first row that no snapshot covers, of each partition that has one. */
  unarchived(): Promise<readonly Stamp[]>;
}

/** The timelines and which one is main, in the first database. Each change returns what is there then. */
export interface Directory {
  all(): Promise<{ readonly main: Main; readonly all: readonly Timeline[] }>;
  main(): Promise<Main>;
  /** Adds a timeline with the next number, unless the name is there. Returns the row that has the name then. Returns
   *  "gone" if the parent isn't ready, and "full" if there are TIMELINES. */
  add(
    start: Pick<Timeline, "at" | "expiresMs" | "replay" | "split" | "unstarted"> & {
      readonly name: string;
      readonly parent: number;
    },
    nowMs: number,
  ): Promise<Timeline | "gone" | "full">;
  /** Places the operators as on the parent, each with its split, and marks the timeline as ready if it was being made. */
  ready(line: number): Promise<Timeline["state"] | "gone">;
  /** Marks the line as being removed, unless it is main, others than those of `free` start from it, or it is being
   *  promoted. If `unsaved`, also unless the first database has a user's savepoint of it. */
  withdraw(
    line: number,
    free?: readonly number[],
    unsaved?: boolean,
  ): Promise<"removing" | "gone" | "main" | "parent" | "promotion" | "saved">;
  /** Forgets a line that is being removed. */
  drop(line: number): Promise<void>;
  /** Takes the name from a line that is replaying, and marks it as being removed, unless it is being promoted. */
  replace(line: number): Promise<void>;
  /** Begins the promotion of that number, if the one before is over. A line that replays must replay main, and one that
   *  is unstarted must start from main. */
  begin(promotion: number, target: number, nowMs: number): Promise<Main | "no_target">;
  /** Makes the target main, if that promotion is sealing. `end`: where it starts, if it is unstarted. */
  switch(promotion: number, etag: string, done: string, end?: Stamp | null): Promise<Main>;
  /** Aborts that promotion, if it is sealing. */
  abort(promotion: number): Promise<Main>;
  /** Ends that promotion, if it is aborting or opening. */
  idle(promotion: number): Promise<void>;
}

/**
 * How a line begins. An open one takes events, and one that is replaying takes the rows of another one. An
 * unstarted one has no partitions, and takes nothing before it is opened.
 */
export type LineState = "open" | "replaying" | "unstarted";

/** The lines of one database. */
export interface LineStore {
  /** Adds a line with that floor, unless it is there. */
  add(line: number, floor: Stamp, state: LineState): Promise<void>;
  /** Marks the line as removed for ever, and deletes some of its partitions' rows. Returns "more" if others are left. */
  drop(line: number): Promise<"more" | "done">;
  /** Finds the partitions of a line that still read the lines of its past (LINE6). */
  readers(of: { readonly line: number; readonly at: Stamp; readonly past: Ancestors }): Promise<Readers>;
  /** Seals those lines that no promotion of this number or a later one has changed, except those that take no events. */
  seal(lines: readonly number[], promotion: number): Promise<void>;
  /** Opens the lines among those that are sealed, if no later promotion has changed them. */
  unseal(lines: readonly number[], promotion: number): Promise<void>;
  /** Opens a line, if no later promotion has changed it. */
  open(line: number, promotion: number): Promise<void>;
  /** Returns the changed outcomes of the line's partitions that have any. */
  changed(line: number): Promise<readonly ChangedSum[]>;
}

/** Objects by name. Names are never used twice. */
export interface ObjectStore {
  /** Stores an object under a new name. Resolves to its SHA-256 in hex, which the store has checked. */
  put(name: string, bytes: Uint8Array): Promise<string>;
  /** Returns the whole object. Returns null if there is none. */
  get(name: string): Promise<Uint8Array | null>;
  /** Returns the bytes from `offset` on, fewer than `length` if the object ends. Returns null if there is no object. */
  range(name: string, offset: number, length: number): Promise<Uint8Array | null>;
  /** Returns up to 1,000 names with the prefix, above `after`, in order. */
  list(prefix: string, after: string): Promise<{ readonly names: readonly string[]; readonly more: boolean }>;
  /** Deletes objects. A missing name is no error. */
  delete(names: readonly string[]): Promise<void>;
}

/**
 * Ranges of R2 objects, cached in the Durable Object's own storage. Synchronous, because no call costs a round trip.
 * Every range can be fetched again, so any failure of the cache counts as a missing range.
 */
export interface Cache {
  get(name: string, offset: number): Uint8Array | null;
  put(name: string, offset: number, bytes: Uint8Array): void;
  drop(name: string): void;
  /** Drops the ranges of all other objects, and their records of distrust. */
  keep(names: readonly string[]): void;
  /** Records that the object was found damaged in the store. The record outlives this instance. @throws if the record
   *  can't be kept */
  distrust(name: string): void;
  distrusted(names: readonly string[]): string[];
}

/** Bytes, and whether they came from the store just now. Null if they couldn't be read. */
export type Coming = { readonly bytes: Uint8Array; readonly fetched: boolean } | null;

/** Parts of files that were fetched before they were needed (prefetch.ts). */
export interface Prefetched {
  take(name: string, offset: number): Promise<Coming> | null;
}

export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls `then` once, after `ms`. The returned function cancels the call. */
  after(ms: number, then: () => void): () => void;
  /** Returns a random number, 0 <= x < 1, for the jitter of waits only. */
  jitter(): number;
}

/** Text and bytes, compression and checksums. */
export interface Codec {
  /** Name of the codec, which is stored with its output. */
  readonly name: string;
  encode(text: string): Uint8Array;
  /** @throws if the bytes are no UTF-8 */
  decode(bytes: Uint8Array): string;
  compress(text: string): Uint8Array;
  /** Writes the same format, faster and larger. */
  compressFast(text: string): Uint8Array;
  /** @throws if the bytes are not the output of `compress`, or unpack to more than UNPACKED_BYTES */
  decompress(bytes: Uint8Array): string;
  /** Name of the format that `pack` writes. */
  readonly packing: string;
  /** Packs the parts of a text, of at most `bytes` in UTF-8, into a shorter text. Fast, and without a copy of the whole
   *  text, because every event passes through `pack` once. */
  pack(parts: readonly string[], bytes: number): string;
  /** @throws if the text is not the output of `pack`, or unpacks to more than UNPACKED_BYTES */
  unpack(packed: string): string;
  readonly crc32: (data: string | Uint8Array) => number;
}

/** The Durable Object that a partition lives in. */
export interface Host {
  /** Returns a name that nobody else will ever make. */
  nonce(): string;
  /** Keeps the object alive until the promise settles. */
  keep(promise: Promise<unknown>): void;
  /** Sets the alarm that wakes the partition, in place of the alarm before. Null clears the alarm. */
  arm(atMs: number | null): void;
  /** Returns the high-water mark in the object's own storage. Returns null if there is none (rewind-check.ts). */
  highWaterMark(): HighWaterMark | null;
  /**
   * Stores the mark in place of the last one. Resolves when the mark outlives this instance, and never in a superseded
   * instance. Calls no store. Also lets the platform stop a superseded instance.
   */
  keepHighWaterMark(mark: HighWaterMark): Promise<void>;
  /** Returns the record in the object's own storage of when it stepped aside last. Returns null if there is none
   *  (aside.ts). */
  aside(): Aside | null;
  /** Stores the record of stepping aside. The record outlives this instance. */
  keepAside(aside: Aside): void;
  /** Returns the listeners for changes. If null or missing, nobody listens and no work is spent. */
  watchers?(): Watchers | null;
  /** Ends this instance. The next call finds a new one. `holder`: the epoch that this instance held, if it wrote. */
  end(why: string, holder?: Holder): void;
  /** Writes one line to the log of noteworthy things, never with event data. */
  note(what: LogLine, facts: NoteFacts): void;
}
