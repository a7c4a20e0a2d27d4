/**
 * Manifests: the immutable, numbered document that says which objects make up a snapshot, and of which log.
 *
 * MANIFEST1. Its text stands in the partition's row in D1, so that opening needs no further read, and as the first line of an
 *     object in R2 that also carries the archive of the covered log: R2 alone is enough to rebuild the row (SNAP2), and a
 *     snapshot costs two writes (SNAP5).
 * MANIFEST2. It has a format version and a checksum over itself; a text that doesn't fit is damage, never a guess (SNAP3).
 */
import { type CounterRow, type Counts, isCounterRow } from "../base/counters.ts";
import { Digest } from "../base/digest.ts";
import { Damage, Failure } from "../base/errors.ts";
import type { Epoch, Seq, Stamp } from "../base/ids.ts";
import { isObject, isText, isWhole, parseObject, shown } from "../base/json.ts";
import { isMinutes, type Minute } from "../base/minutes.ts";
import { isStateFile, type Point, type StateFile } from "../base/records.ts";
import type { ArchiveBlock } from "../log/archive.ts";
import type { Unmigrated } from "../operator/migration.ts";

/** The last few measurements of each, the newest at the end; none: it was never measured. */
export interface Rates {
  /** Events replayed in a millisecond. */
  readonly replayPerMs: readonly number[];
  /** Bytes of state files fetched and read in a millisecond. */
  readonly loadPerMs: readonly number[];
  /** Milliseconds of the first call to D1, where it brought few rows. */
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

/** Of a snapshot whose full one is in several files: code that knows single ones only must not take it for damaged. */
export const PARTS_FORMAT = 2;

/** Earlier manifests that one names. */
const HISTORY = 20;

/** What the manifest after this one says of those before it. */
export const historyAfter = ({ number: version, attempt, history = [] }: Manifest): Manifest["history"] =>
  [[version, attempt] as const, ...history].slice(0, HISTORY);

export interface Manifest {
  readonly format: "keyframe.manifest";
  readonly v: number;
  /** 1, 2, 3, …: the number of this snapshot in the partition's history. */
  readonly number: number;
  /** A delta holds what changed since the manifest before it. */
  readonly kind: "full" | "delta";
  readonly timeline: string;
  readonly operator: string;
  readonly partition: number;
  /** How the operator was placed: without it, R2 alone could not say which key lives here (CODE2). */
  readonly placed?: { readonly seed: number; readonly database: string; readonly partitions?: number };
  /** Version of the state's shape, and the code that ran (CODE4). */
  readonly operatorVersion: number;
  readonly code: string;
  readonly epoch: Epoch;
  readonly attempt: string;
  /** The state holds exactly the events 1..seq; `stamp` is the stamp of that segment. */
  readonly seq: Seq;
  readonly stamp: Stamp;
  /** When it was begun, RFC 3339, and how long it took until the manifest was written. */
  readonly at: string;
  readonly ms: number;
  readonly keys: number;
  /** Characters of keys and states. */
  readonly stateBytes: number;
  /** Of the whole state (digest.ts). Missing where nobody has counted it. */
  readonly digest?: string;
  /** Keys whose state is of an older version, since migrating it fails. Missing where there are none. */
  readonly unmigrated?: Unmigrated;
  readonly dedupSince: string | null;
  /** What coming back cost, as last measured. */
  readonly rates?: Rates;
  /** Events set aside; and what the partition has counted, this snapshot included (counters.ts). For looking. */
  readonly quarantined?: number;
  readonly counters?: CounterRow;
  /** The last hour of these counts (minutes.ts). */
  readonly minutes?: readonly Minute[];
  /** Who made it; `epoch` says in which epoch. */
  readonly writer?: string;
  readonly snapshot: StateFile;
  /** How many files the full one is, where it is not one. */
  readonly parts?: number;
  /** The files that are read before it: a full snapshot's other parts, then the deltas, in their order. */
  readonly chain?: readonly StateFile[];
  /** The manifests that were current before it, newest first, as far as HISTORY goes: their objects hold the archive. */
  readonly history?: readonly (readonly [version: number, attempt: string])[];
  /** The log that this manifest's object carries: of the events above `from`, those of the blocks, up to `to`. */
  readonly archive: {
    readonly name: string;
    readonly from: Seq;
    readonly to: Seq;
    readonly codec: string;
    readonly blocks: readonly ArchiveBlock[];
    /** Which one of several objects it is, from 1, and the bytes of the log in those before it. The last one ends at the snapshot's seq, and is
     *  what D1 names; the others stand for no snapshot. */
    readonly piece?: number;
    readonly earlierBytes?: number;
  };
  readonly checksum: number;
}

/** Bytes of ids that stand apart: an opening for events reads them too. */
export const apartBytes = (manifest: Pick<Manifest, "chain" | "snapshot">): number =>
  stateFiles(manifest).reduce((sum, { ids = 0 }) => sum + ids, 0);

/** All files that the state is read from, in their order. */
export const stateFiles = ({ chain = [], snapshot }: Pick<Manifest, "chain" | "snapshot">): StateFile[] => [
  ...chain,
  snapshot,
];

/** The manifest as a restore point. `whole`: its files are known to be. */
export function pointOf(manifest: Manifest, whole: boolean, replacedMs: number): Point {
  const { number: version, attempt, seq, stamp } = manifest;
  return { version, attempt, seq, stamp, files: stateFiles(manifest).map(({ name }) => name), whole, replacedMs };
}

/** Bytes that opening from this manifest fetches: all but the states. */
export const openingBytes = (manifest: Pick<Manifest, "chain" | "snapshot">): number =>
  stateFiles(manifest).reduce((sum, file) => sum + file.bytes - (file.rest ?? 0) - (file.ids ?? 0), 0);

/** What a snapshot adds to the counters. */
export function snapshotCounts({
  kind,
  ms,
  snapshot,
  chain = [],
  archive,
}: Pick<Manifest, "kind" | "ms" | "snapshot" | "chain" | "archive">): Counts {
  const archiveBytes = archive.blocks.reduce((sum, [, length]) => sum + length, archive.earlierBytes ?? 0);
  const counts = { snapshotMs: ms, archiveBytes };
  if (kind === "delta") return { ...counts, deltaSnapshots: 1, deltaBytes: snapshot.bytes };
  return { ...counts, fullSnapshots: 1, fullBytes: chain.reduce((sum, { bytes }) => sum + bytes, snapshot.bytes) };
}

export function manifestText(manifest: Omit<Manifest, "checksum">, crc32: (text: string) => number): string {
  return JSON.stringify({ ...manifest, checksum: crc32(JSON.stringify(manifest)) });
}

/** @throws Damage where it isn't whole, Failure unknown_format where it is of another version */
export function readManifest(text: string, crc32: (text: string) => number): Manifest {
  const parsed = parseObject(text, "the manifest");
  if (parsed["format"] !== "keyframe.manifest") throw new Damage("the manifest's format isn't keyframe.manifest");
  const { checksum, ...rest } = parsed;
  const { v, number } = rest;
  if (v !== MANIFEST_FORMAT && v !== PARTS_FORMAT)
    throw new Failure(
      "unknown_format",
      `manifest ${shown(number)} has format ${shown(v)}; this code reads ${MANIFEST_FORMAT} and ${PARTS_FORMAT}: deploy the code that wrote it, or newer`,
    );
  if (crc32(textOf(rest)) !== checksum) throw new Damage(`the checksum of manifest ${shown(number)} is wrong`);
  if (!isWhole(number) || number === 0 || !isDescription(rest))
    throw new Damage(`a part of manifest ${shown(number)} is missing, or not what it should be`);
  return parsed as unknown as Manifest;
}

/** What the checksum is over: members in their order. @throws Damage */
function textOf(rest: Readonly<Record<string, unknown>>): string {
  try {
    return JSON.stringify(rest);
  } catch {
    throw new Damage("the manifest is nested too deep to be one");
  }
}

function isDescription(manifest: Readonly<Record<string, unknown>>): boolean {
  const { kind, timeline, operator, code, attempt, at, dedupSince, snapshot, archive } = manifest;
  const { partition, operatorVersion, epoch, seq, stamp, ms, keys, stateBytes } = manifest;
  return (
    isChain(kind, manifest["chain"], manifest["parts"], manifest["v"] === PARTS_FORMAT) &&
    (manifest["digest"] === undefined || Digest.isText(manifest["digest"])) &&
    isUnmigrated(manifest["unmigrated"]) &&
    isHistory(manifest["history"]) &&
    (manifest["rates"] === undefined || isRates(manifest["rates"])) &&
    (manifest["quarantined"] === undefined || isWhole(manifest["quarantined"])) &&
    (manifest["writer"] === undefined || isText(manifest["writer"])) &&
    (manifest["counters"] === undefined || isCounterRow(manifest["counters"])) &&
    (manifest["minutes"] === undefined || isMinutes(manifest["minutes"])) &&
    isPlaced(manifest["placed"]) &&
    [timeline, operator, code, attempt, at].every(isText) &&
    // `ms` is a difference of two looks at a clock that may be set back.
    [partition, operatorVersion, epoch, seq, stamp, keys, stateBytes].every(isWhole) &&
    Number.isSafeInteger(ms) &&
    (dedupSince === null || isText(dedupSince)) &&
    isStateFile(snapshot) &&
    isObject(archive) &&
    isArchive(archive, seq as number)
  );
}

/** A delta builds on something, a full snapshot on nothing but its own parts. */
function isChain(kind: unknown, chain: unknown, parts: unknown, several: boolean): boolean {
  if (several ? !isWhole(parts) || parts < 2 : parts !== undefined) return false;
  const before = several ? (parts as number) - (kind === "full" ? 1 : 0) : kind === "full" ? 0 : 1;
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
 * One after the other, without a hole up to the end. They may begin above `from`, or be none at all: after a rollback the
 * rest stands in older archives.
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
