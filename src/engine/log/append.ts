/**
 * Commits one group: the append is sent until it is proven to be in the log, or proven never to get there (LOG3).
 *
 * APPEND0. A writer without an epoch takes the next one with its first append. The epoch that it opened with must still
 *     hold, and nothing may have been logged since (LOG2).
 * APPEND1. An error or a time-out proves nothing, so the same rows are sent again.
 * APPEND2. One read explains a refusal. If our nonce stands at our seq, the group is committed with the stamp of that
 *     row, though another writer may have come after it. If the floor alone is in the way, the rows get new stamps, and
 *     the old statement stays refused for ever. If D1 has less than it had acknowledged, D1 was restored to an older
 *     point (rewind-check.ts). In every other case, we are no longer the writer.
 * APPEND3. The loop ends only with a proof, or when its object has ended. Its callers have deadlines of their own. A
 *     bounded backoff spaces the attempts.
 */
import { messageOf } from "../base/errors.ts";
import { nextStamp } from "../base/hybrid-clock.ts";
import { type Epoch, stamp as asStamp, type Stamp } from "../base/ids.ts";
import type { Clock, Host, Log } from "../base/ports.ts";
import type { Explanation, Segment } from "../base/records.ts";
import { backoffMs, limited, sleep } from "../base/retry.ts";
import { type Committed, judgeAppend } from "./fence.ts";

export async function append(
  log: Pick<Log, "append" | "explain">,
  clock: Clock,
  host: Host,
  group: readonly Segment[],
  held: Epoch,
  ended: () => boolean,
): Promise<Committed> {
  let rows = group;
  for (let attempt = 0; ; attempt++) {
    if (ended()) return { tag: "fenced", why: "the object has ended" };
    let facts: Explanation | null = null;
    try {
      const sent = rows;
      if ((await limited(clock, "D1", () => log.append(sent, held))) === "appended")
        return { tag: "committed", stamp: rows[0]!.stamp, superseded: null };
      facts = await limited(clock, "D1", () => log.explain(sent[0]!.seq));
    } catch (error) {
      // Only what went wrong for long is worth a line.
      if (attempt % 10 === 1)
        host.note("D1 didn't answer a commit", { seq: rows[0]!.seq, attempt, error: messageOf(error) });
    }
    // Outside the try: an error of this code is no failure of the store, and would recur for ever.
    const verdict = facts === null ? null : judgeAppend(rows, held, facts);
    if (verdict?.tag === "restamp") rows = stamped(rows, nextStamp(verdict.above, clock.now()));
    else if (verdict !== null && verdict.tag !== "again") return verdict;
    await sleep(clock, backoffMs(attempt, clock));
  }
}

export function stamped(rows: readonly Segment[], first: Stamp): Segment[] {
  return rows.map((row, i) => ({ ...row, stamp: asStamp(first + i) }));
}
