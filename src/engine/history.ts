/**
 * The history of a key: the events that touched it, newest first, each with what became of it.
 *
 * H1. A page reads a bounded part of the log. So it may have fewer events than were asked for, even none: `before` says where
 *     to go on, and only null that there is nothing older.
 * H2. The key is the logged one (G2 of segment.ts), and so is the outcome (ONE6); commands on the quarantine are events too.
 */
import { fill } from "./event.ts";
import { seq, type Seq } from "./ids.ts";
import { HISTORY_CHARS } from "./limits.ts";
import { logBelow, type Readable } from "./log-below.ts";
import type { Event } from "./operator.ts";
import { APPLIED, type Outcome } from "./outcome.ts";
import type { SegmentEvents } from "./segment.ts";

export interface Touch {
  readonly seq: Seq;
  /** Logged time of receipt, milliseconds. */
  readonly now: number;
  /** As its handler saw it. */
  readonly event: Event;
  readonly outcome: Outcome;
}

export interface TouchPage {
  readonly items: readonly Touch[];
  /** Where the next page begins; null: there is none. */
  readonly before: Seq | null;
}

/** The events below `before` that touched the key, up to `limit`; null: from the newest on. @throws Damage, Failure */
export async function touches(
  around: Readable,
  key: string,
  before: Seq | null,
  limit: number,
  maxChars: number = HISTORY_CHARS,
): Promise<TouchPage> {
  const items: Touch[] = [];
  let chars = 0;
  for await (const { row, events } of logBelow(around, before)) {
    for (let i = events.keys.length - 1; i >= 0; i--) {
      const at = seq(row.seq + i);
      if (events.keys[i] !== key || (before !== null && at >= before)) continue;
      items.push(touch(at, events, i));
      if (items.length >= limit) return { items, before: goOn(at) };
    }
    chars += row.bytes;
    if (chars >= maxChars) return { items, before: goOn(row.seq) };
  }
  return { items, before: null };
}

const goOn = (before: Seq): Seq | null => (before > 1 ? before : null);

function touch(at: Seq, { events, outcomes, at: runs }: SegmentEvents, index: number): Touch {
  const now = receivedMs(runs, index);
  const event = fill({ ...events[index]! }, new Date(now).toISOString());
  return { seq: at, now, event, outcome: outcomes.get(index) ?? APPLIED };
}

function receivedMs(runs: SegmentEvents["at"], index: number): number {
  let left = index;
  for (const [count, ms] of runs) {
    if (left < count) return ms;
    left -= count;
  }
  throw new RangeError(`no time for event ${index}`);
}
