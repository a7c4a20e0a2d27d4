/**
 * The quarantine holds events whose handler threw. The quarantine is part of the state, keyed by seq, so snapshots hold
 * it and replay rebuilds it.
 *
 * QUARANTINE1. A quarantined event has an effect only by an explicit retry, which is a logged event of its own (ONE6).
 *     Retry and delete each count once.
 * QUARANTINE2. The quarantine is bounded. A full quarantine stops the partition from taking events (LOG6), since
 *     dropping an entry would lose an event.
 * QUARANTINE3. Events and commands see what everything before them decided, in the log or not yet, as at replay
 *     (SNAP8). Reads and snapshots see what is in the log (LOG1). A group that doesn't reach the log ends the instance,
 *     so no decision is taken back.
 * QUARANTINE4. An entry holds the event as it was sent: a handler may write on its argument, and a retry begins anew.
 * QUARANTINE5. The quarantine is a pause. A removed entry leaves a resolution (retried, deleted or erased). The
 *     resolution is known as long as the id of the command that removed the entry. So duplicates of the event, and of
 *     the command, hear the resolution.
 */
import { parseObject } from "../base/json.ts";
import { Damage } from "../base/errors.ts";
import { seq, type Seq } from "../base/ids.ts";
import { isWhole } from "../base/json.ts";
import { QUARANTINE_BYTES, QUARANTINE_EVENTS } from "../base/limits.ts";
import type { Thrown } from "../log/outcome.ts";
import { isMs } from "../base/hybrid-clock.ts";

export interface Quarantined extends Thrown, MadeBy {
  readonly seq: Seq;
  readonly type: string;
  readonly key: string;
  /** Logged time of receipt, in milliseconds. */
  readonly now: number;
  /** JSON text of the event as it was sent. */
  readonly event: string;
  /** The last retry, if any. The handler threw again. */
  readonly by?: Seq;
}

/** The code that ran. */
export interface MadeBy {
  readonly operatorVersion: number;
  readonly code: string;
}

/** The resolution of a removed entry, and the command that removed it. The outcome of a retry is that command's own. */
export interface Settled {
  readonly seq: Seq;
  readonly how: "retried" | "deleted" | "erased";
  readonly by: Seq;
}

/** The decision of the event or command at `by` on an entry. */
interface Decision {
  readonly left: Quarantined | Settled;
  readonly by: Seq;
}

/** A line of a snapshot: an entry, its resolution, or, in a delta, that nothing is known of the entry any more. */
export type QuarantineChange = Quarantined | Settled | { readonly seq: Seq; readonly gone: true };

/** @throws Damage if the line is corrupt */
export function readQuarantined(line: string, delta: boolean): QuarantineChange {
  const { seq: at, gone, how, by, ...entry } = parseObject(line, "a line of the quarantine");
  if (!isWhole(at) || at === 0) throw new Damage("a line of the quarantine has no seq");
  if (delta && gone === true) return { seq: seq(at), gone };
  if (isHow(how) && isWhole(by) && by > at) return { seq: seq(at), how, by: seq(by) };
  const retried = by === undefined || (isWhole(by) && by > at);
  if (!isEntry(entry) || !retried) throw new Damage("a line of the quarantine is invalid");
  parseObject(entry.event, `quarantined event ${at}`);
  const { type, key, error, errorName, stack, operatorVersion, code, now, event } = entry;
  const trace = errorName === undefined ? {} : { errorName, stack: stack ?? "" };
  const last = by === undefined ? {} : { by: seq(by) };
  return { seq: seq(at), type, key, error, ...trace, operatorVersion, code, now, event, ...last };
}

const isHow = (how: unknown): how is Settled["how"] => how === "retried" || how === "deleted" || how === "erased";

function isEntry(
  entry: Readonly<Record<string, unknown>>,
): entry is Omit<Quarantined, "seq"> & Record<string, unknown> {
  const { type, key, error, errorName = "", stack = "", operatorVersion, code, now, event } = entry;
  const texts = [type, key, error, errorName, stack, code, event].every((text) => typeof text === "string");
  return texts && key !== "" && isWhole(operatorVersion) && isMs(now);
}

/** Types of the commands on the quarantine. `data` is `{ "seq": n }`. */
export const RETRY = "keyframe.quarantine.retry";
export const DELETE = "keyframe.quarantine.delete";

/** Returns the name of a quarantined event in the API. */
export const quarantineId = (partition: number, seq: number): string => `${partition}-${seq}`;

export class Quarantine {
  /** Entries that are in the log. */
  readonly #entries = new Map<Seq, Quarantined>();
  /** Resolutions of removed entries, in the order of the commands (QUARANTINE5). */
  #settled = new Map<Seq, Settled>();
  /** True if restored resolutions stand in the order of seqs instead. */
  #unordered = false;
  /** Decisions that aren't in the log yet, in their order. */
  readonly #decisions: Decision[] = [];
  /** The last of these decisions for each entry. */
  readonly #decided = new Map<Seq, Decision>();
  /** Count and size of the entries after all decisions. */
  #count = 0;
  #size = 0;
  /**
   * Entries that came, changed or went since the snapshot that the next delta builds on, with the event that did it.
   */
  readonly #changed = new Map<Seq, Seq>();

  get events(): number {
    return this.#entries.size;
  }

  /** Number of entries once all decisions are in the log. */
  get decidedEvents(): number {
    return this.#count;
  }

  get full(): boolean {
    return this.holds(1);
  }

  /** True if it holds at least so many times of what it takes from senders. */
  holds(times: number): boolean {
    return this.#count >= times * QUARANTINE_EVENTS || this.#size >= times * QUARANTINE_BYTES;
  }

  /** The event at `by` puts an entry here: its own, or, if it is a retry that failed again, its target's. */
  put(entry: Quarantined, by: Seq): void {
    this.#decide({ left: entry, by });
  }

  /** The command at `by` removes an entry. */
  remove(target: Seq, how: Settled["how"], by: Seq): void {
    this.#decide({ left: { seq: target, how, by }, by });
  }

  #decide(decision: Decision): void {
    const { left } = decision;
    this.#weigh(this.find(left.seq), left);
    this.#decisions.push(decision);
    this.#decided.set(left.seq, decision);
  }

  /** Everything up to `last` is in the log, and ids from `idsFrom` on are known. */
  committed(last: Seq, idsFrom: Seq): void {
    let done = 0;
    for (; done < this.#decisions.length && this.#decisions[done]!.by <= last; done++) {
      const decision = this.#decisions[done]!;
      const { left, by } = decision;
      this.#changed.set(left.seq, by);
      this.#keep(left);
      if (this.#decided.get(left.seq) === decision) this.#decided.delete(left.seq);
    }
    if (done > 0) this.#decisions.splice(0, done);
    this.#expire(idsFrom);
  }

  #keep(left: Quarantined | Settled): void {
    this.#settled.delete(left.seq);
    if (isSettled(left)) {
      this.#entries.delete(left.seq);
      this.#settled.set(left.seq, left);
    } else this.#entries.set(left.seq, left);
  }

  #expire(idsFrom: Seq): void {
    if (this.#unordered) this.#settled = new Map([...this.#settled].sort(([, a], [, b]) => a.by - b.by));
    this.#unordered = false;
    for (const { seq: at, by } of this.#settled.values()) {
      if (by >= idsFrom) return;
      this.#settled.delete(at);
    }
  }

  #weigh(before: Quarantined | undefined, after: Quarantined | Settled | null): void {
    const gone = after === null || isSettled(after);
    this.#count += (gone ? 0 : 1) - (before === undefined ? 0 : 1);
    this.#size += (gone ? 0 : sizeOf(after)) - (before === undefined ? 0 : sizeOf(before));
  }

  /** Returns the entry after everything that was decided before the next seq (QUARANTINE3). */
  find(target: Seq): Quarantined | undefined {
    const decision = this.#decided.get(target);
    if (decision === undefined) return this.#entries.get(target);
    return isSettled(decision.left) ? undefined : decision.left;
  }

  /** Returns the key's entries after everything that was decided before the next seq (QUARANTINE3). */
  ofKey(key: string): Seq[] {
    const seqs = new Set([...this.#entries.keys(), ...this.#decided.keys()]);
    return [...seqs].filter((at) => this.find(at)?.key === key);
  }

  /**
   * Returns the entry of a quarantined event, or its resolution, pending decisions included. Returns undefined if
   * nothing is known any more.
   */
  became(target: Seq): Quarantined | Settled | undefined {
    return this.#decided.get(target)?.left ?? this.inLog(target);
  }

  /** Returns the entry or its resolution, as far as it is in the log. */
  inLog(target: Seq): Quarantined | Settled | undefined {
    return this.#entries.get(target) ?? this.#settled.get(target);
  }

  /** Returns everything that a full snapshot holds. */
  list(): (Quarantined | Settled)[] {
    return [...this.#entries.values(), ...this.#settled.values()].sort((a, b) => a.seq - b.seq);
  }

  /** Returns the changes after `base`, in the order of seqs. */
  changes(base: Seq): QuarantineChange[] {
    return [...this.#changed]
      .filter(([, by]) => by > base)
      .sort(([a], [b]) => a - b)
      .map(([at]) => this.inLog(at) ?? { seq: at, gone: true });
  }

  /** Restores a line of a snapshot. The line isn't a change for the next delta. */
  restore(change: QuarantineChange): void {
    this.#weigh(this.#entries.get(change.seq), "gone" in change ? null : change);
    this.#unordered = true;
    if (!("gone" in change)) return this.#keep(change);
    this.#entries.delete(change.seq);
    this.#settled.delete(change.seq);
  }

  /** Restores a line of a delta up to `by`. The line stays a change, since deltas may be merged. */
  restoreChange(change: QuarantineChange, by: Seq): void {
    this.#changed.set(change.seq, by);
    this.restore(change);
  }

  /** Leaves out the entries of all other keys. */
  keep(isKept: (key: string) => boolean): void {
    for (const [at, { key }] of this.#entries) {
      if (isKept(key)) continue;
      this.restore({ seq: at, gone: true });
    }
  }

  /**
   * The current full snapshot holds all changes up to `upTo`. Changes in deltas are remembered, since deltas may be
   * merged.
   */
  saved(upTo: Seq): void {
    for (const [at, by] of this.#changed) if (by <= upTo) this.#changed.delete(at);
  }

  /** Returns the wanted entries above `after`, in order. Stops at `limit`, or at about `maxChars`. */
  page(after: Seq, limit: number, maxChars: number, wanted: Wanted = {}): QuarantineEntries {
    const items: Quarantined[] = [];
    let chars = 0;
    for (const entry of [...this.#entries.values()].sort((a, b) => a.seq - b.seq)) {
      if (entry.seq <= after || !isWanted(entry, wanted)) continue;
      if (items.length >= limit || chars >= maxChars) return { items, more: true };
      items.push(entry);
      chars += sizeOf(entry);
    }
    return { items, more: false };
  }

  /** Returns the entries grouped by type and error, the largest group first. */
  groups(): QuarantineGroup[] {
    const groups = new Map<string, QuarantineGroup>();
    for (const { seq: at, type, errorName = null, error, now } of this.#entries.values()) {
      const name = JSON.stringify([type, errorName, error]);
      const had = groups.get(name) ?? { type, errorName, error, events: 0, first: at, since: now };
      const { events, first, since } = had;
      groups.set(name, { ...had, events: events + 1, first: seq(Math.min(first, at)), since: Math.min(since, now) });
    }
    return [...groups.values()].sort((a, b) => b.events - a.events || a.first - b.first);
  }
}

/** A quarantined event: its entry waits, or was settled. */
export type SetAside =
  | { readonly tag: "waits"; readonly entry: Quarantined }
  /** `outcome` is its text, or null if the event was applied and its reply isn't known any more. */
  | { readonly tag: "settled"; readonly settled: Settled; readonly outcome: string | null };

export interface QuarantineEntries {
  readonly items: readonly Quarantined[];
  /** True if there are further entries above the last one. */
  readonly more: boolean;
}

/** A filter of entries. Without any member, all entries are wanted. */
export interface Wanted {
  readonly type?: string;
  readonly errorName?: string;
  /** The message, or its beginning followed by *. */
  readonly error?: string;
  /** Received at this time or before. */
  readonly untilMs?: number;
}

function isWanted(entry: Quarantined, { type, errorName, error, untilMs }: Wanted): boolean {
  if (type !== undefined && entry.type !== type) return false;
  if (errorName !== undefined && (entry.errorName ?? "") !== errorName) return false;
  if (untilMs !== undefined && entry.now > untilMs) return false;
  if (error === undefined || entry.error === error) return true;
  return error.endsWith("*") && entry.error.startsWith(error.slice(0, -1));
}

/** Entries with one type and error. */
export interface QuarantineGroup {
  readonly type: string;
  /** Null if nothing was thrown. */
  readonly errorName: string | null;
  readonly error: string;
  readonly events: number;
  /** The lowest seq, and the earliest time of receipt in milliseconds. */
  readonly first: Seq;
  readonly since: number;
}

const isSettled = (left: Quarantined | Settled): left is Settled => "how" in left;

/** Returns the characters of an entry. Key and error may be larger than the event. */
const sizeOf = ({ type, key, error, stack, event }: Quarantined): number =>
  type.length + key.length + error.length + (stack?.length ?? 0) + event.length;
