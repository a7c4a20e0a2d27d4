/** What a partition knows once it is open, and what it tells of that. */
import type { CounterRow, Holder } from "../base/counters.ts";
import { type Epoch, seq, type Stamp } from "../base/ids.ts";
import { isObject } from "../base/json.ts";
import type { Minute } from "../base/minutes.ts";
import type { PartitionRow } from "../base/records.ts";
import type { Unmigrated } from "../operator/migration.ts";
import type { Loader } from "../snapshot/key-loader.ts";
import type { Manifest, Rates } from "../snapshot/manifest.ts";
import type { StateMachine } from "../state/state-machine.ts";

/** What a partition knows once it is open. */
export interface OpenPartition {
  row: PartitionRow;
  readonly machine: StateMachine;
  readonly loader: Loader;
  /** Null: opened for reading only. */
  epoch: Epoch | null;
  /** The generation that is known to be whole: after a recovery the one that it started from (SNAP4). */
  whole: Manifest | null;
  report: RecoveryReport;
  rates: Rates;
  /** The next snapshot should come at once: a base didn't do or the older generation wouldn't, or other code wrote what was read (CODE4). */
  renew: boolean;
  /** Above the current snapshot. `sinceMs`: when the first of it was logged; null: there is none. */
  readonly tail: { events: number; bytes: number; sinceMs: number | null };
}

/** A partition's own view of itself. */
export interface PartitionFacts {
  readonly epoch: number;
  readonly appliedSeq: number;
  readonly keys: number;
  readonly stateBytes: number;
  /** As far as they are counted: exactly from the first full snapshot of the operator's version on. */
  readonly unmigrated: Unmigrated;
  readonly dedupSince: string | null;
  /** Null: not known. */
  readonly quarantined: number | null;
  readonly tailEvents: number;
  readonly tailBytes: number;
  readonly lastRecovery: RecoveryReport;
  readonly rates: Rates;
  readonly manifest: string | null;
}

export function factsOf({ row, machine, tail, report, rates }: OpenPartition): PartitionFacts {
  return {
    epoch: row.epoch,
    appliedSeq: machine.seq,
    keys: machine.state.keys,
    stateBytes: machine.state.size,
    unmigrated: machine.state.unmigrated,
    dedupSince: isoOrNull(machine.dedup.sinceMs),
    quarantined: machine.quarantine.events,
    tailEvents: tail.events,
    tailBytes: tail.bytes,
    lastRecovery: report,
    rates,
    manifest: row.manifest,
  };
}

/** Stands in the last row of each group. */
export interface RidingStats {
  readonly keys: number;
  readonly stateBytes: number;
  readonly dedupSince: string | null;
  readonly lastRecovery: RecoveryReport;
  readonly rates?: Rates;
  readonly quarantined?: number;
  /** Bytes of the tail before the group, above the snapshot of that version: what is above a later one isn't known from here. */
  readonly tail?: readonly [version: number, bytes: number];
  readonly counters?: CounterRow;
  /** The last hour, or as much of it as is newer than the current manifest (minutes.ts). */
  readonly minutes?: readonly Minute[];
  /** Who wrote it; the row says in which epoch. */
  readonly writer?: string;
  /** The one before it that wrote. */
  readonly before?: Holder;
}

/** For looking only: what isn't readable, or not there, says nothing. */
export function readRiding(stats: string | null): Partial<RidingStats> {
  try {
    const riding: unknown = JSON.parse(stats ?? "null");
    return isObject(riding) ? riding : {};
  } catch {
    return {};
  }
}

export const isoOrNull = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());

/** The row of a partition that nobody has written to. */
export const emptyRow = (seed: number): PartitionRow => ({
  epoch: 0 as Epoch,
  seed,
  version: 0,
  attempt: "",
  snapshotSeq: seq(0),
  snapshotStamp: 0 as Stamp,
  manifest: null,
  previousSeq: seq(0),
  previous: null,
  pins: "[]",
});

/** What a recovery did; kept for looking. */
export interface RecoveryReport {
  readonly at: string;
  readonly ms: number;
  /** Version of the manifest it started from; null: from nothing. */
  readonly manifest: number | null;
  readonly replayedEvents: number;
  /** Bases that were damaged. */
  readonly fallbacks: number;
  /** What came before: D1, and R2 where it had to be asked; what the base took, and the log above it. Missing where older code recovered. */
  readonly phases?: { readonly openMs: number; readonly loadMs: number; readonly replayMs: number };
}
