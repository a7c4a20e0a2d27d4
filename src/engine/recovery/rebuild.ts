/**
 * Rebuild: the row of a partition from R2 alone, for the day when D1 is gone (SNAP2).
 *
 * REBUILD1. Candidates come newest first, by version, then by attempt. Within an incarnation this is the order of their
 *     seqs. A later incarnation goes first, whatever seq an earlier one had reached, since those events were given up.
 * REBUILD2. Every attempt whose objects are intact is usable, even if it never became current. Every attempt holds the
 *     state of a committed prefix of the log (SNAP1). An attempt is intact if `load` returns its state. An object that
 *     holds an earlier piece of an archive is no attempt, since the rest of the archive may be missing.
 * REBUILD3. A corrupt attempt is passed over. An object isn't corrupt if other code could read it, or if the store may
 *     return it later. An older snapshot would then give up events without need, so this is a named error.
 * REBUILD4. The row's version and epoch are above all that names in R2 show. Versions never go back (RECOVERY5 of
 *     recovery.ts), and no writer of the old incarnation holds an epoch that is given again (LOG2).
 */
import { readManifestObject } from "../snapshot/manifest-object.ts";
import { Damage, Failure, messageOf } from "../base/errors.ts";
import {
  belowManifest,
  epoch,
  manifestOf,
  manifestPrefix,
  nextIncarnation,
  operatorPrefix,
  parsePartitionName,
  partitionName,
  seq,
  snapshotPrefix,
  type Epoch,
  type PartitionId,
} from "../base/ids.ts";
import type { Manifest } from "../snapshot/manifest.ts";
import type { PartitionRow } from "../base/records.ts";
import { load } from "./past-state.ts";
import { fetchObject, listNames } from "../snapshot/object-reader.ts";
import type { FileEnvironment } from "../operator/environment.ts";

export type Rebuilt =
  /** `passedOver` says why newer manifests were not usable. */
  | {
      readonly tag: "found";
      readonly manifest: Manifest;
      readonly row: PartitionRow;
      readonly passedOver: readonly string[];
    }
  | { readonly tag: "nothing" }
  | { readonly tag: "unreadable"; readonly passedOver: readonly string[] };

/** Manifests that are tried. A generation has at most nine, so these are several generations. */
const TRIES = 50;

/**
 * Returns the row that brings the partition back. `known` holds the versions and epochs that others than R2 have seen.
 *
 * @throws Failure if other code could read the partition, or if R2 doesn't answer
 */
export async function rebuild(
  env: FileEnvironment,
  seed: number,
  known: Top = { version: 0, epoch: epoch(0) },
): Promise<Rebuilt> {
  const shown = await highestName(env);
  if (shown === null) return { tag: "nothing" };
  const top = higher(shown, known);
  const passedOver: string[] = [];
  for await (const found of newestFirst(env, shown.version)) {
    try {
      if (found.tag === "damaged") throw found.why;
      const { loader } = await load(env, { seed, startSeq: seq(0) }, found.manifest, false);
      await loader.stored!.check(found.manifest);
      return { tag: "found", manifest: found.manifest, row: rowOf(found.manifest, seed, top), passedOver };
    } catch (error) {
      if (!(error instanceof Damage)) throw error;
      assertReachable(error);
      passedOver.push(`manifest ${found.version}: ${messageOf(error)}`);
      if (passedOver.length === TRIES) break;
    }
  }
  // An archive whose last piece is missing gives no candidate.
  return passedOver.length === 0 ? { tag: "nothing" } : { tag: "unreadable", passedOver };
}

/**
 * Returns the newest manifest whose text is intact, or null if there is none. The state of the manifest may be corrupt.
 */
export async function newestManifest(env: FileEnvironment): Promise<Manifest | null> {
  const top = await highestName(env);
  if (top === null) return null;
  let tried = 0;
  for await (const found of newestFirst(env, top.version)) {
    if (found.tag === "manifest") return found.manifest;
    if (++tried === TRIES) break;
  }
  return null;
}

/** Returns the numbers of the operator's partitions that have any object in R2, in rising order. */
export async function partitionsInStore(
  reader: Pick<FileEnvironment, "objects" | "clock">,
  line: number,
  operator: string,
): Promise<number[]> {
  const prefix = operatorPrefix(line, operator);
  const found: number[] = [];
  for (let after = ""; ;) {
    const { names } = await listNames(reader, prefix, after);
    if (names[0] === undefined) return found;
    const id = parsePartitionName(names[0].split("/").slice(0, 3).join("/"));
    found.push(id.partition);
    // Names are plain ASCII, so "~" is above all names of the partition.
    after = `${partitionName(id)}/~`;
  }
}

export interface Top {
  readonly version: number;
  readonly epoch: Epoch;
}

export const higher = (a: Top, b: Top): Top => ({
  version: Math.max(a.version, b.version),
  epoch: epoch(Math.max(a.epoch, b.epoch)),
});

/** Returns the highest version and epoch that the partition's names show, or null if there is no manifest. */
export async function highestName(env: FileEnvironment): Promise<Top | null> {
  const version = await highest(env, manifestPrefix(env.id));
  if (version === 0) return null;
  const names = await namesBetween(env, version, version);
  const epochs = names.map((name) => manifestOf(name)?.epoch ?? 0);
  return { version, epoch: epoch(Math.max(await highest(env, snapshotPrefix(env.id)), ...epochs)) };
}

/**
 * Returns the highest number that a name begins with, or 0 if there is no name. Archives are many, and names can't be
 * listed from their end, so this is a search. Each call lists above a number, which doubles at first and then halves
 * the range.
 */
async function highest(env: FileEnvironment, prefix: string): Promise<number> {
  let [low, high] = [0, Number.POSITIVE_INFINITY];
  for (
    let probe = 0;
    ;
    probe = high === Number.POSITIVE_INFINITY ? Math.max(1, low * 2) : Math.floor((low + high) / 2)
  ) {
    const { names, more } = await listNames(env, prefix, probe === 0 ? "" : `${prefix}${fixed(probe)}`);
    const last = numberOf(names.at(-1), prefix);
    if (last === null && probe === 0) return 0;
    if (last === null) high = probe;
    else low = last;
    if ((last !== null && !more) || high - low <= 1) return low;
  }
}

const fixed = (n: number): string => String(n).padStart(10, "0");

function numberOf(name: string | undefined, prefix: string): number | null {
  const digits = name?.slice(prefix.length, prefix.length + 10) ?? "";
  return /^\d{10}$/.test(digits) ? Number(digits) : null;
}

/** Returns the names of the manifests of these versions, in order. */
export async function namesBetween(env: FileEnvironment, from: number, to: number): Promise<string[]> {
  const [prefix, end] = [manifestPrefix(env.id), belowManifest(env.id, to + 1)];
  const found: string[] = [];
  for (let after = belowManifest(env.id, from); ;) {
    const { names, more } = await listNames(env, prefix, after);
    found.push(...names.filter((name) => name < end));
    after = names.at(-1) ?? end;
    if (!more || after >= end) return found;
  }
}

type Candidate =
  | { readonly tag: "manifest"; readonly version: number; readonly manifest: Manifest }
  | { readonly tag: "damaged"; readonly version: number; readonly why: Damage };

/** Versions that are listed together. */
const WINDOW = 100;

export async function* newestFirst(env: FileEnvironment, top: number): AsyncGenerator<Candidate> {
  for (let [to, size] = [top, WINDOW]; to > 0;) {
    const names = await namesBetween(env, Math.max(1, to - size + 1), to);
    to -= size;
    // A gap of any width takes few steps.
    size = names.length === 0 ? size * 2 : WINDOW;
    for (const name of names.toReversed()) {
      const made = manifestOf(name);
      if (made !== null && made.piece === null) yield candidate(env, name, made);
    }
  }
}

/** @throws Failure unknown_format (REBUILD3) */
async function candidate(
  env: FileEnvironment,
  name: string,
  { version, attempt }: { readonly version: number; readonly attempt: string },
): Promise<Candidate> {
  try {
    const { manifest } = readManifestObject(await fetchObject(env, name), env.codec);
    const right = manifest.number === version && manifest.attempt === attempt && samePartition(manifest, env.id);
    if (right) return { tag: "manifest", version, manifest };
    throw new Damage(`${name} holds manifest ${manifest.number} of attempt ${manifest.attempt}`);
  } catch (error) {
    if (error instanceof Damage) return { tag: "damaged", version, why: error };
    throw error;
  }
}

/**
 * Refuses to pass over an object that the store may return later: an older snapshot would give up events without need
 * (REBUILD3).
 *
 * @throws Failure store_unavailable
 */
export function assertReachable({ unreachable, object, message }: Damage): void {
  if (unreachable)
    throw new Failure(
      "store_unavailable",
      `${message}; try again later, or delete ${object} to recover without its content`,
    );
}

const samePartition = (manifest: Manifest, id: PartitionId): boolean => partitionName(manifest) === partitionName(id);

/** Older generations are found through the manifest's history. Pins were lost with D1. */
export const rowOf = (manifest: Manifest, seed: number, top: Top): PartitionRow => ({
  epoch: nextIncarnation(top.epoch),
  seed,
  startSeq: manifest.startSeq ?? seq(0),
  version: top.version,
  attempt: manifest.attempt,
  // Members keep their order, so the checksum still fits.
  manifest: JSON.stringify(manifest),
  snapshotSeq: manifest.seq,
  snapshotStamp: manifest.stamp,
  previousSeq: seq(0),
  previous: null,
  pins: "[]",
});
