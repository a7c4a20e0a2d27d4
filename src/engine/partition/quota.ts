/**
 * Limits the keys, and the events a day, that an operator may take. Nothing counts for all partitions, so each has its
 * share. A share that is used up stops that partition alone.
 *
 * QUOTA1. The bound on keys is a refusal like a handler's. It is decided in the order of seqs, logged, and heard by
 *     every duplicate (ONE6).
 * QUOTA2. The bound on events stands before the log. Events beyond it have no seq and cost nothing, so they can be sent
 *     again. They are counted from the log itself, by the minutes that dedup keeps, so the count outlives the instance.
 * QUOTA3. A share that the ids can't count would never be used up. operator() refuses such a share for the number of
 *     partitions in the code. If fewer partitions are stored (CODE2), the share is larger. If it then can't be counted,
 *     the partition takes no event until the code names a share that works.
 * QUOTA4. A part of a partition that was split counts its part of the events that the whole had taken (SHARE1).
 */
import type { Seq } from "../base/ids.ts";
import type { Address } from "../operator/routing.ts";
import type { Dedup } from "../state/dedup.ts";
import { PRINT_WORDS } from "../base/hash.ts";
import type { Operator } from "../operator/operator.ts";
import { busy, type Busy, type AppendRequest } from "./protocol.ts";

const DAY_MS = 86_400_000;
/** Only a deploy of other code can end this state. */
const UNCOUNTABLE_RETRY_MS = 60_000;

/** The share of one partition. Infinity means no bound. */
export interface Quota {
  readonly maxKeys: number;
  readonly maxEventsPerDay: number;
}

export function quotaOf({ maxKeys, maxEventsPerDay, partitions }: Operator, address: Address): Quota {
  const among = address.partitions ?? partitions;
  return { maxKeys: Math.ceil(maxKeys / among), maxEventsPerDay: Math.ceil(maxEventsPerDay / among) };
}

/** The events up to that seq are a whole partition's, of which this one is one of so many parts. */
export interface Inherited {
  readonly upTo: Seq;
  readonly parts: number;
}

/**
 * Returns null if the request fits into the rest of the day (UTC); else says why not. `maxIds` is the number of ids
 * that `dedup` keeps.
 */
export function overQuota(
  dedup: Dedup,
  slice: AppendRequest,
  share: number,
  maxIds: number,
  nowMs: number,
  { upTo, parts }: Inherited,
): Busy | null {
  if (share === Number.POSITIVE_INFINITY || slice.command === true) return null;
  if (share > maxIds)
    return busy(
      "quota_uncountable",
      `the share of maxEventsPerDay is ${share} events, since fewer partitions are stored than the code says; dedup.maxIds, which counts them, is ${maxIds}: raise dedup.maxIds, or lower maxEventsPerDay`,
      UNCOUNTABLE_RETRY_MS,
    );
  const day = Math.floor(nowMs / DAY_MS) * DAY_MS;
  const own = dedup.countSince(day, upTo);
  const spent = own + Math.ceil((dedup.countSince(day) - own) / parts);
  if (spent + slice.keys.length <= share) return null;
  const fresh = newEvents(dedup, slice);
  if (fresh === 0 || spent + fresh <= share) return null;
  // A request larger than a whole day's share would wait for ever, since a request isn't divided.
  if (spent === 0 && fresh > share) return null;
  return busy(
    "quota_exceeded",
    `the partition has taken ${spent} events since midnight UTC, and these are ${fresh} more; its share of maxEventsPerDay is ${share}: send them after midnight UTC`,
    day + DAY_MS - nowMs,
  );
}

/** Duplicates cost nothing. */
function newEvents(dedup: Dedup, { prints, keys }: AppendRequest): number {
  let count = 0;
  for (let i = 0; i < keys.length; i++) if (dedup.find(prints, i * PRINT_WORDS).tag === "new") count += 1;
  return count;
}
