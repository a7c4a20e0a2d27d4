/** Recovering one partition of an operator (recover-route.ts). */
import type { StoredOperator } from "../../adapters/catalogue.ts";
import { storeRow, storeRowAndLog } from "../../adapters/rebuilt-rows.ts";
import type { Address } from "../../engine/operator/routing.ts";
import { Failure } from "../../engine/base/errors.ts";
import { stampTime } from "../../engine/base/hybrid-clock.ts";
import { partitionName, type PartitionId } from "../../engine/base/ids.ts";
import type { Operator } from "../../engine/operator/operator.ts";
import { rebuild, type Top } from "../../engine/recovery/rebuild.ts";
import { rebuildAt, type RebuiltAt } from "../../engine/recovery/rebuild-at.ts";
import type { Manifest } from "../../engine/snapshot/manifest.ts";
import type { Env } from "../env.ts";
import { fileEnvironment } from "../file-environment.ts";
import { note } from "../note.ts";
import { askPartition } from "../http/answers.ts";
import { partitionStub } from "../stub.ts";
import { missingOf, type RecoveryStores, type RecoveryMoment } from "./recover-moment.ts";

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

export async function recoverPartition(
  { env, operator, databases, objects }: RecoveryStores,
  address: Address,
): Promise<RecoveredPartition> {
  const { partition, seed, database } = address;
  const id = idOf(operator, address);
  const known = await knownOf(env, address);
  if (known === "busy") return { status: "later" };
  const found = await rebuild(fileEnvironment(id, operator, objects), seed, known);
  if (found.tag === "unreadable") return { status: "unreadable", passedOver: found.passedOver };
  if (found.tag === "nothing") return { status: "nothing" };
  assertPlacedThere(found.manifest, address);
  const written = await storeRow(databases.get(database)!, id, found.row);
  if (!written) return { status: "kept" };
  await evict(env, address);
  const { number: version, seq, at } = found.manifest;
  note("partition recovered from R2", { operator: operator.name, partition, manifest: version, seq });
  return { status: "recovered", manifest: version, seq, at, passedOver: found.passedOver };
}

/** As `recoverPartition`, as of a moment. */
export async function recoverPartitionAt(
  { env, operator, databases, objects }: RecoveryStores,
  address: Address,
  wanted: RecoveryMoment,
): Promise<RecoveredPartition> {
  const { partition, seed, database } = address;
  const id = idOf(operator, address);
  const known = await knownOf(env, address);
  if (known === "busy") return { status: "later" };
  const found = await rebuildAt(fileEnvironment(id, operator, objects), seed, wanted.at, known);
  if (found.tag === "unreadable") return { status: "unreadable", passedOver: found.passedOver };
  if (found.tag === "nothing") return { status: "nothing", ...missingOf(wanted, operator, partition) };
  const { base, seq, givenUp, log, passedOver } = found;
  const short = shortOf(wanted, partitionName(id), found);
  if (short !== null && !wanted.incomplete) {
    const at = seq === 0 ? null : stampTime(found.stamp);
    const why = found.why === null ? passedOver : [...passedOver, found.why];
    return { status: "short", seq, at, ...short, passedOver: why };
  }
  if (base !== null) assertPlacedThere(base, address);
  if (!(await storeRowAndLog(databases.get(database)!, id, found.row, log, found.rows()))) return { status: "later" };
  await evict(env, address);
  note("partition recovered from R2", { operator: operator.name, partition, manifest: base?.number ?? null, seq });
  const about = short === null ? {} : { incomplete: true as const, ...short };
  const at = stampTime(short === null ? wanted.at : found.stamp);
  return { status: "recovered", manifest: base?.number ?? null, seq, at, passedOver, givenUp, ...about };
}

/** Returns null if the partition reaches the moment. A savepoint that counted its events decides. */
function shortOf(
  { heads }: RecoveryMoment,
  partition: string,
  { seq, complete }: RebuiltAt,
): { readonly missing?: number } | null {
  const head = heads === null || heads.get(partition) === null ? null : (heads.get(partition) ?? 0);
  if (head === null) return complete ? null : {};
  return seq >= head ? null : { missing: head - seq };
}

const idOf = ({ name: operator }: Operator, { line, partition }: Address): PartitionId => ({
  line,
  operator,
  partition,
});

/**
 * The epochs of an incarnation that was lost before its first snapshot are only in the object's own storage (NAME4 of
 * ids.ts).
 */
async function knownOf(env: Env, address: Address): Promise<Top | undefined | "busy"> {
  const marked = await askPartition(async () => ({ tag: "ok", value: await partitionStub(env, address).mark() }));
  return marked.tag === "busy" ? "busy" : (marked.value ?? undefined);
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

/**
 * An object in memory still has the state that D1 has lost, and waits for a log that is gone. It must end, so that its
 * successor opens from the rebuilt row.
 */
const evict = (env: Env, address: Address): Promise<void> =>
  partitionStub(env, address)
    .evict()
    .catch(() => undefined);

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
