/** Moments of this app: what a text means, as a settled stamp, or the problem. */
import { brotli } from "../../adapters/brotli.ts";
import { logDatabases } from "../../adapters/catalogue.ts";
import { D1Floor } from "../../adapters/d1-floor.ts";
import { D1Savepoints } from "../../adapters/d1-savepoints.ts";
import { R2Store } from "../../adapters/r2-store.ts";
import { stampTime } from "../../engine/base/hybrid-clock.ts";
import { FIRST_LINE, stamp, type Stamp } from "../../engine/base/ids.ts";
import { limited } from "../../engine/base/retry.ts";
import { MOMENT_FORMS, parseMoment, stampUpTo } from "../../engine/history/moment.ts";
import type { Gone } from "../../engine/recovery/past-state.ts";
import type { SavepointFiles } from "../../engine/history/savepoint-object.ts";
import type { Stores } from "../../engine/history/savepoints.ts";
import { settle } from "../../engine/history/settle.ts";
import type { Env } from "../env.ts";
import { problem } from "../problem.ts";
import { requestClock } from "../request-clock.ts";

/** Turns a moment into a settled stamp, or into the problem. */
export async function settledAt(env: Env, text: string): Promise<Stamp | Response> {
  const moment = parseMoment(text);
  if (moment === null) return noMoment(text);
  // A savepoint was settled when it was taken.
  if (moment.tag === "savepoint") return savepointAt(env, moment.name);
  const settled = await settle(requestClock, floorsOf(env), moment);
  if (settled.tag === "settled") return settled.at;
  return problem({
    status: 409,
    code: "not_settled",
    detail: `the moment is ${settled.aheadMs} ms ahead of the databases' clocks: ask again then, or ask for an earlier one`,
    retryAfterSec: Math.ceil(settled.aheadMs / 1_000),
  });
}

const noMoment = (text: string): Response =>
  problem({
    status: 400,
    code: "invalid_moment",
    detail: `${JSON.stringify(text.slice(0, 100))} is no moment; write ${MOMENT_FORMS}`,
  });

/** No stamp is above it. */
export const LAST_STAMP = stamp(Number.MAX_SAFE_INTEGER);

/**
 * Turns a moment into a stamp without settling it, so nothing is written. Events at or below the stamp may still be
 * logged. "now" is above all stamps.
 */
export async function unsettledAt(env: Env, text: string): Promise<Stamp | Response> {
  const moment = parseMoment(text);
  if (moment === null) return noMoment(text);
  switch (moment.tag) {
    case "savepoint":
      return savepointAt(env, moment.name);
    case "stamp":
      return moment.at;
    case "now":
      return LAST_STAMP;
    case "ago": {
      const facts = await Promise.all(floorsOf(env).map((floor) => limited(requestClock, "D1", () => floor.facts())));
      return stampUpTo(Math.max(...facts.map(({ nowMs }) => nowMs)) - moment.ms);
    }
  }
}

async function savepointAt(env: Env, name: string): Promise<Stamp | Response> {
  const rows = await limited(requestClock, "D1", () => savepointStores(env)[0].all());
  return rows.find((row) => row.name === name && row.state === "held")?.at ?? noSavepoint(name);
}

export const noSavepoint = (name: string): Response =>
  problem({ status: 404, code: "no_savepoint", detail: `there is no savepoint "${name}"` });

export const savepointFiles = (env: Env): SavepointFiles => ({
  line: FIRST_LINE,
  clock: requestClock,
  objects: new R2Store(env.SNAPSHOTS),
  codec: brotli,
});

/** Returns the savepoints of every database, those of the first one first. */
export function savepointStores(env: Env): Stores {
  const [first, ...others] = databasesOf(env).map((db) => new D1Savepoints(db, FIRST_LINE));
  return [first!, ...others];
}

const floorsOf = (env: Env): D1Floor[] => databasesOf(env).map((db) => new D1Floor(db, FIRST_LINE));

const databasesOf = (env: Env): D1Database[] => [...logDatabases(env as unknown as Record<string, unknown>).values()];

/** The answer to a moment that retention has given up. */
export const momentGone = ({ oldest }: Gone): Response =>
  problem({
    status: 410,
    code: "moment_gone",
    detail: `retention has given up this moment; the oldest that can be read is stamp ${oldest}, ${stampTime(oldest)}`,
    more: { oldest, oldestTime: stampTime(oldest) },
  });
