/**
 * Log reader: the log of a partition from any seq downwards, from D1 and, if D1 has cut it, from the archive. The
 * reader takes no epoch and wakes nothing (SNAP9), so the log may be read from anywhere.
 *
 * LOGREAD1. Every seq comes exactly once. A seq that can't be found is a named error (LOG4), never a log that seems to
 *     begin there.
 * LOGREAD2. D1 is read first. A row that is gone from D1 is in an archive by then (LOG5).
 * LOGREAD3. Seqs rise with manifest versions, as far as an archive counts (RECOVERY5 of recovery.ts, incarnation.ts). A
 *     row is in the archive of the first version that reaches it, since D1 still had the row when that version was
 *     made. So a binary search finds the archive that holds a seq. From then on, the next archive is that of the
 *     version before.
 * LOGREAD4. The reader holds one page of D1, or one object of an archive, at a time. An archive in several objects is
 *     read from its last object backwards.
 * LOGREAD5. Below the version from which D1 says that archives are kept, the log is given up (LOG5). The log ends
 *     there, and the reader says so. A kept archive that can't be read is no such end.
 * LOGREAD6. Below the start of a line's own log comes the log of the line that it started from (ORIGIN1). If that line
 *     was removed, its log is given up (ORIGIN3).
 */
import type { LogEnvironment } from "../operator/environment.ts";
import { readArchiveBelow, readManifestObject } from "../snapshot/manifest-object.ts";
import type { ReadSegment } from "../log/archive.ts";
import { Failure, isUnreadable } from "../base/errors.ts";
import { belowManifest, manifestName, manifestOf, manifestPrefix, seq, type Seq } from "../base/ids.ts";
import { archiveLimits } from "../recovery/incarnation.ts";
import { isRemoved, startOfLog } from "../recovery/past-state.ts";
import type { Manifest } from "../snapshot/manifest.ts";
import type { Roots } from "../base/records.ts";
import { readSegment } from "../log/segment.ts";
import { fetchObject, listNames } from "../snapshot/object-reader.ts";
import { persistent } from "../base/retry.ts";

/** A segment, and the number of objects that were read up to it. */
interface Below extends ReadSegment {
  readonly objects: number;
}

/** The reason why nothing is further down: the log begins here, or retention has given up the rest (LOGREAD5). */
export type Bottom = "beginning" | "given up";

/**
 * Yields the segments that begin below `before`, newest first. If `before` is null, starts from the end of the log.
 *
 * @throws Damage, Failure
 */
export async function* logBelow(env: LogEnvironment, before: Seq | null): AsyncGenerator<Below, Bottom> {
  const { origin } = env;
  const { bottom, start } = yield* ownBelow(env, before);
  if (bottom !== "beginning" || origin === undefined || start === 0) return bottom;
  try {
    return yield* logBelow(origin.env, seq(Math.min(before ?? Number.MAX_SAFE_INTEGER, start + 1)));
  } catch (error) {
    if (isRemoved(error)) return "given up";
    throw error;
  }
}

/** The end of one line's own log, which begins above `start`. */
interface Own {
  readonly bottom: Bottom;
  readonly start: Seq;
}

async function* ownBelow(env: LogEnvironment, before: Seq | null): AsyncGenerator<Below, Own> {
  const { log, clock, codec, origin } = env;
  let next = before ?? seq(Number.MAX_SAFE_INTEGER);
  let begun = false;
  for (;;) {
    const from = next;
    const rows = await persistent(clock, "D1", () => log.below(from));
    for (const row of rows) {
      if (begun && row.last !== next - 1) refuse(env, next - 1, `D1 has a row ${row.seq}..${row.last} below it`);
      yield { row, events: readSegment(row, codec), objects: 0 };
      next = row.seq;
      begun = true;
    }
    if (rows.length === 0) break;
  }
  if (next === 1) return { bottom: "beginning", start: seq(0) };
  const roots = await persistent(clock, "D1", () => log.roots());
  if (roots === null)
    return { bottom: "beginning", start: origin === undefined ? seq(0) : (await startOfLog(origin)).seq };
  // If D1 has no row below, the rest of the log is below the snapshot.
  const below = begun ? next : seq(Math.min(next, roots.row.snapshotSeq + 1));
  return { bottom: yield* archivedBelow(env, roots, below), start: roots.row.startSeq };
}

async function* archivedBelow(
  env: LogEnvironment,
  { row, archiveFrom }: Roots,
  before: Seq,
): AsyncGenerator<Below, Bottom> {
  if (before <= row.startSeq + 1) return "beginning";
  const bottom = Math.max(1, archiveFrom);
  const limitOf = await archiveLimits(env, row, bottom > 1 ? belowManifest(env.id, bottom) : "");
  const archives: Archives = { env, bottom, top: row.version, limitOf, objects: 0 };
  let next = before;
  for (let version = row.version + 1; next > row.startSeq + 1;) {
    const found = await holding(archives, seq(next - 1), version);
    if (found === "given up") return found;
    version = found.version;
    for (let one: Held | null = found; one !== null; one = await pieceBefore(archives, one.manifest, next)) {
      for (const segment of readArchiveBelow(one.file, env.codec, next)) {
        yield { ...segment, objects: archives.objects };
        next = segment.row.seq;
      }
    }
  }
  return "beginning";
}

interface Archives {
  readonly env: LogEnvironment;
  /** Version of the oldest manifest whose archive is kept. */
  readonly bottom: number;
  /** Version of the current manifest. */
  readonly top: number;
  readonly limitOf: (name: string) => number;
  /** Objects that were read so far. */
  objects: number;
}

interface Archived {
  readonly version: number;
  readonly manifest: Manifest;
  /** Null if the archive doesn't hold the wanted seq. */
  readonly file: Uint8Array | null;
  /** The archive counts up to this seq. */
  readonly limit: number;
}

interface Held {
  readonly version: number;
  readonly manifest: Manifest;
  readonly file: Uint8Array;
}

/** Returns the object that holds the rows before a piece, or null if the whole search is needed. */
async function pieceBefore(
  archives: Archives,
  { number: version, attempt, archive }: Manifest,
  next: Seq,
): Promise<Held | null> {
  const { env, limitOf } = archives;
  if (archive.piece === undefined || archive.piece === 1) return null;
  const name = manifestName(env.id, version, attempt, archive.piece - 1);
  try {
    archives.objects += 1;
    const file = await fetchObject(env, name);
    const { manifest } = readManifestObject(file, env.codec);
    const found = { version, manifest, file, limit: limitOf(name) };
    return holds(found, next - 1) ? found : null;
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return null;
  }
}

/**
 * Returns the archive that holds a seq. Looks below the version that was read last, then everywhere.
 *
 * @throws Failure log_broken
 */
async function holding(archives: Archives, at: Seq, below: number): Promise<Held | "given up"> {
  const { bottom, top } = archives;
  // Rows that D1 still has are also in the current manifest's archive. Rows that D1 has cut are in the one before.
  for (const near of [below - 1, below - 2]) {
    const found = (await archivesFrom(archives, near, near, at)).find(isHeld);
    if (found !== undefined) return found;
  }
  let [low, high] = [bottom, top];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const found = await archivesFrom(archives, middle, high, null);
    if (found.length > 0 && found.every((one) => reach(one) < at)) low = found[0]!.version + 1;
    else high = middle;
  }
  const lowest = await archivesFrom(archives, low, top, at);
  const found = lowest.find(isHeld);
  if (found !== undefined) return found;
  // If `bottom` is above 1, it is a version that was current, so one of its archives is the log's (LOGREAD5).
  // An attempt that broke off may begin lower, since D1 had more rows then.
  const ended = bottom > 1 && lowest.some((one) => one.version === bottom && at < firstOf(one));
  return ended ? "given up" : refuse(archives.env, at, "no readable archive holds it");
}

/** Returns the first seq that the archive holds. If it holds none, returns the seq after those that it covers. */
const firstOf = ({ manifest: { archive } }: Archived): number => archive.blocks[0]?.[3] ?? archive.to + 1;

/** An archive that broke off ends below its snapshot's seq. */
const reach = ({ manifest, limit }: Archived): number => Math.min(manifest.archive.to, limit);

const isHeld = (one: Archived): one is Archived & Held => one.file !== null;

const holds = ({ manifest, limit }: Pick<Archived, "manifest" | "limit">, at: number): boolean =>
  at <= limit && manifest.archive.blocks.some(([, , , first, last]) => first <= at && at <= last);

/** The number of unreadable objects at which one search fails. */
const TRIES = 50;

/**
 * Returns the readable manifest objects of the first version from `from` to `to` that has any. The objects are attempts
 * and pieces, most often one. The object that holds `at` comes with its file.
 */
async function archivesFrom(archives: Archives, from: number, to: number, at: Seq | null): Promise<Archived[]> {
  const { env, bottom, limitOf } = archives;
  const found: Archived[] = [];
  if (from < bottom) return found;
  const { id, codec } = env;
  let passedOver = 0;
  for (let after = belowManifest(id, from); ;) {
    const { names, more } = await listNames(env, manifestPrefix(id), after);
    for (const name of names) {
      const version = manifestOf(name)?.version ?? 0;
      if (limitOf(name) === 0) continue;
      if (version > to || (found[0] !== undefined && found[0].version !== version)) return found;
      try {
        archives.objects += 1;
        const file = await fetchObject(env, name);
        const one = { version, manifest: readManifestObject(file, codec).manifest, limit: limitOf(name) };
        const held = at !== null && holds(one, at) && !found.some(isHeld);
        found.push({ ...one, file: held ? file : null });
      } catch (error) {
        if (!isUnreadable(error) || ++passedOver === TRIES) throw error;
      }
    }
    after = names.at(-1) ?? after;
    if (!more) return found;
  }
}

function refuse({ id }: LogEnvironment, at: number, why: string): never {
  throw new Failure(
    "log_broken",
    `seq ${at} of partition ${id.partition} of "${id.operator}" can't be found: ${why} (LOG4)`,
  );
}
