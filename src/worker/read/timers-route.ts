/**
 * `GET /v1/operators/{op}/timers?key=`: the pending timers of a key in the order in which they fire, and its expiry.
 * They are a part of the key's state (TIMER1), so they are read as the state is, also at a moment.
 */
import { stampTime } from "../../engine/base/hybrid-clock.ts";
import type { Route } from "../../engine/operator/routing.ts";
import type { KeyEntry } from "../../engine/state/keyed-state.ts";
import { dueOf, EXPIRY } from "../../engine/state/timers.ts";
import type { Env } from "../env.ts";
import { type Grant, keyNotAllowed } from "../http/access.ts";
import { json } from "../http/answers.ts";
import { problem } from "../problem.ts";
import { atOf, noState, readState } from "./state-routes.ts";
import { sourceOf } from "./state-source.ts";

/** Times are RFC 3339. */
export interface KeyTimers {
  /** The timer that fires first comes first. */
  readonly timers: readonly { readonly name: string; readonly due: string }[];
  /** When the key expires, unless an event comes before. Null if it doesn't. */
  readonly expires: string | null;
}

export async function getTimers(
  env: Env,
  route: Route,
  { key, at }: { readonly key: string | undefined; readonly at: string | undefined },
  { keyPrefix = "" }: Grant,
): Promise<Response> {
  if (key === undefined) return problem({ status: 400, code: "invalid_key", detail: "name the key with ?key=" });
  if (!key.startsWith(keyPrefix)) return keyNotAllowed(key);
  const source = await sourceOf(env, route, at);
  if (source instanceof Response) return source;
  const read = await readState(source, route, key);
  // Timers can be read though the state can't be migrated.
  if (read.tag !== "found" && read.tag !== "unmigrated") return noState(read, source, route, key);
  const { partition, entry } = read;
  const { seq, stamp } = entry;
  const about = { partition, seq, time: stampTime(stamp), ...atOf(source) };
  return json(JSON.stringify({ operator: route.operator.name, key, ...timersShown(entry), ...about }));
}

export function timersShown({ timers = [] }: KeyEntry): KeyTimers {
  const named = timers.filter(([name]) => name !== EXPIRY).toSorted(([, a], [, b]) => a - b);
  const expires = dueOf(timers, EXPIRY);
  return {
    timers: named.map(([name, due]) => ({ name, due: timeOfMs(due) })),
    expires: expires === null ? null : timeOfMs(expires),
  };
}

const timeOfMs = (ms: number): string => new Date(ms).toISOString();
