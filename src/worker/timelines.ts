/** The timelines of this app, over its databases and R2. */
import { brotli } from "../adapters/brotli.ts";
import { logDatabases } from "../adapters/catalogue.ts";
import { D1Floor } from "../adapters/d1-floor.ts";
import { D1Savepoints } from "../adapters/d1-savepoints.ts";
import { D1Directory, D1Lines } from "../adapters/d1-timelines.ts";
import { R2Store } from "../adapters/r2-store.ts";
import type { Main } from "../engine/base/records.ts";
import { limited } from "../engine/base/retry.ts";
import { settlePromotion, type PromotionStores } from "../engine/history/promotion.ts";
import type { SavepointFiles } from "../engine/history/savepoint-object.ts";
import type { Stores } from "../engine/history/savepoints.ts";
import type { SwitchFiles } from "../engine/history/switch-object.ts";
import type { TimelineStores, Timelines } from "../engine/history/timelines.ts";
import type { Env } from "./env.ts";
import { requestClock } from "./request-clock.ts";

/** Returns the databases of the log, the first one first. */
export const databasesOf = (env: Env): D1Database[] => [
  ...logDatabases(env as unknown as Record<string, unknown>).values(),
];

const directoryOf = (env: Env): D1Directory => new D1Directory(databasesOf(env)[0]!);

export const readMain = (env: Env): Promise<Main> => directoryOf(env).main();

export const readTimelines = (env: Env): Promise<Timelines> =>
  limited(requestClock, "D1", () => directoryOf(env).all());

/** A promotion takes a few seconds. If it is older, its caller is gone. */
const ABANDONED_MS = 15_000;

/** Returns the timelines, after a promotion was finished or aborted whose caller went away (PROMOTION5). */
export async function timelinesAtRest(env: Env): Promise<Timelines> {
  const timelines = await readTimelines(env);
  const { state, begunMs } = timelines.main;
  if (state === "idle" || requestClock.now() - begunMs < ABANDONED_MS) return timelines;
  await settlePromotion(requestClock, promotionStores(env));
  return readTimelines(env);
}

export const promotionStores = (env: Env): PromotionStores => ({
  directory: directoryOf(env),
  lines: databasesOf(env).map((db) => new D1Lines(db)),
  floors: (line) => floorsOf(env, line),
  objects: new R2Store(env.SNAPSHOTS),
  codec: brotli,
});

export const switchFiles = (env: Env): SwitchFiles => ({
  objects: new R2Store(env.SNAPSHOTS),
  clock: requestClock,
  codec: brotli,
});

export const timelineStores = (env: Env): TimelineStores => ({
  directory: directoryOf(env),
  lines: databasesOf(env).map((db) => new D1Lines(db)),
  savepoints: (line) => ({ files: savepointFiles(env, line), stores: savepointStores(env, line) }),
});

export const floorsOf = (env: Env, line: number): D1Floor[] => databasesOf(env).map((db) => new D1Floor(db, line));

export const savepointFiles = (env: Env, line: number): SavepointFiles => ({
  line,
  clock: requestClock,
  objects: new R2Store(env.SNAPSHOTS),
  codec: brotli,
});

/** Returns the savepoints of a line in every database, those of the first one first. */
export function savepointStores(env: Env, line: number): Stores {
  const [first, ...others] = databasesOf(env).map((db) => new D1Savepoints(db, line));
  return [first!, ...others];
}
