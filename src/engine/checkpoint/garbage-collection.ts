/**
 * Sweeping: first retention gives up what it need not keep, in D1; then the files that no root reaches and none ever will go
 * from R2: of what was given up, and what crashes between two steps of a snapshot leave behind (SNAP10).
 *
 * GC1. Only the holder of the epoch sweeps: the statement that gives up and reads the roots holds epoch and version.
 * GC2. The roots are both generations, what is kept for a rollback, and the restore points. One that can't be read, or a pin on
 *     what is no root, could reach anything: then nothing is deleted.
 * GC3. Deleted is only what no transaction can name any more: files of lower epochs, whose promotions the epoch refuses, and
 *     of our own attempts before the one that the read shows as current, whose promotions its version refuses. So it doesn't
 *     matter what happens between the read, the listing and the deletion.
 * GC4. It is bounded: PAGES of names at a time, and the next sweep goes on where this one ended.
 * GC5. Archives go by version alone, below the one that D1 says is given up: a recovery may need the archive of an attempt that never
 *     became current (RECOVERY5 of recovery.ts). Those of restore points stay, since they say what these are.
 */
import { messageOf } from "../base/errors.ts";
import { attemptOf, belowManifest, manifestOf, manifestPrefix, snapshotPrefix, type Epoch } from "../base/ids.ts";
import { OPEN_ATTEMPTS } from "../base/limits.ts";
import { readManifest, stateFiles } from "../snapshot/manifest.ts";
import { pinTexts } from "../snapshot/rollback-pins.ts";
import type { Codec } from "../base/ports.ts";
import type { PartitionRow, Roots } from "../base/records.ts";
import type { Surroundings } from "../recovery/environment.ts";
import { plan, type RetentionFacts } from "./retention.ts";
import { listNames } from "../snapshot/object-reader.ts";
import { limited, persistent } from "../base/retry.ts";

/** Pages of up to 1,000 names in one sweep: more than a policy keeps files, so that each sweep gets to what may go. */
const PAGES = 4;

export type Collected =
  /** `next`: the name after which the next sweep goes on; "": from the beginning. */
  | {
      readonly tag: "swept";
      readonly files: number;
      readonly archives: number;
      readonly points: number;
      readonly next: string;
    }
  | { readonly tag: "left"; readonly why: string }
  /** Another writer is after this one: proof that it is of no use any more. */
  | { readonly tag: "fenced"; readonly why: string };

/** Deletes what is garbage, of the names above `after`. Never rejects: a snapshot must not suffer from it. */
export async function collectGarbage(
  env: Surroundings,
  epoch: Epoch,
  ended: () => boolean,
  after: string,
): Promise<Collected> {
  try {
    const before = await askD1(env, () => env.log.roots());
    const why = before === null ? "there is no row" : superseded(before.row, epoch);
    if (why !== null) return { tag: before !== null && before.row.epoch > epoch ? "fenced" : "left", why };
    const given = await giveUp(env, before!);
    if (given.tag === "left") return given;
    const { roots } = given;
    const reached = reachable(roots, env.codec);
    const isGarbage = (name: string): boolean => !reached.has(name) && isPast(name, roots.row);
    const { files, next } = await clear(env, snapshotPrefix(env.id), after, ended, isGarbage);
    const archives = await expire(env, roots, ended);
    return { tag: "swept", files, archives, points: before!.points.length - roots.points.length, next };
  } catch (error) {
    return { tag: "left", why: messageOf(error) };
  }
}

const askD1 = <T>({ clock, host }: Surroundings, call: () => Promise<T>): Promise<T> =>
  persistent(clock, host, "D1", OPEN_ATTEMPTS, call);

const superseded = (row: PartitionRow, epoch: Epoch): string | null =>
  row.epoch === epoch ? null : `epoch ${epoch} was superseded by ${row.epoch}`;

type Given = { readonly tag: "given"; readonly roots: Roots } | { readonly tag: "left"; readonly why: string };

/** Retention: what is given up counts when D1 says so, and before anything is deleted. @throws where a root can't be read (GC2) */
async function giveUp(env: Surroundings, { row, points, pins }: Roots): Promise<Given> {
  const facts = factsOf(row, points, env.codec);
  if (facts === null) return { tag: "left", why: "there is no snapshot" };
  const known = new Set([facts.current.number, ...points.map(({ version }) => version)]);
  const stray = pins.find(({ version }) => !known.has(version));
  if (stray !== undefined)
    return { tag: "left", why: `pin "${stray.name}" holds manifest ${stray.version}, which is no restore point` };
  const { clock, log, operator } = env;
  const change = { epoch: row.epoch, version: row.version, ...plan(facts, clock.now(), operator.snapshot.retain) };
  const roots = await askD1(env, () => log.retain(change));
  return roots === null
    ? { tag: "left", why: `manifest ${row.version} of epoch ${row.epoch} is no longer current` }
    : { tag: "given", roots };
}

/** Null: there is no snapshot yet. @throws where a manifest can't be read (GC2) */
function factsOf(row: PartitionRow, points: Roots["points"], codec: Codec): RetentionFacts | null {
  if (row.manifest === null) return null;
  const read = (text: string): RetentionFacts["current"] => readManifest(text, codec.crc32);
  return {
    points,
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

/** Is it of an attempt that can't become current any more (GC3)? */
function isPast(name: string, row: PartitionRow): boolean {
  const made = attemptOf(name.replace(/\.kfs$/, ""));
  const current = attemptOf(row.attempt);
  if (made === null) return false;
  if (made.epoch !== row.epoch) return made.epoch < row.epoch;
  return current !== null && current.epoch === row.epoch && made.attempt < current.attempt;
}

/** Deletes the archives that are given up (GC5): the oldest names of all, so a listing begins with them. */
async function expire(env: Surroundings, { points, archiveFrom }: Roots, ended: () => boolean): Promise<number> {
  if (archiveFrom <= 1) return 0;
  const kept = new Set(points.map(({ attempt }) => attempt));
  const end = belowManifest(env.id, archiveFrom);
  const isExpired = (name: string): boolean => {
    const made = manifestOf(name);
    return made !== null && made.version < archiveFrom && !kept.has(made.attempt);
  };
  return (await clear(env, manifestPrefix(env.id), "", ended, isExpired, end)).files;
}

/** Deletes the garbage under a prefix, above `after` and up to `end`, page by page (GC4). */
async function clear(
  env: Surroundings,
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
