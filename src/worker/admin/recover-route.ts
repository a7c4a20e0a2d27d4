/**
 * `POST /v1/operators/{op}/recover`: rebuilds the rows that D1 has lost of an operator from R2, up to the last
 * snapshot.
 *
 * RECOVERROUTE1. Existing rows stay as they are. So it can be called at any time, twice, or again after it broke off.
 * RECOVERROUTE2. The placement comes first. A partition without its row refuses by name, since R2 holds its manifests.
 * RECOVERROUTE3. If one partition can't be read, the others are recovered nevertheless.
 */
import { findPlacement, logDatabases, storePlacement, type Databases } from "../../adapters/catalogue.ts";
import { R2Store } from "../../adapters/r2-store.ts";
import { knownRows, storeRow, type KnownRow } from "../../adapters/rebuilt-rows.ts";
import { route, type Address, type Placement } from "../../engine/operator/routing.ts";
import { Failure } from "../../engine/base/errors.ts";
import { MAIN_TIMELINE, operatorPrefix } from "../../engine/base/ids.ts";
import type { Manifest } from "../../engine/snapshot/manifest.ts";
import type { Operator } from "../../engine/operator/operator.ts";
import { RECOVER_CALLS } from "../../engine/base/limits.ts";
import { deducePlacement, type Hint } from "../../engine/operator/placement.ts";
import { newestManifest, partitionsInStore, rebuild } from "../../engine/recovery/rebuild.ts";
import type { App } from "../app.ts";
import type { Env } from "../env.ts";
import { fileEnvironment } from "../file-environment.ts";
import { countedStore, type CountedStore } from "../ingest/calls.ts";
import { note } from "../note.ts";
import { requestClock } from "../request-clock.ts";
import { askPartition } from "../http/answers.ts";
import { partitionStub } from "../stub.ts";

/** Loading states may take longer than a request can. The next request resumes at the partition that is left. */
const RECOVER_MS = 20_000;

interface Ground {
  readonly env: Env;
  readonly operator: Operator;
  readonly databases: Databases;
  readonly rows: readonly KnownRow[];
  /** R2, with the calls of this request counted. */
  readonly objects: CountedStore;
}

/** The result of one partition. */
type Outcome =
  | { readonly status: "kept" | "nothing" | "later" }
  | {
      readonly status: "recovered";
      readonly manifest: number;
      readonly seq: number;
      /** The time when the snapshot was begun: later events are lost. */
      readonly at: string;
      readonly passedOver: readonly string[];
    }
  | { readonly status: "unreadable"; readonly passedOver: readonly string[] };

export async function recoverOperator(env: Env, app: App, operator: Operator): Promise<Response> {
  const until = requestClock.now() + RECOVER_MS;
  const databases = logDatabases(env as unknown as Record<string, unknown>);
  const rows = await knownRows(databases, operatorPrefix(MAIN_TIMELINE, operator.name));
  const objects = countedStore(new R2Store(env.SNAPSHOTS));
  const ground = { env, operator, databases, rows, objects };
  const stored = await findPlacement(databases, MAIN_TIMELINE, operator.name);
  const known = new Set(rows.map(({ partition }) => partition));
  const whole = stored !== null && known.size === stored.partitions;
  const inStore = whole ? [] : await partitionsInStore({ objects, clock: requestClock }, MAIN_TIMELINE, operator.name);
  const placement = stored ?? (await rebuildPlacement(ground, inStore));
  const items: ({ readonly partition: number } & Outcome)[] = [];
  for (const address of route(MAIN_TIMELINE, operator, placement).addresses) {
    const { partition } = address;
    if (known.has(partition)) items.push({ partition, status: "kept" });
    else if (!inStore.includes(partition)) items.push({ partition, ...(await beginAnew(ground, address, stored)) });
    else if (requestClock.now() > until || objects.calls > RECOVER_CALLS) items.push({ partition, status: "later" });
    else items.push({ partition, ...(await recoverPartition(ground, address)) });
  }
  const changed = stored === null || items.some(({ status }) => status === "recovered");
  if (changed) app.forget();
  const complete = items.every(({ status }) => status !== "later" && status !== "unreadable");
  return Response.json({ operator: operator.name, changed, complete, partitions: placement.partitions, items });
}

/** @throws Failure placement_unclear */
async function rebuildPlacement(
  { operator, databases, rows, objects }: Ground,
  inStore: readonly number[],
): Promise<Placement> {
  const hints: Hint[] = rows.map(({ partition, database, seed }) => ({
    from: `the row of partition ${partition} in ${database}`,
    partition,
    seed,
    partitions: null,
    database,
  }));
  for (const partition of inStore) {
    const id = { timeline: MAIN_TIMELINE, operator: operator.name, partition };
    const manifest = await newestManifest(fileEnvironment(id, operator, objects));
    if (manifest === null) continue;
    const { seed = null, partitions = null, database = null } = manifest.placed ?? {};
    hints.push({ from: manifest.archive.name, partition, seed, partitions, database });
  }
  const deduced = deducePlacement(operator.name, hints, [...databases.keys()]);
  if (deduced.tag === "unclear")
    throw new Failure(
      "placement_unclear",
      `operator "${operator.name}" can't be placed as it was, and must not be placed anew: ${deduced.why}; restore LOG_0`,
    );
  await storePlacement(databases, MAIN_TIMELINE, deduced.placement);
  // Another request may have written the placement first. An isolate that looked before R2 had manifests may also have
  // placed the operator.
  const stored = await findPlacement(databases, MAIN_TIMELINE, operator.name);
  if (stored?.seed !== deduced.placement.seed || stored.partitions !== deduced.placement.partitions)
    throw new Failure("placement_unclear", `operator "${operator.name}" was placed otherwise in the meantime`);
  return stored;
}

async function recoverPartition({ env, operator, databases, objects }: Ground, address: Address): Promise<Outcome> {
  const { timeline, partition, seed, database } = address;
  const id = { timeline, operator: operator.name, partition };
  // The epochs of an incarnation that was lost before its first snapshot are only in the object's own storage (NAME4 of
  // ids.ts).
  const marked = await askPartition(async () => ({ tag: "ok", value: await partitionStub(env, address).mark() }));
  if (marked.tag === "busy") return { status: "later" };
  const known = marked.value ?? undefined;
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

/** R2 has nothing of the partition. If the placement was lost with it, its object may still be in memory. */
async function beginAnew({ env }: Ground, address: Address, stored: Placement | null): Promise<Outcome> {
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
