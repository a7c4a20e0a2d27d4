/** Timers as handlers set them, and as an operator defines them. */
import { timeMs } from "../event/rfc3339.ts";
import { isMs } from "../base/hybrid-clock.ts";
import { type Duration, durationMs } from "./settings.ts";

/** The moment at which a timer fires: so long after `ctx.now`, or at a time: RFC 3339, a Date, or milliseconds. */
export type TimerMoment = { readonly after: Duration | number } | { readonly at: string | number | Date };

/** The timers of a key. Each name stands for one timer. */
export interface TimersOf<Name extends string> {
  /** Sets a timer, in place of the one of that name. A moment that has passed is due at once. */
  set(name: Name, when: TimerMoment): void;
  clear(name: Name): void;
  /** Returns the due time in milliseconds, or null if the timer isn't set. */
  get(name: Name): number | null;
}

/** A timer that fires. `due`: milliseconds since 1970, as is `ctx.now`. */
export interface DueTimer<Name extends string = string> {
  readonly name: Name;
  readonly due: number;
}

/** Returns milliseconds since 1970. @throws TypeError if that is no moment */
export function dueAt(when: TimerMoment, now: number): number {
  const fail = (why: string): never => {
    throw new TypeError(why);
  };
  const due = "after" in when ? now + afterMs(when.after, fail) : atMs(when.at);
  return isMs(due) ? due : fail(`a timer can't be set to ${JSON.stringify(when)}: its moment must be from 1970 on`);
}

const afterMs = (after: Duration | number, fail: (why: string) => never): number =>
  typeof after === "number" ? Math.ceil(after) : Math.ceil(durationMs(after, "a timer", fail));

const atMs = (at: string | number | Date): number =>
  typeof at === "string" ? timeMs(at) : typeof at === "number" ? Math.ceil(at) : at.getTime();
