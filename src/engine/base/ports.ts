/**
 * What a partition needs of the world, each method's contract in words. The adapters to D1 and R2 and every fake pass
 * the same suites (test/contract).
 *
 * PORT1. Any rejection or silence of a write means "unknown": it may have happened, or may still happen (LOG3).
 * PORT2. Nothing here decides: guards are evaluated by the store, conclusions are drawn by the engine.
 */
import type { Aside } from "./aside.ts";
import type { Holder } from "./counters.ts";
import type { Epoch, Seq } from "./ids.ts";
import type { LogLine, NoteFacts } from "./log-lines.ts";
import type {
  Explanation,
  HighWaterMark,
  Opening,
  Page,
  PartitionRow,
  Pin,
  Promotion,
  Retention,
  Roots,
  Segment,
} from "./records.ts";

export interface Watchers {
  /** The keys that are watched, each once. */
  readonly keys: Iterable<string>;
  /** The event at `at` left this; null: no state. Called for any key, watched or not. Does nothing that takes long, and never
   *  throws. */
  changed(key: string, text: string | null, at: Seq): void;
  /** The log ends at `head` as an instance finds it. Who heard of more heard of what was given up when D1 was set back and adopted. */
  opened(head: Seq): void;
}

export type Appended = "appended" | "refused";

/** The log of one partition. */
export interface Log {
  /** Reads row and tail without taking an epoch. Null: the partition has no row. */
  peek(): Promise<Opening | null>;
  /** Takes the next epoch, then reads row and tail, in one transaction (LOG2). Null: no row, nothing taken. */
  open(writer: string, code: string): Promise<Opening | null>;
  /** Makes the row of a new partition, unless it is there. */
  create(seed: number): Promise<void>;
  /** The rows above `after`, with the epoch that holds at the same moment. */
  page(after: Seq): Promise<Page & { readonly epoch: Epoch }>;
  /** The rows that begin below `before`, newest first; as many as a page holds, none where the log has no more. */
  below(before: Seq): Promise<readonly Segment[]>;
  /** Appends the rows of one group, all or none: if `held` is the epoch that holds, the first seq is one above the head, the
   *  stamps rise above the head's and the floor, and the timeline is open. Rows of the next epoch take it (LOG2). */
  append(rows: readonly Segment[], held: Epoch): Promise<Appended>;
  explain(at: Seq): Promise<Explanation>;
  /** Makes a snapshot current, cuts the rows up to `cutSeq` and makes what it replaces restore points, if epoch and version
   *  hold: in every statement. Of one that is there `replacedMs` changes; beyond POINTS only what is pinned becomes one. */
  promote(promotion: Promotion): Promise<"current" | "refused">;
  /** Bytes of the whole database as last heard, freed pages included; 0: not heard yet. It need not shrink. */
  readonly size: number;
  /** Bytes of all segments in the database, of whichever partition. Reads a row for each. */
  used(): Promise<number>;
  /** The row alone. Null: there is none. */
  row(): Promise<PartitionRow | null>;
  /** The row, and what else must stay. Null: there is no row. */
  roots(): Promise<Roots | null>;
  /** Gives up what isn't pinned of `drop`, and raises `retainFrom` and `archiveFrom`, if epoch and version hold; then reads
   *  the roots, in one transaction. Null: they don't hold. */
  retain(retention: Retention): Promise<Roots | null>;
  /** Pins the current snapshot or a restore point. "gone": it is neither; "full": PINS are pinned. */
  pin(pin: Pin): Promise<"pinned" | "gone" | "full">;
  /** A pin that isn't there is no error. */
  unpin(version: number, name: string): Promise<void>;
}

/** Objects by name. Names are never used twice. */
export interface ObjectStore {
  /** Stores an object that wasn't there; resolves to its SHA-256 in hex, which the store has checked. */
  put(name: string, bytes: Uint8Array): Promise<string>;
  /** The whole object; null where there is none. */
  get(name: string): Promise<Uint8Array | null>;
  /** The bytes from `offset` on, fewer than `length` where the object ends; null where there is no object. */
  range(name: string, offset: number, length: number): Promise<Uint8Array | null>;
  /** Up to 1,000 names with the prefix, above `after`, in order. */
  list(prefix: string, after: string): Promise<{ readonly names: readonly string[]; readonly more: boolean }>;
  /** Deletes; a name that isn't there is no error. */
  delete(names: readonly string[]): Promise<void>;
}

/**
 * Ranges of objects, kept near: in the object's own storage. Synchronous, since it costs no round trip. All of it can be
 * fetched again, so whatever goes wrong in here is a range that isn't there.
 */
export interface Cache {
  get(name: string, offset: number): Uint8Array | null;
  put(name: string, offset: number, bytes: Uint8Array): void;
  /** What is kept of the object goes. */
  drop(name: string): void;
  /** What is kept of any other object, or said of it, goes. */
  keep(names: readonly string[]): void;
  /** The object was found to be damaged in the store. The end of this instance doesn't undo that. @throws where it can't be kept */
  distrust(name: string): void;
  /** Of the names, those that are distrusted. */
  distrusted(names: readonly string[]): string[];
}

export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls `then` once, after `ms`; the function that it gives back cancels that. */
  after(ms: number, then: () => void): () => void;
}

/** Text and bytes, compression and checksums. */
export interface Codec {
  /** Stored with what it wrote. */
  readonly name: string;
  encode(text: string): Uint8Array;
  /** @throws where the bytes are no UTF-8 */
  decode(bytes: Uint8Array): string;
  compress(text: string): Uint8Array;
  /** The same format, written faster and larger. */
  compressFast(text: string): Uint8Array;
  /** @throws where the bytes are not what `compress` wrote, or unpack to more than UNPACKED_BYTES */
  decompress(bytes: Uint8Array): string;
  /** Name of what `pack` writes. */
  readonly packing: string;
  /** A text that is there in parts, of at most `bytes` in UTF-8, to a shorter text. Fast, and without a copy of the whole text: every
   *  event passes through it once. */
  pack(parts: readonly string[], bytes: number): string;
  /** @throws where the text is not what `pack` wrote, or unpacks to more than UNPACKED_BYTES */
  unpack(packed: string): string;
  readonly crc32: (data: string | Uint8Array) => number;
}

/** The object that a partition lives in. */
export interface Host {
  /** A name that nobody else will ever make. */
  nonce(): string;
  /** Random number, 0 <= x < 1, for the jitter of retries only. */
  jitter(): number;
  /** Keeps the object alive until the promise settles. */
  keep(promise: Promise<unknown>): void;
  /** Wakes the partition at that time; null: not at all. Replaces what was armed before. */
  arm(atMs: number | null): void;
  /** What the object's own storage says that D1 had reached; null: nothing (rewind-check.ts). */
  highWaterMark(): HighWaterMark | null;
  /** Keeps it there, in the place of the last one. No call to a store; also lets the platform stop a superseded instance. */
  keepHighWaterMark(mark: HighWaterMark): void;
  /** What the object's own storage says of when it stepped aside last; null: never, as far as is known (aside.ts). */
  aside(): Aside | null;
  /** Keeps it there. The end of this instance doesn't undo that. */
  keepAside(aside: Aside): void;
  /** Who is to hear of changes; null, or not there: nobody, and nothing is spent on it. */
  watchers?(): Watchers | null;
  /** Ends this instance, which held the epoch as `holder` if it wrote; the next call finds a new one. */
  end(why: string, holder?: Holder): void;
  /** One line for the log of noteworthy things; never event data. */
  note(what: LogLine, facts: NoteFacts): void;
}
