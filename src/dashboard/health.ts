/** How a partition is: a pure judgement over what D1 tells of it. The same measures as `keyframe doctor`, with the operator's own policy. */
import type { OperatorGlance, PartitionGlance } from "./answers.ts";
import { many } from "./text.ts";

export type Level = "unused" | "ok" | "note" | "bad";

export interface Health {
  readonly level: Level;
  readonly why: string;
}

/** A tail that is worth a snapshot (SNAP7). */
const WORTH_EVENTS = 1_000;
/** A lost alarm is healed by the cron sweep, which comes each ten minutes. */
const SWEEP_MS = 600_000;

export function healthOf(one: PartitionGlance, { everyMs }: OperatorGlance, nowMs: number): Health {
  const { lastSnapshot, lastRecovery, tailEvents, tailSince, appliedSeq, quarantined = 0, unknown } = one;
  if (unknown !== undefined) return { level: "bad", why: `its database doesn't answer: ${unknown}` };
  if (lastSnapshot !== undefined && "unreadable" in lastSnapshot)
    return { level: "bad", why: `its manifest can't be read: ${lastSnapshot.unreadable}` };
  if (appliedSeq === 0) return { level: "unused", why: "nothing was sent to it yet" };
  const due = Math.max(Date.parse(tailSince ?? ""), Date.parse(lastSnapshot?.at ?? tailSince ?? "")) + everyMs;
  if (tailEvents >= WORTH_EVENTS && nowMs > due + everyMs + SWEEP_MS)
    return { level: "note", why: "its snapshot is overdue" };
  const fallbacks = lastRecovery?.fallbacks ?? 0;
  if (fallbacks > 0)
    return { level: "note", why: `it last came back past ${many(fallbacks, "snapshot")} that couldn't be read` };
  if (quarantined > 0) return { level: "note", why: `${many(quarantined, "event")} in quarantine` };
  return { level: "ok", why: "well" };
}

const ORDER: readonly Level[] = ["unused", "ok", "note", "bad"];

/** Of several, the one that wants looking at most. */
export function worst(all: readonly Health[]): Health {
  return all.reduce((a, b) => (ORDER.indexOf(b.level) > ORDER.indexOf(a.level) ? b : a), {
    level: "unused",
    why: "nothing was sent to it yet",
  });
}
