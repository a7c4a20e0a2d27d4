/** The facts that a partition knows once it is open, and the facts that it reports. */
import type { CounterRow, Holder } from "../base/counters.ts";
import { type Epoch, seq, type Stamp } from "../base/ids.ts";
import { isObject } from "../base/json.ts";
import type { MinuteCounts } from "../base/minutes.ts";
import type { PartitionRow, StateFile } from "../base/records.ts";
import type { Unmigrated } from "../operator/migration.ts";
import type { Loader } from "../snapshot/key-loader.ts";
import type { Manifest, Rates } from "../snapshot/manifest.ts";
import { stampMs } from "../base/hybrid-clock.ts";
import type { StateMachine } from "../state/state-machine.ts";
import type { StoredState } from "../snapshot/stored-state.ts";

/** The tail above the current snapshot. `sinceMs` is when its first event was logged, or null if the tail is empty. */
interface Tail {
  readonly events: number;
  readonly bytes: number;
  readonly sinceMs: number | null;
}

/** The result of a recovery. */
interface Recovered {
  readonly row: PartitionRow;
  readonly sealed: boolean;
  readonly machine: StateMachine;
  readonly loader: Loader;
  readonly whole: Manifest | null;
  readonly files: readonly StateFile[];
  readonly report: RecoveryReport;
  readonly rates: Rates;
  readonly renew: boolean;
  readonly tail: Tail;
}

/** An open partition. Four transitions change it, and each keeps row, tail and files in step. */
export class OpenPartition {
  row: PartitionRow;
  /** The line was sealed when D1 was asked last: nothing is logged on it. */
  sealed: boolean;
  readonly machine: StateMachine;
  readonly loader: Loader;
  /** The generation that is known to be intact. After a recovery it is the one that the recovery started from (SNAP4). */
  whole: Manifest | null;
  /** The files that the state was opened from. They are another line's if `whole` is null (ORIGIN1). */
  readonly files: readonly StateFile[];
  readonly report: RecoveryReport;
  rates: Rates;
  /**
   * The next snapshot is due at once. A base was corrupt, the older generation may be, or other code wrote the data
   * that was read (CODE4).
   */
  renew: boolean;
  #tail: Tail;

  constructor({ row, sealed, machine, loader, whole, files, report, rates, renew, tail }: Recovered) {
    this.row = row;
    this.sealed = sealed;
    this.machine = machine;
    this.loader = loader;
    this.whole = whole;
    this.files = files;
    this.report = report;
    this.rates = rates;
    this.renew = renew;
    this.#tail = tail;
  }

  get tail(): Tail {
    return this.#tail;
  }

  /** Sets the row's epoch to ours, or to the epoch of the writer whose segments were replayed here. */
  tookEpoch(epoch: Epoch): void {
    if (this.row.epoch !== epoch) this.row = { ...this.row, epoch };
  }

  /** Counts a group that this instance committed. */
  committed(events: number, bytes: number, stamp: Stamp): void {
    this.#grow(events, bytes, stampMs(stamp));
  }

  /**
   * Counts segments of other writers that were replayed here. `sinceMs` is when the first row above the snapshot was
   * logged.
   */
  caughtUp(events: number, bytes: number, sinceMs: number | null): void {
    this.#grow(events, bytes, sinceMs);
  }

  /**
   * Begins the tail above a manifest that is current. If the covered tail still counted, a snapshot would be due for
   * ever, with nothing left to save.
   */
  covered(manifest: Manifest, stored: StoredState, archivedBytes: number, nowMs: number): void {
    this.whole = manifest;
    this.loader.replace(stored);
    const events = this.machine.seq - manifest.seq;
    this.#tail =
      events === 0
        ? { events, bytes: 0, sinceMs: null }
        : { events, bytes: Math.max(0, this.#tail.bytes - archivedBytes), sinceMs: nowMs };
  }

  #grow(events: number, bytes: number, sinceMs: number | null): void {
    const tail = this.#tail;
    this.#tail = { events: tail.events + events, bytes: tail.bytes + bytes, sinceMs: tail.sinceMs ?? sinceMs };
  }
}

/** A partition's own view of itself. */
export interface PartitionFacts {
  readonly epoch: number;
  readonly appliedSeq: number;
  readonly keys: number;
  readonly stateBytes: number;
  /** Exact from the first full snapshot of the operator's version on. */
  readonly unmigrated: Unmigrated;
  readonly dedupSince: string | null;
  /** Null if unknown. */
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

/** The statistics in the last row of each group. */
export interface RidingStats {
  readonly keys: number;
  readonly stateBytes: number;
  readonly dedupSince: string | null;
  readonly lastRecovery: RecoveryReport;
  readonly rates?: Rates;
  readonly quarantined?: number;
  /** No timer is due before this time, in milliseconds. Missing if none is pending. */
  readonly pendingFrom?: number;
  /**
   * Bytes of the tail before the group, above the snapshot of that version. The tail above a later snapshot isn't known
   * from here.
   */
  readonly tail?: readonly [version: number, bytes: number];
  readonly counters?: CounterRow;
  /** The last hour, or as much of it as is newer than the current manifest (minutes.ts). */
  readonly minutes?: readonly MinuteCounts[];
  /** The writer of the group. The row says in which epoch. */
  readonly writer?: string;
  /** The writer before this one. */
  readonly before?: Holder;
}

/** Reads statistics, which are for display only. Returns an empty object if they are missing or unreadable. */
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
  startSeq: seq(0),
  version: 0,
  attempt: "",
  snapshotSeq: seq(0),
  snapshotStamp: 0 as Stamp,
  manifest: null,
  previousSeq: seq(0),
  previous: null,
  pins: "[]",
});

/** A report of a recovery, for display only. */
export interface RecoveryReport {
  readonly at: string;
  readonly ms: number;
  /** Version of the manifest that the recovery started from. Null if it started from nothing. */
  readonly manifest: number | null;
  readonly replayedEvents: number;
  /** Bases that were corrupt. */
  readonly fallbacks: number;
  /**
   * `openMs` is the time for D1, and for R2 if it had to be asked. `loadMs` is for the base, and `replayMs` for the log
   * above it. Missing if older code recovered.
   */
  readonly phases?: { readonly openMs: number; readonly loadMs: number; readonly replayMs: number };
}
