/** Looking inside and steering: partitions, manifests, snapshots, eviction, quarantine. */
import { logDatabases } from "../adapters/catalogue.ts";
import { partitionStatus, type PartitionStatus } from "../adapters/d1-status.ts";
import type { Address, Route } from "../engine/address.ts";
import { partitionName, seq, type Seq } from "../engine/ids.ts";
import { QUARANTINE_PAGE_CHARS } from "../engine/limits.ts";
import { openingBytes, type Manifest } from "../engine/manifest.ts";
import type { Operator } from "../engine/operator.ts";
import { NO_REPLY, parseOutcome, type Outcome } from "../engine/outcome.ts";
import { readRiding, type Facts } from "../engine/open.ts";
import { predictRecovery } from "../engine/policy.ts";
import { UNMEASURED } from "../engine/rates.ts";
import { DELETE, quarantineId, RETRY, type Quarantined } from "../engine/quarantine.ts";
import { placeOf } from "../engine/region.ts";
import { limited } from "../engine/store-call.ts";
import { notQuarantined } from "./api/quarantine.ts";
import { noManifest } from "./api/snapshots.ts";
import type { Env, Routes } from "./app.ts";
import { sendCommand } from "./command.ts";

import { isManifest, keptManifests, readOrWhy } from "./kept-manifests.ts";
import { requestClock } from "./request-clock.ts";
import { problem } from "./problem.ts";
import { asked, badCursor, json, unavailable } from "./state-routes.ts";
import { partitionStub } from "./stub.ts";

/** `lost`: why it can't be used, where D1 doesn't know how it was placed. */
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

async function statusOf(env: Env, { operator, placement, addresses }: Route): Promise<Map<string, PartitionStatus>> {
  const databases = logDatabases(env as unknown as Record<string, unknown>);
  const prefix = `${addresses[0]!.timeline}/${operator.name}/`;
  const homes = [...new Set(placement.databases)];
  const found = await Promise.all(
    homes.map((home) => limited(requestClock, home, () => partitionStatus(databases.get(home)!, prefix))),
  );
  return new Map(found.flat().map((status) => [status.partition, status]));
}

async function describe(
  env: Env,
  address: Address,
  status: PartitionStatus | undefined,
  live: boolean,
): Promise<Record<string, unknown> | Response> {
  const told = live ? await asked(() => partitionStub(env, address).facts(address)) : null;
  if (told?.tag === "busy") return unavailable(told);
  const facts = told === null ? factsFrom(status) : told.value;
  const read = facts.manifest === null ? null : readOrWhy(facts.manifest);
  const manifest = read !== null && isManifest(read) ? read : null;
  const { manifest: _, rates, ...riding } = facts;
  // Where no segment is left in the log, what the last one said is known from the snapshot that covers it.
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
    estimatedRecoveryMs: estimated.stateMs + estimated.tailMs,
    ...placeOf(env),
  };
}

const snapshotShown = ({ number, kind, seq: at, snapshot, ms, at: begun }: Manifest): Record<string, unknown> => ({
  manifest: number,
  kind,
  seq: at,
  bytes: snapshot.bytes,
  ms,
  at: begun,
});

/** The same view from D1 alone. A partition that was never written to has no row. */
function factsFrom(
  status: PartitionStatus | undefined,
): Omit<Facts, "lastRecovery"> & { readonly lastRecovery: Facts["lastRecovery"] | null } {
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
  const answer = await asked(() => partitionStub(env, address).snapshot(address));
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

/** Difference or not, the answer is 200: looking worked. */
export async function verifyPartition(env: Env, address: Address): Promise<Response> {
  const answer = await asked(() => partitionStub(env, address).verify(address));
  if (answer.tag === "busy") return unavailable(answer);
  const { partition } = address;
  const found = answer.value;
  switch (found.tag) {
    case "equal": {
      const { tag: _, ...facts } = found;
      return Response.json({ partition, equal: true, ...facts });
    }
    case "differs": {
      const { seq: at, manifest, difference } = found;
      const state = (text: string | null): unknown => (text === null ? null : JSON.parse(text));
      const { key, live, rebuilt } = difference;
      const first = { seq: difference.seq, key, live: state(live), rebuilt: state(rebuilt) };
      return Response.json({ partition, equal: false, seq: at, manifest, first });
    }
    case "not_comparable":
      return problem({ status: 409, code: "not_comparable", detail: `nothing to compare: ${found.why}` });
    case "not_rebuilt":
      return problem({ status: 409, code: "not_rebuilt", detail: `the state can't be rebuilt: ${found.why}` });
  }
}

/** The call breaks by design: the object is gone before it can answer. */
export async function evict(env: Env, address: Address): Promise<Response> {
  await partitionStub(env, address)
    .evict()
    .catch(() => undefined);
  return Response.json({ partition: address.partition, evicted: true });
}

/**
 * What is set aside, by partition and seq. Partitions are asked one after the other, since all of them together may hold
 * more than a Worker has memory for; without `limit` a page is as large as an answer may be.
 */
export async function listQuarantine(
  env: Env,
  route: Route,
  {
    limit = Number.POSITIVE_INFINITY,
    cursor,
  }: { readonly limit: number | undefined; readonly cursor: string | undefined },
): Promise<Response> {
  const from = readCursor(cursor);
  if (from === null || from.partition >= route.addresses.length) return badCursor();
  const texts: string[] = [];
  let chars = 0;
  let last = "";
  for (const address of route.addresses.slice(from.partition)) {
    const after = address.partition === from.partition ? from.seq : seq(0);
    // A page that is full asks for one more entry, to know whether there is any.
    const [left, room] = [limit - texts.length, QUARANTINE_PAGE_CHARS - chars];
    const full = left <= 0 || room <= 0;
    const answer = await asked(() =>
      partitionStub(env, address).quarantinePage(address, after, full ? 1 : left, full ? 1 : room),
    );
    if (answer.tag === "busy") return unavailable(answer);
    const { items, more } = answer.value;
    if (full && items.length > 0) return quarantineJson(texts, last);
    for (const entry of items) {
      texts.push(entryText(address.partition, entry));
      chars += texts.at(-1)!.length;
      last = quarantineId(address.partition, entry.seq);
    }
    if (more) return quarantineJson(texts, last);
  }
  return quarantineJson(texts, null);
}

const quarantineJson = (texts: readonly string[], cursor: string | null): Response =>
  json(`{"items":[${texts.join(",")}]${cursor === null ? "" : `,"cursor":"${cursor}"`}}`);

const ENTRY_ID = /^(\d{1,9})-(\d{1,15})$/;

/** The cursor is the id of the last entry; null where it is none. */
function readCursor(cursor: string | undefined): { readonly partition: number; readonly seq: Seq } | null {
  if (cursor === undefined) return { partition: 0, seq: seq(0) };
  const match = ENTRY_ID.exec(cursor);
  return match === null ? null : { partition: Number(match[1]), seq: seq(Number(match[2])) };
}

/** The event's text is spliced in as it is. */
function entryText(partition: number, { seq: at, key, error, now, event }: Quarantined): string {
  const id = quarantineId(partition, at);
  const head = JSON.stringify({ id, partition, seq: at, key, error, time: new Date(now).toISOString() });
  return `${head.slice(0, -1)},"event":${event}}`;
}

/** Retry and delete are events of their own, so they count once and stand in the log (ONE6). */
export async function steerQuarantine(
  env: Env,
  route: Route,
  id: string,
  command: "retry" | "delete",
): Promise<Response> {
  const missing = problem({
    status: 404,
    code: "not_quarantined",
    detail: notQuarantined(id, route.operator.name),
  });
  const match = ENTRY_ID.exec(id);
  const address = route.addresses[Number(match?.[1] ?? -1)];
  if (match === null || address === undefined) return missing;
  const wanted = Number(match[2]);
  const listed = await asked(() => partitionStub(env, address).quarantinePage(address, seq(wanted - 1), 1, 1));
  if (listed.tag === "busy") return unavailable(listed);
  const entry = listed.value.items[0];
  if (entry?.seq !== wanted) return missing;
  const result = await sendCommand(env, route, address, {
    type: command === "retry" ? RETRY : DELETE,
    source: "keyframe:quarantine",
    id: crypto.randomUUID(),
    key: entry.key,
    data: { seq: entry.seq },
  });
  if (result.tag !== "decided") return problem({ status: 503, code: result.code, detail: result.message });
  const [, at, text] = result.details[0]!;
  const outcome: Outcome = text === null ? { tag: "applied", reply: NO_REPLY } : parseOutcome(text);
  if (outcome.tag === "refused" && outcome.code === "not_quarantined") return missing;
  return Response.json({ id, command, status: outcome.tag, seq: at, ...detailOf(outcome) });
}

function detailOf(outcome: Outcome): Record<string, unknown> {
  switch (outcome.tag) {
    case "applied":
      return { value: JSON.parse(outcome.reply) as unknown };
    case "refused":
      return { code: outcome.code, detail: JSON.parse(outcome.detail) as unknown };
    case "quarantined":
      return { error: outcome.error };
  }
}
