import type { CounterRow } from "./counters.ts";
import { type Epoch, seq, type Seq, stamp, type Stamp } from "./ids.ts";
import { isObject, isText, isWhole } from "./json.ts";

/** One row of the log. */
export interface Segment {
  readonly format: number;
  readonly seq: Seq;
  readonly last: Seq;
  readonly stamp: Stamp;
  readonly epoch: Epoch;
  /** The group's nonce, which proves a commit (LOG3). */
  readonly group: string;
  /** The operator's version, and the code that ran (CODE4). */
  readonly operatorVersion: number;
  readonly code: string;
  /** Form of the payload: "json" as it is, or the codec's packed text. */
  readonly codec: string;
  /** CRC-32 of the payload as written. */
  readonly checksum: number;
  /** Characters of the payload before it was packed, all of which a reader must hold. */
  readonly bytes: number;
  /** Statistics as JSON text, for looking only. */
  readonly stats: string;
  readonly payload: string;
}

/** Facts that D1 is known to have acknowledged once. */
export interface HighWaterMark {
  readonly v: 1;
  readonly epoch: Epoch;
  readonly version: number;
  /** Last seq in the log. */
  readonly head: Seq;
  /** Time of writing. Missing if older code wrote the mark. */
  readonly atMs?: number;
  /** The state's files, as far as known (prefetch.ts). */
  readonly files?: readonly StateFile[];
  /** D1 was found below the mark. The next opening reads D1 before it takes an epoch (REWIND4 of rewind-check.ts). */
  readonly refused?: true;
  /** Size up to which the database is known to have room (disk-space.ts). */
  readonly roomUpTo?: number;
  /** Counts until then, for looking only (counters.ts). */
  readonly counters?: CounterRow;
}

/** Reads a stored mark. Returns null if the value has no form that this code knows. */
export function readHighWaterMark(stored: unknown): HighWaterMark | null {
  if (!isObject(stored) || stored["v"] !== 1) return null;
  const whole = [stored["epoch"], stored["version"], stored["head"]].every(isWhole);
  if (!whole) return null;
  const { files, ...mark } = stored as unknown as HighWaterMark;
  // Unreadable files are left out, because they are a guess only.
  return Array.isArray(files) && files.every(isStateFile) ? { ...mark, files } : mark;
}

export interface StateFile {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
  /** Offset at which the states end. Opening the file needs the bytes from there on. */
  readonly rest?: number;
  /** Bytes of ids that stand from `rest` on and that only events need. Missing if the ids are few, or older code wrote
   *  the file. */
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

/** A partition's row: who may write, and what is current. Manifests are texts, which manifest.ts reads. */
export interface PartitionRow {
  /** The epoch that holds, taken by an opening or by a later append. */
  readonly epoch: Epoch;
  readonly seed: number;
  /** The log begins above this seq. Below it is the log of the line that this one started from (ORIGIN1). */
  readonly startSeq: Seq;
  /** Number of snapshots made current. Every change of the pointers raises the number (SNAP2). */
  readonly version: number;
  /** Attempt id of the current snapshot, or "" before the first. */
  readonly attempt: string;
  readonly snapshotSeq: Seq;
  readonly snapshotStamp: Stamp;
  readonly manifest: string | null;
  /** The older generation, which shares no object with the current one (SNAP4). */
  readonly previousSeq: Seq;
  readonly previous: string | null;
  /** Manifests kept for a rollback to an older operator version (CODE3), as a JSON array (rollback-pins.ts). */
  readonly pins: string;
}

/** A restore point: a snapshot that was current, and whose state files are kept. */
export interface Point {
  readonly version: number;
  readonly attempt: string;
  readonly seq: Seq;
  readonly stamp: Stamp;
  /** Names of all files of its state, in their order. */
  readonly files: readonly string[];
  /** True if nothing was known against the snapshot when it was replaced. */
  readonly intact: boolean;
  /** Time when the row last ceased to name the snapshot, or to name it in this place. */
  readonly replacedMs: number;
}

/** A name that holds a restore point, or the current snapshot, by its version. */
export interface Pin {
  readonly version: number;
  readonly name: string;
  readonly createdMs: number;
}

/** A named moment over all operators, as one database holds it (history/savepoints.ts). */
export interface Savepoint {
  /** Given once, by the first database. */
  readonly number: number;
  readonly name: string;
  readonly at: Stamp;
  readonly createdMs: number;
  readonly state: "taking" | "held" | "removing";
}

/** How far a partition had come at a moment: its last seq then. Null if a snapshot covers a later event. */
export type PartitionHead = readonly [partition: string, seq: number | null];

/** A line of history (history/timelines.ts). */
export interface Timeline {
  /** Given once, by the first database. */
  readonly line: number;
  /** Null if it is main, or was. */
  readonly name: string | null;
  /** The line that it starts from, at `at`. Null for the first one. */
  readonly parent: number | null;
  readonly at: Stamp;
  readonly createdMs: number;
  readonly expiresMs: number | null;
  readonly state: "making" | "ready" | "removing";
  /** The number of the switch that replaced it as main, or 0. */
  readonly replaced: number;
  /** Missing if every operator has as many partitions as on the line that it starts from. */
  readonly split?: Split;
  /** It starts at the end of its parent, which a promotion seals for it. Until then `at` is above all stamps. */
  readonly unstarted?: true;
  /** Missing if the line takes events of its own. */
  readonly replay?: Replay;
  /** The line that it had replayed when it became main. So both have the same events up to the switch. */
  readonly replayed?: number;
}

/** A line replays the log of another line (history/timelines.ts). */
export interface Replay {
  /** The line whose log is replayed. */
  readonly source: number;
  /** Refusals stay as they are in the log, or this code decides each outcome anew. */
  readonly outcomes: "logged" | "decide";
  /** The code that replays. Under other code the replay starts again on a new line. */
  readonly code: string;
}

/** An event whose outcome another line decided otherwise. `was` and `now` are words for a reader. */
export interface ChangedOutcome {
  readonly seq: Seq;
  readonly key: string;
  readonly id: string;
  readonly was: string;
  readonly now: string;
  /** CRC-32 of all that. */
  readonly print: number;
}

/** The changed outcomes of a partition: how many, and the sum of their prints, which another list hardly has. */
export interface ChangedSum {
  readonly partition: string;
  readonly count: number;
  readonly sum: number;
}

/** For each operator that has other partitions: how many of them share the keys of one partition of an earlier line. */
export type Split = Readonly<Record<string, number>>;

/** Returns how many partitions share the keys of one. An operator may be named as a member that each object has. */
export const partsIn = (split: Split | undefined, operator: string): number =>
  split !== undefined && Object.hasOwn(split, operator) ? split[operator]! : 1;

/** An earlier line, up to the moment at which a later one starts from it. */
export interface Ancestor {
  readonly line: number;
  readonly at: Stamp;
  /** From that line to the later one. Missing if no operator has other partitions. */
  readonly split?: Split;
}

/** The line that a line starts from, with the moment, and so on up to the first one. */
export type Ancestors = readonly Ancestor[];

/** Partitions that read the lines from which their own started. `first`: one of them, as operator/number, or null. */
export interface Readers {
  readonly partitions: number;
  readonly first: string | null;
}

/** Which line is main, and the promotion that is under way (history/promotion.ts). */
export interface Main {
  readonly line: number;
  /** How often main was switched. */
  readonly switches: number;
  readonly state: "idle" | "sealing" | "aborting" | "opening";
  readonly promotion: number;
  /** The line that is being promoted. Null if no promotion was tried. */
  readonly target: number | null;
  /** The line that was main before the last switch. */
  readonly former: number | null;
  readonly begunMs: number;
  /** The tag of the list that the last switch did, and its answer. */
  readonly etag: string | null;
  readonly done: string | null;
}

/** Everything that must stay, at one moment (SNAP10). */
export interface Roots {
  readonly row: PartitionRow;
  /** In the order of their versions, as are the pins. */
  readonly points: readonly Point[];
  readonly pins: readonly Pin[];
  /** Stamps of the savepoints that the database holds, in order. State at each of them can be read. */
  readonly savepoints: readonly Stamp[];
  /** State at any stamp from this one on can be read. 0 allows any stamp. */
  readonly retainFrom: Stamp;
  /** Archives of versions below this one are given up. 0 gives up none. */
  readonly archiveFrom: number;
}

/** The parts that retention gives up, if epoch and version hold, and the savepoints are these. */
export interface Retention {
  readonly epoch: Epoch;
  readonly version: number;
  readonly savepoints: readonly Stamp[];
  /** Versions of restore points. */
  readonly drop: readonly number[];
  readonly retainFrom: Stamp;
  readonly archiveFrom: number;
}

/** Consecutive rows of the log, bounded in bytes. `more`: further rows stand above the last one. */
export interface SegmentPage {
  readonly rows: readonly Segment[];
  readonly more: boolean;
}

/** One moment of the partition in the log's database: its row, and the first page of the tail above its snapshot. */
export interface Opening extends SegmentPage {
  readonly row: PartitionRow;
  /** Last seq in the log. */
  readonly head: Seq;
  /** False if the line is sealed: nothing more is logged on it. */
  readonly open: boolean;
}

/** Where the log of a partition begins: the last event of the line that it started from. */
export interface LogStart {
  readonly seq: Seq;
  readonly stamp: Stamp;
}

/** The start of a line that starts from no other one. */
export const LOG_BEGIN: LogStart = { seq: seq(0), stamp: stamp(0) };

/** The facts that explain a refused append, from one read. */
export interface Explanation {
  readonly epoch: Epoch;
  /** The writer that took the epoch. */
  readonly writer: string;
  readonly version: number;
  /** Last seq in the log. */
  readonly head: Seq;
  readonly headStamp: Stamp;
  readonly floor: Stamp;
  readonly open: boolean;
  /** The line takes in the rows of another one, and no events. */
  readonly replaying: boolean;
  /** Nonce and stamp of the group whose row begins at the requested seq. */
  readonly group: string | null;
  readonly stamp: Stamp | null;
}

export interface Promotion {
  readonly epoch: Epoch;
  /** The holder of the epoch, and its code. */
  readonly writer: string;
  readonly code: string;
  /** The version that this promotion replaces. */
  readonly version: number;
  readonly attempt: string;
  readonly manifest: string;
  readonly seq: Seq;
  readonly stamp: Stamp;
  readonly previous: string | null;
  readonly previousSeq: Seq;
  /** Rows up to this seq are cut. Archives that R2 has acknowledged hold them (LOG5). */
  readonly cutSeq: Seq;
  readonly pins: string;
  /** Snapshots that the row named before and that this promotion replaces, moves or drops. They become restore
   *  points. */
  readonly replaced: readonly Point[];
}
