/**
 * Quarantine: events whose handler threw. Part of the state, keyed by seq, so it is in snapshots and rebuilt by replay.
 *
 * QUARANTINE1. Such an event has an effect only by an explicit retry, which is a logged event of its own (ONE6); retry and delete
 *     each count once.
 * QUARANTINE2. It is bounded; a full quarantine stops the partition from taking events (LOG6), since dropping one would lose it.
 * QUARANTINE3. An event and a command meet what everything before them has decided, in the log or not yet, as at replay (SNAP8). Reads
 *     and snapshots meet what is in the log (LOG1). A group that doesn't get there ends the object, so nothing is taken back.
 * QUARANTINE4. An entry holds the event as it was sent: a handler may write on what it is given, and a retry begins anew.
 * QUARANTINE5. It is a pause: what became of an entry that went is known as long as the id of the command that took it out is, so a
 *     repeat of the event, and of the command, hears of it.
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
  /** Logged time of receipt, milliseconds. */
  readonly now: number;
  /** JSON text of the event, as it was sent. */
  readonly event: string;
  /** The last retry, if any: it threw again. */
  readonly by?: Seq;
}

/** The code that ran. */
export interface MadeBy {
  readonly operatorVersion: number;
  readonly code: string;
}

/** What became of an entry that went, and by which command. A retry's outcome is that command's own. */
export interface Settled {
  readonly seq: Seq;
  readonly how: "retried" | "deleted" | "erased";
  readonly by: Seq;
}

/** What the event or command at `by` made of an entry. */
interface Decision {
  readonly left: Quarantined | Settled;
  readonly by: Seq;
}

/** A line of a snapshot: an entry, what became of it, or, in a delta, that nothing is known of it any more. */
export type QuarantineChange = Quarantined | Settled | { readonly seq: Seq; readonly gone: true };

/** @throws Damage */
export function readQuarantined(line: string, delta: boolean): QuarantineChange {
  const { seq: at, gone, how, by, ...entry } = parseObject(line, "a line of the quarantine");
  if (!isWhole(at) || at === 0) throw new Damage("a line of the quarantine has no seq");
  if (delta && gone === true) return { seq: seq(at), gone };
  if (isHow(how) && isWhole(by) && by > at) return { seq: seq(at), how, by: seq(by) };
  const retried = by === undefined || (isWhole(by) && by > at);
  if (!isEntry(entry) || !retried) throw new Damage("a line of the quarantine is no entry");
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

/** Types of the logged events that steer the quarantine; `data` is `{ "seq": n }`. */
export const RETRY = "keyframe.quarantine.retry";
export const DELETE = "keyframe.quarantine.delete";

/** How a quarantined event is named outside. */
export const quarantineId = (partition: number, seq: number): string => `${partition}-${seq}`;

export class Quarantine {
  /** What the log holds. */
  readonly #entries = new Map<Seq, Quarantined>();
  /** What became of those that went, in the order of the commands (QUARANTINE5). */
  #settled = new Map<Seq, Settled>();
  /** Restored ones stand in the order of seqs. */
  #unordered = false;
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
    this.#decide({ left: entry, by });
  }

  /** The command at `by` takes it out. */
  remove(target: Seq, how: Settled["how"], by: Seq): void {
    this.#decide({ left: { seq: target, how, by }, by });
  }

  #decide(decision: Decision): void {
    const { left } = decision;
    this.#weigh(this.find(left.seq), left);
    this.#decisions.push(decision);
    this.#decided.set(left.seq, decision);
  }

  /** Everything up to `last` is in the log, where ids from `idsFrom` on are known. */
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

  /** The entry, as everything before the next seq has decided (QUARANTINE3). */
  find(target: Seq): Quarantined | undefined {
    const decision = this.#decided.get(target);
    if (decision === undefined) return this.#entries.get(target);
    return isSettled(decision.left) ? undefined : decision.left;
  }

  /** The entries of a key, likewise. */
  ofKey(key: string): Seq[] {
    const seqs = new Set([...this.#entries.keys(), ...this.#decided.keys()]);
    return [...seqs].filter((at) => this.find(at)?.key === key);
  }

  /** What became of an event that was set aside, likewise: it waits, or it went; undefined: nothing is known any more. */
  became(target: Seq): Quarantined | Settled | undefined {
    return this.#decided.get(target)?.left ?? this.inLog(target);
  }

  /** The same as far as it is in the log. */
  inLog(target: Seq): Quarantined | Settled | undefined {
    return this.#entries.get(target) ?? this.#settled.get(target);
  }

  /** Everything that a full snapshot holds. */
  list(): (Quarantined | Settled)[] {
    return [...this.#entries.values(), ...this.#settled.values()].sort((a, b) => a.seq - b.seq);
  }

  /** What changed after `base`, in order. */
  changes(base: Seq): QuarantineChange[] {
    return [...this.#changed]
      .filter(([, by]) => by > base)
      .sort(([a], [b]) => a - b)
      .map(([at]) => this.inLog(at) ?? { seq: at, gone: true });
  }

  /** What a snapshot holds: it is no change. */
  restore(change: QuarantineChange): void {
    this.#weigh(this.#entries.get(change.seq), "gone" in change ? null : change);
    this.#unordered = true;
    if (!("gone" in change)) return this.#keep(change);
    this.#entries.delete(change.seq);
    this.#settled.delete(change.seq);
  }

  /** A delta up to `by` says this. */
  restoreChange(change: QuarantineChange, by: Seq): void {
    this.#changed.set(change.seq, by);
    this.restore(change);
  }

  /** A full snapshot that is current holds all up to `upTo`. What deltas hold is remembered, since they may be merged. */
  saved(upTo: Seq): void {
    for (const [at, by] of this.#changed) if (by <= upTo) this.#changed.delete(at);
  }

  /** The wanted entries above `after`, in order; stops at `limit` or at about `maxChars`. */
  page(after: Seq, limit: number, maxChars: number, wanted: Wanted = {}): QuarantinePage {
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

  /** The entries by what went wrong, the most of them first. */
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

/** What became of an event that was set aside. */
export type SetAside =
  | { readonly tag: "waits"; readonly entry: Quarantined }
  /** `outcome`: its text; null: applied, and its reply isn't known any more. */
  | { readonly tag: "settled"; readonly settled: Settled; readonly outcome: string | null };

export interface QuarantinePage {
  readonly items: readonly Quarantined[];
  /** There are further entries above the last one. */
  readonly more: boolean;
}

/** Which entries; without any member all of them. */
export interface Wanted {
  readonly type?: string;
  readonly errorName?: string;
  /** The message; with * at its end, how it begins. */
  readonly error?: string;
  /** Received no later than that. */
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
  /** Null: nothing was thrown. */
  readonly errorName: string | null;
  readonly error: string;
  readonly events: number;
  /** The lowest seq, and the earliest time of receipt in milliseconds. */
  readonly first: Seq;
  readonly since: number;
}

const isSettled = (left: Quarantined | Settled): left is Settled => "how" in left;

/** Characters of an entry: key and error may be larger than the event. */
const sizeOf = ({ type, key, error, stack, event }: Quarantined): number =>
  type.length + key.length + error.length + (stack?.length ?? 0) + event.length;
