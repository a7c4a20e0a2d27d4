/**
 * Quarantine: events whose handler threw. Part of the state, keyed by seq, so it is in snapshots and rebuilt by replay.
 *
 * Q1. Such an event has an effect only by an explicit retry, which is a logged event of its own (ONE6); retry and delete
 *     each count once.
 * Q2. It is bounded; a full quarantine stops the partition from taking events (LOG6), since dropping one would lose it.
 */
import { parseObject } from "./blocks.ts";
import { Damage } from "./errors.ts";
import { seq, type Seq } from "./ids.ts";
import { isWhole } from "./json.ts";
import { QUARANTINE_BYTES, QUARANTINE_EVENTS } from "./limits.ts";
import { isMs } from "./stamp.ts";

export interface Quarantined {
  readonly seq: Seq;
  readonly key: string;
  readonly error: string;
  /** Logged time of receipt, milliseconds. */
  readonly now: number;
  /** JSON text of the event. */
  readonly event: string;
}

/** A line of a snapshot: an entry, or that it is gone. */
export type QuarantineChange = Quarantined | { readonly seq: Seq; readonly gone: true };

/** An entry from its line in a snapshot, or, in a delta, that it is gone. @throws Damage */
export function readQuarantined(line: string, delta: boolean): QuarantineChange {
  const { seq: at, key, error, now, event, gone } = parseObject(line, "a line of the quarantine");
  if (delta && gone === true && isWhole(at) && at > 0) return { seq: seq(at), gone };
  const texts = typeof key === "string" && key !== "" && typeof error === "string" && typeof event === "string";
  if (!texts || !isWhole(at) || at === 0 || !isMs(now)) throw new Damage("a line of the quarantine is no entry");
  parseObject(event, `quarantined event ${at}`);
  return { seq: seq(at), key, error, now, event };
}

/** Types of the logged events that steer the quarantine; `data` is `{ "seq": n }`. */
export const RETRY = "keyframe.quarantine.retry";
export const DELETE = "keyframe.quarantine.delete";

/** How a quarantined event is named outside. */
export const quarantineId = (partition: number, seq: number): string => `${partition}-${seq}`;

export class Quarantine {
  readonly #entries = new Map<Seq, Quarantined>();
  /** Named by a command that is not in the log yet: a second command must not find them. */
  readonly #claimed = new Set<Seq>();
  #size = 0;
  /** Entries that came, changed or went since the snapshot that the next delta builds on, with the event that did it. */
  readonly #changed = new Map<Seq, Seq>();

  get events(): number {
    return this.#entries.size;
  }

  get full(): boolean {
    return this.#entries.size >= QUARANTINE_EVENTS || this.#size >= QUARANTINE_BYTES;
  }

  /** The event at `at` put it here: itself, or a retry that failed again. */
  add(entry: Quarantined, at: Seq): void {
    this.#changed.set(entry.seq, at);
    this.restore(entry);
  }

  /** What a snapshot holds: it is no change. */
  restore(entry: Quarantined): void {
    this.restoreRemoved(entry.seq);
    this.#entries.set(entry.seq, entry);
    this.#size += sizeOf(entry);
  }

  /** The command at `by` took it out. */
  remove(at: Seq, by: Seq): void {
    this.#changed.set(at, by);
    this.restoreRemoved(at);
  }

  /** A delta says that it went. */
  restoreRemoved(at: Seq): void {
    const entry = this.#entries.get(at);
    this.#claimed.delete(at);
    if (entry === undefined) return;
    this.#entries.delete(at);
    this.#size -= sizeOf(entry);
  }

  /** The entry, unless a pending command has it. */
  find(at: Seq): Quarantined | undefined {
    return this.#claimed.has(at) ? undefined : this.#entries.get(at);
  }

  /** The entry, claimed or not. */
  get(at: Seq): Quarantined | undefined {
    return this.#entries.get(at);
  }

  claim(at: Seq): void {
    this.#claimed.add(at);
  }

  /** The command that claimed it came to nothing. */
  release(at: Seq): void {
    this.#claimed.delete(at);
  }

  /** How many entries of the key no pending command has. */
  freeOf(key: string): number {
    return this.ofKey(key).filter((at) => !this.#claimed.has(at)).length;
  }

  ofKey(key: string): Seq[] {
    return [...this.#entries.values()].filter((entry) => entry.key === key).map((entry) => entry.seq);
  }

  list(): Quarantined[] {
    return [...this.#entries.values()].sort((a, b) => a.seq - b.seq);
  }

  /** What changed after `base`, in order; without an entry: it is gone. */
  changes(base: Seq): QuarantineChange[] {
    return [...this.#changed]
      .filter(([, by]) => by > base)
      .sort(([a], [b]) => a - b)
      .map(([at]) => this.#entries.get(at) ?? { seq: at, gone: true });
  }

  /** A delta up to `by` says this. */
  restoreChange(change: QuarantineChange, by: Seq): void {
    this.#changed.set(change.seq, by);
    if ("gone" in change) this.restoreRemoved(change.seq);
    else this.restore(change);
  }

  /** A full snapshot that is current holds all up to `upTo`. What deltas hold is remembered, since they may be merged. */
  saved(upTo: Seq): void {
    for (const [at, by] of this.#changed) if (by <= upTo) this.#changed.delete(at);
  }

  /** The entries above `after`, in order; stops at `limit` or at about `maxChars`. */
  page(after: Seq, limit: number, maxChars: number): QuarantinePage {
    const items: Quarantined[] = [];
    let chars = 0;
    for (const entry of this.list()) {
      if (entry.seq <= after) continue;
      if (items.length >= limit || chars >= maxChars) return { items, more: true };
      items.push(entry);
      chars += sizeOf(entry);
    }
    return { items, more: false };
  }
}

export interface QuarantinePage {
  readonly items: readonly Quarantined[];
  /** There are further entries above the last one. */
  readonly more: boolean;
}

/** Characters of an entry: key and error may be larger than the event. */
const sizeOf = ({ key, error, event }: Quarantined): number => key.length + error.length + event.length;
