/**
 * Dedup recognises duplicates by the prints of the last events, and the outcomes that differ from a plain "applied"
 * (answers.ts). A group drops them when it admits events (partition/group.ts).
 *
 * DEDUP1. Every logged event has exactly one entry, and entries are in the order of seq, so an entry's place is its
 *     seq. A pending event (not in the log yet) has an entry too, so it is found like a durable one (ONE1).
 * DEDUP2. Entries leave by logged time and by count only, when a segment is applied, so replay decides alike (ONE3).
 * DEDUP3. Dedup is part of the state and goes into every snapshot, cut at the snapshot's seq.
 * DEDUP4. Memory grows with the number of entries, not in doublings. A burst at a full horizon would otherwise take
 *     twice the memory for good.
 * DEDUP5. The table is built only if it pays. After a restore, the first few lookups search along the ring. A read or a
 *     replay needs no table, and an object that wakes up for one event soon ends again.
 *
 * An event takes 24 bytes, and 11 to 21 more in the table, whose size is a power of two: 20 MB at 500,000 ids. A Map of
 * strings would take three times as much.
 */
import { Answers } from "./answers.ts";
import { PRINT_WORDS } from "../base/hash.ts";
import { seq, type Seq } from "../base/ids.ts";
import { isObject, isWhole } from "../base/json.ts";
import { isMs } from "../base/hybrid-clock.ts";

const MINUTE_MS = 60_000;
const SMALLEST = 1024;
/** From this number of slots on, the memory of a growth matters more than its time. */
const LARGE = 262_144;
const STEP = 65_536;
/** Lookups along the ring after a restore. Each takes a millisecond at 500,000 ids; building the table takes forty. */
const LOOKS = 8;

export interface Horizon {
  readonly keepMs: number;
  readonly maxIds: number;
  readonly repliesMs: number;
}

export type Found =
  | { readonly tag: "new" }
  | { readonly tag: "duplicate"; readonly seq: Seq }
  | { readonly tag: "reused"; readonly seq: Seq };
const NEW: Found = { tag: "new" };

/** The last seq of a minute of logged time. */
type MinuteEnd = readonly [minute: number, last: number];

/** Entries above a base and up to one seq, as a snapshot holds them. */
export interface DedupImage {
  /** The first seq that was still known, the last seq, and the prints of seqs above the base. */
  readonly first: number;
  readonly last: number;
  readonly prints: Uint32Array;
  readonly minutes: readonly MinuteEnd[];
  readonly answers: Iterable<readonly [seq: number, outcome: string]>;
  readonly repliesFrom: number;
}

/** An image whose prints are filled in later. */
export type Promised = Omit<DedupImage, "prints"> & { readonly count: number };

type Range = Omit<DedupImage, "prints" | "answers">;

/** Checks what a snapshot at `upTo` says of its prints. */
export function isRange(value: unknown, upTo: number): value is Range {
  if (!isObject(value)) return false;
  const { first, last, repliesFrom, minutes } = value;
  if (!isWhole(first) || !isWhole(repliesFrom) || last !== upTo || first < 1 || first > upTo + 1) return false;
  if (repliesFrom > upTo + 1 || !Array.isArray(minutes)) return false;
  let [past, end] = [-1, -1];
  for (const minute of minutes as unknown[]) {
    if (!Array.isArray(minute) || minute.length !== 2 || !isWhole(minute[0]) || !isWhole(minute[1])) return false;
    if (minute[0] <= past || minute[1] < end) return false;
    [past, end] = minute as [number, number];
  }
  // Every logged event belongs to a minute. An event without one would never expire.
  return isMs(past === -1 ? 0 : past * MINUTE_MS) && (end === upTo || (end === -1 && upTo === 0));
}

export class Dedup {
  readonly #horizon: Horizon;
  #first = 1;
  #last = 0;
  /** Ring of prints. The entry of seq s stands at (s % capacity). */
  #prints = new Uint32Array(SMALLEST * PRINT_WORDS);
  #capacity = SMALLEST;
  /**
   * Open addressing, two words an entry: the print's first word, and slot + 1, or 0 if the entry is empty. The copied
   * word spares probes the ring, where every lookup is a cache miss. Null until the table is built.
   */
  #table: Uint32Array | null = null;
  #mask = 0;
  /** Lookups along the ring that are left before the table is built (DEDUP5). */
  #looks = 0;
  #minutes: MinuteEnd[] = [];
  readonly #answers = new Answers(SMALLEST);
  /** Replies below this seq are expired. */
  #repliesFrom = 1;
  /** Files whose prints aren't filled in yet, each by its last seq. */
  readonly #promised = new Set<number>();

  constructor(horizon: Horizon) {
    this.#horizon = horizon;
  }

  get first(): Seq {
    return seq(this.#first);
  }

  /** Logged time in milliseconds from which on every id is known. Returns null if nothing was logged. */
  get sinceMs(): number | null {
    return this.#minutes[0] === undefined ? null : this.#minutes[0][0] * MINUTE_MS;
  }

  /**
   * Counts events above a seq with a logged time from `ms` on, pending ones included. Forgotten events don't count.
   */
  countSince(ms: number, above = seq(0)): number {
    const before = this.#minutes.findLast(([past]) => past < Math.floor(ms / MINUTE_MS));
    return Math.max(0, this.#last - Math.max(before?.[1] ?? this.#first - 1, above));
  }

  /** True if all prints are filled in. Until then no duplicate can be recognised. */
  get whole(): boolean {
    return this.#promised.size === 0;
  }

  find(prints: ArrayLike<number>, at: number): Found {
    if (this.#promised.size > 0) throw new Error("the prints of a snapshot must be filled in first");
    if (this.#table === null && this.#looks > 0) return this.#search(prints, at);
    const table = this.#table ?? this.#build();
    const mask = this.#mask;
    const word = prints[at]!;
    for (let i = word & mask; ; i = (i + 1) & mask) {
      const entry = table[2 * i + 1]!;
      if (entry === 0) return NEW;
      if (table[2 * i] !== word) continue;
      const found = this.#compare(entry - 1, prints, at);
      if (found !== null) return found;
    }
  }

  /** Searches along the ring (DEDUP5). */
  #search(prints: ArrayLike<number>, at: number): Found {
    this.#looks -= 1;
    const ring = this.#prints;
    const word = prints[at]!;
    const count = this.#last - this.#first + 1;
    let slot = this.#first % this.#capacity;
    for (let i = 0; i < count; i++, slot = slot + 1 === this.#capacity ? 0 : slot + 1) {
      if (ring[slot * PRINT_WORDS] !== word) continue;
      const found = this.#compare(slot, prints, at);
      if (found !== null) return found;
    }
    return NEW;
  }

  /**
   * Compares a print with the slot's print, whose first word is the same. Returns null if the slot is of another event.
   */
  #compare(slot: number, prints: ArrayLike<number>, at: number): Found | null {
    const ring = this.#prints;
    const own = slot * PRINT_WORDS;
    if (ring[own + 1] !== prints[at + 1] || ring[own + 2] !== prints[at + 2] || ring[own + 3] !== prints[at + 3])
      return null;
    const found = this.#seqAt(slot);
    return ring[own + 4] === prints[at + 4] && ring[own + 5] === prints[at + 5]
      ? { tag: "duplicate", seq: found }
      : { tag: "reused", seq: found };
  }

  /** Adds the entry of the next seq. */
  add(prints: ArrayLike<number>, at: number): void {
    if (this.#last - this.#first + 1 === this.#capacity) this.#grow();
    this.#last += 1;
    const slot = this.#last % this.#capacity;
    for (let word = 0; word < PRINT_WORDS; word++) this.#prints[slot * PRINT_WORDS + word] = prints[at + word]!;
    this.#answers.added(this.#last);
    if (this.#table !== null) this.#link(this.#table, slot);
  }

  /** Remembers an outcome that is more than "applied". The event must have been added. */
  answer(at: Seq, outcome: string): void {
    if (at >= this.#first && at <= this.#last) this.#answers.set(at, outcome);
  }

  outcome(at: Seq): string | undefined {
    return at >= this.#first && at <= this.#last ? this.#answers.get(at) : undefined;
  }

  /** A segment that ends at `last` was logged at `ms`. Drops entries older than the horizon (DEDUP2). */
  committed(last: Seq, ms: number): void {
    const minute = Math.floor(ms / MINUTE_MS);
    const newest = this.#minutes.at(-1);
    // A clock that went back can't reorder logged events, so the later minute stands.
    if (newest !== undefined && newest[0] >= minute) this.#minutes[this.#minutes.length - 1] = [newest[0], last];
    else this.#minutes.push([minute, last]);
    this.#answers.count(last);
    this.#expire(last, minute);
  }

  #expire(last: number, minute: number): void {
    const { keepFrom, gone } = keptIds(this.#horizon, { first: this.#first, last, minutes: this.#minutes }, minute);
    if (gone > 0) this.#minutes.splice(0, gone);
    if (this.#table !== null)
      for (let at = this.#first; at < keepFrom; at++) this.#unlink(this.#table, at % this.#capacity);
    this.#first = keepFrom;
    this.#expireAnswers(minute);
  }

  #expireAnswers(minute: number): void {
    const repliesBefore = minute - Math.ceil(this.#horizon.repliesMs / MINUTE_MS);
    for (const [past, end] of this.#minutes) {
      if (past >= repliesBefore) break;
      this.#repliesFrom = Math.max(this.#repliesFrom, end + 1);
    }
    this.#answers.expire(this.#first, this.#repliesFrom);
  }

  /**
   * Returns the entries for a snapshot at `upTo` that builds on one at `base`. The arrays are copies, so that events
   * can run meanwhile.
   */
  image(upTo: Seq, base: Seq): DedupImage {
    if (this.#promised.size > 0) throw new Error("the prints of a snapshot must be filled in first");
    const from = Math.max(this.#first, base + 1);
    const count = Math.max(0, upTo - from + 1);
    const prints = new Uint32Array(count * PRINT_WORDS);
    const start = from % this.#capacity;
    const head = Math.min(count, this.#capacity - start);
    prints.set(this.#prints.subarray(start * PRINT_WORDS, (start + head) * PRINT_WORDS), 0);
    prints.set(this.#prints.subarray(0, (count - head) * PRINT_WORDS), head * PRINT_WORDS);
    return {
      first: this.#first,
      last: upTo,
      prints,
      minutes: [...this.#minutes],
      answers: this.#answers.image(from, upTo),
      repliesFrom: this.#repliesFrom,
    };
  }

  /**
   * Adds the entries of a snapshot to those of the snapshots that were restored before.
   *
   * @returns false if the entries don't follow those before
   */
  restore(image: DedupImage | Promised): boolean {
    this.#table = null;
    this.#looks = LOOKS;
    const held = "prints" in image ? image.prints.length / PRINT_WORDS : image.count;
    if (this.#first <= this.#last) this.#first = Math.max(this.#first, Math.min(image.first, this.#last + 1));
    const from = image.last + 1 - held;
    if (this.#first > this.#last) {
      this.#first = from;
      this.#last = from - 1;
    } else if (from !== this.#last + 1) return false;
    const count = image.last - this.#first + 1;
    if (count > this.#capacity) this.#resize(capacityFor(count));
    if ("prints" in image) for (let i = 0; i < held; i++) this.add(image.prints, i * PRINT_WORDS);
    else if (held > 0) {
      for (let at = this.#last + 1; at <= image.last; at++) this.#answers.added(at);
      this.#last = image.last;
      this.#promised.add(image.last);
    }
    this.#minutes = [...image.minutes];
    this.#repliesFrom = image.repliesFrom;
    for (const [at, outcome] of image.answers) this.answer(seq(at), outcome);
    this.#answers.count(image.last);
    this.#answers.expire(this.#first, this.#repliesFrom);
    return this.#first === image.first || this.#first > this.#last;
  }

  /** Fills in the prints up to `last`, if they were promised. Prints that expired meanwhile are left out. */
  fill(last: Seq, prints: Uint32Array): void {
    if (!this.#promised.delete(last)) return;
    const before = last - prints.length / PRINT_WORDS;
    for (let at = Math.max(this.#first, before + 1); at <= last;) {
      const slot = at % this.#capacity;
      const run = Math.min(last - at + 1, this.#capacity - slot);
      const from = (at - before - 1) * PRINT_WORDS;
      this.#prints.set(prints.subarray(from, from + run * PRINT_WORDS), slot * PRINT_WORDS);
      at += run;
    }
  }

  #seqAt(slot: number): Seq {
    const base = this.#last - (this.#last % this.#capacity);
    return seq(slot <= this.#last % this.#capacity ? base + slot : base - this.#capacity + slot);
  }

  #build(): Uint32Array {
    const size = tableFor(this.#capacity);
    const table = this.#table?.length === 2 * size ? this.#table.fill(0) : new Uint32Array(2 * size);
    this.#mask = size - 1;
    for (let s = this.#first; s <= this.#last; s++) this.#link(table, s % this.#capacity);
    this.#table = table;
    return table;
  }

  #link(table: Uint32Array, slot: number): void {
    const word = this.#prints[slot * PRINT_WORDS]!;
    let i = word & this.#mask;
    while (table[2 * i + 1] !== 0) i = (i + 1) & this.#mask;
    table[2 * i] = word;
    table[2 * i + 1] = slot + 1;
  }

  /** Removes a slot from the table and closes the gap, so that probing needs no tombstones. */
  #unlink(table: Uint32Array, slot: number): void {
    const mask = this.#mask;
    let hole = this.#prints[slot * PRINT_WORDS]! & mask;
    while (table[2 * hole + 1] !== slot + 1) hole = (hole + 1) & mask;
    table[2 * hole + 1] = 0;
    for (let i = (hole + 1) & mask; table[2 * i + 1] !== 0; i = (i + 1) & mask) {
      const home = table[2 * i]! & mask;
      if (((i - home) & mask) < ((i - hole) & mask)) continue;
      table[2 * hole] = table[2 * i]!;
      table[2 * hole + 1] = table[2 * i + 1]!;
      table[2 * i + 1] = 0;
      hole = i;
    }
  }

  #grow(): void {
    this.#resize(capacityFor(this.#last - this.#first + 2));
  }

  /** Moves the ring, since a seq's slot depends on the capacity. */
  #resize(capacity: number): void {
    const old = this.#prints;
    const oldCapacity = this.#capacity;
    if (capacity === oldCapacity) return;
    const prints = new Uint32Array(capacity * PRINT_WORDS);
    // Move each run as a whole if it wraps around in neither ring.
    for (let s = this.#first; s <= this.#last;) {
      const [from, to] = [s % oldCapacity, s % capacity];
      const run = Math.min(this.#last - s + 1, oldCapacity - from, capacity - to);
      prints.set(old.subarray(from * PRINT_WORDS, (from + run) * PRINT_WORDS), to * PRINT_WORDS);
      s += run;
    }
    this.#prints = prints;
    this.#capacity = capacity;
    this.#answers.resize(capacity, this.#first, this.#last);
    if (this.#table === null) return;
    // Free a table of another size before making the new one.
    if (this.#table.length !== 2 * tableFor(capacity)) this.#table = null;
    this.#build();
  }
}

/** Returns the first seq whose id is kept after an event of this minute, and the number of minutes that are gone. */
export function keptIds(
  { keepMs, maxIds }: Omit<Horizon, "repliesMs">,
  { first, last, minutes }: Pick<DedupImage, "first" | "last" | "minutes">,
  minute: number,
): { readonly keepFrom: number; readonly gone: number } {
  let keepFrom = Math.max(first, last - maxIds + 1);
  let gone = 0;
  while (gone < minutes.length - 1) {
    const [past, end] = minutes[gone]!;
    const old = past < minute - Math.ceil(keepMs / MINUTE_MS);
    if (!old && end >= keepFrom) break;
    keepFrom = Math.max(keepFrom, end + 1);
    gone += 1;
  }
  return { keepFrom, gone };
}

/**
 * Returns the capacity for `count` entries (DEDUP4). Every growth links all entries anew. So a small table grows
 * fourfold, and a large one by STEP, or by an eighth if that is more.
 */
function capacityFor(count: number): number {
  let capacity = SMALLEST;
  while (capacity < count) capacity = capacity < LARGE ? 4 * capacity : capacity + Math.max(STEP, capacity >> 3);
  return capacity;
}

/**
 * Returns the entries of the table: a power of two, at most three quarters full. Probes run along one cache line, so a
 * fuller table that stays in the cache is faster.
 */
function tableFor(capacity: number): number {
  let size = SMALLEST * 2;
  while (size * 3 < capacity * 4) size *= 2;
  return size;
}
