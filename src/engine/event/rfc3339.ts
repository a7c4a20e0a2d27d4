/**
 * Times in RFC 3339, and the instants that they name.
 *
 * TIME33391. A time is taken only if it names an instant of the years 0000 to 9999 in UTC. Second 60 is taken only if
 *     it can be a leap second: before midnight UTC at the end of a month (ITU-R TF.460-6).
 * TIME33392. Two texts of one instant are the same time: `Z`, `.000Z` and `+00:00` are equal. Every digit of a fraction
 *     counts.
 */

const TIME = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:\d{2})$/;
const DAYS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
/** Days of a common year before each month. */
const BEFORE = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
/** Days from 0000-01-01 to 1970-01-01. */
const DAYS_TO_1970 = 719_528;
const DAY_MINUTES = 1_440;
/** Minutes since 1970 of the first and the last minute that a time may name. */
const FIRST = -DAYS_TO_1970 * DAY_MINUTES;
const LAST = 4_223_371_679;
/** Index of the seconds, and of the fraction behind them. */
const SECOND = 17;
const FRACTION = 19;

/** Returns the flaw of a time. Returns null if there is none. `Date` would roll 30 February over into March. A space
 *  may stand for the T, as section 5.6 notes. */
export function timeFlaw(text: string): string | null {
  if (!TIME.test(text)) return "is not written as 2026-01-31T12:00:00Z or 2026-01-31T12:00:00.5+01:00";
  const [year, month, day] = [yearOf(text), two(text, 5), two(text, 8)];
  if (month < 1 || month > 12) return "names a month that isn't from 01 to 12";
  if (day < 1 || day > DAYS[month - 1]! || (month === 2 && day === 29 && !isLeapYear(year)))
    return "names a day that its month doesn't have";
  if (two(text, 11) > 23 || two(text, 14) > 59 || two(text, SECOND) > 60)
    return "names an hour above 23, a minute above 59 or a second above 60";
  const end = text.length;
  if (!isUtc(text) && (two(text, end - 5) > 23 || two(text, end - 2) > 59))
    return "has an offset with an hour above 23 or a minute above 59";
  const minute = minuteOfTime(text);
  if (minute < FIRST || minute > LAST) return "is outside of the years 0000 to 9999 in UTC";
  if (two(text, SECOND) === 60 && !endsMonth(minute))
    return "has second 60, which can only be the last one of a month in UTC (a leap second)";
  return null;
}

export const isTime = (text: string): boolean => timeFlaw(text) === null;

/** Returns the minute of a checked time, since 1970 in UTC. */
export function minuteOfTime(text: string): number {
  const [year, month] = [yearOf(text), two(text, 5)];
  const leapDays = Math.floor((year + 3) / 4) - Math.floor((year + 99) / 100) + Math.floor((year + 399) / 400);
  const ofYear = BEFORE[month - 1]! + (month > 2 && isLeapYear(year) ? 1 : 0) + two(text, 8) - 1;
  const local = (365 * year + leapDays + ofYear - DAYS_TO_1970) * DAY_MINUTES + two(text, 11) * 60 + two(text, 14);
  if (isUtc(text)) return local;
  const end = text.length;
  const offset = two(text, end - 5) * 60 + two(text, end - 2);
  return text.charCodeAt(end - 6) === MINUS ? local + offset : local - offset;
}

/** Returns the second of a checked time, with its fraction. Zeros at the end of the fraction are cut off. */
export function secondOf(text: string): string {
  if (text.charCodeAt(FRACTION) !== POINT) return text.slice(SECOND, FRACTION);
  let end = isUtc(text) ? text.length - 1 : text.length - 6;
  while (text.charCodeAt(end - 1) === ZERO) end -= 1;
  return text.slice(SECOND, end === FRACTION + 1 ? FRACTION : end);
}

/**
 * Returns the milliseconds since 1970 of an RFC 3339 time, such as `event.time`. Digits below a millisecond are cut
 * off. Returns NaN if the text is no such time.
 * A leap second counts as the second before it, so that it stays in its day. `Date.parse` can't read a leap second.
 *
 * @example key: (event) => `${event.data.customer}/${new Date(timeMs(event.time)).toISOString().slice(0, 7)}`
 */
export function timeMs(text: string): number {
  if (!isTime(text)) return Number.NaN;
  const second = secondOf(text);
  const ms = Number(second.slice(3, 6).padEnd(3, "0"));
  return minuteOfTime(text) * 60_000 + Math.min(59, Number(second.slice(0, 2))) * 1_000 + ms;
}

const ZERO = 48;
const MINUS = 45;
const POINT = 46;

const two = (text: string, at: number): number => (text.charCodeAt(at) - ZERO) * 10 + text.charCodeAt(at + 1) - ZERO;
const yearOf = (text: string): number => two(text, 0) * 100 + two(text, 2);
const isLeapYear = (year: number): boolean => year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
/** Returns true if the time ends with a Z. Other times end with an offset. */
const isUtc = (text: string): boolean => text.charCodeAt(text.length - 1) > 57;

/** Returns true if the next minute begins a month. */
function endsMonth(minute: number): boolean {
  const next = minute + 1;
  return next % DAY_MINUTES === 0 && new Date(next * 60_000).getUTCDate() === 1;
}
