/**
 * The cron: finds partitions whose alarm was lost, from D1 alone, and wakes only those (SNAP6, SNAP9). An alarm takes a
 * snapshot, or fires timers.
 *
 * CRON1. It reads every partition of every database, in pages by name, and stores nothing between runs.
 * CRON2. A run has a bound in pages and in time. It begins at a random partition and goes round, so that two runs leave
 *     out different partitions.
 * CRON3. A bad row, or a failure of one database or partition, never stops the cron from reading the others.
 */
import { logDatabases } from "../adapters/catalogue.ts";
import { partitionTails, tailBytes, type PartitionTail } from "../adapters/d1-status.ts";
import type { Address, Route } from "../engine/operator/routing.ts";
import { messageOf } from "../engine/base/errors.ts";
import { partitionName, stamp } from "../engine/base/ids.ts";
import { snapshotAt } from "../engine/checkpoint/policy.ts";
import { stampMs } from "../engine/base/hybrid-clock.ts";
import { limited } from "../engine/base/retry.ts";
import type { App, Routes } from "./app.ts";
import type { Env } from "./env.ts";
import { advanceReplays } from "./admin/replays.ts";
import { openShares } from "./admin/shares.ts";
import { sweepTimelines } from "./admin/timeline-routes.ts";
import { note } from "./note.ts";
import { requestClock } from "./request-clock.ts";
import { partitionStub } from "./stub.ts";

/** Partitions in one page: each costs about two rows read and some 100 bytes sent. */
const PAGE = 500;
/** Pages of one run in each database: 100,000 partitions, and well below the calls that one run may make. */
const PAGES = 200;
/** The platform ends a run after 15 minutes. */
const RUN_MS = 10 * 60_000;
/** A run takes in for this long, on all timelines that replay together. */
const REPLAY_MS = 40_000;
/** Partitions that are woken at once; each may take a snapshot. */
const AT_ONCE = 8;
const WAKE_MS = 60_000;
/** An alarm may be a minute late and be healthy. */
const GRACE_MS = 120_000;

export async function runCron(app: App, env: Env): Promise<void> {
  const until = Date.now() + RUN_MS;
  await sweepTimelines(env).catch((error: unknown) =>
    note("a timeline could not be removed", { error: messageOf(error) }),
  );
  const routes = await app.current(env);
  const places = placesOf(routes);
  const databases = logDatabases(env as unknown as Record<string, unknown>);
  const results = await Promise.allSettled(
    [...databases].map(([name, db]) => wakeOverdue(env, db, places, startIn(places, name), until)),
  );
  for (const one of results)
    if (one.status === "rejected") note("cron didn't finish a database", { error: messageOf(one.reason) });
  await openShares(env, routes).catch((error: unknown) =>
    note("a split partition stays unopened", { error: messageOf(error) }),
  );
  const failed = (error: unknown): void => note("a timeline could not replay", { error: messageOf(error) });
  await advanceReplays(env, app, REPLAY_MS, failed).catch(failed);
}

interface Place {
  readonly route: Route;
  readonly address: Address;
}
/** By the partition's name. */
type Places = ReadonlyMap<string, Place>;

const placesOf = ({ byOperator }: Routes): Places =>
  new Map(
    [...byOperator.values()].flatMap((route) =>
      route.addresses.map((address) => [partitionName(address), { route, address }] as const),
    ),
  );

/** Returns the name of a random partition of the database. */
function startIn(places: Places, database: string): string {
  const names = [...places].flatMap(([name, { address }]) => (address.database === database ? [name] : []));
  return names[Math.floor(Math.random() * names.length)] ?? "";
}

async function wakeOverdue(env: Env, db: D1Database, places: Places, start: string, until: number): Promise<void> {
  for await (const page of walk(db, start)) {
    const due = await overdue(db, places, page);
    for (let at = 0; at < due.length; at += AT_ONCE) {
      if (Date.now() > until) return;
      await Promise.all(due.slice(at, at + AT_ONCE).map((one) => wake(env, one)));
    }
  }
}

/** Yields every partition once: from above `start` to the end, and from the beginning to `start`. */
async function* walk(db: D1Database, start: string): AsyncGenerator<readonly PartitionTail[]> {
  let [after, round] = [start, false];
  for (let pages = 0; pages < PAGES; pages++) {
    const page = await limited(requestClock, "D1", () => partitionTails(db, after, PAGE));
    yield round ? page.filter(({ partition }) => partition <= start) : page;
    after = page.at(-1)?.partition ?? after;
    if (round && after >= start) return;
    if (page.length === PAGE) continue;
    if (round || start === "") return;
    [after, round] = ["", true];
  }
}

interface Due extends Place {
  readonly tail: PartitionTail;
}

/** Returns the partitions of a page whose snapshot is overdue. Bytes are asked for only if they decide. */
async function overdue(db: D1Database, places: Places, page: readonly PartitionTail[]): Promise<Due[]> {
  const now = Date.now();
  const may = page.flatMap((tail) => {
    // An operator that isn't in this code has no object to wake.
    const place = places.get(tail.partition);
    if (place === undefined || !isOverdue(tail, Number.POSITIVE_INFINITY, place.route, now)) return [];
    return [{ ...place, tail, surely: isOverdue(tail, 0, place.route, now) }];
  });
  const open = may.filter(({ surely }) => !surely).map(({ tail }) => tail.partition);
  const bytes = open.length === 0 ? null : await limited(requestClock, "D1", () => tailBytes(db, open));
  return may.filter(
    ({ tail, route, surely }) => surely || isOverdue(tail, bytes?.get(tail.partition) ?? 0, route, now),
  );
}

function isOverdue(tail: PartitionTail, bytes: number, { operator }: Route, now: number): boolean {
  if (tail.pendingFrom !== null && now > tail.pendingFrom + GRACE_MS) return true;
  const tailSinceMs = tail.tailStamp === null ? null : stampMs(stamp(tail.tailStamp));
  // The date is NaN if the manifest has no time: then the partition counts as without a snapshot.
  const lastMs = Date.parse(tail.lastAt ?? "") || 0;
  const facts = {
    tailEvents: tail.tailEvents,
    tailBytes: bytes,
    tailSinceMs,
    lastMs,
    stateMs: 0,
    tailMs: 0,
    changedBytes: 0,
  };
  const at = snapshotAt(facts, { ...operator.snapshot, memoryBytes: operator.memoryBytes });
  return at !== null && now > Math.max(at, tailSinceMs ?? 0) + GRACE_MS;
}

async function wake(env: Env, { address, tail }: Due): Promise<void> {
  note("alarm was lost", { name: tail.partition, tailEvents: tail.tailEvents });
  // Longer work continues without this call, since the object is awake.
  await limited(requestClock, "the partition", () => partitionStub(env, address).wake(address), WAKE_MS).catch(
    () => undefined,
  );
}
