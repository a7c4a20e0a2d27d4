/**
 * Key events: the events of the log that touched a key, newest first, each with its outcome.
 *
 * KEYEVENT1. A page reads a bounded part of the log. So it may have fewer events than were asked for, even none.
 *     `before` says where the next page begins. Only a null `before` says that nothing older exists or is kept.
 * KEYEVENT2. The key is the logged one (SEGMENT2 of segment.ts), and so is the outcome (ONE6). Commands on the
 *     quarantine are events too.
 * KEYEVENT3. Reading takes no epoch, wakes nothing and writes nothing (SNAP9).
 */
import type { LogEnvironment } from "../operator/environment.ts";
import { fill } from "../event/event.ts";
import { seq, type Seq } from "../base/ids.ts";
import { HISTORY_CHARS, HISTORY_HELD_CHARS, HISTORY_OBJECTS } from "../base/limits.ts";
import { logBelow, type Bottom } from "./log-reader.ts";
import type { Event } from "../event/event.ts";
import { APPLIED, type Outcome } from "../log/outcome.ts";
import type { SegmentEvents } from "../log/segment.ts";

export interface KeyEvent {
  readonly seq: Seq;
  /** Logged time of receipt, in milliseconds. */
  readonly now: number;
  /** The event as its handler saw it. */
  readonly event: Event;
  readonly outcome: Outcome;
  /** True if the log has the outcome in words. If false, the outcome is "applied", and its reply isn't known. */
  readonly worded: boolean;
  /** Version of the operator that applied the event (CODE4). */
  readonly operatorVersion: number;
}

export interface KeyEvents {
  readonly items: readonly KeyEvent[];
  /** Where the next page begins. Null if there is none. */
  readonly before: Seq | null;
  /** The reason why there is no next page. */
  readonly bottom: Bottom;
}

/** The limits of a page. */
export interface Bounds {
  readonly items: number;
  /** Characters of the log. */
  readonly chars?: number;
}

/**
 * Returns the events below `before` and above `above` that touched the key, newest first. If `before` is null, starts
 * from the newest.
 *
 * @throws Damage, Failure
 */
export async function eventsOf(
  env: LogEnvironment,
  key: string,
  before: Seq | null,
  bounds: Bounds,
  above = 0,
): Promise<KeyEvents> {
  const { chars: most = HISTORY_CHARS } = bounds;
  const items: KeyEvent[] = [];
  const page = (next: number, bottom: Bottom): KeyEvents => ({
    items,
    before: next > above + 1 ? seq(next) : null,
    bottom,
  });
  // Nothing lies between the two, wherever the log ends by now.
  if (before !== null && before <= above + 1) return page(0, "beginning");
  let [chars, held] = [0, 0];
  const log = logBelow(env, before);
  for (let step = await log.next(); ; step = await log.next()) {
    if (step.done === true) return page(0, step.value);
    const { row, events, objects } = step.value;
    for (let i = events.keys.length - 1; i >= 0; i--) {
      const at = seq(row.seq + i);
      if (events.keys[i] !== key || at <= above || (before !== null && at >= before)) continue;
      items.push(touch(at, row.operatorVersion, events, i));
      held += row.bytes / events.keys.length;
      if (items.length >= bounds.items || held >= HISTORY_HELD_CHARS) return page(at, "beginning");
    }
    chars += row.bytes;
    if (row.seq <= above + 1 || chars >= most || objects >= HISTORY_OBJECTS) return page(row.seq, "beginning");
  }
}

function touch(
  at: Seq,
  operatorVersion: number,
  { events, outcomes, at: runs }: SegmentEvents,
  index: number,
): KeyEvent {
  const now = receivedMs(runs, index);
  const logged = outcomes.get(index);
  return {
    seq: at,
    now,
    event: fill({ ...events[index]! }, new Date(now).toISOString()),
    outcome: logged ?? APPLIED,
    worded: logged !== undefined,
    operatorVersion,
  };
}

export function receivedMs(runs: SegmentEvents["at"], index: number): number {
  let left = index;
  for (const [count, ms] of runs) {
    if (left < count) return ms;
    left -= count;
  }
  throw new RangeError(`no time for event ${index}`);
}
