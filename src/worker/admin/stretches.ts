/**
 * Stretches: the events that one line has since another one parted from it, as parts of the logs of partitions. The
 * preview of a promotion lists them.
 */
import { partitionName, seq, type Seq, stamp, type Stamp } from "../../engine/base/ids.ts";
import { persistent } from "../../engine/base/retry.ts";
import type { LogEnvironment, Origin } from "../../engine/operator/environment.ts";
import { startOfLog } from "../../engine/recovery/past-state.ts";
import type { App, Routes } from "../app.ts";
import type { Env } from "../env.ts";
import { LAST_STAMP, type Lineage } from "../lineage.ts";
import { logEnvironment } from "../read/kept-manifests.ts";
import { requestClock } from "../request-clock.ts";
import { floorsOf, readTimelines, savepointStores } from "../timelines.ts";

/** Partitions that are looked at at a time. */
const AT_ONCE = 8;

/** The events of a partition that one line has and the other one doesn't. */
export interface Stretch {
  readonly env: LogEnvironment;
  /** Partitions of the operator on the line. */
  readonly of: number;
  /** Above this seq. */
  readonly above: Seq;
  readonly upTo: Seq;
}

export interface Parted {
  readonly line: number;
  readonly at: Stamp;
}

/** Returns the last line that both have in common, and the stamp up to which they share it. */
export function partedAt(one: Lineage, other: Lineage): Parted | null {
  const others = new Map(chainOf(other).map(({ line, at }) => [line, at]));
  for (const { line, at } of chainOf(one)) {
    const shared = others.get(line);
    if (shared !== undefined) return { line, at: stamp(Math.min(at, shared)) };
  }
  return null;
}

/** Returns a line and those that it starts from, each with the stamp up to which it belongs to the line's past. */
function chainOf({ line, ancestors }: Lineage): { readonly line: number; readonly at: Stamp }[] {
  let upTo = LAST_STAMP;
  return [{ line, at: upTo }, ...ancestors].map((part) => {
    upTo = stamp(Math.min(upTo, part.at));
    return { line: part.line, at: upTo };
  });
}

/** Events of one line that the other one doesn't have. */
export interface LineStretches {
  readonly stretches: readonly Stretch[];
  /** Stamp of the last event of the line. */
  readonly newest: Stamp;
}

/**
 * Finds the events of a line since both parted. If partitions were split since, those of the line and those of the line
 * that it starts from are counted apart: several partitions start from the same one.
 */
export async function stretchesSince(
  env: Env,
  app: App,
  routes: Routes,
  parted: Parted,
  starts: KnownStarts,
  upTo: Stamp = LAST_STAMP,
): Promise<LineStretches> {
  const { ancestors } = routes;
  const [start] = ancestors;
  const since = ancestors.slice(0, ancestors.findIndex(({ line }) => line === parted.line) + 1);
  if (start === undefined || since.every(({ split }) => split === undefined))
    return stretchesOnLine(env, routes, parted, starts, upTo);
  const own = await stretchesOnLine(env, routes, start, starts, upTo);
  if (start.line === parted.line && parted.at >= start.at) return own;
  const parent = await app.onLine(env, await readTimelines(env), start.line);
  const earlier = await stretchesSince(env, app, parent, parted, starts, start.at);
  return {
    stretches: [...earlier.stretches, ...own.stretches],
    newest: stamp(Math.max(earlier.newest, own.newest)),
  };
}

/** The heads come from one statement for each database, since both lines are sealed meanwhile. */
async function stretchesOnLine(
  env: Env,
  { line, byOperator }: Routes,
  parted: Parted,
  starts: KnownStarts,
  end: Stamp,
): Promise<LineStretches> {
  const heads = await Promise.all(
    savepointStores(env, line).map((store) => persistent(requestClock, "D1", () => store.heads(end))),
  );
  const headOf = new Map(heads.flat());
  const newest = await Promise.all(
    floorsOf(env, line).map((floor) => persistent(requestClock, "D1", () => floor.newest())),
  );
  const all = [...byOperator.values()].flatMap((route) =>
    route.addresses.map((address) => ({ env: logEnvironment(env, route, address), of: route.placement.partitions })),
  );
  const found: Stretch[] = [];
  for (let from = 0; from < all.length; from += AT_ONCE)
    found.push(
      ...(await Promise.all(
        all
          .slice(from, from + AT_ONCE)
          .map((one) => stretchOf(one, parted, starts, headOf.get(partitionName(one.env.id)), end)),
      )),
    );
  return { stretches: found.filter(({ above, upTo }) => upTo > above), newest: stamp(Math.max(...newest)) };
}

/** `head`: missing if D1 has no row of the partition on its line. Null if a snapshot covers a later event. */
async function stretchOf(
  { env, of }: Pick<Stretch, "env" | "of">,
  { line, at }: Parted,
  starts: KnownStarts,
  head: number | null | undefined,
  end: Stamp,
): Promise<Stretch> {
  let common = env;
  while (common.id.line !== line && common.origin !== undefined) common = common.origin.env;
  const above = await starts.of({ env: common, at });
  if (typeof head === "number") return { env, of, above, upTo: seq(head) };
  if (head === null) return { env, of, above, upTo: await starts.of({ env, at: end }) };
  return { env, of, above, upTo: env.origin === undefined ? seq(0) : await starts.of(env.origin) };
}

/** The seqs of partitions at settled stamps. They never change, so a promotion finds them before it seals the lines. */
export class KnownStarts {
  readonly #known = new Map<string, Seq>();

  async of(origin: Origin): Promise<Seq> {
    const name = `${partitionName(origin.env.id)} ${origin.at}`;
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const { seq: found } = await startOfLog(origin);
    this.#known.set(name, found);
    return found;
  }
}

export const listOf = (all: readonly Stretch[]): unknown[] =>
  all.map(({ env: { id }, above, upTo }) => [id.operator, id.partition, above, upTo]);
