/**
 * The model of `reminders`: which timers each key has, when they must have fired, and what they left.
 *
 * REMINDERMODEL1. Nothing may be logged at a clock that a pending timer has come before: the timer fires first.
 * REMINDERMODEL2. A timer fires if it is pending, once, and in the order of its key's due times.
 */
import type { QuarantineLine } from "./decoder.ts";
import {
  ERASE,
  holds,
  isEdit,
  outcomeFlaw,
  PUT,
  refusal,
  TIMER,
  type Logged,
  type Model,
  type Shown,
  type View,
} from "./model.ts";
import { EXPIRY_MS, REPEAT_MS, SOON_MS } from "./reminders.ts";

interface State {
  readonly set: number;
  readonly fired: number;
  readonly last: number;
}

interface Change {
  readonly seq: number;
  readonly stamp: number;
  /** Null if the state was removed. */
  readonly state: State | null;
  /** By name, "" for the expiry. */
  readonly pending: ReadonlyMap<string, number>;
}

const NOTHING: ReadonlyMap<string, number> = new Map();

export class ReminderModel implements Model {
  readonly #maxKeys: number;
  readonly #expires: boolean;
  readonly #history = new Map<string, Change[]>();
  readonly #erased = new Map<string, number>();
  #keys = 0;

  constructor(maxKeys: number, expires: boolean) {
    this.#maxKeys = maxKeys;
    this.#expires = expires;
  }

  /** Timers that are pending, by key and name, with their due times. */
  pending(): (readonly [key: string, name: string, due: number])[] {
    return [...this.#history].flatMap(([key, changes]) =>
      [...(changes.at(-1)?.pending ?? NOTHING)].map(([name, due]) => [key, name, due] as const),
    );
  }

  overdue(beforeMs: number): string | null {
    const late = this.pending().find(([, , due]) => due < beforeMs);
    return late === undefined ? null : `timer "${late[1]}" of ${late[0]}, due at ${late[2]}`;
  }

  take(event: Logged): string | null {
    const last = this.#history.get(event.key)?.at(-1);
    if (event.type === TIMER) return this.#fire(event, last);
    const overdue = this.pending().find(([, , due]) => due <= event.atMs);
    if (overdue !== undefined)
      return `seq ${event.seq} is logged at ${event.atMs}, before timer "${overdue[1]}" of ${overdue[0]}, due at ${overdue[2]} (FIRING1)`;
    const before = last?.state ?? null;
    if (isEdit(event.type)) return this.#edit(event, last);
    const { set, fired, last: lastDue } = before ?? { set: 0, fired: 0, last: 0 };
    if (event.type === "drop") return this.#put(event, null, NOTHING, null, before);
    const pending = new Map(last?.pending ?? NOTHING);
    if (event.type === "remind") pending.set("soon", event.atMs + Number(event.data["n"]) * SOON_MS);
    else pending.delete("soon");
    if (event.type === "remind" && Number(event.data["n"]) % 2 === 0) pending.set("often", event.atMs + REPEAT_MS);
    return this.#put(
      event,
      { set: set + 1, fired, last: lastDue },
      this.#renewed(pending, event.atMs),
      set + 1,
      before,
    );
  }

  #renewed(pending: ReadonlyMap<string, number>, now: number): ReadonlyMap<string, number> {
    return this.#expires ? new Map([...pending, ["", now + EXPIRY_MS]]) : pending;
  }

  #fire(event: Logged, last: Change | undefined): string | null {
    const { timer, due } = event.data as { timer: string; due: number };
    if (event.outcome?.tag === "r")
      return last?.pending.get(timer) === due
        ? `seq ${event.seq} says that timer "${timer}" isn't pending`
        : outcomeFlaw(event, "r", refusal("not_pending"));
    const pending = last?.pending ?? NOTHING;
    if (pending.get(timer) !== due)
      return `seq ${event.seq} fires "${timer}" of ${event.key} at ${due}, and pending is ${JSON.stringify([...pending])} (TIMER3)`;
    const earlier = [...pending].find(([, other]) => other < due);
    if (earlier !== undefined)
      return `seq ${event.seq} fires "${timer}", due at ${due}, before "${earlier[0]}" (TIMER3)`;
    if (event.atMs < due) return `seq ${event.seq} fires at ${event.atMs} what is due at ${due} (TIMER3)`;
    const before = last!.state!;
    const left = new Map([...pending].filter(([name]) => name !== timer));
    if (timer === "") return this.#put(event, null, NOTHING, null, before);
    if (timer === "often" && before.fired % 4 !== 3) left.set("often", due + REPEAT_MS);
    return this.#put(event, { ...before, fired: before.fired + 1, last: due }, left, null, before);
  }

  #put(
    event: Logged,
    state: State | null,
    pending: ReadonlyMap<string, number>,
    reply: number | null,
    before: State | null,
  ): string | null {
    const grows = (state === null ? 0 : 1) - (before === null ? 0 : 1);
    if (grows > 0 && this.#keys >= this.#maxKeys)
      return outcomeFlaw(event, "r", refusal("too_many_keys", { keys: this.#keys, maxKeys: this.#maxKeys }));
    this.#keys += grows;
    const flaw = outcomeFlaw(event, "a");
    if (flaw !== null) return flaw;
    event.reply = reply === null ? null : JSON.stringify({ set: reply });
    if (event.outcome !== null && event.outcome.text !== event.reply)
      return `the reply to seq ${event.seq} should be ${event.reply}, it is ${event.outcome.text}`;
    const history = this.#history.get(event.key) ?? [];
    if (event.type === ERASE) this.#erased.set(event.key, event.seq);
    this.#history.set(event.key, [...history, { seq: event.seq, stamp: event.stamp, state, pending }]);
    return null;
  }

  #edit(event: Logged, last: Change | undefined): string | null {
    const before = last?.state ?? null;
    const isText = (text: string): boolean => text === textOf(before!, event.version);
    const now = before === null ? null : { seq: last!.seq, isText };
    if (event.type !== ERASE && !holds(event.data, now)) return outcomeFlaw(event, "r", refusal("precondition_failed"));
    if (event.type !== PUT) return this.#put(event, null, NOTHING, null, before);
    const { set, fired, last: due } = event.data["state"] as State;
    const pending = this.#renewed(last?.pending ?? NOTHING, event.atMs);
    return this.#put(event, { set, fired, last: due }, pending, null, before);
  }

  check(key: string, shown: Shown | null, { version, floor, cut }: View): string | null {
    const history = (this.#history.get(key) ?? []).filter((change) => change.seq <= cut);
    if (shown?.version !== undefined) return `it is of version ${shown.version}, and can be migrated`;
    if (shown === null) {
      const last = history.findLast((change) => change.seq <= floor);
      const bare = last === undefined || last.state === null;
      const removedLater = history.some((change) => change.seq > floor && change.state === null);
      return bare || removedLater ? null : `nothing is shown, though seq ${last.seq} left a state`;
    }
    const at = history.findIndex((change) => change.seq === shown.seq);
    const change = history[at];
    if (change === undefined || change.state === null) return `seq ${shown.seq} left no state of it`;
    const next = history[at + 1];
    if (next !== undefined && next.seq <= floor) return `seq ${shown.seq} is shown, though seq ${next.seq} must be`;
    if (shown.stamp !== change.stamp) return `it has the stamp ${shown.stamp} instead of ${change.stamp}`;
    const text = textOf(change.state, version);
    if (shown.text !== text) return `it is ${shown.text} instead of ${text}`;
    const pending = [...change.pending].sort(([a], [b]) => (a < b ? -1 : 1));
    const told = JSON.stringify(shown.timers ?? []);
    return told === JSON.stringify(pending) ? null : `its timers are ${told} instead of ${JSON.stringify(pending)}`;
  }

  keys(): Iterable<string> {
    return this.#history.keys();
  }

  readBy(): void {
    // All versions agree about it.
  }

  checkQuarantine(lines: readonly QuarantineLine[]): string | null {
    const seqs = lines.map(({ seq }) => seq);
    return seqs.length === 0 ? null : `seqs ${seqs.join(", ")} are in quarantine, though nothing throws`;
  }

  checkKept(): string | null {
    return null;
  }

  mayBeUnmigrated(): boolean {
    return false;
  }

  erasedUpTo(key: string): number {
    return this.#erased.get(key) ?? 0;
  }
}

function textOf({ set, fired, last }: State, version: number): string {
  const more = version >= 3 ? { twice: fired * 2, thrice: fired * 3 } : version === 2 ? { twice: fired * 2 } : {};
  return JSON.stringify({ set, fired, last, ...more });
}
