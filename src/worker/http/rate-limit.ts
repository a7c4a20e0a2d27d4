/**
 * A limit on requests that bring events, by the platform's own counter. It needs the binding INGEST_LIMIT.
 *
 * RATELIMIT1. The counter counts requests of each caller: by key prefix, else by a digest of `Authorization`. Callers
 *     without a prefix whom `authorize` knows by something else count as one. Each location of the network counts for
 *     itself. So the limit stops a loop that runs wild, and bounds no bill: maxEventsPerDay does that.
 * RATELIMIT2. If the counter fails, the request proceeds.
 */
import { messageOf } from "../../engine/base/errors.ts";
import { digestOf, type Grant } from "./access.ts";
import type { Env } from "../env.ts";
import { note } from "../note.ts";
import { problem } from "../problem.ts";

/** The binding doesn't tell its period, which is 10 or 60 seconds. */
const RETRY_SEC = 10;

/** Returns the answer that stops the request, or null if the request may proceed. */
export async function limitedRate(request: Request, env: Env, { keyPrefix = "" }: Grant): Promise<Response | null> {
  const limit = env.INGEST_LIMIT;
  if (limit === undefined) return null;
  try {
    const { success } = await limit.limit({ key: await callerOf(request, keyPrefix) });
    if (success) return null;
  } catch (error) {
    note("the rate limit doesn't answer", { error: messageOf(error) });
    return null;
  }
  return problem({
    status: 429,
    code: "rate_limited",
    detail: "too many requests of this caller; send more events in each, or wait",
    retryAfterSec: RETRY_SEC,
  });
}

async function callerOf(request: Request, keyPrefix: string): Promise<string> {
  if (keyPrefix !== "") return `prefix ${keyPrefix}`;
  const digest = new Uint8Array(await digestOf(request.headers.get("authorization") ?? ""));
  return `token ${[...digest.subarray(0, 16)].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
