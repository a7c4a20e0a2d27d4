/**
 * `POST /v1/operators/{op}/recover`: rebuilds the rows that D1 has lost of an operator from R2. Without a moment, each
 * partition comes back up to its last snapshot. With `{"to": MOMENT}`, all come back as of that moment.
 *
 * RECOVERROUTE1. Existing rows stay as they are. So it can be called at any time, twice, or again after it broke off.
 * RECOVERROUTE2. The placement comes first. A partition without its row refuses by name, since R2 holds its manifests.
 * RECOVERROUTE3. If one partition can't be read, the others are recovered nevertheless.
 * RECOVERROUTE4. A moment needs databases that hold nothing of the operator. The placement says which moment, in the
 *     statement that claims the operator, and closes the operator until all partitions are there (CATALOGUE4).
 * RECOVERROUTE5. A partition that doesn't reach the moment is written only if the request says yes to it. The answer says
 *     how far it gets.
 */
import { findPlacement, finishRecovery, logDatabases, storePlacement } from "../../adapters/catalogue.ts";
import { R2Store } from "../../adapters/r2-store.ts";
import { knownRows } from "../../adapters/rebuilt-rows.ts";
import { route, type Placement } from "../../engine/operator/routing.ts";
import { Failure } from "../../engine/base/errors.ts";
import { stampTime } from "../../engine/base/hybrid-clock.ts";
import { FIRST_LINE, operatorPrefix, type Stamp } from "../../engine/base/ids.ts";
import type { Operator } from "../../engine/operator/operator.ts";
import { RECOVER_CALLS } from "../../engine/base/limits.ts";
import { deducePlacement, type Hint } from "../../engine/operator/placement.ts";
import { newestManifest, partitionsInStore } from "../../engine/recovery/rebuild.ts";
import type { App } from "../app.ts";
import type { Env } from "../env.ts";
import { fileEnvironment } from "../file-environment.ts";
import { countedStore } from "../ingest/calls.ts";
import { problem } from "../problem.ts";
import { requestClock } from "../request-clock.ts";
import { readTimelines, wasSwitched } from "../timelines.ts";
import {
  isRecovering,
  missingOf,
  refusal,
  recoveryMomentIn,
  type RecoveryStores,
  type RecoveryMoment,
} from "./recover-moment.ts";
import { beginAnew, recoverPartition, recoverPartitionAt, type RecoveredPartition } from "./recover-partition.ts";

/** Loading states may take longer than a request can. The next request resumes at the partition that is left. */
const RECOVER_MS = 20_000;

type Item = { readonly partition: number; readonly missing?: number } & RecoveredPartition;

export async function recoverOperator(request: Request, env: Env, app: App, operator: Operator): Promise<Response> {
  // The first database alone knows where main starts. A rebuilt row doesn't say what was logged on the other line.
  if ((await readTimelines(env)).main.line !== FIRST_LINE || (await wasSwitched(env)))
    return problem({
      status: 409,
      code: "line_not_recoverable",
      detail: "another line than the first one was made main: restore the databases, R2 alone doesn't tell its start",
    });
  const wanted = await recoveryMomentIn(request, env);
  if (wanted instanceof Response) return wanted;
  const until = requestClock.now() + RECOVER_MS;
  const databases = logDatabases(env as unknown as Record<string, unknown>);
  const rows = await knownRows(databases, operatorPrefix(FIRST_LINE, operator.name));
  const objects = countedStore(new R2Store(env.SNAPSHOTS));
  const ground = { env, operator, databases, rows, objects };
  const stored = await findPlacement(databases, FIRST_LINE, operator.name);
  const known = new Set(rows.map(({ partition }) => partition));
  const whole = stored !== null && known.size === stored.partitions;
  const inStore = whole ? [] : await partitionsInStore({ objects, clock: requestClock }, FIRST_LINE, operator.name);
  if (wanted !== null) {
    const isLost = inStore.some((partition) => !known.has(partition));
    const refused = await refusal(ground, stored, isLost, wanted);
    if (refused !== null) return refused;
    if (stored === null && inStore.length === 0) return answer(operator, wanted, false, neverSaved(operator, wanted));
  } else if (stored !== null && stored.recovering !== null) return isRecovering(operator, stored.recovering);
  const placement = stored ?? (await rebuildPlacement(ground, inStore, wanted?.at ?? null));
  const items: Item[] = [];
  for (const address of route(FIRST_LINE, operator, placement).addresses) {
    const { partition } = address;
    if (known.has(partition)) items.push({ partition, status: "kept" });
    else if (!inStore.includes(partition))
      items.push({
        partition,
        ...(await beginAnew(ground, address, stored)),
        ...missingOf(wanted, operator, partition),
      });
    else if (requestClock.now() > until || objects.calls > RECOVER_CALLS) items.push({ partition, status: "later" });
    else if (wanted === null) items.push({ partition, ...(await recoverPartition(ground, address)) });
    else items.push({ partition, ...(await recoverPartitionAt(ground, address, wanted)) });
  }
  const finishes = wanted !== null && stored?.recovered !== wanted.at && isFinished(wanted, items);
  if (finishes) await finishRecovery(databases, FIRST_LINE, operator.name, wanted.at);
  const changed = stored === null || finishes || items.some(({ status }) => status === "recovered");
  if (changed) app.forget();
  return answer(operator, wanted, changed, items);
}

/** With a yes, a partition that can't be read doesn't keep the others closed. It refuses by itself. */
const isFinished = (wanted: RecoveryMoment, items: readonly Item[]): boolean =>
  isComplete(wanted, items) || (wanted.incomplete && items.every(({ status }) => status !== "later"));

const isComplete = (wanted: RecoveryMoment | null, items: readonly Item[]): boolean =>
  items.every(({ status, missing = 0 }) => {
    if (status === "later" || status === "unreadable" || status === "short") return false;
    return missing === 0 || (wanted !== null && wanted.incomplete);
  });

function answer(operator: Operator, wanted: RecoveryMoment | null, changed: boolean, items: readonly Item[]): Response {
  const to = wanted === null ? {} : { to: wanted.at, time: stampTime(wanted.at) };
  const complete = isComplete(wanted, items);
  return Response.json({ operator: operator.name, ...to, changed, complete, partitions: items.length, items });
}

/** Neither D1 nor R2 has anything of the operator. It begins anew with its first event. */
const neverSaved = (operator: Operator, wanted: RecoveryMoment): Item[] =>
  Array.from({ length: operator.partitions }, (_, partition) => ({
    partition,
    status: "nothing",
    ...missingOf(wanted, operator, partition),
  }));

/** @throws Failure placement_unclear */
async function rebuildPlacement(
  { operator, databases, rows, objects }: RecoveryStores,
  inStore: readonly number[],
  recovering: Stamp | null,
): Promise<Placement> {
  const hints: Hint[] = rows.map(({ partition, database, seed }) => ({
    from: `the row of partition ${partition} in ${database}`,
    partition,
    seed,
    partitions: null,
    database,
  }));
  for (const partition of inStore) {
    const id = { line: FIRST_LINE, operator: operator.name, partition };
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
  await storePlacement(databases, FIRST_LINE, deduced.placement, recovering);
  // Another request may have written the placement first. An isolate that looked before R2 had manifests may also have
  // placed the operator.
  const stored = await findPlacement(databases, FIRST_LINE, operator.name);
  const { seed, partitions } = deduced.placement;
  if (stored?.seed !== seed || stored.partitions !== partitions || stored.recovering !== recovering)
    throw new Failure("placement_unclear", `operator "${operator.name}" was placed otherwise in the meantime`);
  return stored;
}
