/** The events of a test, and the time between them, played on a stage. */
import { AssertionError } from "node:assert";
import { messageOf } from "../engine/base/errors.ts";
import { toState, type JsonObject } from "../engine/base/json.ts";
import { timeMs } from "../engine/event/rfc3339.ts";
import type { EventFor } from "../engine/operator/operator-types.ts";
import type { Operator } from "../engine/operator/operator.ts";
import { durationMs, type Duration } from "../engine/operator/settings.ts";
import { Stage, type Alarms, type EventOutcome } from "./stage.ts";

export interface Options {
  /** RFC 3339 time of the first event, by default 2026-01-01T00:00:00Z. Each further one is a second later. */
  readonly now?: string;
  /** States that an older version left, by key. A snapshot brings them in, as after a deploy. */
  readonly from?: From;
}

export interface From {
  /** Version of the code that left the states; below the operator's version. */
  readonly version: number;
  readonly states: Readonly<Record<string, JsonObject>>;
}

/** Time that passes between two events. */
export interface Later {
  readonly laterMs: number;
}

/**
 * Lets time pass in a list of events. The next event is received this much after the last one, instead of a second
 * after it. Timers fire meanwhile.
 *
 * @example
 * await given(credits, [
 *   { id: "order-1", type: "credits.bought", data: { account: "ada", n: 5 } },
 *   later("48h"),
 *   { id: "order-2", type: "credits.bought", data: { account: "ada", n: 5 } },
 *   later("10m"),
 * ])
 *   .when({ id: "order-1", type: "credits.bought", data: { account: "ada", n: 5 } })
 *   .expectReply({ left: 15 }); // its id is forgotten, since dedup.keep is 24h: it counts again
 *
 * @throws RangeError if `duration` is not a duration
 */
export function later(duration: Duration): Later {
  const fail = (why: string): never => {
    throw new RangeError(why);
  };
  return { laterMs: Math.ceil(durationMs(duration, "later", fail)) };
}

/** An element of a list of events. */
export type Step<O extends Operator> = EventFor<O> | Later;

/** All fires that is due at this moment. */
export interface Until {
  readonly untilMs: number;
}

/** Returns the stage on which a test's events are played, with the states of `options.from`. */
export async function stageOf(operator: Operator, options: Options, alarms: Alarms = "in time"): Promise<Stage> {
  const stage = new Stage(operator, rfc3339Ms(options.now ?? "2026-01-01T00:00:00Z", "now"), alarms);
  if (options.from === undefined) return stage;
  const { version, states } = options.from;
  if (!Number.isSafeInteger(version) || version < 1 || version >= operator.version)
    throw new RangeError(`from: the version must be below that of the operator, ${operator.version}, not ${version}`);
  for (const [key, state] of Object.entries(states)) assertMigrates(operator, version, key, state);
  await stage.begin(version, states);
  return stage;
}

/** Plays one step. Returns the outcome of an event, or null if time passed. */
export async function step(stage: Stage, one: unknown): Promise<EventOutcome | null> {
  if (!isTime(one)) return stage.send(one);
  if ("laterMs" in one) await stage.later(one.laterMs);
  else if (one.untilMs >= stage.nowMs) await stage.until(one.untilMs);
  else throw new RangeError(`clock: ${text(one.untilMs)} is before ${text(stage.nowMs)}, which has come already`);
  return null;
}

const text = (ms: number): string => new Date(ms).toISOString();

const isTime = (one: unknown): one is Later | Until =>
  typeof one === "object" && one !== null && ("laterMs" in one || "untilMs" in one) && !("type" in one);

/**
 * @throws AssertionError if a step of `migrate` throws, or gives no state. The engine would keep the old state and
 *     answer each caller with the error.
 */
function assertMigrates({ migrate }: Operator, from: number, key: string, state: JsonObject): void {
  const failed = (why: string): AssertionError =>
    new AssertionError({ message: `migrating key ${JSON.stringify(key)} from version ${from} fails: ${why}` });
  let now: unknown = structuredClone(state);
  for (let version = from + 1; migrate.has(version); version++)
    try {
      now = migrate.get(version)!(now as JsonObject);
    } catch (error) {
      throw failed(`the step to version ${version} throws, ${messageOf(error)}`);
    }
  const json = toState(now);
  if (json.tag === "not_json") throw failed(`its result ${json.why}`);
}

/** @throws RangeError if that is no RFC 3339 time */
export function rfc3339Ms(time: string, what: string): number {
  const ms = timeMs(time);
  if (Number.isNaN(ms)) throw new RangeError(`${what}: ${JSON.stringify(time)} isn't an RFC 3339 time`);
  return ms;
}
