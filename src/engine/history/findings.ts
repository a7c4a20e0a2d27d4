/** Findings: the result of a check, step by step (check.ts). */
import type { Seq, Stamp } from "../base/ids.ts";
import type { EventFinding } from "./decisions.ts";

/** A key whose state this code can't migrate. */
interface MigrationFinding {
  readonly finding: "migration";
  readonly key: string;
  /** The last event that changed the state. */
  readonly seq: Seq;
  readonly version: number;
  readonly detail: string;
}

/** A key whose state in a snapshot isn't the one that this code makes of the same events. */
export interface StateFinding {
  readonly finding: "state";
  readonly key: string;
  /** Seq of the snapshot. */
  readonly seq: Seq;
  /** JSON Pointer of the first difference. */
  readonly path: string;
  /** The values there, or in short. Missing if there is none. */
  readonly logged?: unknown;
  readonly now?: unknown;
}

/** This code would forget ids that are known now: retries of these events would count again. */
export interface DedupFinding {
  readonly finding: "dedup";
  readonly from: number;
  readonly to: number;
}

/** This code would quarantine so many events that the partition would take no more. The check ended there. */
interface QuarantineFinding {
  readonly finding: "quarantine_full";
  readonly seq: Seq;
  readonly events: number;
}

export type Finding = EventFinding | MigrationFinding | StateFinding | DedupFinding | QuarantineFinding;

/** Numbers of compared things, and of those that differ. They add up over the steps of a check. */
export interface CheckCounts {
  /** Keys whose events were decided, and those of them that differ. */
  readonly keys: number;
  readonly differing: number;
  readonly events: number;
  readonly eventsDiffering: number;
  /** Replies and details of refusals, as far as they are in the log. */
  readonly replies: number;
  /** States that were compared with a snapshot. */
  readonly states: number;
  readonly statesDiffering: number;
  /** Keys that have events above the snapshot, whose last state therefore wasn't compared. */
  readonly open: number;
  readonly migrated: number;
  readonly unmigrated: number;
}

export const NO_COUNTS: CheckCounts = {
  keys: 0,
  differing: 0,
  events: 0,
  eventsDiffering: 0,
  replies: 0,
  states: 0,
  statesDiffering: 0,
  open: 0,
  migrated: 0,
  unmigrated: 0,
};

export function addCounts(a: CheckCounts, b: CheckCounts): CheckCounts {
  const names = Object.keys(NO_COUNTS) as (keyof CheckCounts)[];
  return Object.fromEntries(names.map((name) => [name, a[name] + b[name]])) as unknown as CheckCounts;
}

/**
 * The reason why something isn't compared.
 *
 * - unused: nothing was ever logged
 * - no_events: nothing was logged since the snapshot with which the check begins
 * - one_snapshot: no later snapshot is kept, so no states are compared
 * - snapshot_unreadable: later snapshots are kept, and none can be read by this code
 * - line_start: events before the start of the line aren't decided; they are on the line that it starts from
 * - moment_gone: retention has given up the first moment
 */
export type CheckGap = "unused" | "no_events" | "one_snapshot" | "snapshot_unreadable" | "line_start" | "moment_gone";

/** The part of the log in which events were decided. */
export interface CheckedLog {
  /** Everything up to here is in the snapshot with which the check begins. */
  readonly after: Seq;
  readonly afterStamp: Stamp;
  /** The last event. */
  readonly upTo: Seq;
  /** Seq of the snapshot whose states were compared. Null if none were. */
  readonly snapshot: Seq | null;
  /** The code that logged the events, as "version code". */
  readonly codes: readonly string[];
}

export interface CheckStep {
  readonly findings: readonly Finding[];
  readonly counts: CheckCounts;
  readonly gaps: readonly CheckGap[];
  readonly log: CheckedLog | null;
  /** Null if the partition is done. */
  readonly next: CheckPlace | null;
}

/** Where a step begins: in the states that are migrated, or in the keys whose events are decided. */
export interface CheckPlace {
  readonly part: "states" | "events";
  /** Everything up to this key is done. "" if nothing is. */
  readonly after: string;
  /** Keys of the sample that are done. */
  readonly sampled: number;
}
