/**
 * Moments: how a point of history is written. One grammar for HTTP, command line and client:
 *
 *     2026-11-24T09:00:00Z    everything logged up to this millisecond
 *     1806200000000000        a stamp, as an answer named it
 *     -90m                    so long before now: ms, s, m, h or d
 *     now
 *     month-end               a savepoint's name
 *     fix@-90m                any of these on another timeline (timelines.ts)
 *
 * MOMENT1. A moment becomes one stamp, and every answer names the stamp that it used. The same stamp asked again gives
 *     the same answer, while the other ways to write a moment may mean another stamp by then.
 * MOMENT2. A stamp is written in 16 digits, and a savepoint's name begins with a letter. So no text is two moments, and
 *     milliseconds since 1970 are never taken for a stamp. Earlier moments mean the first stamp of 16 digits.
 */
import { isTime, minuteOfTime, secondOf } from "../event/rfc3339.ts";
import { lastStampOf } from "../base/hybrid-clock.ts";
import { stamp, type Stamp } from "../base/ids.ts";

export type Moment =
  | { readonly tag: "stamp"; readonly at: Stamp }
  /** So many milliseconds before the databases' present time. */
  | { readonly tag: "ago"; readonly ms: number }
  | { readonly tag: "now" }
  | { readonly tag: "savepoint"; readonly name: string };

/** A stamp of December 2000. Nothing was logged before. */
const FIRST_STAMP = stamp(10 ** 15);

/** Returns the stamp of everything that was logged up to a millisecond. */
export const stampUpTo = (ms: number): Stamp => stamp(Math.max(FIRST_STAMP, lastStampOf(ms)));

export const SAVEPOINT_NAME = "[a-z][a-z0-9-]{0,62}";

export const MOMENT_FORMS =
  "a time as 2026-01-31T12:00:00Z, a stamp of 16 digits, a time ago as -90m, a savepoint's name, or now; of another timeline as NAME@now";

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

const NAME = new RegExp(`^${SAVEPOINT_NAME}$`);

/** `main`, a former one as `main~1`, or a name that somebody gave. */
export const TIMELINE_NAME = "main(?:~[1-9][0-9]{0,5})?|[a-z][a-z0-9-]{0,62}";

const PREFIX = new RegExp(`^(?:${TIMELINE_NAME})@`);

/** Returns the timeline of `timeline@when`. Returns null if the moment names none. */
export const timelineIn = (text: string): string | null => PREFIX.exec(text)?.[0].slice(0, -1) ?? null;

/** Returns null if the text is no moment. The timeline is read by `timelineIn`. */
export function parseMoment(moment: string): Moment | null {
  const text = moment.replace(PREFIX, "");
  if (text === "now") return { tag: "now" };
  if (/^[1-9]\d{15}$/.test(text))
    return Number.isSafeInteger(Number(text)) ? { tag: "stamp", at: stamp(Number(text)) } : null;
  const ago = /^-(\d{1,9})(ms|s|m|h|d)$/.exec(text);
  if (ago !== null) return { tag: "ago", ms: Number(ago[1]) * UNIT_MS[ago[2]!]! };
  if (isTime(text)) {
    const ms = minuteOfTime(text) * 60_000 + Math.floor(Number(secondOf(text)) * 1_000);
    return { tag: "stamp", at: stampUpTo(ms) };
  }
  return NAME.test(text) ? { tag: "savepoint", name: text } : null;
}
