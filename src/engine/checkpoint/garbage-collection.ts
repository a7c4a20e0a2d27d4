/**
 * Garbage collection: first, retention gives up in D1 what it need not keep. Then files go from R2 if no root
 * references them and none ever will. Such files were given up, or a crash between two steps of a snapshot left them
 * behind (SNAP10).
 *
 * GC1. Only the holder of the epoch collects garbage: the statement that gives up and reads the roots checks epoch and
 *     version.
 * GC2. The roots are both generations, the snapshots that are kept for a rollback, and the restore points. An
 *     unreadable root could reference anything, and so could a pin on a manifest that is no root. In both cases nothing
 *     is deleted.
 * GC3. Delete only files that no future transaction can reference. First, these are files of lower epochs, whose
 *     promotions the epoch refuses. Second, these are files of our own attempts before the one that the read shows as
 *     current, whose promotions its version refuses. So changes between the read, the listing and the deletion don't
 *     matter.
 * GC4. Each run is bounded to PAGES of names. The next run resumes where this one ended.
 * GC5. Archives are deleted by version alone, below the version that D1 says is given up, except those beside a
 *     savepoint (RETENTION6). A recovery may need the
 *     archive of an attempt that never became current (RECOVERY5 of recovery.ts). Archives of restore points stay,
 *     since they hold the manifests of these restore points.
 */
import { messageOf } from "../base/errors.ts";
import { attemptOf, belowManifest, manifestOf, manifestPrefix, snapshotPrefix, type Epoch } from "../base/ids.ts";
import { superseded } from "../log/fence.ts";
import { readManifest, stateFiles } from "../snapshot/manifest.ts";
import { pinTexts } from "../snapshot/rollback-pins.ts";
import type { Codec } from "../base/ports.ts";
import type { PartitionRow, Roots } from "../base/records.ts";
import { plan, spansOf, type RetentionFacts } from "./retention.ts";
import { listNames } from "../snapshot/object-reader.ts";
import { limited, persistent } from "../base/retry.ts";
import type { Environment } from "../operator/environment.ts";

/** Pages of up to 1,000 names in one run. A policy keeps fewer files than that, so each run reaches garbage. */
const PAGES = 4;

type Collected =
  /** `next` is the name after which the next run resumes, or "" for the beginning. */
  | {
      readonly tag: "collected";
      readonly files: number;
      readonly archives: number;
      readonly points: number;
      readonly next: string;
    }
  | { readonly tag: "skipped"; readonly why: string }
  /** Another writer has superseded this one, which proves that this one is of no more use. */
  | { readonly tag: "fenced"; readonly why: string };

/** Deletes garbage among the names above `after`. Never rejects: a snapshot must not suffer from it. */
export async function collectGarbage(
  env: Environment,
  epoch: Epoch,
  ended: () => boolean,
  after: string,
): Promise<Collected> {
  try {
    const before = await askD1(env, () => env.log.roots());
    const why = superseded(epoch, before?.row ?? null);
    if (why !== null) return { tag: before !== null && before.row.epoch > epoch ? "fenced" : "skipped", why };
    const given = await giveUp(env, before!);
    if (given.tag === "skipped") return given;
    const { roots } = given;
    const reached = reachable(roots, env.codec);
    const isGarbage = (name: string): boolean => !reached.has(name) && isPast(name, roots.row);
    const { files, next } = await clear(env, snapshotPrefix(env.id), after, ended, isGarbage);
    const archives = await expire(env, roots, ended);
    return { tag: "collected", files, archives, points: before!.points.length - roots.points.length, next };
  } catch (error) {
    return { tag: "skipped", why: messageOf(error) };
  }
}

const askD1 = <T>({ clock }: Environment, call: () => Promise<T>): Promise<T> => persistent(clock, "D1", call);

type Given = { readonly tag: "given"; readonly roots: Roots } | { readonly tag: "skipped"; readonly why: string };

/**
 * Applies retention. Giving up takes effect when D1 says so, and before anything is deleted.
 *
 * @throws if a root can't be read (GC2)
 */
async function giveUp(env: Environment, { row, points, pins, savepoints }: Roots): Promise<Given> {
  const facts = factsOf(row, points, savepoints, env.codec);
  if (facts === null) return { tag: "skipped", why: "there is no snapshot" };
  const known = new Set([facts.current.number, ...points.map(({ version }) => version)]);
  const stray = pins.find(({ version }) => !known.has(version));
  if (stray !== undefined)
    return { tag: "skipped", why: `pin "${stray.name}" holds manifest ${stray.version}, which is no restore point` };
  const { clock, log, operator } = env;
  const given = plan(facts, clock.now(), operator.snapshot.retain);
  const change = { epoch: row.epoch, version: row.version, savepoints, ...given };
  const roots = await askD1(env, () => log.retain(change));
  return roots === null
    ? { tag: "skipped", why: `manifest ${row.version} of epoch ${row.epoch} is no longer current` }
    : { tag: "given", roots };
}

/** Returns null if there is no snapshot yet. @throws if a manifest can't be read (GC2) */
function factsOf(
  row: PartitionRow,
  points: Roots["points"],
  savepoints: Roots["savepoints"],
  codec: Codec,
): RetentionFacts | null {
  if (row.manifest === null) return null;
  const read = (text: string): RetentionFacts["current"] => readManifest(text, codec.crc32);
  return {
    points,
    savepoints,
    current: read(row.manifest),
    previous: row.previous === null ? null : read(row.previous),
    older: pinTexts(row.pins).map(read),
  };
}

function reachable({ row, points }: Roots, codec: Codec): Set<string> {
  const texts = [row.manifest, row.previous, ...pinTexts(row.pins)].filter((text) => text !== null);
  const named = texts.flatMap((text) => stateFiles(readManifest(text, codec.crc32)).map(({ name }) => name));
  return new Set([...named, ...points.flatMap(({ files }) => files)]);
}

/** Returns true if the file is of an attempt that can't become current any more (GC3). */
function isPast(name: string, row: PartitionRow): boolean {
  const made = attemptOf(name.replace(/\.kfs$/, ""));
  const current = attemptOf(row.attempt);
  if (made === null) return false;
  if (made.epoch !== row.epoch) return made.epoch < row.epoch;
  return current !== null && current.epoch === row.epoch && made.attempt < current.attempt;
}

/**
 * Deletes the archives that are given up (GC5). A listing begins with these archives, since their names are the oldest.
 */
async function expire(
  env: Environment,
  { row, points, savepoints, archiveFrom }: Roots,
  ended: () => boolean,
): Promise<number> {
  if (archiveFrom <= 1) return 0;
  const { number: version, stamp } = readManifest(row.manifest!, env.codec.crc32);
  const spans = spansOf(savepoints, [...points.filter(({ intact }) => intact), { version, stamp }]);
  const kept = new Set(points.map(({ attempt }) => attempt));
  const end = belowManifest(env.id, archiveFrom);
  const isExpired = (name: string): boolean => {
    const made = manifestOf(name);
    const isOld = made !== null && made.version < archiveFrom && !kept.has(made.attempt);
    return isOld && !spans.some(({ from, to }) => made.version > from && made.version <= to);
  };
  return (await clear(env, manifestPrefix(env.id), "", ended, isExpired, end)).files;
}

/** Deletes the garbage under a prefix, above `after` and up to `end`, page by page (GC4). */
async function clear(
  env: Environment,
  prefix: string,
  after: string,
  ended: () => boolean,
  isGarbage: (name: string) => boolean,
  end = "",
): Promise<{ readonly files: number; readonly next: string }> {
  let files = 0;
  let next = after;
  for (let page = 0; page < PAGES; page++) {
    const { names, more } = await listNames(env, prefix, next);
    const garbage = names.filter(isGarbage);
    if (ended()) throw new Error("the object has ended");
    if (garbage.length > 0) await limited(env.clock, "R2", () => env.objects.delete(garbage));
    files += garbage.length;
    next = more ? (names.at(-1) ?? "") : "";
    if (!more || (end !== "" && next >= end)) break;
  }
  return { files, next };
}
