/** What a partition knows once it is open, and what it tells of that. */
import type { CounterRow, Holder } from "../base/counters.ts";
import { type Epoch, seq, type Stamp } from "../base/ids.ts";
import { isObject } from "../base/json.ts";
import type { Minute } from "../base/minutes.ts";
import type { PartitionRow } from "../base/records.ts";
import type { Unmigrated } from "../operator/migration.ts";
import type { Loader } from "../snapshot/key-loader.ts";
import type { Manifest, Rates } from "../snapshot/manifest.ts";
import { stampMs } from "../base/hybrid-clock.ts";
import type { StateMachine } from "../state/state-machine.ts";
import type { StoredState } from "../snapshot/stored-state.ts";

/** The tail above the current snapshot. `sinceMs` is when its first event was logged, or null if the tail is empty. */
export interface Tail {
  readonly events: number;
  readonly bytes: number;
  readonly sinceMs: number | null;
}

/** What a recovery hands over. */
export interface Recovered {
  readonly row: PartitionRow;
  readonly machine: StateMachine;
  readonly loader: Loader;
  readonly whole: Manifest | null;
  readonly report: RecoveryReport;
  readonly rates: Rates;
  readonly renew: boolean;
  readonly tail: Tail;
}

/** What a partition knows once it is open. Four things happen to it; each keeps row, tail and files in step. */
export class OpenPartition {
  row: PartitionRow;
  readonly machine: StateMachine;
  readonly loader: Loader;
  /** The generation that is known to be intact. After a recovery it is the one that the recovery started from (SNAP4). */
  whole: Manifest | null;
  readonly report: RecoveryReport;
  rates: Rates;
  /** The next snapshot is due at once: a base was corrupt, the older generation would be, or other code wrote what was read (CODE4). */
  renew: boolean;
  #tail: Tail;

  constructor({ row, machine, loader, whole, report, rates, renew, tail }: Recovered) {
    this.row = row;
    this.machine = machine;
    this.loader = loader;
    this.whole = whole;
    this.report = report;
    this.rates = rates;
    this.renew = renew;
    this.#tail = tail;
  }

  get tail(): Tail {
    return this.#tail;
  }

  /** The row has this epoch now: ours, or that of the writer whose segments were caught up with. */
  tookEpoch(epoch: Epoch): void {
    if (this.row.epoch !== epoch) this.row = { ...this.row, epoch };
  }

  /** A group of ours is in the log. */
  committed(events: number, bytes: number, stamp: Stamp): void {
    this.#grow(events, bytes, stampMs(stamp));
  }

  /** Segments of others were replayed here. `sinceMs` is when the first row above the snapshot was logged. */
  caughtUp(events: number, bytes: number, sinceMs: number | null): void {
    this.#grow(events, bytes, sinceMs);
  }

  /** A manifest is current. The tail begins above it: what still counted as due would be due for ever, with nothing left to save. */
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
