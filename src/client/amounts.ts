/** Numbers, sizes and times as texts for people, in the command line and the dashboard. */
const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const SHORT = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 3 });

export const count = (n: number): string => WHOLE.format(n);

/** "1 event", "2 events". */
export const many = (n: number, one: string): string => `${count(n)} ${one}${n === 1 ? "" : "s"}`;

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

/** The time since an RFC 3339 time. A clock that is behind gives 0, never a negative time. */
export const since = (at: string, nowMs: number): number => Math.max(0, nowMs - Date.parse(at));
