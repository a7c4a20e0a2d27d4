/**
 * `POST /v1/erasures` and `GET /v1/erasures/{id}`. A logged command erases a key's state at once. All other copies of
 * it expire. The report looks for the copies that remain.
 *
 * ERASUREROUTES1. The report says complete only if no remaining copy is possible. Copies may be in rows of the log and
 *     in archives. They may be in snapshots from before the erasure, or from before the ids and replies of the key's
 *     events expired. A file that can't be read, or is beyond the bounds of the search, counts as a possible copy.
 * ERASUREROUTES2. An id proves nothing. An erasure counts if it was logged, and then recorded in D1, before anybody
 *     hears of its id. The record holds its time. If D1 was rebuilt or restored to an older point since, the erasure is
 *     unknown, and the answer says so (incarnations, NAME4 of ids.ts).
 * ERASUREROUTES3. Archives come from the rows in D1 alone. So if an archive begins above the command and was promoted,
 *     all later archives begin above it too.
 */
import { logDatabases } from "../../adapters/catalogue.ts";
import { erasedAt, erasureFacts, recordErasure } from "../../adapters/d1-status.ts";
import { keyFlaw, partitionOfKey, type Address, type Route } from "../../engine/operator/routing.ts";
import { isObject } from "../../engine/base/json.ts";
import {
  attemptOf,
  incarnationOf,
  manifestOf,
  manifestPrefix,
  partitionName,
  snapshotPrefix,
} from "../../engine/base/ids.ts";
import { GRACE_MS } from "../../engine/checkpoint/retention.ts";
import { stampMs } from "../../engine/base/hybrid-clock.ts";
import { limited } from "../../engine/base/retry.ts";
import type { Env } from "../env.ts";
import { isNamed, nameOf } from "../../engine/history/timelines.ts";
import type { App, Routes } from "../app.ts";
import { BodyError, bodyText } from "../http/body.ts";
import { sendCommand } from "../ingest/command.ts";
import { fetchManifestLine, isManifest, logOf } from "../read/kept-manifests.ts";
import { lostProblem } from "../http/lost.ts";
import { problem } from "../problem.ts";
import { requestClock } from "../request-clock.ts";
import { readTimelines, savepointStores } from "../timelines.ts";
import { erasure, eraseElsewhere } from "./erasures-on-lines.ts";

const BODY_BYTES = 16_384;
/**
 * Bounds of the search: archives that are read, and pages of 1,000 names that are listed. Files beyond them count as
 * possible copies (ERASUREROUTES1).
 */
const READ_ARCHIVES = 300;
const PAGES = 20;
const MINUTE_MS = 60_000;

interface Erasure {
  readonly route: Route;
  readonly address: Address;
  /** The seq of the command. */
  readonly seq: number;
  /** The incarnation of the partition's row at that time. */
  readonly incarnation: number;
  readonly atMs: number;
}

/** A store that holds a copy of the key's data, or may hold one. */
interface Holder {
  readonly where: "log" | "archives" | "snapshots" | "pins" | "savepoints" | "timelines" | "unknown";
  readonly count: number;
  readonly goes: string;
  readonly pins?: readonly { readonly manifest: number; readonly name: string }[];
  readonly names?: readonly string[];
}

const no = (status: number, code: string, detail: string): Response => problem({ status, code, detail });

export async function postErasure(request: Request, env: Env, app: App, routes: Routes): Promise<Response> {
  let body: unknown;
  try {
    body = JSON.parse(await bodyText(request, BODY_BYTES));
  } catch (error) {
    if (error instanceof BodyError) return no(error.status, error.code, error.message);
    return no(400, "malformed_json", "the body isn't valid JSON");
  }
  const { operator, key } = isObject(body) ? body : {};
  if (typeof operator !== "string" || typeof key !== "string")
    return no(400, "invalid_body", 'the body must be {"operator": …, "key": …}');
  const route = routes.byOperator.get(operator);
  const lost = lostProblem(routes, operator);
  if (lost !== null) return lost;
  if (route === undefined)
    return no(404, "no_operator", `there is no operator ${JSON.stringify(operator.slice(0, 100))}`);
  const flaw = keyFlaw(key);
  const partition = flaw === null ? partitionOfKey(route, key) : null;
  if (partition === null) return no(400, "invalid_key", flaw ?? "no group can be made of the key");
  const address = route.addresses[partition]!;
  const id = crypto.randomUUID();
  const result = await sendCommand(env, route, address, erasure(id, key));
  if (result.tag !== "decided") return no(503, result.code, result.message);
  const [, seq] = result.details[0]!;
  const facts = await factsOf(env, address, seq);
  if (facts === null) return no(503, "store_unavailable", "the key is erased, but D1 didn't say what still holds it");
  // Take the time after the command, so that the log has no later event with the erased state.
  const atMs = Date.now();
  const incarnation = incarnationOf(facts.epoch);
  await limited(requestClock, "D1", () =>
    recordErasure(logOfAddress(env, address), partitionName(address), { seq, incarnation }, atMs),
  );
  // The record comes first: a timeline that is made meanwhile finds it, or is found here.
  const elsewhere = await eraseElsewhere(env, app, route, id, key);
  if (elsewhere.tag === "busy") return no(503, elsewhere.code, elsewhere.why);
  return answer(env, { route, address, seq, incarnation, atMs }, 202);
}

export async function getErasure(env: Env, app: App, main: Routes, id: string): Promise<Response> {
  const [, of = "", operator = "", ...numbers] =
    /^([1-9]\d{0,8})\.([a-z0-9-]+)\.(0|[1-9]\d{0,8})\.([1-9]\d{0,15})\.(0|[1-9]\d{0,8})$/.exec(id) ?? [];
  const [n = -1, seq = 0, incarnation = 0] = numbers.map(Number);
  const routes = await routesOn(env, app, main, Number(of));
  const route = routes?.byOperator.get(operator);
  const address = route?.addresses[n];
  const lost = routes === null ? null : lostProblem(routes, operator);
  if (lost !== null) return lost;
  const atMs =
    route === undefined || address === undefined
      ? null
      : await limited(requestClock, "D1", () =>
          erasedAt(logOfAddress(env, address), partitionName(address), { seq, incarnation }),
        );
  if (route === undefined || address === undefined || atMs === null)
    return no(
      404,
      "no_erasure",
      `no erasure ${JSON.stringify(id.slice(0, 100))} is recorded; if D1 was rebuilt or restored to an older point since, the erased data may be back: erase the key again`,
    );
  return answer(env, { route, address, seq, incarnation, atMs }, 200);
}

/** Returns null if there is no such line. An erasure of a former main stays on record there. */
async function routesOn(env: Env, app: App, main: Routes, line: number): Promise<Routes | null> {
  if (line === main.line) return main;
  const timelines = await readTimelines(env);
  return timelines.all.some((one) => one.line === line) ? app.onLine(env, timelines, line) : null;
}

const idOf = ({ route, address, seq, incarnation }: Erasure): string =>
  [route.line, route.operator.name, address.partition, seq, incarnation].join(".");

const logOfAddress = (env: Env, { database }: Address): D1Database =>
  logDatabases(env as unknown as Record<string, unknown>).get(database)!;

const factsOf = (env: Env, address: Address, seq: number) =>
  limited(requestClock, "D1", () => erasureFacts(logOfAddress(env, address), partitionName(address), seq));

async function answer(env: Env, erasure: Erasure, status: number): Promise<Response> {
  const { route, address, seq, incarnation, atMs } = erasure;
  const facts = await factsOf(env, address, seq);
  if (facts === null || incarnationOf(facts.epoch) !== incarnation || facts.head < seq)
    return no(
      409,
      "erasure_unknown",
      "D1 has no record of this erasure: D1 was rebuilt, restored to an older point or lost since, so the erased data may be back; erase the key again",
    );
  const holders = await holdersOf(env, erasure, facts.rows);
  const { snapshot } = route.operator;
  return Response.json(
    {
      id: idOf(erasure),
      operator: route.operator.name,
      partition: address.partition,
      seq,
      at: new Date(atMs).toISOString(),
      state: "erased",
      complete: holders.length === 0,
      notBefore: new Date(atMs + Math.max(snapshot.retain.ageMs, keptMs(route)) + GRACE_MS).toISOString(),
      holders,
    },
    { status },
  );
}

/** Returns how long ids, replies and details of events are kept, by logged time. They expire minute by minute. */
const keptMs = ({ operator }: Route): number => Math.max(operator.dedup.keepMs, operator.repliesMs) + 2 * MINUTE_MS;

async function holdersOf(env: Env, erasure: Erasure, rows: number): Promise<Holder[]> {
  const { address } = erasure;
  const [archives, files, roots] = await Promise.all([
    namesOf(env, manifestPrefix(address)),
    namesOf(env, snapshotPrefix(address)),
    limited(requestClock, "D1", () => logOf(env, address).roots()),
  ]);
  const looked = await lookInto(env, erasure, archives.names);
  const clean = looked.clean;
  const isOld = (name: string): boolean => clean === null || !isFrom(name.replace(/\.kfs$/, ""), clean.attempt);
  const old = files.names.filter(isOld).length;
  const pins = (roots?.pins ?? []).filter(({ version }) => clean === null || version < clean.version);
  const holders: Holder[] = [
    { where: "log", count: rows, goes: "with the second snapshot after the erasure" },
    {
      where: "archives",
      count: looked.holding,
      goes: "when retention gives them up, as events arrive and snapshots are taken",
    },
    {
      where: "snapshots",
      count: clean === null ? Math.max(1, old) : old,
      goes: "when ids and replies of its events have expired, a full snapshot was taken after that, and retention gave up those before it",
    },
    {
      where: "pins",
      count: pins.length,
      goes: "when they are removed",
      pins: pins.map(({ version, name }) => ({ manifest: version, name })),
    },
    ...(await namedHolders(env, erasure)),
    {
      where: "unknown",
      count: looked.unknown + archives.more + files.more,
      goes: "can't be read, or is too large to search",
    },
  ];
  return holders.filter(({ count }) => count > 0);
}

/** Savepoints and timelines from before the erasure: each keeps the state of its moment. */
async function namedHolders(env: Env, { route, atMs }: Erasure): Promise<Holder[]> {
  const timelines = await readTimelines(env);
  const others = timelines.all.filter(({ line, at }) => line !== route.line && stampMs(at) <= atMs);
  const saved = await Promise.all(
    timelines.all.map(({ line }) => limited(requestClock, "D1", () => savepointStores(env, line)[0].all())),
  );
  const savepoints = saved.flat().filter((one) => isNamed(one) && stampMs(one.at) <= atMs);
  const goes = "when they are removed";
  return [
    { where: "savepoints", count: savepoints.length, goes, names: savepoints.map(({ name }) => name) },
    { where: "timelines", count: others.length, goes, names: others.map((one) => nameOf(timelines, one)) },
  ];
}

interface Looked {
  readonly holding: number;
  readonly unknown: number;
  /**
   * The first snapshot without the key's data, if all later snapshots are without it too; null if there is none yet.
   */
  readonly clean: { readonly version: number; readonly attempt: string } | null;
}

/**
 * Reads manifests in the order of their numbers, until archives can't hold the key any more. Then finds the first clean
 * snapshot.
 */
async function lookInto(env: Env, { route, seq, atMs }: Erasure, names: readonly string[]): Promise<Looked> {
  const expiredMs = atMs + keptMs(route);
  let [holding, unknown] = [0, 0];
  let version = 0;
  /** True while all attempts of this manifest number begin above the command. */
  let above = false;
  let at = 0;
  for (; at < names.length; at++) {
    const made = manifestOf(names[at]!);
    if (made === null) continue;
    if (made.version !== version) {
      // ERASUREROUTES3: one of its attempts was promoted, since there is a higher manifest number.
      if (above) break;
      [version, above] = [made.version, true];
    }
    if (at >= READ_ARCHIVES) return { holding, unknown: unknown + names.length - at, clean: null };
    const read = await fetchManifestLine(env, names[at]!);
    if (read === null) continue;
    if (!isManifest(read)) [unknown, above] = [unknown + 1, false];
    else if (read.archive.from < seq) [holding, above] = [holding + 1, false];
  }
  // A delta across the erasure still names the key, as deleted. So the delta must begin above the command too.
  const isClean = async (name: string): Promise<boolean> => {
    const read = await fetchManifestLine(env, name);
    return read !== null && isManifest(read) && read.archive.from >= seq && stampMs(read.stamp) >= expiredMs;
  };
  return { holding, unknown, clean: manifestOf((await firstOf(names, isClean)) ?? "") };
}

/**
 * Returns the first name for which `holds` is true, by binary search over names that are sorted by it. If they aren't
 * sorted, `holds` is true for the result nevertheless.
 */
async function firstOf(names: readonly string[], holds: (name: string) => Promise<boolean>): Promise<string | null> {
  let [low, high] = [0, names.length];
  let found: string | null = null;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (await holds(names[middle]!)) [found, high] = [names[middle]!, middle];
    else low = middle + 1;
  }
  return found;
}

/** Returns true if the file belongs to this attempt, or to a later one. */
function isFrom(name: string, attempt: string): boolean {
  const [made, first] = [attemptOf(name.replace(/\.\d{4}$/, "")), attemptOf(attempt)];
  if (made === null || first === null) return false;
  return made.epoch === first.epoch ? made.attempt >= first.attempt : made.epoch > first.epoch;
}

/** Returns all names under a prefix, in order. `more` is 1 if there are too many. */
async function namesOf(env: Env, prefix: string): Promise<{ readonly names: string[]; readonly more: 0 | 1 }> {
  const names: string[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < PAGES; page++) {
    const listed = await limited(requestClock, "R2", () =>
      env.SNAPSHOTS.list({ prefix, ...(cursor === undefined ? {} : { cursor }) }),
    );
    names.push(...listed.objects.map(({ key }) => key));
    if (!listed.truncated) return { names, more: 0 };
    ({ cursor } = listed);
  }
  return { names, more: 1 };
}
