/** Moments of this app: what a text means, as a settled stamp, or the problem. */
import { stampTime } from "../../engine/base/hybrid-clock.ts";
import { stamp, type Stamp } from "../../engine/base/ids.ts";
import type { Savepoint } from "../../engine/base/records.ts";
import { limited } from "../../engine/base/retry.ts";
import { MOMENT_FORMS, parseMoment, stampUpTo } from "../../engine/history/moment.ts";
import { settle } from "../../engine/history/settle.ts";
import type { Gone } from "../../engine/recovery/past-state.ts";
import type { Env } from "../env.ts";
import { problem } from "../problem.ts";
import { requestClock } from "../request-clock.ts";
import { LAST_STAMP, lineageOf, type Lineage } from "../lineage.ts";
import { floorsOf, readTimelines, savepointStores } from "../timelines.ts";
import { behindAt } from "./heads.ts";

/** Turns a moment of a line into a settled stamp, or into the problem. */
export async function settledAt(env: Env, on: Lineage, text: string): Promise<Stamp | Response> {
  const moment = parseMoment(text);
  if (moment === null) return noMoment(text);
  // A savepoint was settled when it was taken.
  if (moment.tag === "savepoint") return savepointAt(env, on, moment.name);
  // The floor of a line that replays stays, since rows that it takes in have the stamps of the other line.
  const settled = await settle(requestClock, floorsOf(env, on.replay?.source ?? on.line), moment);
  if (settled.tag === "settled" && on.replay !== undefined) {
    const timelines = await readTimelines(env);
    const isStill = timelines.all.some((one) => one.line === on.line && one.replay !== undefined);
    // It may have become main, or been removed. Then its own floors count.
    if (!isStill) return settledAt(env, { line: on.line, ancestors: on.ancestors }, String(settled.at));
    if (!(await isTakenIn(env, on, lineageOf(timelines, on.replay.source), settled.at))) return notTakenIn(settled.at);
  }
  if (settled.tag === "settled") return settled.at;
  return problem({
    status: 409,
    code: "not_settled",
    detail: `the moment is ${settled.aheadMs} ms ahead of the databases' clocks: ask again then, or ask for an earlier one`,
    retryAfterSec: Math.ceil(settled.aheadMs / 1_000),
  });
}

/** Returns false if a line that replays the source has not taken in everything up to the stamp. */
async function isTakenIn(env: Env, on: Lineage, source: Lineage, at: Stamp): Promise<boolean> {
  return at <= on.ancestors[0]!.at || (await behindAt(env, on, source, at)).length === 0;
}

const notTakenIn = (at: Stamp): Response =>
  problem({
    status: 409,
    code: "not_settled",
    detail: `the timeline replays, and has not come to stamp ${at} yet: ask again later, or for an earlier moment`,
    retryAfterSec: 1,
  });

const noMoment = (text: string): Response =>
  problem({
    status: 400,
    code: "invalid_moment",
    detail: `${JSON.stringify(text.slice(0, 100))} is no moment; write ${MOMENT_FORMS}`,
  });

/**
 * Turns a moment into a stamp without settling it, so nothing is written. Events at or below the stamp may still be
 * logged. "now" is above all stamps.
 */
export async function unsettledAt(env: Env, on: Lineage, text: string): Promise<Stamp | Response> {
  const moment = parseMoment(text);
  if (moment === null) return noMoment(text);
  switch (moment.tag) {
    case "savepoint":
      return savepointAt(env, on, moment.name);
    case "stamp":
      return moment.at;
    case "now":
      return LAST_STAMP;
    case "ago": {
      const facts = await Promise.all(
        floorsOf(env, on.line).map((floor) => limited(requestClock, "D1", () => floor.facts())),
      );
      return stampUpTo(Math.max(...facts.map(({ nowMs }) => nowMs)) - moment.ms);
    }
  }
}

/** A savepoint, and the line that it was taken on. */
export interface LineSavepoint extends Savepoint {
  readonly line: number;
}

/**
 * Returns the savepoints of a line by name, with those that were taken on the lines that it starts from, up to its
 * start. Of two with one name, the later line's counts.
 */
export async function savepointsOn(
  env: Env,
  { line, ancestors }: Lineage,
): Promise<ReadonlyMap<string, LineSavepoint>> {
  const found = new Map<string, LineSavepoint>();
  let upTo = LAST_STAMP;
  for (const part of [{ line, at: upTo }, ...ancestors]) {
    upTo = stamp(Math.min(upTo, part.at));
    const rows = await limited(requestClock, "D1", () => savepointStores(env, part.line)[0].all());
    for (const row of rows)
      if (row.at <= upTo && !found.has(row.name)) found.set(row.name, { ...row, line: part.line });
  }
  return found;
}

async function savepointAt(env: Env, on: Lineage, name: string): Promise<Stamp | Response> {
  const found = (await savepointsOn(env, on)).get(name);
  return found?.state === "held" ? found.at : noSavepoint(name);
}

export const noTimeline = (name: string): Response =>
  problem({ status: 404, code: "no_timeline", detail: `there is no timeline ${JSON.stringify(name.slice(0, 100))}` });

export const timelineSealed = (name: string): Response =>
  problem({
    status: 409,
    code: "timeline_sealed",
    detail: `${name} was main and never changes: make a timeline that starts where it ends, with {"from":"${name}@now"}, and use that`,
  });

export const timelineReplays = (name: string): Response =>
  problem({
    status: 409,
    code: "timeline_replays",
    detail: `timeline "${name}" replays another one's log, and takes nothing else: send it to main, or start a timeline from "${name}"'s moment`,
  });

export const timelineUnstarted = (name: string): Response =>
  problem({
    status: 409,
    code: "timeline_unstarted",
    detail: `timeline "${name}" has nothing yet: it starts where main ends, when it is promoted; look at main`,
  });

export const noSavepoint = (name: string): Response =>
  problem({ status: 404, code: "no_savepoint", detail: `there is no savepoint "${name}"` });

/** The answer to a moment that retention has given up. */
export const momentGone = ({ oldest }: Gone): Response =>
  problem({
    status: 410,
    code: "moment_gone",
    detail: `retention has given up this moment; the oldest that can be read is stamp ${oldest}, ${stampTime(oldest)}`,
    more: { oldest, oldestTime: stampTime(oldest) },
  });
