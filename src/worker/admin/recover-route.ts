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
import {
  findPlacement,
  finishRecovery,
  logDatabases,
  storePlacement,
  type StoredOperator,
} from "../../adapters/catalogue.ts";
import { R2Store } from "../../adapters/r2-store.ts";
import { knownRows } from "../../adapters/rebuilt-rows.ts";
import { route, type Placement } from "../../engine/operator/routing.ts";
import { Failure } from "../../engine/base/errors.ts";
import { stampTime } from "../../engine/base/hybrid-clock.ts";
import { operatorPrefix, type Stamp } from "../../engine/base/ids.ts";
import type { Operator } from "../../engine/operator/operator.ts";
import { RECOVER_CALLS } from "../../engine/base/limits.ts";
import { deducePlacement, type Hint } from "../../engine/operator/lost-placement.ts";
import { newestManifest, partitionsInStore } from "../../engine/recovery/rebuild.ts";
import type { App } from "../app.ts";
import type { Env } from "../env.ts";
import { fileEnvironment } from "../file-environment.ts";
import { countedStore } from "../ingest/calls.ts";
import type { Lineage } from "../lineage.ts";
import { settledAt } from "../read/moments.ts";
import { requestClock } from "../request-clock.ts";
import {
  bringsBackGivenUp,
  lineAt,
  linesToRecover,
  recordRecovered,
  type RecoveredLines,
  reserveNumbers,
  storeRecoveredLines,
  unclear,
  unsplit,
} from "./recover-lines.ts";
import {
  isRecovering,
  lineNumbers,
  missingOf,
  refusal,
  recoveryMomentIn,
  type RecoveryStores,
  type RecoveryMoment,
} from "./recover-moment.ts";
import { beginAnew, recoverPartition, type RecoveredPartition } from "./recover-partition.ts";

/** Loading states may take longer than a request can. The next request resumes at the partition that is left. */
const RECOVER_MS = 20_000;

type Item = { readonly partition: number; readonly missing?: number } & RecoveredPartition;

export async function recoverOperator(request: Request, env: Env, app: App, operator: Operator): Promise<Response> {
  const lines = await linesToRecover(env);
  if (lines instanceof Response) return lines;
  const wanted = await recoveryMomentIn(request, env, lines.lineage);
  if (wanted instanceof Response) return wanted;
  const lineage = wanted === null ? lines.lineage : lineAt(lines.lineage, wanted.at);
  const beyond = beyondStart(lines, lineage);
  if (beyond !== null) return beyond;
  const until = requestClock.now() + RECOVER_MS;
  const databases = logDatabases(env as unknown as Record<string, unknown>);
  const stored = await findPlacement(databases, lineage.line, operator.name);
  const own = unsplit(lineage, operator.name);
  const ground = await groundOf(env, operator, lines, own, stored);
  const known = new Set(ground.rows.filter(({ line }) => line === lineage.line).map(({ partition }) => partition));
  const { objects, inStore } = ground;
  const givenUp =
    stored === null && inStore.length > 0 ? await bringsBackGivenUp(env, lines, wanted?.at ?? null) : null;
  if (givenUp !== null) return givenUp;
  if (wanted !== null) {
    const hasRow = (of: (typeof inStore)[number]): boolean =>
      ground.rows.some(({ line, partition }) => line === of.line && partition === of.partition);
    const refused = await refusal(ground, stored, !inStore.every(hasRow), wanted);
    if (refused !== null) return refused;
  } else if (stored !== null && stored.recovering !== null) return isRecovering(operator, stored.recovering);
  if (lines.isLost || (lineage.ancestors.length > 0 && known.size < (stored?.partitions ?? 1)))
    await storeRecoveredLines(env, lines, lineage);
  if (wanted !== null) {
    const settled = await settledAt(env, { line: lineage.line, ancestors: [] }, String(wanted.at));
    if (settled instanceof Response) return settled;
    if (stored === null && inStore.length === 0)
      return answer(operator, wanted, false, neverSaved(operator, lineage, wanted));
  }
  if (!lines.isLost && stored === null && inStore.length > 0) await reserveNumbers(env);
  const placement = stored ?? (await rebuildPlacement(ground, wanted?.at ?? null));
  const items: Item[] = [];
  const on = route(own.line, operator, placement, own.ancestors);
  for (const address of on.addresses) {
    const { partition } = address;
    if (known.has(partition)) items.push({ partition, status: "kept" });
    else if (!inStore.some((one) => one.partition === partition))
      items.push({
        partition,
        ...(await beginAnew(ground, address, stored)),
        ...missingOf(wanted, lineage, operator, partition),
      });
    else if (requestClock.now() > until || objects.calls > RECOVER_CALLS) items.push({ partition, status: "later" });
    else items.push({ partition, ...(await recoverPartition(ground, on, address, wanted)) });
  }
  const finishes = wanted !== null && stored?.recovered !== wanted.at && isFinished(wanted, items);
  if (finishes) {
    await recordRecovered(env, lineage);
    await finishRecovery(databases, lineage.line, operator.name, wanted.at);
  }
  const changed = stored === null || finishes || items.some(({ status }) => status === "recovered");
  if (changed) app.forget();
  return answer(operator, wanted, changed, items);
}

/** Returns the reason why that line of main's past can't come back, or null. */
function beyondStart({ lineage: main, isLost, removed }: RecoveredLines, { line }: Lineage): Response | null {
  const [start] = main.ancestors;
  if (line === removed)
    return unclear(`R2 has nothing from before stamp ${start!.at}, ${stampTime(start!.at)}: choose a later moment`);
  if (line === main.line || isLost) return null;
  return unclear(
    `main starts at stamp ${start!.at}, ${stampTime(start!.at)}: a recovery to an earlier moment needs new databases`,
  );
}

async function groundOf(
  env: Env,
  operator: Operator,
  { removed }: RecoveredLines,
  lineage: Lineage,
  stored: StoredOperator | null,
): Promise<RecoveryStores> {
  const databases = logDatabases(env as unknown as Record<string, unknown>);
  const objects = countedStore(new R2Store(env.SNAPSHOTS));
  const lines = lineNumbers(lineage);
  const found = lines.map((line) => knownRows(databases, operatorPrefix(line, operator.name)));
  const rows = (await Promise.all(found)).flat();
  const own = new Set(rows.filter(({ line }) => line === lineage.line).map(({ partition }) => partition));
  const whole = stored !== null && own.size === stored.partitions;
  const inStore = (whole ? [] : lines).map(async (line) =>
    (await partitionsInStore({ objects, clock: requestClock }, line, operator.name)).map((partition) => ({
      line,
      partition,
    })),
  );
  return { env, operator, databases, lineage, removed, rows, inStore: (await Promise.all(inStore)).flat(), objects };
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
const neverSaved = (operator: Operator, lineage: Lineage, wanted: RecoveryMoment): Item[] =>
  Array.from({ length: operator.partitions }, (_, partition) => ({
    partition,
    status: "nothing",
    ...missingOf(wanted, lineage, operator, partition),
  }));

/** @throws Failure placement_unclear */
async function rebuildPlacement(
  { operator, databases, lineage, removed, rows, inStore, objects }: RecoveryStores,
  recovering: Stamp | null,
): Promise<Placement> {
  const hints: Hint[] = rows.map(({ partition, database, seed }) => ({
    from: `the row of partition ${partition} in ${database}`,
    partition,
    seed,
    partitions: null,
    database,
  }));
  for (const { line, partition } of inStore) {
    const manifest = await newestManifest(
      fileEnvironment({ line, operator: operator.name, partition }, operator, objects),
    );
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
  // The line itself is last, since its placement says that the others are there.
  for (const line of lineNumbers(lineage).toReversed())
    if (line !== removed)
      await storePlacement(databases, line, deduced.placement, line === lineage.line ? recovering : null);
  // Another request may have written the placement first. An isolate that looked before R2 had manifests may also have
  // placed the operator.
  const stored = await findPlacement(databases, lineage.line, operator.name);
  const { seed, partitions } = deduced.placement;
  if (stored?.seed !== seed || stored.partitions !== partitions || stored.recovering !== recovering)
    throw new Failure("placement_unclear", `operator "${operator.name}" was placed otherwise in the meantime`);
  return stored;
}
