/**
 * `GET /v1/diff`: the keys whose states differ between two moments, as NDJSON, streamed. It reads D1 and R2 alone: no
 * partition is woken (SNAP9).
 *
 * DIFFROUTE1. Whether both moments can be read is known before the first byte is sent. Then the partitions are compared
 *     one after the other, at the client's pace.
 * DIFFROUTE2. The status is sent long before the end, so the last line says whether the answer is complete. An answer
 *     without that line broke off.
 */
import { messageOf } from "../../engine/base/errors.ts";
import { differences, type Differences, type KeyDifference, type PastState } from "../../engine/history/differences.ts";
import { timelineIn } from "../../engine/history/moment.ts";
import type { Stamp } from "../../engine/base/ids.ts";
import { keyFlaw, partitionOfKey, type Address, type Route } from "../../engine/operator/routing.ts";
import { shareOf } from "../../engine/operator/key-placement.ts";
import type { KeyEntry } from "../../engine/state/keyed-state.ts";
import type { App, Routes } from "../app.ts";
import { byteStream } from "../byte-stream.ts";
import type { Env } from "../env.ts";
import { keyNotAllowed, type Grant } from "../http/access.ts";
import { lostProblem } from "../http/lost.ts";
import { note } from "../note.ts";
import { notAllowed, problem } from "../problem.ts";
import { logEnvironment } from "./kept-manifests.ts";
import { momentGone, noTimeline, settledAt, timelineUnstarted } from "./moments.ts";

const FORMAT = "keyframe.diff";
const VERSION = 1;

interface Asked {
  readonly from: string | undefined;
  readonly to: string | undefined;
  readonly operator: string | undefined;
  readonly prefix: string | undefined;
  readonly key: string | undefined;
}

export async function getDiff(
  request: Request,
  env: Env,
  app: App,
  routes: Routes,
  asked: Asked,
  { keyPrefix = "" }: Grant,
): Promise<Response> {
  // HEAD would look at every partition for nothing.
  if (request.method !== "GET") return notAllowed(["GET"], "a diff is read with GET");
  const { key, prefix: asking = "" } = asked;
  const flaw = key === undefined ? null : keyFlaw(key);
  if (flaw !== null) return problem({ status: 400, code: "invalid_key", detail: flaw });
  if (key !== undefined && !key.startsWith(keyPrefix)) return keyNotAllowed(key);
  // Narrow the requested prefix to the keys that the caller may see.
  const prefix = keyPrefix.startsWith(asking) ? keyPrefix : asking;
  if (!prefix.startsWith(keyPrefix)) return keyNotAllowed(asking);
  const chosen = operatorsOf(routes, asked.operator);
  if (chosen instanceof Response) return chosen;
  if (asked.from === undefined)
    return problem({ status: 400, code: "invalid_moment", detail: "name the earlier moment with ?from=" });
  const from = await sideOf(env, app, routes, asked.from);
  if (from instanceof Response) return from;
  const to = await sideOf(env, app, routes, asked.to ?? "now");
  if (to instanceof Response) return to;
  for (const route of chosen) {
    const crossed = crossedBy(route, [from, to]);
    if (crossed !== null) return crossed;
  }
  const wanted = { prefix, only: key ?? null };
  const compared = await Promise.all(
    chosen.flatMap((route) => {
      const finer = finerOf(route, [from, to]);
      return addressesOf(finer, key).map(async (address) => {
        const [left, right] = [from, to].map((side) => stateOf(env, side, finer, address));
        return { address, found: await differences(left!, right!, wanted) };
      });
    }),
  );
  const partitions: Compared[] = [];
  for (const { address, found } of compared) {
    if (found.tag === "gone") return momentGone(found);
    partitions.push({ address, found });
  }
  const operators = chosen.map(({ operator: { name, version } }) => ({ operator: name, operatorVersion: version }));
  const head = { format: FORMAT, v: VERSION, from: from.at, to: to.at, prefix, operators };
  return new Response(byteStream(linesOf(head, partitions)), { headers: { "content-type": "application/x-ndjson" } });
}

/** One of both moments, and the line that it is of. */
export interface Side {
  readonly routes: Routes;
  readonly at: Stamp;
}

/** A moment that names no timeline is of the request's. */
async function sideOf(env: Env, app: App, asked: Routes, moment: string): Promise<Side | Response> {
  const name = timelineIn(moment);
  const routes = name === null ? asked : await app.timeline(env, name);
  if (routes === null) return noTimeline(name!);
  if (routes.unstarted === true) return timelineUnstarted(name!);
  const at = await settledAt(env, routes, moment);
  return at instanceof Response ? at : { routes, at };
}

/** Returns the operator as the side places it that has more partitions. Each partition of the other is split by them. */
export function finerOf(route: Route, sides: readonly Side[]): Route {
  const found = sides.flatMap(({ routes }) => routes.byOperator.get(route.operator.name) ?? []);
  return [route, ...found].reduce((a, b) => (b.placement.partitions > a.placement.partitions ? b : a));
}

/** Returns why the partitions of both sides can't be compared, or null if one side's are parts of the other's. */
export function crossedBy(route: Route, sides: readonly Side[]): Response | null {
  const counts = sides.flatMap(({ routes }) => routes.byOperator.get(route.operator.name)?.placement.partitions ?? []);
  const most = Math.max(...counts);
  const other = counts.find((count) => most % count !== 0);
  if (other === undefined) return null;
  return problem({
    status: 409,
    code: "timeline_unrelated",
    detail: `operator "${route.operator.name}" has ${most} partitions on one side and ${other} on the other, and neither number is a multiple of the other: compare each with the timeline that both start from`,
  });
}

/** Returns the partition's state of that side. If the side has fewer partitions, of the partition's keys alone. */
export function stateOf(env: Env, { routes, at }: Side, finer: Route, address: Address): PastState {
  const other = routes.byOperator.get(finer.operator.name);
  const { line, ancestors } = routes;
  const parts = other === undefined ? 1 : finer.placement.partitions / other.placement.partitions;
  const { ancestors: _, ...place } = other?.addresses[Math.floor(address.partition / parts)] ?? address;
  const there = { ...place, line, ...(ancestors.length === 0 ? {} : { ancestors }) };
  return { env: logEnvironment(env, finer, there, parts === 1 ? null : shareOf(finer.operator, address, parts)), at };
}

interface Compared {
  readonly address: Address;
  readonly found: Differences;
}

/** Returns all operators if none is named. An operator that D1 has lost can't be left out silently. */
function operatorsOf(routes: Routes, name: string | undefined): readonly Route[] | Response {
  const { byOperator, lost } = routes;
  if (name === undefined) {
    const [first] = lost?.byOperator.keys() ?? [];
    return (first === undefined ? null : lostProblem(routes, first)) ?? [...byOperator.values()];
  }
  const route = byOperator.get(name);
  if (route !== undefined) return [route];
  const detail = `there is no operator ${JSON.stringify(name.slice(0, 100))}`;
  return lostProblem(routes, name) ?? problem({ status: 404, code: "no_operator", detail });
}

/** Returns the partitions that may hold the key: none if no event of the operator can have it. */
function addressesOf(route: Route, key: string | undefined): readonly Address[] {
  if (key === undefined) return route.addresses;
  const partition = partitionOfKey(route, key);
  return partition === null ? [] : [route.addresses[partition]!];
}

async function* linesOf(head: object, partitions: readonly Compared[]): AsyncGenerator<string> {
  yield line(head);
  let keys = 0;
  let exact = true;
  for (const { address, found } of partitions) {
    try {
      for await (const page of found.pages) {
        exact &&= page.exact;
        keys += page.items.length;
        if (page.items.length > 0) yield page.items.map((one) => lineOf(address, one)).join("");
      }
    } catch (error) {
      const { operator, partition } = address;
      note("diff broke off", { operator, partition, error: messageOf(error) });
      const why = `partition ${partition} of "${operator}" could not be compared to its end; ask again`;
      return yield line({ end: true, complete: false, code: "diff_interrupted", detail: why });
    }
  }
  yield line({ end: true, complete: true, keys, ...(exact ? {} : { exact }) });
}

const line = (value: object): string => `${JSON.stringify(value)}\n`;

/** The states are spliced in without parsing. */
const lineOf = ({ operator, partition }: Address, { key, from, to }: KeyDifference): string =>
  `{"operator":${JSON.stringify(operator)},"key":${JSON.stringify(key)},${member("from", from)},${member("to", to)},"partition":${partition}}\n`;

/**
 * A state of an older version stands under another name, so that nobody mistakes it for one of the operator's version.
 */
function member(name: "from" | "to", entry: KeyEntry | null): string {
  if (entry?.version === undefined) return `"${name}":${entry === null ? "null" : entry.text}`;
  return `"${name}Version":${entry.version},"${name}Unmigrated":${entry.text}`;
}
