/**
 * Names and numbers of the protocol, and the one place where storage names are built.
 *
 * NAME1. A name in R2 holds epoch, attempt and a nonce, so it is never used twice (SNAP2).
 * NAME2. Numbers in names have a fixed width, so that the order of names is the order of numbers.
 * NAME3. Operator names are plain (`a-z0-9-`), so they need no escaping in names, paths or SQL. Keys never appear in a
 *     name (IN2).
 * NAME4. An incarnation has a million epochs (`incarnationOf`). A rebuilt row begins a new incarnation, so that a
 *     writer of the old one never holds an epoch that is given again. A name tells its incarnation.
 */

declare const brand: unique symbol;
type Branded<Name extends string> = number & { readonly [brand]: Name };

/** Position of an event within its partition: 1, 2, 3, … without gaps. 0 is "before the first". */
export type Seq = Branded<"Seq">;
/** Fencing token of a partition. Each writer takes the next one. */
export type Epoch = Branded<"Epoch">;
/** Hybrid logical clock: milliseconds since 1970 times 1024, plus a counter. */
export type Stamp = Branded<"Stamp">;

export const seq = (n: number): Seq => n as Seq;
export const epoch = (n: number): Epoch => n as Epoch;
export const stamp = (n: number): Stamp => n as Stamp;

/** The line of history that a new app begins with. */
export const FIRST_LINE = 1;

export interface PartitionId {
  /** The line of history. A line's number is never given again (LINE1). */
  readonly line: number;
  readonly operator: string;
  readonly partition: number;
}

/** The partition's name: of its Durable Object and of its rows in D1. Also the prefix of its objects in R2. */
export function partitionName(id: PartitionId): string {
  return `${id.line}/${id.operator}/${String(id.partition).padStart(4, "0")}`;
}

/** The prefix of all names of an operator's partitions and objects. */
export const operatorPrefix = (line: number, operator: string): string => `${line}/${operator}/`;

export function parsePartitionName(name: string): PartitionId {
  const match = /^([1-9]\d*)\/([a-z0-9-]+)\/(\d{4,})$/.exec(name);
  if (!match) throw new Error(`"${name}" isn't a partition's name (line/operator/0000)`);
  return { line: Number(match[1]), operator: match[2]!, partition: Number(match[3]) };
}

/** A unique name for one attempt at a snapshot. Sorts by epoch, then by attempt. */
export function attemptId(epoch: Epoch, attempt: number, nonce: string): string {
  return `${fixed(epoch, 10)}-${fixed(attempt, 6)}-${nonce}`;
}

/** `part`: number of the file, from 1, if the snapshot has several. */
export const snapshotName = (id: PartitionId, attempt: string, part?: number): string =>
  `${snapshotPrefix(id)}${attempt}${part === undefined ? "" : `.${fixed(part, 4)}`}.kfs`;

export const snapshotPrefix = (id: PartitionId): string => `${partitionName(id)}/snapshots/`;

/** Returns the epoch and attempt in an object's name or an attempt's id. Returns null if the name isn't one of ours. */
export function attemptOf(name: string): { readonly epoch: Epoch; readonly attempt: number } | null {
  const match = /(?:^|\/)(\d{10})-(\d{6})-[^/]+$/.exec(name);
  return match === null ? null : { epoch: epoch(Number(match[1])), attempt: Number(match[2]) };
}

/** Epochs of one incarnation. Between two disasters, no partition takes so many epochs without a trace in R2. */
const INCARNATION = 1_000_000;

export const incarnationOf = (of: Epoch): number => Math.floor(of / INCARNATION);

/** Returns the incarnation in which an attempt was made, or null if there was no attempt. */
export function incarnationOfAttempt(attempt: string): number | null {
  const made = attemptOf(attempt);
  return made === null ? null : incarnationOf(made.epoch);
}

/** Returns the first epoch of the next incarnation: more than a whole incarnation above the highest epoch that a name
 *  shows. Writers that left nothing in R2 have taken further epochs. */
export const nextIncarnation = (highest: Epoch): Epoch => epoch((incarnationOf(highest) + 2) * INCARNATION);

/** Sorts by manifest number first, so that a listing of the prefix is in the order of history. `piece`: number of the
 *  object, from 1, if an archive has several. The last object has the manifest that counts. Its name has no number and
 *  sorts behind the others. */
export const manifestName = (id: PartitionId, version: number, attempt: string, piece?: number): string =>
  `${manifestPrefix(id)}${fixed(version, 10)}-${attempt}${piece === undefined ? "" : `.${fixed(piece, 4)}`}.kfm`;

/** A name above all manifests before this version, and below the manifests of this version and later. */
export const belowManifest = (id: PartitionId, version: number): string => `${manifestPrefix(id)}${fixed(version, 10)}`;

interface ManifestName {
  readonly version: number;
  readonly attempt: string;
  readonly epoch: Epoch;
  /** Null for the object that stands for the snapshot. */
  readonly piece: number | null;
}

/** Returns the version, attempt and epoch in a manifest's name. Returns null if the name isn't one of ours. */
export function manifestOf(name: string): ManifestName | null {
  const match = /\/manifests\/(\d{10})-((\d{10})-\d{6}-[^/]+?)(?:\.(\d{4,}))?\.kfm$/.exec(name);
  if (match === null) return null;
  const [, version, attempt, by, piece] = match;
  return {
    version: Number(version),
    attempt: attempt!,
    epoch: epoch(Number(by)),
    piece: piece === undefined ? null : Number(piece),
  };
}

export const manifestPrefix = (id: PartitionId): string => `${partitionName(id)}/manifests/`;

/**
 * The object of a savepoint. Its name holds the savepoint's number and stamp, so it is never another savepoint's, nor
 * that of another database that counts its numbers from the beginning. No operator's objects begin so.
 */
export const savepointObject = (line: number, name: string, number: number, at: Stamp): string =>
  `${savepointPrefix(line)}${name}/${fixed(number, 10)}-${at}.kfp`;

/** The object that records a switch of main. Sorts by the switch. */
export const switchObject = (switches: number, line: number): string => `${SWITCHES}${fixed(switches, 10)}-${line}`;

export const SWITCHES = "mains/";

/** Below the objects of that switch, and above those of the ones before. */
export const belowSwitch = (next: number): string => `${SWITCHES}${fixed(next, 10)}`;

export const savepointPrefix = (line: number): string => `savepoints/${line}/`;

const fixed = (n: number, width: number): string => String(n).padStart(width, "0");
