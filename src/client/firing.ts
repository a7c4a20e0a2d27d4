/** How a logged event that fired a timer, or let a key expire, is shown to people. */

interface Logged {
  readonly event: { readonly type: string; readonly data?: unknown };
  readonly outcome: { readonly status: string; readonly code?: string };
}

/** Returns null if the event is another one. */
export function firingWords({ event: { type, data }, outcome }: Logged): string | null {
  if (type !== "keyframe.timer") return null;
  const { timer, due } = (data ?? {}) as { readonly timer?: unknown; readonly due?: unknown };
  const at = new Date(Number(due));
  if (typeof timer !== "string" || Number.isNaN(at.getTime())) return null;
  // An alarm that finds nothing pending doesn't know which timer it was for.
  const what = isCleared(outcome) ? "alarm" : timer === "" ? "expiry" : `timer ${JSON.stringify(timer)}`;
  return `${what} due ${at.toISOString()}`;
}

/** True if nothing fired: the timer had been cleared, or set to another time. */
export const isCleared = ({ status, code }: Logged["outcome"]): boolean =>
  status === "refused" && code === "not_pending";
