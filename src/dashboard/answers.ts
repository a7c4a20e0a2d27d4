/** What the app's routes answer, as far as the dashboard shows it (docs/api.md). */
import type { Manifest } from "../engine/manifest.ts";
import type { RecoveryReport } from "../engine/recovery.ts";

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
  readonly partitions: readonly PartitionGlance[];
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
  /** Events set aside, as of its last group. Missing: it doesn't say. */
  readonly quarantined?: number;
  /** Why nothing is known of it: its database didn't answer. */
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
  readonly time: string;
  readonly event: { readonly type: string };
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
