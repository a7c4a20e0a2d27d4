/**
 * The health of a partition: a pure judgement of D1's report, with the measures of `keyframe doctor` and the operator's
 * own policy.
 */
import type { OperatorGlance, PartitionGlance } from "../client/admin-answers.ts";
import { many } from "../client/amounts.ts";

/** `unknown`: nobody can tell, which is neither healthy nor bad. */
export type HealthLevel = "unused" | "ok" | "unknown" | "note" | "bad";

export interface Health {
  readonly level: HealthLevel;
  readonly why: string;
  /** The trouble without numbers, which several partitions may share. */
  readonly kind: string;
}

/** A tail that is worth a snapshot (SNAP7). */
const WORTH_EVENTS = 1_000;
/** The cron trigger, which comes each ten minutes, restores a lost alarm. */
const CRON_MS = 600_000;

const of = (level: HealthLevel, kind: string, why = kind): Health => ({ level, kind, why });

export const UNUSED = of("unused", "unused", "nothing was sent to it yet");
const INHERITED = of("unused", "as main started", "nothing was sent to it since main was promoted");
export const HEALTHY = of("ok", "healthy");
export const NOT_KNOWN = of("unknown", "unknown");

/** All troubles of a partition, the worst first. Empty if it is healthy, or unused. */
export function troublesOf(one: PartitionGlance, { everyMs }: OperatorGlance, nowMs: number): Health[] {
  const {
    lastSnapshot,
    lastRecovery,
    tailEvents,
    tailSince,
    quarantined,
    snapshotFailures = 0,
    unknown,
    refused,
  } = one;
  const found: Health[] = [];
  if (refused !== undefined)
    found.push(of("bad", `refuses with ${refused.code}`, `refuses with ${refused.code}: ${refused.detail}`));
  if (unknown !== undefined)
    return [...found, of("bad", "database doesn't answer", `its database doesn't answer: ${unknown}`)];
  const unreadable = lastSnapshot !== undefined && "unreadable" in lastSnapshot;
  if (unreadable)
    found.push(of("bad", "manifest can't be read", `its manifest can't be read: ${lastSnapshot.unreadable}`));
  if (snapshotFailures > 0)
    found.push(of("bad", "snapshots fail", `its last ${many(snapshotFailures, "attempt")} at a snapshot failed`));
  const takenAt = unreadable ? undefined : lastSnapshot?.at;
  const due = Math.max(Date.parse(tailSince ?? ""), Date.parse(takenAt ?? tailSince ?? "")) + everyMs;
  if (!unreadable && tailEvents >= WORTH_EVENTS && nowMs > due + everyMs + CRON_MS)
    found.push(of("note", "snapshot overdue", "its snapshot is overdue"));
  const fallbacks = lastRecovery?.fallbacks ?? 0;
  if (fallbacks > 0)
    found.push(
      of(
        "note",
        "recovered by fallback",
        `its last recovery passed over ${many(fallbacks, "snapshot")} that were corrupt or missing`,
      ),
    );
  if (quarantined > 0) found.push(of("note", "events in quarantine", `${many(quarantined, "event")} in quarantine`));
  return found;
}

export function healthOf(one: PartitionGlance, operator: OperatorGlance, nowMs: number): Health {
  return (
    troublesOf(one, operator, nowMs)[0] ??
    (one.inherited === true ? INHERITED : one.appliedSeq === 0 ? UNUSED : HEALTHY)
  );
}

const ORDER: readonly HealthLevel[] = ["unused", "ok", "unknown", "note", "bad"];

/** The most urgent of several. */
export function worst(all: readonly Health[]): Health {
  return all.reduce((a, b) => (ORDER.indexOf(b.level) > ORDER.indexOf(a.level) ? b : a), UNUSED);
}
