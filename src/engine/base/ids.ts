/**
 * Names and numbers of the protocol, and the one place where storage names are built.
 *
 * NAME1. A name in R2 holds epoch, attempt and a nonce, so it is never used twice (SNAP2).
 * NAME2. Numbers in names have a fixed width, so that the order of names is the order of numbers.
 * NAME3. Operator and timeline names are plain (`a-z0-9-`), so they need no escaping in names, paths or SQL; keys never
 *     appear in a name (IN2).
 * NAME4. Epochs come in lives of a million (`lifeOf`): a rebuilt row begins a new one, so that a writer of the old life never
 *     holds an epoch that is given again, and a name tells which life it is of.
 */

declare const brand: unique symbol;
type Branded<Name extends string> = number & { readonly [brand]: Name };

/** Position of an event within its partition: 1, 2, 3, … without gaps; 0 is "before the first". */
export type Seq = Branded<"Seq">;
/** Fencing token of a partition; each writer takes the next one. */
export type Epoch = Branded<"Epoch">;
/** Hybrid logical clock: milliseconds since 1970 times 1024, plus a counter. */
export type Stamp = Branded<"Stamp">;

export const seq = (n: number): Seq => n as Seq;
export const epoch = (n: number): Epoch => n as Epoch;
export const stamp = (n: number): Stamp => n as Stamp;

export const MAIN_TIMELINE = "main";

export interface PartitionId {
  readonly timeline: string;
  readonly operator: string;
  readonly partition: number;
}

/** The partition's name: of its Durable Object, of its rows in D1, and the prefix of its objects in R2. */
export function partitionName(id: PartitionId): string {
  return `${id.timeline}/${id.operator}/${String(id.partition).padStart(4, "0")}`;
}

/** Above all names of an operator's partitions and objects. */
export const operatorPrefix = (timeline: string, operator: string): string => `${timeline}/${operator}/`;

export function parsePartitionName(name: string): PartitionId {
  const match = /^([a-z0-9-]+)\/([a-z0-9-]+)\/(\d{4,})$/.exec(name);
  if (!match) throw new Error(`"${name}" is not a partition's name (timeline/operator/0000)`);
  return { timeline: match[1]!, operator: match[2]!, partition: Number(match[3]) };
}

/** What makes one attempt at a snapshot unique; sorts by epoch, then attempt. */
export function attemptId(epoch: Epoch, attempt: number, nonce: string): string {
  return `${fixed(epoch, 10)}-${fixed(attempt, 6)}-${nonce}`;
}

/** `part`: of a snapshot of several files, from 1. */
export const snapshotName = (id: PartitionId, attempt: string, part?: number): string =>
  `${snapshotPrefix(id)}${attempt}${part === undefined ? "" : `.${fixed(part, 4)}`}.kfs`;

export const snapshotPrefix = (id: PartitionId): string => `${partitionName(id)}/snapshots/`;

/** Which attempt of which epoch a name or an attempt's id comes from; null: it is none of ours. */
export function attemptOf(name: string): { readonly epoch: Epoch; readonly attempt: number } | null {
  const match = /(?:^|\/)(\d{10})-(\d{6})-[^/]+$/.exec(name);
  return match === null ? null : { epoch: epoch(Number(match[1])), attempt: Number(match[2]) };
}

/** Epochs of one life. No partition is opened for writing so often between two disasters that R2 doesn't show it. */
const LIFE = 1_000_000;

export const incarnationOf = (of: Epoch): number => Math.floor(of / LIFE);

/** Where the next life begins: more than a whole life above the highest epoch that a name shows, since writers that left
 *  nothing in R2 have taken further ones. */
export const nextIncarnation = (highest: Epoch): Epoch => epoch((incarnationOf(highest) + 2) * LIFE);

/** Sorted by manifest number first, so that a listing of the prefix is the order of history. `piece`: of an archive in several
 *  objects, from 1; the last one, which has the manifest that counts, has no number in its name and sorts behind the others. */
export const manifestName = (id: PartitionId, version: number, attempt: string, piece?: number): string =>
  `${manifestPrefix(id)}${fixed(version, 10)}-${attempt}${piece === undefined ? "" : `.${fixed(piece, 4)}`}.kfm`;

/** Sorts above the names of all manifests before this version, and below those of it and later. */
export const belowManifest = (id: PartitionId, version: number): string => `${manifestPrefix(id)}${fixed(version, 10)}`;

export interface ManifestName {
  readonly version: number;
  readonly attempt: string;
  readonly epoch: Epoch;
  /** Null: the object that stands for the snapshot. */
  readonly piece: number | null;
}

/** Which version, by which attempt of which epoch, a manifest's name says; null: it is none of ours. */
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

const fixed = (n: number, width: number): string => String(n).padStart(width, "0");
