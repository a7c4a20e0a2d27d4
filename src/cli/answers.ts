/**
 * The members of the app's answers that the commands show (docs/reference/api.md). Members may be missing: the app may
 * be of another version.
 */

export interface OperatorInfo {
  readonly name: string;
  readonly version: number;
  readonly events: readonly string[];
  /** Null if D1 doesn't know the placement. `lost` has the reason. */
  readonly partitions: number | null;
  readonly lost?: string;
}

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
  readonly lastSnapshot: SnapshotInfo | { readonly unreadable: string } | null;
  readonly lastRecovery: { readonly ms: number; readonly fallbacks: number } | null;
  readonly estimatedRecoveryMs: number;
}

/** The number of keys, and some of them with the version of their state. */
export interface UnmigratedInfo {
  readonly keys: number;
  readonly some: readonly { readonly key: string; readonly version: number }[];
}

export interface SnapshotInfo {
  /** The number of its manifest. */
  readonly manifest: number;
  readonly kind: string;
  readonly seq: number;
  readonly bytes: number;
  readonly ms: number;
  readonly at: string;
}

export interface ManifestInfo extends Omit<SnapshotInfo, "bytes" | "manifest"> {
  readonly number: number;
  readonly keys: number;
  readonly snapshot: { readonly name: string; readonly bytes: number };
  readonly chain?: readonly { readonly bytes: number }[];
}

export interface QuarantinedInfo {
  readonly id: string;
  readonly type: string;
  readonly key: string;
  readonly error: string;
  readonly errorName?: string;
  readonly stack?: string;
  readonly operatorVersion: number;
  readonly code: string;
  readonly time: string;
  readonly event: unknown;
}

export interface QuarantineGroupInfo {
  readonly type: string;
  readonly errorName?: string;
  readonly error: string;
  readonly events: number;
  readonly first: string;
  readonly since: string;
}

/** A page of events that were retried or deleted. */
export interface SteeredPage extends Page<{ readonly id: string; readonly status: string }> {
  readonly applied: number;
  readonly refused: number;
  readonly quarantined: number;
  readonly gone: number;
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly cursor?: string;
}

/** An operator with D1's knowledge of its partitions. The list is empty if the operator is lost. */
export interface OperatorStatus {
  readonly operator: OperatorInfo;
  readonly partitions: readonly PartitionInfo[];
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
