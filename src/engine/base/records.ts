import type { CounterRow } from "./counters.ts";
import { type Epoch, type Seq, type Stamp } from "./ids.ts";
import { isObject, isText, isWhole } from "./json.ts";

/** One row of the log. */
export interface Segment {
  readonly format: number;
  readonly seq: Seq;
  readonly last: Seq;
  readonly stamp: Stamp;
  readonly epoch: Epoch;
  /** The group's nonce: proof of a commit (LOG3). */
  readonly group: string;
  /** The operator's version, and the code that ran (CODE4). */
  readonly operatorVersion: number;
  readonly code: string;
  /** How the payload is written: "json" as it is, or the codec's packed text. */
  readonly codec: string;
  /** CRC-32 of the payload as it is written. */
  readonly checksum: number;
  /** Characters of the payload before it was packed: what a reader must hold. */
  readonly bytes: number;
  /** Statistics that ride along: JSON text, for looking only. */
  readonly stats: string;
  readonly payload: string;
}

/** What D1 is known to have said once. */
export interface HighWaterMark {
  readonly v: 1;
  readonly epoch: Epoch;
  readonly version: number;
  /** Last seq in the log. */
  readonly head: Seq;
  /** When it was written; missing: by older code. */
  readonly atMs?: number;
  /** The state's files, as far as was known (prefetch.ts). */
  readonly files?: readonly StateFile[];
  /** D1 was found to have less: it is looked at before an epoch is taken (E4). */
  readonly refused?: true;
  /** Up to which size its database is known to have room (disk-space.ts). */
  readonly roomUpTo?: number;
  /** What was counted until then, for looking (counters.ts). */
  readonly counters?: CounterRow;
}

/** A mark as it stands in storage; null: there is none that this code knows. */
export function readHighWaterMark(stored: unknown): HighWaterMark | null {
  if (!isObject(stored) || stored["v"] !== 1) return null;
  const whole = [stored["epoch"], stored["version"], stored["head"]].every(isWhole);
  if (!whole) return null;
  const { files, ...mark } = stored as unknown as HighWaterMark;
  // A guess that can't be read is none.
  return Array.isArray(files) && files.every(isStateFile) ? { ...mark, files } : mark;
}

export interface StateFile {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
  /** Where its states end: what stands from there on is needed to open it. */
  readonly rest?: number;
  /** So many bytes of ids that begins with, which are needed for events only. Missing where they are few, or older code wrote it. */
  readonly ids?: number;
}

export const isStateFile = (value: unknown): value is StateFile =>
  isObject(value) &&
  isText(value["name"]) &&
  isText(value["sha256"]) &&
  isWhole(value["bytes"]) &&
  (value["rest"] === undefined || (isWhole(value["rest"]) && value["rest"] < value["bytes"])) &&
  (value["ids"] === undefined ||
    (isWhole(value["rest"]) && isWhole(value["ids"]) && value["rest"] + value["ids"] < value["bytes"]));

/** A partition's row: who may write, and what is current. Manifests are texts, read by manifest.ts. */
export interface PartitionRow {
  /** The epoch that holds: taken by an opening, or by an append that came after. */
  readonly epoch: Epoch;
  readonly seed: number;
  /** Number of snapshots made current; every change of the pointers raises it (SNAP2). */
  readonly version: number;
  /** Attempt id of the current snapshot; "" before the first. */
  readonly attempt: string;
  readonly snapshotSeq: Seq;
  readonly snapshotStamp: Stamp;
  readonly manifest: string | null;
  /** The older generation, which shares no object with the current one (SNAP4). */
  readonly previousSeq: Seq;
  readonly previous: string | null;
  /** Manifests kept for a rollback to an older operator version (CODE3): a JSON array, see rollback-pins.ts. */
  readonly pins: string;
}

/** A restore point: a snapshot that was current, and whose state files are kept. */
export interface Point {
  readonly version: number;
  readonly attempt: string;
  readonly seq: Seq;
  readonly stamp: Stamp;
  /** Names of all files that its state is read from, in their order. */
  readonly files: readonly string[];
  /** Nothing was known against it when it was replaced. */
  readonly whole: boolean;
  /** When the row last ceased to name it, or to name it in this place. */
  readonly replacedMs: number;
}

/** Whoever holds a restore point, or the current snapshot, by its version. */
export interface Pin {
  readonly version: number;
  readonly name: string;
  readonly createdMs: number;
}

/** All that must stay, at one moment (SNAP10). */
export interface Roots {
  readonly row: PartitionRow;
  /** In the order of their versions, as the pins are. */
  readonly points: readonly Point[];
  readonly pins: readonly Pin[];
  /** State at any stamp from here on can be read; 0: at any. */
  readonly retainFrom: Stamp;
  /** Archives of versions below it are given up; 0: none. */
  readonly archiveFrom: number;
}

/** What retention gives up, if epoch and version hold. */
export interface Retention {
  readonly epoch: Epoch;
  readonly version: number;
  /** Versions of restore points. */
  readonly drop: readonly number[];
  readonly retainFrom: Stamp;
  readonly archiveFrom: number;
}

/** Consecutive rows of the log, bounded in bytes. `more`: there are further rows above the last one. */
export interface Page {
  readonly rows: readonly Segment[];
  readonly more: boolean;
}

/** One moment of the partition in the log's database: its row, and the first page of the tail above its snapshot. */
export interface Opening extends Page {
  readonly row: PartitionRow;
  /** Last seq in the log. */
  readonly head: Seq;
}

/** Everything that explains a refused append, from one read. */
export interface Explanation {
  readonly epoch: Epoch;
  /** Who took it. */
  readonly writer: string;
  readonly version: number;
  /** Last seq in the log. */
  readonly head: Seq;
  /** Stamp of the head. */
  readonly headStamp: Stamp;
  readonly floor: Stamp;
  readonly open: boolean;
  /** The row that begins at the seq that was asked for: its group's nonce and stamp. */
  readonly group: string | null;
  readonly stamp: Stamp | null;
}

export interface Promotion {
  readonly epoch: Epoch;
  /** Who holds it, with which code. */
  readonly writer: string;
  readonly code: string;
  /** The version that this replaces. */
  readonly version: number;
  readonly attempt: string;
  readonly manifest: string;
  readonly seq: Seq;
  readonly stamp: Stamp;
  readonly previous: string | null;
  readonly previousSeq: Seq;
  /** Rows up to here are cut: archives that R2 has acknowledged hold them (LOG5). */
  readonly cutSeq: Seq;
  readonly pins: string;
  /** What the row named before, and is replaced, moved or dropped by this: from now on restore points. */
  readonly replaced: readonly Point[];
}
