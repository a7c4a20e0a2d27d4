/**
 * Stamps: hybrid logical clock time of a segment (Kulkarni et al. 2014), as one safe integer.
 *
 * CLOCK1. A stamp is larger than every stamp that the partition has seen (TIME1): of its segments, of its manifest, and
 *     the floor.
 * CLOCK2. Milliseconds times 1024 plus a counter stays below 2^53 until the year 2248. A counter that overflows borrows
 *     from the next millisecond, which keeps CLOCK1.
 * CLOCK3. The partition clock is the time that a handler sees, and that ids expire by. Each event is logged with it. It
 *     never goes back, and no clock that runs ahead moves it alone: the Worker's and the object's must both have come
 *     there.
 */
import { stamp, type Stamp } from "./ids.ts";
import { isWhole } from "./json.ts";

const COUNTER = 1024;

/** Returns the stamp of a group that is closed at `nowMs`, above `seen`. */
export function nextStamp(seen: Stamp, nowMs: number): Stamp {
  return stamp(Math.max(seen + 1, nowMs * COUNTER));
}

/** Returns the partition clock of events that the Worker received at `receivedMs`, after `before` (CLOCK3). */
export const partitionClock = (before: number, receivedMs: number, nowMs: number): number =>
  Math.max(before, Math.min(receivedMs, nowMs));

/** The last millisecond that a `Date` can hold. */
const LAST_MS = 8.64e15;

/** Returns true for milliseconds since 1970 that a `Date` can hold. */
export const isMs = (value: unknown): value is number => isWhole(value) && value <= LAST_MS;

/** Returns the last stamp of a millisecond. It is at or above every stamp that was given in it. */
export const lastStampOf = (ms: number): Stamp => stamp(ms * COUNTER + COUNTER - 1);

/** Wall-clock milliseconds of a stamp. */
export const stampMs = (at: Stamp): number => Math.floor(at / COUNTER);

/** RFC 3339 time of a stamp, UTC. */
export const stampTime = (at: Stamp): string => new Date(stampMs(at)).toISOString();
