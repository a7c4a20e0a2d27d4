/** Rates and moments as texts for people; amounts are in client/amounts.ts. */
import { age, count, since } from "../client/amounts.ts";

/** Per second. Small rates keep a digit. */
export const rate = (n: number): string => (n > 0 && n < 10 ? n.toFixed(1) : count(n));

/** The time since then, by the app's clock. */
export function ago(at: string, nowMs: number): string {
  const ms = since(at, nowMs);
  return ms < 1_000 ? "just now" : `${age(ms)} ago`;
}

const two = (n: number): string => String(n).padStart(2, "0");
const dayOf = (date: Date): string => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;

/**
 * Local time, to the second, with the day if it isn't today. Hand-written, since Intl is too expensive for each cell.
 */
export function clock(at: string, nowMs: number = Date.now()): string {
  const date = new Date(at);
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return dayOf(date) === dayOf(new Date(nowMs)) ? time : `${dayOf(date)} ${time}`;
}

/** The local time of a minute after that moment. */
export function minuteTime(from: string, minutes: number): string {
  const date = new Date(Date.parse(from) + minutes * 60_000);
  return `${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** The time until then, by the app's clock. */
export function until(at: string, nowMs: number): string {
  const ms = Date.parse(at) - nowMs;
  return ms <= 0 ? "due" : `in ${age(ms)}, ${clock(at, nowMs)}`;
}
