/**
 * Partitions of main that nobody has opened yet, and that can't wait for an event. The cron opens them.
 *
 * - Those that share the keys of an earlier one (SHARE1): with their first snapshot they need nothing of the earlier one,
 *   so R2 alone brings them back, and what was main may expire (LINE6).
 * - Those that may have timers: no alarm of theirs was ever armed.
 */
import { partitionName } from "../../engine/base/ids.ts";
import { partsIn } from "../../engine/base/records.ts";
import type { Address } from "../../engine/operator/routing.ts";
import { limited } from "../../engine/base/retry.ts";
import type { Routes } from "../app.ts";
import type { Env } from "../env.ts";
import { LAST_STAMP } from "../lineage.ts";
import { headsAt, headsOn, unlinedName } from "../read/heads.ts";
import { requestClock } from "../request-clock.ts";
import { partitionStub } from "../stub.ts";

/** Partitions that are opened at once, and in one run of the cron. Each reads a whole partition's state. */
const AT_ONCE = 4;
const IN_A_RUN = 64;
const OPEN_MS = 60_000;

export async function openShares(env: Env, routes: Routes): Promise<void> {
  const closed = (await closedShares(env, routes)).slice(0, IN_A_RUN);
  for (let at = 0; at < closed.length; at += AT_ONCE)
    await Promise.all(
      closed.slice(at, at + AT_ONCE).map((address) =>
        // Longer work continues without this call. The next run tries one again that failed.
        limited(requestClock, "the partition", () => partitionStub(env, address).wake(address), OPEN_MS).catch(
          () => undefined,
        ),
      ),
    );
}

/** Returns the partitions without a row on main whose earlier one has a row. Only D1 is asked. */
async function closedShares(env: Env, { line, ancestors, byOperator }: Routes): Promise<readonly Address[]> {
  if (ancestors.length === 0) return [];
  const split = ancestors.at(-1)?.split;
  const addresses = [...byOperator.values()].flatMap(({ operator, addresses }) =>
    partsIn(split, operator.name) === 1 && operator.timers.size === 0 && operator.expireMs === null ? [] : addresses,
  );
  if (addresses.length === 0) return [];
  const [own, all] = await Promise.all([headsOn(env, line, LAST_STAMP), headsAt(env, { line, ancestors }, LAST_STAMP)]);
  return addresses.filter((address) => {
    const name = unlinedName(partitionName(address));
    return !own.has(name) && all.names.has(name);
  });
}
