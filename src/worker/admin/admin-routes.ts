/** Routes for admins about partitions, manifests, snapshots and eviction. */
import { logDatabases } from "../../adapters/catalogue.ts";
import { partitionStatus, type StatusRow } from "../../adapters/d1-status.ts";
import type { Address, Route } from "../../engine/operator/routing.ts";
import { partitionName } from "../../engine/base/ids.ts";
import { openingBytes, type Manifest } from "../../engine/snapshot/manifest.ts";
import type { Unmigrated } from "../../engine/operator/migration.ts";
import type { Operator } from "../../engine/operator/operator.ts";
import { readRiding, type PartitionFacts } from "../../engine/recovery/open-partition.ts";
import { predictRecovery } from "../../engine/checkpoint/policy.ts";
import { UNMEASURED } from "../../engine/recovery/recovery-rates.ts";
import { appLocation } from "../../engine/operator/region.ts";
import { limited } from "../../engine/base/retry.ts";
import { noManifest } from "../api/snapshots.ts";
import type { Env } from "../env.ts";
import type { Routes } from "../app.ts";

import { isManifest, keptManifests, readOrWhy } from "../read/kept-manifests.ts";
import { requestClock } from "../request-clock.ts";
import { problem } from "../problem.ts";
import { askPartition, unavailable } from "../http/answers.ts";
import { partitionStub } from "../stub.ts";

/** `lost`: the reason why an operator can't be used, if D1 has lost its placement. */
export function listOperators({ byOperator, lost }: Routes, operators: readonly Operator[]): Response {
  return Response.json(
    operators.map(({ name, version, handlers }) => {
      const partitions = byOperator.get(name)?.placement.partitions ?? null;
      const why = lost?.byOperator.get(name)?.code;
      return { name, version, events: [...handlers.keys()], partitions, ...(why === undefined ? {} : { lost: why }) };
    }),
  );
}

export async function listPartitions(env: Env, route: Route, live: boolean): Promise<Response> {
  const statuses = await statusOf(env, route);
  const all = await Promise.all(
    route.addresses.map((address) => describe(env, address, statuses.get(partitionName(address)), live)),
  );
  const failed = all.find((one) => one instanceof Response);
  return failed ?? Response.json(all);
}

export async function showPartition(env: Env, route: Route, address: Address, live: boolean): Promise<Response> {
  const statuses = await statusOf(env, route);
  const one = await describe(env, address, statuses.get(partitionName(address)), live);
  return one instanceof Response ? one : Response.json(one);
}

async function statusOf(env: Env, { operator, placement, addresses }: Route): Promise<Map<string, StatusRow>> {
  const databases = logDatabases(env as unknown as Record<string, unknown>);
  const prefix = `${addresses[0]!.line}/${operator.name}/`;
  const homes = [...new Set(placement.databases)];
  const found = await Promise.all(
    homes.map((home) => limited(requestClock, home, () => partitionStatus(databases.get(home)!, prefix))),
  );
  return new Map(found.flat().map((status) => [status.partition, status]));
}

async function describe(
  env: Env,
  address: Address,
  status: StatusRow | undefined,
  live: boolean,
): Promise<Record<string, unknown> | Response> {
  const told = live ? await askPartition(() => partitionStub(env, address).facts(address)) : null;
  if (told?.tag === "busy") return unavailable(told);
  const facts = told === null ? factsFrom(status) : told.value;
  const read = facts.manifest === null ? null : readOrWhy(facts.manifest);
  const manifest = read !== null && isManifest(read) ? read : null;
  const { manifest: _, rates, unmigrated: __, ...riding } = { unmigrated: null, ...facts };
  // If no segment is left in the log, the values of the last segment are known from the snapshot that covers it.
  const bare = told === null && status?.stats == null && manifest !== null;
  const { keys, stateBytes, dedupSince, quarantined = null } = bare ? manifest : riding;
  const files = manifest === null ? 0 : openingBytes(manifest);
  const estimated = predictRecovery({ ...facts, openingBytes: files, rates });
  return {
    partition: address.partition,
    ...riding,
    keys,
    stateBytes,
    dedupSince,
    quarantined,
    snapshotSeq: manifest?.seq ?? status?.snapshotSeq ?? 0,
    lastSnapshot: manifest === null ? read : snapshotShown(manifest),
    ...unmigratedShown(told?.value.unmigrated ?? manifest?.unmigrated),
    estimatedRecoveryMs: estimated.stateMs + estimated.tailMs,
    ...inherited(address, told === null && status === undefined),
    ...appLocation(env),
  };
}

/** A partition that has logged nothing on its timeline has no row there: D1 doesn't say what it holds. */
const inherited = ({ ancestors = [] }: Address, rowless: boolean): object =>
  rowless && ancestors.length > 0 ? { inherited: true, quarantined: null } : {};

/** The member is there only if some keys can't be migrated. */
const unmigratedShown = (unmigrated: Unmigrated | undefined): Record<string, unknown> =>
  unmigrated === undefined || unmigrated.keys === 0
    ? {}
    : { unmigrated: { ...unmigrated, some: unmigrated.some.map(([key, version]) => ({ key, version })) } };

const snapshotShown = ({ number, kind, seq: at, snapshot, ms, at: begun }: Manifest): Record<string, unknown> => ({
  manifest: number,
  kind,
  seq: at,
  bytes: snapshot.bytes,
  ms,
  at: begun,
});

/** The same facts from D1 alone. A partition that was never written to has no row. */
function factsFrom(status: StatusRow | undefined): Omit<PartitionFacts, "lastRecovery" | "unmigrated"> & {
  readonly lastRecovery: PartitionFacts["lastRecovery"] | null;
} {
  if (status === undefined)
    return {
      epoch: 0,
      appliedSeq: 0,
      keys: 0,
      stateBytes: 0,
      dedupSince: null,
      quarantined: 0,
      tailEvents: 0,
      tailBytes: 0,
      lastRecovery: null,
      rates: UNMEASURED,
      manifest: null,
    };
  const riding = readRiding(status.stats);
  return {
    epoch: status.epoch,
    appliedSeq: status.head,
    keys: riding.keys ?? 0,
    stateBytes: riding.stateBytes ?? 0,
    dedupSince: riding.dedupSince ?? null,
    quarantined: riding.quarantined ?? null,
    tailEvents: status.tailEvents,
    tailBytes: status.tailBytes,
    lastRecovery: riding.lastRecovery ?? null,
    rates: riding.rates ?? UNMEASURED,
    manifest: status.manifest,
  };
}

export async function listManifests(env: Env, address: Address): Promise<Response> {
  return Response.json(await keptManifests(env, address));
}

export async function showManifest(env: Env, address: Address, number: number): Promise<Response> {
  const all = await keptManifests(env, address);
  const found = all.find((manifest) => isManifest(manifest) && manifest.number === number);
  return found === undefined
    ? problem({ status: 404, code: "no_manifest", detail: noManifest(number, address.partition) })
    : Response.json(found);
}

export async function takeSnapshot(env: Env, address: Address): Promise<Response> {
  const answer = await askPartition(() => partitionStub(env, address).snapshot(address));
  if (answer.tag === "busy") return unavailable(answer);
  switch (answer.value.tag) {
    case "current":
      return Response.json(answer.value.manifest);
    case "nothing":
      return problem({
        status: 409,
        code: "nothing_to_save",
        detail: `partition ${address.partition} has applied no event yet`,
      });
    case "failed":
      return problem({ status: 503, code: "snapshot_failed", detail: answer.value.why, retryAfterSec: 5 });
  }
}

/** Answers 200 even if the verification finds a difference: the verification itself worked. */
export async function verifyPartition(env: Env, address: Address): Promise<Response> {
  const answer = await askPartition(() => partitionStub(env, address).verify(address));
  if (answer.tag === "busy") return unavailable(answer);
  const { partition } = address;
  const found = answer.value;
  switch (found.tag) {
    case "equal": {
      const { tag: _, unmigrated, ...facts } = found;
      return Response.json({ partition, equal: true, ...facts, ...unmigratedShown(unmigrated) });
    }
    case "differs": {
      const { seq: at, manifest, difference, unmigrated } = found;
      const state = (text: string | null): unknown => (text === null ? null : JSON.parse(text));
      const { key, live, rebuilt } = difference;
      const first = { seq: difference.seq, key, live: state(live), rebuilt: state(rebuilt) };
      return Response.json({ partition, equal: false, seq: at, manifest, first, ...unmigratedShown(unmigrated) });
    }
    case "not_comparable":
      return problem({
        status: 409,
        code: "not_comparable",
        detail: `nothing to compare: ${found.why}`,
        more: unmigratedShown(found.unmigrated),
      });
    case "not_rebuilt":
      return problem({ status: 409, code: "not_rebuilt", detail: `the state can't be rebuilt: ${found.why}` });
  }
}

/** The call breaks by design: the object is gone before it can answer. */
export async function evictPartition(env: Env, address: Address): Promise<Response> {
  await partitionStub(env, address)
    .evict()
    .catch(() => undefined);
  return Response.json({ partition: address.partition, evicted: true });
}
