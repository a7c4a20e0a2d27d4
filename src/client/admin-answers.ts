/**
 * The members of the app's answers that the command line and the dashboard show (docs/reference/api.md). Members may be
 * missing: the app may be of another version.
 */
import type { RecoveryReport } from "../engine/recovery/open-partition.ts";
import type { Manifest } from "../engine/snapshot/manifest.ts";

export interface Page<T> {
  readonly items: readonly T[];
  readonly cursor?: string;
}

export interface OperatorInfo {
  readonly name: string;
  readonly version: number;
  readonly events: readonly string[];
  /** Null if D1 doesn't know the placement. `lost` has the reason. */
  readonly partitions: number | null;
  readonly lost?: string;
}

/** One partition, in its own words or D1's. */
export interface PartitionInfo {
  readonly partition: number;
  readonly epoch: number;
  readonly appliedSeq: number;
  readonly snapshotSeq: number;
  readonly tailEvents: number;
  readonly tailBytes: number;
  readonly keys: number;
  readonly stateBytes: number;
  /** Null if only the partition itself knows the number. */
  readonly quarantined: number | null;
  /** Keys whose state can't be migrated. Missing if there are none. */
  readonly unmigrated?: UnmigratedInfo;
  readonly lastSnapshot: SnapshotInfo | Unreadable | null;
  readonly lastRecovery: RecoveryReport | null;
  readonly estimatedRecoveryMs: number;
  /** The partition has logged nothing on its timeline, and D1 alone was asked: it is as its timeline starts. */
  readonly inherited?: true;
}

/** The number of keys, and some of them with the version of their state. */
export interface UnmigratedInfo {
  readonly keys: number;
  readonly some: readonly { readonly key: string; readonly version: number }[];
}

export interface SnapshotInfo {
  /** The number of its manifest. */
  readonly manifest: number;
  readonly kind: "full" | "delta";
  readonly bytes: number;
  readonly ms: number;
  readonly at: string;
}

export interface Unreadable {
  readonly unreadable: string;
}

export type KeptManifest = Manifest | Unreadable;

export interface Overview {
  /** The app's own time, which ages are measured by. */
  readonly at: string;
  readonly operators: readonly OperatorGlance[];
}

export interface OperatorGlance {
  readonly name: string;
  readonly version: number;
  /** The interval of its snapshots, and its target for a recovery. */
  readonly everyMs: number;
  readonly recoveryMs: number;
  /** The time at which it was placed. Nothing was logged before. */
  readonly since?: string;
  /** The reason why it can't be used. */
  readonly lost?: string;
  readonly lastHour: LastHour;
  readonly partitions: readonly PartitionGlance[];
}

/** The counts of all partitions of an operator, a number for each minute from `from` on. */
export interface LastHour {
  readonly from: string;
  readonly applied: readonly number[];
  readonly refused: readonly number[];
  readonly quarantined: readonly number[];
  readonly duplicates: readonly number[];
  readonly reused: readonly number[];
  readonly snapshotFailures: readonly number[];
  readonly commitMs: readonly number[];
  readonly commits: readonly number[];
}

export interface PartitionGlance {
  readonly partition: number;
  readonly epoch: number;
  readonly appliedSeq: number;
  readonly snapshotSeq: number;
  readonly tailEvents: number;
  /** The time at which the oldest event that no snapshot covers was logged. Missing if there is none. */
  readonly tailSince?: string;
  /** Missing if a snapshot covers the event, and the log is empty. */
  readonly lastEventAt?: string;
  /** The oldest moment that can be read. Missing if retention has given up nothing. */
  readonly oldest?: string;
  readonly keys: number;
  readonly stateBytes: number;
  readonly lastSnapshot?: SnapshotInfo | Unreadable;
  readonly lastRecovery?: RecoveryReport;
  /** Events in quarantine. */
  readonly quarantined: number;
  /** Snapshots that failed since the last one that succeeded. */
  readonly snapshotFailures?: number;
  /** The partition has logged nothing since main starts from another line. Its numbers don't count what it has from there. */
  readonly inherited?: true;
  /** The partition's own answer, if it refused a request (ask-all.ts). */
  readonly refused?: { readonly code: string; readonly detail: string };
  /**
   * The reason why nothing is known: its database didn't answer. Its numbers are zeros then (live.ts), without meaning.
   */
  readonly unknown?: string;
}

/** An operator with D1's knowledge of its partitions. The list is empty if the operator is lost. */
export interface OperatorStatus {
  readonly operator: OperatorInfo;
  readonly partitions: readonly PartitionInfo[];
}

export interface StateAnswer {
  readonly key: string;
  readonly value: unknown;
  readonly partition: number;
  readonly seq: number;
  readonly time: string;
}

export interface VerifiedInfo {
  readonly equal: boolean;
  readonly seq: number;
  readonly manifest: number | null;
  readonly replayedEvents: number;
  readonly keys: number;
  readonly unmigrated?: UnmigratedInfo;
  /** The first key that differs. */
  readonly first?: { readonly seq: number; readonly key: string; readonly live: unknown; readonly rebuilt: unknown };
}

export interface QuarantinedInfo {
  readonly id: string;
  readonly partition: number;
  readonly seq: number;
  readonly type: string;
  readonly key: string;
  readonly error: string;
  readonly errorName?: string;
  readonly stack?: string;
  /** The version that ran. */
  readonly operatorVersion: number;
  readonly code: string;
  readonly time: string;
  readonly event: { readonly type: string; readonly data?: unknown };
}

/** Entries of one type and error. */
export interface QuarantineGroupInfo {
  readonly type: string;
  readonly errorName?: string;
  readonly error: string;
  readonly events: number;
  readonly first: string;
  readonly since: string;
}

export interface QuarantineGroups {
  readonly items: readonly QuarantineGroupInfo[];
  readonly events: number;
  readonly groups: number;
}

/** A page of events that were retried or deleted. */
export interface SteeredPage extends Page<{ readonly id: string; readonly status: string }> {
  readonly command: string;
  readonly applied: number;
  readonly refused: number;
  readonly quarantined: number;
  readonly gone: number;
}

/** The app's report about itself. */
export interface DoctorInfo {
  readonly code: string;
  readonly deployedAt: string | null;
  readonly region: string | null;
  readonly jurisdiction: string | null;
  readonly colo: string | null;
  readonly stores: readonly StoreInfo[];
}

export interface StoreInfo {
  readonly name: string;
  readonly kind: string;
  readonly ms: readonly number[];
  readonly error?: string;
  /** The region of databases. */
  readonly region?: string | null;
  readonly bytes?: number | null;
}
