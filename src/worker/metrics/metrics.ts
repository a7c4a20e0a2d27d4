/**
 * `GET /metrics`, for Prometheus. One statement for each database, no object woken, nothing written (SNAP9).
 *
 * METRICS1. If a database doesn't answer, the metrics of the others are there, and one metric says which database
 *     failed.
 * METRICS2. One answer has at most SCRAPED_PARTITIONS partitions. `?operator=` and `?from=` select others, and the
 *     answer says how many were left out.
 * METRICS3. A partition that was never written to has no samples.
 */
import { logDatabases } from "../../adapters/catalogue.ts";
import { glance, type MeteredPartition } from "../../adapters/d1-metrics.ts";
import { tailBytes } from "../../adapters/d1-status.ts";
import type { Address, Route } from "../../engine/operator/routing.ts";
import { messageOf } from "../../engine/base/errors.ts";
import { partitionName } from "../../engine/base/ids.ts";
import { limited } from "../../engine/base/retry.ts";
import { FROM_FLAW } from "../api/service.ts";
import { logBytes, type Env } from "../env.ts";
import type { Routes } from "../app.ts";
import { CONTENT_TYPE, Exposition } from "./exposition.ts";
import { lostProblem } from "../http/lost.ts";
import { APP_FAMILIES } from "./metric-list.ts";
import { note } from "../note.ts";
import { addPartition, tailBytesOf } from "./partition-metrics.ts";
import { problem } from "../problem.ts";
import { requestClock } from "../request-clock.ts";

/** Partitions of one answer: each has some 80 lines of 100 bytes. */
export const SCRAPED_PARTITIONS = 500;
/** A scrape waits for 10 s, by default. */
const LIMIT_MS = 5_000;

interface Place {
  readonly address: Address;
  readonly name: string;
}

interface Asking {
  readonly operator: string | undefined;
  readonly from: number | undefined;
}

export async function showMetrics(env: Env, routes: Routes, asking: Asking): Promise<Response> {
  const asked = askedFor(routes, asking);
  if (asked instanceof Response) return asked;
  const { chosen, from } = asked;
  const out = new Exposition();
  const places: Place[] = [];
  for (const { operator, addresses } of chosen) {
    const labels = { operator: operator.name };
    const room = Math.max(0, SCRAPED_PARTITIONS - places.length);
    const shown = addresses.slice(from, from + room);
    places.push(...shown.map((address) => ({ address, name: partitionName(address) })));
    out.add(APP_FAMILIES.partitions, labels, addresses.length);
    out.add(APP_FAMILIES.omitted, labels, addresses.length - shown.length);
    out.add(APP_FAMILIES.lost, labels, 0);
    out.add(APP_FAMILIES.target, labels, operator.snapshot.recoveryMs / 1_000);
  }
  for (const name of routes.lost?.byOperator.keys() ?? []) out.add(APP_FAMILIES.lost, { operator: name }, 1);
  const databases = [...logDatabases(env as unknown as Record<string, unknown>)];
  const bound = logBytes(env);
  // Add databases in a fixed order, so that the text has the same order each time.
  for (const told of await Promise.all(databases.map(([name, db]) => ask(name, db, places)))) {
    out.add(APP_FAMILIES.up, { database: told.database }, told.glances === null ? 0 : 1);
    out.add(APP_FAMILIES.limit, { database: told.database }, bound);
    if (told.glances === null) continue;
    out.add(APP_FAMILIES.size, { database: told.database }, told.bytes);
    for (const [{ operator, partition }, one, tail] of told.glances)
      addPartition(out, { operator, partition }, one, tail, Date.now());
  }
  return new Response(out.text(), { headers: { "content-type": CONTENT_TYPE, "cache-control": "no-store" } });
}

function askedFor(
  routes: Routes,
  { operator: name, from = 0 }: Asking,
): { readonly chosen: readonly Route[]; readonly from: number } | Response {
  if (name === undefined && from !== 0) return problem(FROM_FLAW);
  const { byOperator } = routes;
  const route = name === undefined ? undefined : byOperator.get(name);
  const lost = name === undefined ? null : lostProblem(routes, name);
  if (lost !== null) return lost;
  if (name !== undefined && route === undefined)
    return problem({
      status: 404,
      code: "no_operator",
      detail: `there is no operator ${JSON.stringify(name.slice(0, 100))}`,
    });
  return { chosen: route === undefined ? [...byOperator.values()] : [route], from };
}

interface Told {
  readonly database: string;
  readonly bytes: number;
  /** With the bytes of each tail. Null if the database didn't answer. */
  readonly glances: readonly (readonly [Address, MeteredPartition, number])[] | null;
}

async function ask(database: string, db: D1Database, places: readonly Place[]): Promise<Told> {
  const here = new Map(places.filter(({ address }) => address.database === database).map((one) => [one.name, one]));
  try {
    const { partitions, bytes } = await limited(requestClock, database, () => glance(db, [...here.keys()]), LIMIT_MS);
    const known = new Map(partitions.map((one) => [one.partition, tailBytesOf(one)]));
    const unknown = [...known].flatMap(([name, tail]) => (tail === null ? [name] : []));
    const counted =
      unknown.length === 0 ? null : await limited(requestClock, database, () => tailBytes(db, unknown), LIMIT_MS);
    const inOrder = partitions.toSorted((a, b) => (a.partition < b.partition ? -1 : 1));
    const glances = inOrder.map((one) => {
      const tail = known.get(one.partition) ?? counted?.get(one.partition) ?? 0;
      return [here.get(one.partition)!.address, one, tail] as const;
    });
    return { database, bytes, glances };
  } catch (error) {
    note("a database didn't answer for the metrics", { database, error: messageOf(error) });
    return { database, bytes: 0, glances: null };
  }
}
