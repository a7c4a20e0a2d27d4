/** Moments as the page handles them: stamps, and the ends of the slider. */
import type { OperatorGlance } from "../client/admin-answers.ts";
import { momentOn } from "../client/moment.ts";

/** A stamp is milliseconds times 1024, plus a counter. */
const COUNTER = 1_024;

export const timeMsOf = (stamp: number): number => Math.floor(stamp / COUNTER);
export const timeOf = (stamp: number): string => new Date(timeMsOf(stamp)).toISOString();

/** Returns the last stamp of a millisecond: all that was logged up to it. */
export const stampOf = (ms: number): string => String(Math.floor(ms) * COUNTER + COUNTER - 1);

/** A stamp, on main or on the timeline that it names. Its answer is the same for ever. */
const SETTLED = /^(?:([a-z][a-z0-9~-]*)@)?([1-9]\d{15})$/;

export const isSettled = (moment: string): boolean => SETTLED.test(moment);

/** Returns the same moment, with the stamp that an answer named. */
export function settledAs(moment: string, stamp: number): string {
  const { timeline } = momentOn(moment);
  return timeline === null ? String(stamp) : `${timeline}@${stamp}`;
}

/** Returns the milliseconds of a stamp or a time, or null if only the app knows what the text means. */
export function momentMs(moment: string): number | null {
  const [, , stamp] = SETTLED.exec(moment) ?? [];
  if (stamp !== undefined) return timeMsOf(Number(stamp));
  const time = /^\d{4}-\d\d-\d\dT/.test(moment) ? Date.parse(moment) : Number.NaN;
  return Number.isNaN(time) ? null : time;
}

/** Returns the first millisecond that the slider shows: the oldest moment that every partition keeps. */
export function oldestMs({ since, partitions }: OperatorGlance, nowMs: number): number {
  const times = [since, ...partitions.map(({ oldest }) => oldest)].flatMap((time) =>
    time === undefined ? [] : [Date.parse(time)],
  );
  return times.length === 0 ? nowMs : Math.min(nowMs, Math.max(...times));
}
