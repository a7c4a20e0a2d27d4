/**
 * A limit on requests that bring events, by the platform's own counter, where the binding INGEST_LIMIT is there.
 *
 * RATELIMIT1. It counts requests, for each caller: by its key prefix, else by its `Authorization`, as a digest; callers that `authorize`
 *     knows by something else, and binds to no prefix, are one. Each location of the network
 *     counts for itself, so it is a fuse against a loop that runs wild, and no bill: that is maxEventsPerDay.
 * RATELIMIT2. Where the counter fails, the request goes on.
 */
import { messageOf } from "../../engine/base/errors.ts";
import { digestOf, type Grant } from "./access.ts";
import type { Env } from "../env.ts";
import { note } from "../note.ts";
import { problem } from "../problem.ts";

/** The binding doesn't say how long its period is: it is 10 or 60 seconds. */
const RETRY_SEC = 10;

/** The answer that stops the request; null: it may go on. */
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
