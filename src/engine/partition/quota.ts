/**
 * What an operator may take: keys, and events a day. Nothing counts for all partitions, so each has its share, and a share
 * that is used up stops that partition alone.
 *
 * QUOTA1. The bound on keys is a refusal like a handler's: decided in the order of seqs, logged, and heard by every repeat (ONE6).
 * QUOTA2. The bound on events stands before the log: what is beyond it has no seq and costs nothing, so it can be sent again. It is
 *     counted from the log itself, by the minutes that dedup keeps, so it outlives the object.
 * QUOTA3. A share that the ids can't count would never be used up. operator() refuses one for the number of partitions in the code; where
 *     fewer are stored (CODE2) and the share is larger, the partition takes no event until the code says what works.
 */
import type { Address } from "../operator/routing.ts";
import type { Dedup } from "../state/dedup.ts";
import { PRINT_WORDS } from "../base/hash.ts";
import type { Operator } from "../operator/operator.ts";
import { busy, type Busy, type AppendRequest } from "./protocol.ts";

const DAY_MS = 86_400_000;
/** Until somebody has deployed other code. */
const UNCOUNTABLE_RETRY_MS = 60_000;

/** What one partition may take; Infinity where there is no bound. */
export interface Quota {
  readonly maxKeys: number;
  readonly maxEventsPerDay: number;
}

export function quotaOf({ maxKeys, maxEventsPerDay, partitions }: Operator, address: Address): Quota {
  const among = address.partitions ?? partitions;
  return { maxKeys: Math.ceil(maxKeys / among), maxEventsPerDay: Math.ceil(maxEventsPerDay / among) };
}

/** Why the slice would take more than is left of the day (UTC); null if it doesn't. `maxIds`: those that `dedup` keeps. */
export function overQuota(
  dedup: Dedup,
  slice: AppendRequest,
  share: number,
  maxIds: number,
  nowMs: number,
): Busy | null {
  if (share === Number.POSITIVE_INFINITY || slice.command === true) return null;
  if (share > maxIds)
    return busy(
      "budget_uncountable",
      `fewer partitions are stored than the code says, so the share of maxEventsPerDay is ${share} events in each, and dedup.maxIds, which counts them, is ${maxIds}: raise it, or lower maxEventsPerDay`,
      UNCOUNTABLE_RETRY_MS,
    );
  const day = Math.floor(nowMs / DAY_MS) * DAY_MS;
  const spent = dedup.countSince(day);
  if (spent + slice.keys.length <= share) return null;
  const fresh = newEvents(dedup, slice);
  if (fresh === 0 || spent + fresh <= share) return null;
  // More than a whole day's: it would wait for ever, since a request isn't divided.
  if (spent === 0 && fresh > share) return null;
  return busy(
    "budget_spent",
    `the partition has taken ${spent} events since midnight UTC, and these are ${fresh} more; its share of maxEventsPerDay is ${share}`,
    day + DAY_MS - nowMs,
  );
}

/** Repeats cost nothing. */
function newEvents(dedup: Dedup, { prints, keys }: AppendRequest): number {
  let count = 0;
  for (let i = 0; i < keys.length; i++) if (dedup.find(prints, i * PRINT_WORDS).tag === "new") count += 1;
  return count;
}
