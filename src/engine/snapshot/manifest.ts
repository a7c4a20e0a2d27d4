/**
 * A manifest is the immutable, numbered document that says which objects make up a snapshot, and of which log.
 *
 * MANIFEST1. The manifest's text stands in the partition's row in D1, so opening needs no further read. The text is
 *     also the first line of an object in R2 that carries the archive of the covered log. So R2 alone is enough to
 *     rebuild the row (SNAP2), and a snapshot costs two writes (SNAP5).
 * MANIFEST2. The manifest has a format version and a checksum over itself. A text that doesn't fit is damage, never a
 *     guess (SNAP3).
 */
import { type CounterRow, type CounterValues, isCounterRow } from "../base/counters.ts";
import { Digest } from "../base/digest.ts";
import { Damage, Failure } from "../base/errors.ts";
import type { Epoch, Seq, Stamp } from "../base/ids.ts";
import { isObject, isText, isWhole, parseObject, shown } from "../base/json.ts";
import { isMinutes, type MinuteCounts } from "../base/minutes.ts";
import { isStateFile, type Point, type StateFile } from "../base/records.ts";
import type { ArchiveBlock } from "../log/archive.ts";
import type { Unmigrated } from "../operator/migration.ts";

/** The last few measurements of each rate, the newest at the end. A rate without any was never measured. */
export interface Rates {
  /** Events replayed in a millisecond. */
  readonly replayPerMs: readonly number[];
  /** Bytes of state files fetched and read in a millisecond. */
  readonly loadPerMs: readonly number[];
  /** Milliseconds of the first call to D1, if it brought few rows. */
  readonly openMs: readonly number[];
}

/** Measurements that are kept of each rate. */
export const KEPT_RATES = 5;

const RATES = ["replayPerMs", "loadPerMs", "openMs"] as const;

export const isRates = (rates: unknown): rates is Rates =>
  isObject(rates) &&
  RATES.every((kind) => {
    const all = rates[kind];
    return Array.isArray(all) && all.length <= KEPT_RATES && all.every((one) => typeof one === "number" && one > 0);
  });

export const MANIFEST_FORMAT = 1;

/** Earlier manifests that a manifest names. */
const HISTORY = 20;

/** Returns the history that the manifest after this one names. */
export const historyAfter = ({ number: version, attempt, history = [] }: Manifest): Manifest["history"] =>
  [[version, attempt] as const, ...history].slice(0, HISTORY);

export interface Manifest {
  readonly format: "keyframe.manifest";
  readonly v: number;
  /** 1, 2, 3, …: the number of this snapshot in the partition's history. */
  readonly number: number;
  /** A delta holds the changes since the manifest before it. */
  readonly kind: "full" | "delta";
  readonly line: number;
  readonly operator: string;
  readonly partition: number;
  /** Seq above which the line's own log begins. Missing if that is 0 (ORIGIN1). */
  readonly startSeq?: Seq;
  /** The placement of the operator. Without it, R2 alone couldn't say which key lives here (CODE2). */
  readonly placed?: { readonly seed: number; readonly database: string; readonly partitions?: number };
  /** Version of the state's shape, and the code that ran (CODE4). */
  readonly operatorVersion: number;
  readonly code: string;
  readonly epoch: Epoch;
  readonly attempt: string;
  /** The state holds exactly the events 1..seq. `stamp` is the stamp of the last segment. */
  readonly seq: Seq;
  readonly stamp: Stamp;
  /** The time when the snapshot was begun (RFC 3339), and how long it took until the manifest was written. */
  readonly at: string;
  readonly ms: number;
  readonly keys: number;
  /** Characters of keys and states. */
  readonly stateBytes: number;
  /** Digest of the whole state (digest.ts). Missing if nobody has counted it. */
  readonly digest?: string;
  /** Keys whose state is of an older version because migrating it fails. Missing if there are none. */
  readonly unmigrated?: Unmigrated;
  readonly dedupSince: string | null;
  /** No timer is due before this time, in milliseconds. Missing if none is pending. */
  readonly pendingFrom?: number;
  /** Rates of a recovery, as last measured. */
  readonly rates?: Rates;
  /** Number of quarantined events, and the partition's counters, this snapshot included (counters.ts). For display. */
  readonly quarantined?: number;
  readonly counters?: CounterRow;
  /** The last hour of these counts (minutes.ts). */
  readonly minutes?: readonly MinuteCounts[];
  /** The writer of the manifest. `epoch` is the writer's epoch. */
  readonly writer?: string;
  readonly snapshot: StateFile;
  /** Number of files of the full snapshot. Missing if it is one file. */
  readonly parts?: number;
  /** Files that are read before `snapshot`: the other parts of a full snapshot, then the deltas, in order. */
  readonly chain?: readonly StateFile[];
  /**
   * Manifests that were current before this one, newest first, at most HISTORY. The objects of these manifests hold the
   * archive.
   */
  readonly history?: readonly (readonly [version: number, attempt: string])[];
  /**
   * The incarnation of the manifest that this manifest's incarnation resumed from, or null if it resumed from none. Only
   * in the first manifest of a later incarnation, and in each attempt at it (incarnation.ts).
   */
  readonly resumed?: number | null;
  /**
   * The log that this manifest's object carries: events above `from` and up to `to`, as far as the blocks hold them.
   */
  readonly archive: {
    readonly name: string;
    readonly from: Seq;
    readonly to: Seq;
    readonly codec: string;
    readonly blocks: readonly ArchiveBlock[];
    /**
     * The number of this object among several, from 1, and the bytes of the log in those before it. The last object
     * ends at the snapshot's seq, and D1 names it. The others stand for no snapshot.
     */
    readonly piece?: number;
    readonly earlierBytes?: number;
  };
  readonly checksum: number;
}

/** Returns the bytes of ids that stand apart. An opening for events reads them too. */
export const apartBytes = (manifest: Pick<Manifest, "chain" | "snapshot">): number =>
  stateFiles(manifest).reduce((sum, { ids = 0 }) => sum + ids, 0);

/** Returns all files that the state is read from, in order. */
export const stateFiles = ({ chain = [], snapshot }: Pick<Manifest, "chain" | "snapshot">): StateFile[] => [
  ...chain,
  snapshot,
];

/** Returns the manifest as a restore point. `intact` is true if the files are known to be intact. */
export function pointOf(manifest: Manifest, intact: boolean, replacedMs: number): Point {
  const { number: version, attempt, seq, stamp } = manifest;
  return { version, attempt, seq, stamp, files: stateFiles(manifest).map(({ name }) => name), intact, replacedMs };
}

/** Returns the bytes that opening from this manifest fetches: all but the states and the ids that stand apart. */
export const openingBytes = (manifest: Pick<Manifest, "chain" | "snapshot">): number =>
  stateFiles(manifest).reduce((sum, file) => sum + file.bytes - (file.rest ?? 0) - (file.ids ?? 0), 0);

/** Returns what a snapshot adds to the counters. */
export function snapshotCounts({
  kind,
  ms,
  snapshot,
  chain = [],
  archive,
}: Pick<Manifest, "kind" | "ms" | "snapshot" | "chain" | "archive">): CounterValues {
  const archiveBytes = archive.blocks.reduce((sum, [, length]) => sum + length, archive.earlierBytes ?? 0);
  const counts = { snapshotMs: ms, archiveBytes };
  if (kind === "delta") return { ...counts, deltaSnapshots: 1, deltaBytes: snapshot.bytes };
  return { ...counts, fullSnapshots: 1, fullBytes: chain.reduce((sum, { bytes }) => sum + bytes, snapshot.bytes) };
}

export function manifestText(manifest: Omit<Manifest, "checksum">, crc32: (text: string) => number): string {
  return JSON.stringify({ ...manifest, checksum: crc32(JSON.stringify(manifest)) });
}

/** @throws Damage if the text is corrupt; Failure unknown_format if it is of another version */
export function readManifest(text: string, crc32: (text: string) => number): Manifest {
  const parsed = parseObject(text, "the manifest");
  if (parsed["format"] !== "keyframe.manifest") throw new Damage("the manifest's format isn't keyframe.manifest");
  const { checksum, ...rest } = parsed;
  const { v, number } = rest;
  if (v !== MANIFEST_FORMAT)
    throw new Failure(
      "unknown_format",
      `manifest ${shown(number)} has format ${shown(v)}; this code reads ${MANIFEST_FORMAT}: deploy the code that wrote it, or newer`,
    );
  if (crc32(textOf(rest)) !== checksum) throw new Damage(`the checksum of manifest ${shown(number)} is wrong`);
  if (!isWhole(number) || number === 0 || !isDescription(rest))
    throw new Damage(`a part of manifest ${shown(number)} is missing or invalid`);
  return parsed as unknown as Manifest;
}

/**
 * Returns the text that the checksum is over: members in their order.
 *
 * @throws Damage if the manifest is nested too deep
 */
function textOf(rest: Readonly<Record<string, unknown>>): string {
  try {
    return JSON.stringify(rest);
  } catch {
    throw new Damage("the manifest is nested too deep");
  }
}

function isDescription(manifest: Readonly<Record<string, unknown>>): boolean {
  const { kind, operator, code, attempt, at, dedupSince, snapshot, archive } = manifest;
  const { line, partition, operatorVersion, epoch, seq, stamp, ms, keys, stateBytes } = manifest;
  return (
    isChain(kind, manifest["chain"], manifest["parts"]) &&
    (manifest["digest"] === undefined || Digest.isText(manifest["digest"])) &&
    isUnmigrated(manifest["unmigrated"]) &&
    isHistory(manifest["history"]) &&
    (manifest["startSeq"] === undefined || isWhole(manifest["startSeq"])) &&
    (manifest["resumed"] == null || isWhole(manifest["resumed"])) &&
    (manifest["rates"] === undefined || isRates(manifest["rates"])) &&
    (manifest["quarantined"] === undefined || isWhole(manifest["quarantined"])) &&
    (manifest["writer"] === undefined || isText(manifest["writer"])) &&
    (manifest["counters"] === undefined || isCounterRow(manifest["counters"])) &&
    (manifest["minutes"] === undefined || isMinutes(manifest["minutes"])) &&
    isPlaced(manifest["placed"]) &&
    [operator, code, attempt, at].every(isText) &&
    // `ms` is a difference of two times, and a clock may be set back between them.
    [line, partition, operatorVersion, epoch, seq, stamp, keys, stateBytes].every(isWhole) &&
    Number.isSafeInteger(ms) &&
    (dedupSince === null || isText(dedupSince)) &&
    isStateFile(snapshot) &&
    isObject(archive) &&
    isArchive(archive, seq as number)
  );
}

/** Checks the chain. A delta builds on other files, a full snapshot only on its own parts. */
function isChain(kind: unknown, chain: unknown, parts: unknown = 1): boolean {
  if (!isWhole(parts) || parts < 1) return false;
  const before = kind === "full" ? parts - 1 : parts;
  if (kind === "full" && before === 0) return chain === undefined;
  if (!Array.isArray(chain) || !chain.every(isStateFile)) return false;
  return kind === "full" ? chain.length === before : kind === "delta" && chain.length >= before;
}

const isUnmigrated = (unmigrated: unknown): boolean =>
  unmigrated === undefined ||
  (isObject(unmigrated) &&
    isWhole(unmigrated["keys"]) &&
    Array.isArray(unmigrated["some"]) &&
    unmigrated["some"].every((one) => Array.isArray(one) && one.length === 2 && isText(one[0]) && isWhole(one[1])));

const isHistory = (history: unknown): boolean =>
  history === undefined ||
  (Array.isArray(history) &&
    history.every((one) => Array.isArray(one) && one.length === 2 && isWhole(one[0]) && isText(one[1])));

const isPlaced = (placed: unknown): boolean =>
  placed === undefined ||
  (isObject(placed) &&
    isWhole(placed["seed"]) &&
    isText(placed["database"]) &&
    (placed["partitions"] === undefined || isWhole(placed["partitions"])));

function isArchive(archive: Readonly<Record<string, unknown>>, last: number): boolean {
  const { name, from, to, codec, blocks, piece, earlierBytes } = archive;
  if (!isText(name) || !isText(codec) || !isWhole(from) || !isWhole(to) || from > to) return false;
  const ends =
    piece === undefined
      ? to === last && earlierBytes === undefined
      : isWhole(piece) && piece > 0 && to <= last && isWhole(earlierBytes);
  return ends && Array.isArray(blocks) && isBlocks(blocks, from, to);
}

/**
 * Checks that the blocks follow each other without a hole up to `to`. The blocks may begin above `from`, or be none at
 * all: after a rollback the rest stands in older archives.
 */
function isBlocks(blocks: readonly unknown[], from: number, to: number): boolean {
  let end: number | null = null;
  for (const block of blocks) {
    if (!Array.isArray(block) || block.length !== 5 || !block.every(isWhole)) return false;
    const [, , , first, last] = block as unknown as ArchiveBlock;
    if (first > last || (end === null ? first <= from : first !== end + 1)) return false;
    end = last;
  }
  return end === null || end === to;
}
