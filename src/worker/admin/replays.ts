/**
 * Replays: a timeline takes in the log of another line with the code that runs here (partition/take-in.ts).
 *
 * REPLAY2. A replay is one code's work. Under other code it starts again, on a new line under the same name, unless it is
 *     being promoted.
 * REPLAY3. It proceeds in steps: a request, the cron or a promotion asks the partitions that are behind to take in more.
 *     D1 says which are behind, so no other partition is woken.
 */
import type { Replay, Timeline } from "../../engine/base/records.ts";
import { Failure, messageOf } from "../../engine/base/errors.ts";
import { partitionName } from "../../engine/base/ids.ts";
import { limited, persistent } from "../../engine/base/retry.ts";
import { makeTimeline } from "../../engine/history/timelines.ts";
import type { Address } from "../../engine/operator/routing.ts";
import type { TakenIn } from "../../engine/partition/take-in.ts";
import type { App, Routes } from "../app.ts";
import type { Env } from "../env.ts";
import { LAST_STAMP, type Lineage, lineageOf, partsOf } from "../lineage.ts";
import { headsAt, headsOn, partsOfName, unlinedName } from "../read/heads.ts";
import { OTHER_CODE, replayCode } from "../replay-code.ts";
import { requestClock } from "../request-clock.ts";
import type { PartitionAnswer } from "../rpc.ts";
import { partitionStub } from "../stub.ts";
import { promotionStores, readTimelines, timelineStores } from "../timelines.ts";

export interface Replaying extends Timeline {
  readonly replay: Replay;
}

export const isReplaying = (one: Timeline): one is Replaying => one.replay !== undefined;

/** How far a replay has come. */
export interface ReplayProgress {
  /** Events of the source that aren't taken in, as far as D1 tells. */
  readonly lag: number;
  readonly behind: readonly Address[];
  /** Why some partition takes in nothing now. */
  readonly trouble: string | null;
}

/** How partitions are asked: so many at a time, each for so long, and as much longer for its answer. */
interface Pace {
  readonly atOnce: number;
  readonly callMs: number;
  readonly marginMs: number;
}
/** A call may outlast its time by a portion. */
const AT_EASE: Pace = { atOnce: 8, callMs: 5_000, marginMs: 30_000 };
/** While main is sealed, little is left, and senders wait. */
export const IN_HASTE: Pace = { atOnce: 32, callMs: 5_000, marginMs: 1_000 };

/** Lets the partitions that are behind take in more, for about that time. */
export async function advance(
  env: Env,
  app: App,
  line: Replaying,
  ms: number,
  { atOnce, callMs, marginMs }: Pace = AT_EASE,
): Promise<ReplayProgress> {
  const until = requestClock.now() + ms;
  const timelines = await readTimelines(env);
  const source = lineageOf(timelines, line.replay.source);
  const target = await app.onLine(env, timelines, line.line);
  // Partitions that have reached the end of a log whose end D1 doesn't tell.
  const ended = new Set<string>();
  for (;;) {
    const progress = await progressOf(env, target, source, ended);
    if (progress.behind.length === 0 || progress.trouble !== null || requestClock.now() >= until) return progress;
    const waiting = [...progress.behind];
    let trouble: string | null = null;
    const work = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined && trouble === null; next = waiting.shift()) {
        const left = until - requestClock.now();
        if (left <= 0) return;
        const answer = await takeIn(env, app, next, source, line.replay, Math.min(left, callMs), marginMs);
        if (answer.tag === "ok" && !answer.value.more) ended.add(partitionName(next));
        // An instance that ended is replaced.
        if (answer.tag === "busy" && answer.code !== "fenced") trouble = `${answer.code}: ${answer.message}`;
      }
    };
    await Promise.all(Array.from({ length: atOnce }, work));
    if (trouble !== null) return { ...(await progressOf(env, target, source, ended)), trouble };
  }
}

async function takeIn(
  env: Env,
  app: App,
  address: Address,
  source: Lineage,
  { outcomes, code }: Replay,
  ms: number,
  marginMs: number,
): Promise<PartitionAnswer<TakenIn>> {
  if (code !== replayCode(env, app)) return { tag: "busy", ...OTHER_CODE };
  const call = { source: partsOf(source), outcomes, code, ms };
  try {
    return await limited(
      requestClock,
      "the partition",
      () => partitionStub(env, address).takeIn(address, call),
      ms + marginMs,
    );
  } catch (error) {
    // The object has died, or doesn't answer. The next call finds a new one.
    return { tag: "busy", code: "store_unavailable", message: messageOf(error) };
  }
}

/** Compares the heads of both lines, from one statement for each database and line. */
export async function progressOf(
  env: Env,
  { line, ancestors, byOperator }: Routes,
  source: Lineage,
  ended: ReadonlySet<string> = new Set(),
): Promise<ReplayProgress> {
  const [start] = ancestors;
  const [own, now, then] = await Promise.all([
    headsOn(env, line, LAST_STAMP),
    headsAt(env, source, LAST_STAMP),
    headsAt(env, { line: start!.line, ancestors: ancestors.slice(1) }, start!.at),
  ]);
  const addresses = [...byOperator.values()].flatMap((route) => route.addresses);
  let lag = 0;
  const behind = addresses.filter((address) => {
    const { operator, partition } = address;
    const head = own.get(unlinedName(partitionName(address))) ?? then.of(operator, partition);
    const newest = now.of(operator, partition);
    if (newest !== null && head !== null) lag += Math.max(0, newest - head);
    // A head that D1 doesn't tell is found by the partition.
    if (newest === null || head === null) return !ended.has(partitionName(address));
    return newest > head;
  });
  // The log of an operator that this code can't place would be given up.
  const strange = [...now.names].find((name) => {
    const [operator, partition] = partsOfName(name);
    return (
      byOperator.get(operator)?.addresses[partition] === undefined &&
      now.of(operator, partition) !== (own.get(name) ?? then.of(operator, partition))
    );
  });
  const trouble =
    strange === undefined
      ? null
      : `replay_operator_missing: events of "${partsOfName(strange)[0]}" came since, and this code has no such operator, or can't place it now`;
  return { lag, behind, trouble };
}

/** Starts a replay again on a new line if other code is deployed now (REPLAY2). Returns the line that has the name. */
export async function underThisCode(env: Env, app: App, line: Replaying): Promise<Replaying> {
  const code = replayCode(env, app);
  if (line.replay.code === code || line.name === null) return line;
  const { name, parent, at, expiresMs, replay } = line;
  const stores = timelineStores(env);
  await persistent(requestClock, "D1", () => stores.directory.replace(line.line));
  const row = (await readTimelines(env)).all.find((one) => one.line === line.line);
  // Somebody has promoted or removed it meanwhile, or it is being promoted.
  if (row?.state !== "removing" || row.name !== null) throw new Failure("replay_other_code", OTHER_CODE.message);
  const start = { name, parent: parent!, at, exact: true, expiresMs, replay: { ...replay, code } };
  const made = await makeTimeline(requestClock, stores, start);
  if (made.tag === "made" && isReplaying(made.timeline)) return made.timeline;
  // Its moment is gone, or there is no room.
  throw new Failure("replay_other_code", OTHER_CODE.message);
}

/** Advances all replays for about that time, for the cron. `failed` hears of one that can't go on. */
export async function advanceReplays(env: Env, app: App, ms: number, failed: (error: unknown) => void): Promise<void> {
  const { all } = await readTimelines(env);
  const replaying = all.filter(isReplaying).filter(({ state }) => state === "ready");
  for (const one of replaying)
    try {
      await advance(env, app, await underThisCode(env, app, one), ms / replaying.length);
    } catch (error) {
      failed(error);
    }
}

/** The outcomes that differ on a line from those of the line that it replayed. */
export async function changedSums(env: Env, line: number): Promise<readonly (readonly [string, number, number])[]> {
  const { lines } = promotionStores(env);
  const found = await Promise.all(lines.map((store) => persistent(requestClock, "D1", () => store.changed(line))));
  return found
    .flat()
    .map(({ partition, count, sum }) => [partition, count, sum] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));
}
