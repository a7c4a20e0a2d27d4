/**
 * Quarantine: events whose handler threw. Part of the state, keyed by seq, so it is in snapshots and rebuilt by replay.
 *
 * Q1. Such an event has an effect only by an explicit retry, which is a logged event of its own (ONE6); retry and delete
 *     each count once.
 * Q2. It is bounded; a full quarantine stops the partition from taking events (LOG6), since dropping one would lose it.
 * Q3. An event and a command meet what everything before them has decided, in the log or not yet, as at replay (SNAP8). Reads
 *     and snapshots meet what is in the log (LOG1). A group that doesn't get there ends the object, so nothing is taken back.
 * Q4. An entry holds the event as it was sent: a handler may write on what it is given, and a retry begins anew.
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
  /** JSON text of the event, as it was sent. */
  readonly event: string;
}

/** What the event or command at `by` made of an entry; null: it is gone. */
interface Decision {
  readonly target: Seq;
  readonly entry: Quarantined | null;
  readonly by: Seq;
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
  /** What the log holds. */
  readonly #entries = new Map<Seq, Quarantined>();
  /** What isn't in the log yet, in the order in which it was decided. */
  readonly #decisions: Decision[] = [];
  /** The last of these for each entry. */
  readonly #decided = new Map<Seq, Decision>();
  /** Of everything that is decided. */
  #count = 0;
  #size = 0;
  /** Entries that came, changed or went since the snapshot that the next delta builds on, with the event that did it. */
  readonly #changed = new Map<Seq, Seq>();

  /** Entries that are in the log. */
  get events(): number {
    return this.#entries.size;
  }

  /** Entries once everything that is decided is in the log. */
  get decidedEvents(): number {
    return this.#count;
  }

  get full(): boolean {
    return this.#count >= QUARANTINE_EVENTS || this.#size >= QUARANTINE_BYTES;
  }

  /** The event at `by` put it here: itself, or a retry that failed again. */
  put(entry: Quarantined, by: Seq): void {
    this.#decide({ target: entry.seq, entry, by });
  }

  /** The command at `by` takes it out. */
  remove(target: Seq, by: Seq): void {
    this.#decide({ target, entry: null, by });
  }

  #decide(decision: Decision): void {
    this.#weigh(this.find(decision.target), decision.entry);
    this.#decisions.push(decision);
    this.#decided.set(decision.target, decision);
  }

  /** Everything up to `last` is in the log. */
  committed(last: Seq): void {
    let done = 0;
    for (; done < this.#decisions.length && this.#decisions[done]!.by <= last; done++) {
      const decision = this.#decisions[done]!;
      const { target, entry, by } = decision;
      this.#changed.set(target, by);
      if (entry === null) this.#entries.delete(target);
      else this.#entries.set(target, entry);
      if (this.#decided.get(target) === decision) this.#decided.delete(target);
    }
    if (done > 0) this.#decisions.splice(0, done);
  }

  /** What a snapshot holds: it is no change. */
  restore(entry: Quarantined): void {
    this.#weigh(this.#entries.get(entry.seq), entry);
    this.#entries.set(entry.seq, entry);
  }

  #weigh(before: Quarantined | null | undefined, after: Quarantined | null): void {
    this.#count += (after === null ? 0 : 1) - (before == null ? 0 : 1);
    this.#size += (after === null ? 0 : sizeOf(after)) - (before == null ? 0 : sizeOf(before));
  }

  /** The entry, as everything before the next seq has decided (Q3). */
  find(target: Seq): Quarantined | undefined {
    const decision = this.#decided.get(target);
    return decision === undefined ? this.#entries.get(target) : (decision.entry ?? undefined);
  }

  /** The entries of a key, likewise. */
  ofKey(key: string): Seq[] {
    const seqs = new Set([...this.#entries.keys(), ...this.#decided.keys()]);
    return [...seqs].filter((at) => this.find(at)?.key === key);
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
    if (!("gone" in change)) return this.restore(change);
    this.#weigh(this.#entries.get(change.seq), null);
    this.#entries.delete(change.seq);
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
