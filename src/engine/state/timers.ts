/**
 * The timers of one key are a part of its state: for each name, the moment at which it fires.
 *
 * TIMER1. An event sets and clears timers as it changes the state: if it is refused or throws, it leaves none. A key that
 *     is removed, or expires, has none.
 * TIMER2. A timer that fires is an event of the log (`keyframe.timer`) with a seq and an outcome. So a replay fires what
 *     fired, and history, quarantine and retries treat it like any event.
 * TIMER3. A timer fires once, in the order of the key's due times, and before any event whose partition clock has reached
 *     its due time (CLOCK3). A handler sees the due time as `ctx.now`, however late the alarm was.
 * TIMER4. A timer for a moment that has passed is due at once. A timer that fires sets later ones only, so firing has an
 *     end.
 * TIMER5. A key's expiry is a timer without a name. It fires after the key's other timers of the same moment.
 */
import { isMs } from "../base/hybrid-clock.ts";
import { isText } from "../base/json.ts";

/** The type of the logged event. `data` is a Firing. */
export const TIMER_TYPE = "keyframe.timer";

/** The name of a key's expiry. */
export const EXPIRY = "";

/** `due`: milliseconds since 1970. */
export interface Firing {
  readonly timer: string;
  readonly due: number;
}

type Timer = readonly [name: string, due: number];

/** In the order of names, each once, and at least one. A key without timers has undefined in their place. */
export type Timers = readonly Timer[];

/** Returns the timer that fires first. */
export function earliest(timers: Timers): Timer {
  let [first] = timers as [Timer];
  for (const one of timers) if (one[1] < first[1] || (one[1] === first[1] && first[0] === EXPIRY)) first = one;
  return first;
}

export const dueOf = (timers: Timers | undefined, name: string): number | null =>
  timers?.find((one) => one[0] === name)?.[1] ?? null;

/** Sets a timer, in place of one of the same name. A due time of null clears it. */
export function withTimer(timers: Timers | undefined, name: string, due: number | null): Timers | undefined {
  const others = (timers ?? []).filter((one) => one[0] !== name);
  if (due === null) return others.length === 0 ? undefined : others;
  const at = others.findIndex((one) => one[0] > name);
  return others.toSpliced(at < 0 ? others.length : at, 0, [name, due]);
}

/** Returns what digests, files and comparisons hold beside the state's text, or "". */
export const timersText = (timers: Timers | undefined): string =>
  timers === undefined ? "" : `@${JSON.stringify(timers)}\t`;

/** The text that a key had before a change, with its timers. The text is null if the key had no state. */
export interface Former {
  readonly text: string | null;
  readonly timers?: Timers | undefined;
}

/** Returns all that digests count of a key. */
export const contentOf = ({ text, timers }: Former & { readonly text: string }): string => timersText(timers) + text;

/** Returns null if the value isn't what `timersText` wrote. */
export function readTimers(value: unknown): Timers | null {
  if (!Array.isArray(value) || value.length === 0) return null;
  let before: string | null = null;
  for (const one of value as unknown[]) {
    if (!Array.isArray(one) || one.length !== 2 || typeof one[0] !== "string" || !isMs(one[1])) return null;
    if (before !== null && one[0] <= before) return null;
    before = one[0];
  }
  return value as Timers;
}

/** Returns the text of the logged event. No sender has its source, so no event of a sender can be taken for it. */
export const firingText = (firing: Firing): string =>
  JSON.stringify({ type: TIMER_TYPE, source: "keyframe:timer", id: `${firing.timer}@${firing.due}`, data: firing });

export const isFiring = (data: unknown): data is Firing => {
  const { timer, due } = (data ?? {}) as Readonly<Record<string, unknown>>;
  return (timer === EXPIRY || isText(timer)) && isMs(due);
};
