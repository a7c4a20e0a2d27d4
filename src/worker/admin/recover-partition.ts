/** Recovering one partition of an operator (recover-route.ts). */
import type { StoredOperator } from "../../adapters/catalogue.ts";
import { storeRow, storeRowAndLog } from "../../adapters/rebuilt-rows.ts";
import type { Address, Route } from "../../engine/operator/routing.ts";
import { Failure } from "../../engine/base/errors.ts";
import { stampTime } from "../../engine/base/hybrid-clock.ts";
import { partitionName, seq, type PartitionId } from "../../engine/base/ids.ts";
import type { FileEnvironment } from "../../engine/operator/environment.ts";
import { startOfLog } from "../../engine/recovery/past-state.ts";
import { newestManifest, rebuild, type Top } from "../../engine/recovery/rebuild.ts";
import { rebuildAt, type RebuiltAt } from "../../engine/recovery/rebuild-at.ts";
import { beginningAt, brokenStart, rowAt } from "../../engine/recovery/rebuild-start.ts";
import type { Manifest } from "../../engine/snapshot/manifest.ts";
import { fileEnvironment } from "../file-environment.ts";
import { note } from "../note.ts";
import { logEnvironment } from "../read/kept-manifests.ts";
import { headsAtStart, missingOf, type RecoveryStores, type RecoveryMoment } from "./recover-moment.ts";
import { evict, findStarts, knownOf, type Starts } from "./recover-starts.ts";

/** The result of one partition. */
export type RecoveredPartition =
  | { readonly status: "kept" | "nothing" | "later" }
  | {
      readonly status: "recovered";
      /** Null if the log alone is the base. */
      readonly manifest: number | null;
      readonly seq: number;
      /** The time when the snapshot was begun, or the moment: later events are lost. */
      readonly at: string;
      readonly passedOver: readonly string[];
      /** The archived events after the moment, which are given up. */
      readonly givenUp?: number;
      /** It doesn't reach the moment, and the request said yes to that. `missing`: events, if a savepoint counted them. */
      readonly incomplete?: true;
      readonly missing?: number;
    }
  /** R2 doesn't reach the moment. Nothing was written. `at`: time of the last event that R2 has. */
  | {
      readonly status: "short";
      readonly seq: number;
      readonly at: string | null;
      readonly missing?: number;
      readonly passedOver: readonly string[];
    }
  | { readonly status: "unreadable"; readonly passedOver: readonly string[] };

/**
 * Brings back a partition that D1 has no row of. The rows of the lines of its past come first, so that a line
 * without a snapshot of its own finds the state that it starts from.
 */
export async function recoverPartition(
  ground: RecoveryStores,
  on: Route,
  address: Address,
  wanted: RecoveryMoment | null,
): Promise<RecoveredPartition> {
  const { env, operator, objects, lineage } = ground;
  const { partition } = address;
  const isSaved = ground.inStore.some((one) => one.line === lineage.line && one.partition === partition);
  const files = fileEnvironment({ line: lineage.line, operator: operator.name, partition }, operator, objects);
  const newest = isSaved ? await newestManifest(files) : null;
  const starts = await findStarts(ground, address, isSaved ? (newest?.startSeq ?? seq(0)) : null);
  if (starts.tag !== "there") return starts.tag === "busy" ? { status: "later" } : { ...starts, status: "unreadable" };
  const known = await knownOf(env, address);
  if (known === "busy") return { status: "later" };
  if (!isSaved) return beginThere(ground, on, address, starts, known, wanted);
  return wanted === null
    ? recoverNewest(ground, address, files, known, starts)
    : recoverAt(ground, address, files, known, wanted, starts);
}

async function recoverNewest(
  { env, operator, databases }: RecoveryStores,
  address: Address,
  files: FileEnvironment,
  known: Top,
  { write }: Starts,
): Promise<RecoveredPartition> {
  const { partition, seed, database } = address;
  const found = await rebuild(files, seed, known);
  if (found.tag === "unreadable") return { status: "unreadable", passedOver: found.passedOver };
  if (found.tag === "nothing") return { status: "nothing" };
  assertPlacedThere(found.manifest, address);
  await write();
  if (!(await storeRow(databases.get(database)!, files.id, found.row))) return { status: "kept" };
  await evict(env, address);
  const { number: version, seq, at } = found.manifest;
  note("partition recovered from R2", { operator: operator.name, partition, manifest: version, seq });
  return { status: "recovered", manifest: version, seq, at, passedOver: found.passedOver };
}

/** As of a moment. */
async function recoverAt(
  { env, operator, databases, lineage }: RecoveryStores,
  address: Address,
  files: FileEnvironment,
  known: Top,
  wanted: RecoveryMoment,
  { begun, write }: Starts,
): Promise<RecoveredPartition> {
  const { partition, seed, database } = address;
  const { id } = files;
  const found = await rebuildAt(files, seed, wanted.at, known);
  if (found.tag === "unreadable") return { status: "unreadable", passedOver: found.passedOver };
  if (found.tag === "nothing") return { status: "nothing", ...missingOf(wanted, lineage, operator, partition) };
  const broken = brokenStart(found, begun);
  if (broken !== null) return { status: "unreadable", passedOver: [...found.passedOver, broken] };
  const { base, seq, givenUp, log, passedOver } = found;
  const row = rowAt(found, begun);
  const reachedAt = found.stamp === 0 ? row.snapshotStamp : found.stamp;
  const short = shortOf(wanted.heads?.get(partitionName(id)), wanted.heads !== null, found);
  if (short !== null && !wanted.incomplete) {
    const at = seq === 0 ? null : stampTime(reachedAt);
    const why = found.why === null ? passedOver : [...passedOver, found.why];
    return { status: "short", seq, at, ...short, passedOver: why };
  }
  if (base !== null) assertPlacedThere(base, address);
  await write();
  if (!(await storeRowAndLog(databases.get(database)!, id, row, log, found.rows()))) return { status: "later" };
  await evict(env, address);
  note("partition recovered from R2", { operator: operator.name, partition, manifest: base?.number ?? null, seq });
  const about = short === null ? {} : { incomplete: true as const, ...short };
  const at = stampTime(short === null ? wanted.at : reachedAt);
  return { status: "recovered", manifest: base?.number ?? null, seq, at, passedOver, givenUp, ...about };
}

/** R2 has nothing of the partition on the line itself: it begins where the line's start had come. */
async function beginThere(
  ground: RecoveryStores,
  on: Route,
  address: Address,
  { begun, complete, passedOver, write }: Starts,
  known: Top,
  wanted: RecoveryMoment | null,
): Promise<RecoveredPartition> {
  const { env, operator, databases, lineage } = ground;
  const { partition, seed, database } = address;
  const id = { line: lineage.line, operator: operator.name, partition };
  // D1 has the line that it starts from. If nothing was logged on its own, its first opening makes the row.
  if (begun === "kept" && known.epoch === 0) return { status: "nothing" };
  const start = typeof begun === "object" ? begun : await startOfLog(logEnvironment(env, on, address).origin!);
  const { seq } = start;
  const head = wanted === null ? undefined : await headOf(ground, id, wanted);
  const short = wanted === null ? null : shortOf(head, head !== undefined, { seq, complete });
  if (short !== null && wanted?.incomplete !== true)
    return { status: "short", seq, at: seq === 0 ? null : stampTime(start.stamp), ...short, passedOver };
  await write();
  if (!(await storeRow(databases.get(database)!, id, beginningAt(seed, start, known)))) return { status: "kept" };
  await evict(env, address);
  note("partition recovered from R2", { operator: operator.name, partition, manifest: null, seq });
  const about = short === null ? {} : { incomplete: true as const, ...short };
  const at = stampTime(short === null && wanted !== null ? wanted.at : start.stamp);
  return { status: "recovered", manifest: null, seq, at, passedOver, ...about };
}

/** Returns how far a partition had come at the moment, or where its line starts, as a savepoint says. */
async function headOf(
  { env, lineage: { line, ancestors } }: RecoveryStores,
  id: PartitionId,
  { heads }: RecoveryMoment,
): Promise<number | null | undefined> {
  const own = heads?.get(partitionName(id));
  const [start] = ancestors;
  if (own !== undefined || start === undefined) return own;
  return (await headsAtStart(env, line, start))?.get(partitionName({ ...id, line: start.line }));
}

/**
 * Returns null if the partition reaches the moment. A savepoint that counted its events decides: `head` is undefined if
 * none counted this partition.
 */
function shortOf(
  head: number | null | undefined,
  counted: boolean,
  { seq, complete }: Pick<RebuiltAt, "seq" | "complete">,
): { readonly missing?: number } | null {
  if (!counted || head === null) return complete ? null : {};
  return seq >= (head ?? 0) ? null : { missing: (head ?? 0) - seq };
}

/** R2 has nothing of the partition. If the placement was lost with it, its object may still be in memory. */
export async function beginAnew(
  { env }: RecoveryStores,
  address: Address,
  stored: StoredOperator | null,
): Promise<RecoveredPartition> {
  if (stored === null) await evict(env, address);
  return { status: "nothing" };
}

/** @throws Failure placement_unclear if the operator was placed again before R2 was looked at */
function assertPlacedThere({ placed, archive }: Manifest, { seed, partitions, database }: Address): void {
  const same =
    placed === undefined ||
    (placed.seed === seed && placed.database === database && (placed.partitions ?? partitions) === partitions);
  if (!same)
    throw new Failure(
      "placement_unclear",
      `${archive.name} says seed ${placed.seed}, ${placed.database} and ${placed.partitions} partitions, D1 says ${seed}, ${database} and ${partitions}: one of them must go`,
    );
}
