/** `keyframe doctor --evict`: drops a partition from memory, and compares the recovered state with the state before. */
import { isObject } from "../engine/base/json.ts";
import { operatorPath } from "../client/paths.ts";
import { problemCode, fine, pathOfPartition, POST_REQUEST, type TimedAnswer, type AppClient } from "./app.ts";
import type { PartitionInfo } from "../client/admin-answers.ts";
import { check, type Check } from "./checks.ts";
import { CommandError } from "./command.ts";
import { count, span } from "../client/amounts.ts";

/** The key, and the partition that holds it, at one moment. */
export interface Look {
  readonly appliedSeq: number;
  readonly keys: number;
  /** JSON text, or null if there is no state. */
  readonly value: string | null;
  /** The seq of the last event that changed the key. */
  readonly seq: number;
}

/** The partition's last recovery, in its own report. */
interface Recovery {
  readonly at: string;
  readonly ms: number;
  readonly manifest: number | null;
  readonly replayedEvents: number;
}

export async function coldOpen(app: AppClient, operator: string, partition: string, key: string): Promise<Check> {
  const path = pathOfPartition(operator, partition);
  const before = await look(app, operator, path, Number(partition), key);
  fine(await app.askAgain(`${path}/evict`, POST_REQUEST));
  const begun = performance.now();
  await readKey(app, operator, key);
  const ms = performance.now() - begun;
  const after = await look(app, operator, path, Number(partition), key);
  const fresh = after.recovery !== null && after.recovery.at !== before.recovery?.at ? after.recovery : null;
  return judgeColdOpen(`${operator} ${partition}`, { before, after, ms, recovery: fresh });
}

async function look(
  app: AppClient,
  operator: string,
  path: string,
  partition: number,
  key: string,
): Promise<Look & { readonly recovery: Recovery | null }> {
  const body = await readKey(app, operator, key);
  const home = body?.["partition"];
  if (typeof home === "number" && home !== partition)
    throw new CommandError(
      `--evict: the key ${JSON.stringify(key)} belongs to partition ${home} of ${operator}, not in ${partition}`,
    );
  const { appliedSeq, keys, lastRecovery } = (await app.get(`${path}?live=true`)) as PartitionInfo;
  const value = body === null ? null : JSON.stringify(body["value"]);
  return { appliedSeq, keys, value, seq: Number(body?.["seq"] ?? 0), recovery: lastRecovery as Recovery | null };
}

/** Returns null if there is no state. */
async function readKey(
  app: AppClient,
  operator: string,
  key: string,
): Promise<Readonly<Record<string, unknown>> | null> {
  const answer: TimedAnswer = await app.askAgain(`${operatorPath(operator)}/state?key=${encodeURIComponent(key)}`);
  if (problemCode(answer) === "no_state") return null;
  const body = fine(answer);
  return isObject(body) ? body : {};
}

/** Other clients may write meanwhile. If the log has moved on, compare only the values that must still hold. */
export function judgeColdOpen(
  what: string,
  of: { readonly before: Look; readonly after: Look; readonly ms: number; readonly recovery: Recovery | null },
): Check {
  const { before, after, ms, recovery } = of;
  const bad = (why: string): Check => check("bad", what, `after an eviction ${why}`);
  if (after.appliedSeq < before.appliedSeq)
    return bad(`it has ${count(after.appliedSeq)} events; there were ${count(before.appliedSeq)}`);
  if (after.seq < before.seq) return bad(`the key is as of seq ${count(after.seq)}; it was as of ${count(before.seq)}`);
  if (after.seq === before.seq && after.value !== before.value)
    return bad(`the key is ${shown(after.value)}; it was ${shown(before.value)}`);
  const moved = after.appliedSeq > before.appliedSeq;
  if (!moved && after.keys !== before.keys)
    return bad(`it has ${count(after.keys)} keys; there were ${count(before.keys)}`);
  const same = moved
    ? `${count(after.appliedSeq - before.appliedSeq)} events arrived meanwhile, and nothing is lost`
    : `the same ${count(after.keys)} keys, ${count(after.appliedSeq)} events and value`;
  return check("ok", what, `read ${span(ms)} after an eviction${how(recovery)}: ${same}`);
}

const shown = (value: string | null): string => (value === null ? "without state" : value.slice(0, 200));

function how(recovery: Recovery | null): string {
  if (recovery === null) return "";
  const { ms, manifest, replayedEvents } = recovery;
  const from = manifest === null ? "the whole log" : `manifest ${manifest} and ${count(replayedEvents)} events`;
  return ` (${span(ms)} of it recovery, from ${from})`;
}
