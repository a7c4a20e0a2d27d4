/**
 * Opening the log: the row of a partition and the first page of its tail. An opening for snapshots also takes a new
 * epoch. An opening for reading needs no epoch, and events take theirs with their first append (LOG2).
 *
 * OPENLOG1. A partition without a row is new only if neither R2 nor the object's own storage knows of it (CODE2).
 * OPENLOG2. If D1 has less than it had acknowledged, the opening is refused before any of the log is replayed
 *     (rewind-check.ts).
 * OPENLOG3. An instance that has ended takes no epoch, since that would only fence the next writer.
 * OPENLOG4. On a line that starts from another one, the row says where its own log begins. So the first opening makes
 *     the row, also an opening for reading.
 * OPENLOG5. If the object's own storage knows nothing of such a partition, it is probably new. Then all that a new row
 *     needs is asked for together with the row. Only a missing row is made.
 */
import type { Address } from "../operator/routing.ts";
import { Failure } from "../base/errors.ts";
import { seq } from "../base/ids.ts";
import { emptyRow } from "./open-partition.ts";
import { LOG_BEGIN, type Opening } from "../base/records.ts";
import type { OriginAhead } from "./origin-ahead.ts";
import { assertNoTrace, startOfLog, storedTrace } from "./past-state.ts";
import { assertNeverLogged, assertNotRewound } from "./rewind-check.ts";
import type { Lease } from "../log/lease.ts";
import { persistent } from "../base/retry.ts";
import type { Environment } from "../operator/environment.ts";

/** Returns the state that the line starts from, if it was begun ahead. */
type Begun = () => OriginAhead | null;

/**
 * Opens for writing, and makes the row of a new partition. `unborn` says that a reading opening found the partition to
 * be new.
 *
 * @throws Failure fenced if the lease is lost meanwhile (OPENLOG3)
 */
export async function takeEpoch(
  env: Environment,
  { seed }: Address,
  unborn: boolean,
  lease: Lease,
  ahead: Begun = () => null,
): Promise<Opening> {
  const { clock, host, log } = env;
  const writer = host.nonce();
  const take = (): Promise<Opening | null> =>
    persistent(clock, "D1", () => {
      lease.assertNotLost();
      return log.open(writer, env.code);
    });
  // If this D1 was refused before, peek first: each epoch that is taken would change D1's answer (REWIND4).
  if (host.highWaterMark()?.refused === true) await peek(env, seed);
  const kept = host.highWaterMark();
  const opening = unborn ? null : await take();
  if (opening !== null) {
    await assertNotRewound(env, opening, kept);
    return opening;
  }
  if (!unborn) assertNew(env, await storedTrace(env));
  await create(env, seed, ahead, () => lease.assertNotLost());
  return (await take()) ?? vanished(env);
}

/** Opens for reading, without an epoch. */
export async function peek(env: Environment, seed: number, ahead: Begun = () => null): Promise<Opening> {
  const { clock, host, log } = env;
  const kept = host.highWaterMark();
  const asked = persistent(clock, "D1", () => log.peek());
  const trace = kept === null && env.origin !== undefined ? storedTrace(env) : null;
  trace?.catch(() => undefined);
  const opening = await asked;
  if (opening !== null) {
    await assertNotRewound(env, opening, kept);
    return opening;
  }
  assertNew(env, await (trace ?? storedTrace(env)));
  if (env.origin === undefined) return { row: emptyRow(seed), head: seq(0), rows: [], more: false, open: true };
  return (await create(env, seed, ahead, () => undefined)) ?? vanished(env);
}

/** Makes the row of a new partition (OPENLOG4). */
async function create(env: Environment, seed: number, ahead: Begun, allowed: () => void): Promise<Opening | null> {
  const start = env.origin === undefined ? LOG_BEGIN : await (ahead()?.start() ?? startOfLog(env.origin));
  return persistent(env.clock, "D1", () => {
    allowed();
    return env.log.create(seed, start);
  });
}

/** @throws Failure always */
function vanished({ id: { line, operator, partition } }: Environment): never {
  throw new Failure(
    "line_gone",
    `partition ${partition} of "${operator}" has no row on line ${line}: the line was removed, or D1 was restored`,
  );
}

/** OPENLOG1: an empty start would lose the state by mistake. */
function assertNew(env: Environment, trace: string | null): void {
  assertNoTrace(env, trace);
  assertNeverLogged(env);
}
