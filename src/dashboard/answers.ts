/** What the app's routes answer, as far as the dashboard shows it (docs/reference/api.md). */
import type { Manifest } from "../engine/snapshot/manifest.ts";
import type { RecoveryReport } from "../engine/recovery/open-partition.ts";

export interface Overview {
  /** The app's own time, by which ages are told. */
  readonly at: string;
  readonly operators: readonly OperatorGlance[];
}

export interface OperatorGlance {
  readonly name: string;
  readonly version: number;
  /** How often it wants a snapshot, and how soon it promises to be back. */
  readonly everyMs: number;
  readonly recoveryMs: number;
  /** Why it can't be used. */
  readonly lost?: string;
  readonly lastHour: LastHour;
  readonly partitions: readonly PartitionGlance[];
}

/** What all partitions of an operator counted, a number for each minute from `from` on. */
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
  /** When the oldest event that no snapshot covers was logged. Missing: there is none. */
  readonly tailSince?: string;
  /** Missing: a snapshot covers it, and the log is empty. */
  readonly lastEventAt?: string;
  readonly keys: number;
  readonly stateBytes: number;
  readonly lastSnapshot?: Snapshot | Unreadable;
  readonly lastRecovery?: RecoveryReport;
  /** Events in quarantine. */
  readonly quarantined: number;
  /** Snapshots that failed since the last one that didn't. */
  readonly snapshotFailures?: number;
  /** What it said when it was asked itself, if it refused (ask-all.ts). */
  readonly refused?: { readonly code: string; readonly detail: string };
  /** Why nothing is known of it: its database didn't answer. Its numbers are zeros then (live.ts), and mean nothing. */
  readonly unknown?: string;
}

export interface Snapshot {
  /** Its manifest's number. */
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

/** Of one partition, as itself or D1 tells it. */
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
  /** What ran. */
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
