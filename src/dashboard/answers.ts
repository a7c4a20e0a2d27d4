/** The members of the app's answers that the dashboard shows (docs/reference/api.md). */
import type { Manifest } from "../engine/snapshot/manifest.ts";
import type { RecoveryReport } from "../engine/recovery/open-partition.ts";

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
  readonly keys: number;
  readonly stateBytes: number;
  readonly lastSnapshot?: Snapshot | Unreadable;
  readonly lastRecovery?: RecoveryReport;
  /** Events in quarantine. */
  readonly quarantined: number;
  /** Snapshots that failed since the last one that succeeded. */
  readonly snapshotFailures?: number;
  /** The partition's own answer, if it refused a request (ask-all.ts). */
  readonly refused?: { readonly code: string; readonly detail: string };
  /**
   * The reason why nothing is known: its database didn't answer. Its numbers are zeros then (live.ts), without meaning.
   */
  readonly unknown?: string;
}

export interface Snapshot {
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

export type Kept = Manifest | Unreadable;

/** One partition, in its own words or D1's. */
export interface PartitionStatus {
  readonly partition: number;
  readonly epoch: number;
  readonly appliedSeq: number;
  readonly snapshotSeq: number;
  readonly tailEvents: number;
  readonly tailBytes: number;
  readonly keys: number;
  readonly stateBytes: number;
  readonly lastRecovery: RecoveryReport | null;
  readonly estimatedRecoveryMs: number;
}

export interface StateAnswer {
  readonly key: string;
  readonly value: unknown;
  readonly partition: number;
  readonly seq: number;
  readonly time: string;
}

export interface ScanPage {
  readonly items: readonly { readonly key: string; readonly value: unknown }[];
  readonly cursor?: string;
}

export interface Quarantined {
  readonly id: string;
  readonly partition: number;
  readonly seq: number;
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
export interface QuarantineGroup {
  readonly type: string;
  readonly errorName?: string;
  readonly error: string;
  readonly events: number;
  readonly since: string;
}

export interface QuarantineGroups {
  readonly items: readonly QuarantineGroup[];
  readonly events: number;
  readonly groups: number;
}

export interface SteeredMany {
  readonly command: string;
  readonly applied: number;
  readonly refused: number;
  readonly quarantined: number;
  readonly gone: number;
  readonly cursor?: string;
}

export interface QuarantinePage {
  readonly items: readonly Quarantined[];
  readonly cursor?: string;
}

export type VerifyAnswer =
  | { readonly equal: true; readonly seq: number; readonly manifest: number | null }
  | {
      readonly equal: false;
      readonly seq: number;
      readonly first: { readonly seq: number | null; readonly key: string };
    };
