/** Numbers, sizes and times as texts for people. */
const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const SHORT = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 3 });

export const count = (n: number): string => WHOLE.format(n);

/** "1 event", "2 events". */
export const many = (n: number, one: string): string => `${count(n)} ${one}${n === 1 ? "" : "s"}`;

/** Per second. Small rates keep a digit. */
export const rate = (n: number): string => (n > 0 && n < 10 ? n.toFixed(1) : WHOLE.format(n));

const SIZES = ["B", "kB", "MB", "GB", "TB"] as const;

export function bytes(n: number): string {
  let [value, at] = [n, 0];
  while (value >= 999.5 && at < SIZES.length - 1) [value, at] = [value / 1000, at + 1];
  return `${SHORT.format(value)} ${SIZES[at]}`;
}

export function span(ms: number): string {
  if (ms < 1_000) return `${WHOLE.format(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  return age(ms);
}

const STEPS = [
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "min"],
  [1_000, "s"],
] as const;

/** One unit is enough for an age. */
export function age(ms: number): string {
  for (const [size, unit] of STEPS) if (ms >= size) return `${WHOLE.format(Math.floor(ms / size))} ${unit}`;
  return "0 s";
}

/** The time since then, by the app's clock. */
export function ago(at: string, nowMs: number): string {
  const ms = Math.max(0, nowMs - Date.parse(at));
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
