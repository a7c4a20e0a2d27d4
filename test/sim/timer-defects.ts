/** Planted defects of the partition clock, of timers and of expiry. */
import { engine, one, type Defect } from "./plant.ts";

export const TIMER_DEFECTS: readonly Defect[] = [
  one(
    "the partition clock goes back with the Worker's",
    "CLOCK3",
    engine("base/hybrid-clock", "  Math.max(before, Math.min(receivedMs, nowMs));", "  Math.min(receivedMs, nowMs);"),
  ),
  one(
    "an event doesn't wait for timers that are due",
    "FIRING1",
    engine(
      "partition/admission",
      "    return this.#firing.isDue(open, Math.min(at, this.#clock.now()));",
      "    return false;",
    ),
  ),
  one(
    "the latest timer of a key fires first",
    "TIMER3",
    engine("state/timers", "if (one[1] < first[1] ||", "if (one[1] > first[1] ||"),
  ),
  one(
    "a put drops the key's timers",
    "EDIT3",
    engine("state/edit", "renewed(operator, dirtyKey.timers, now)", "renewed(operator, undefined, now)"),
  ),
  one(
    "a snapshot forgets the timers that fire in a group on its way to the log",
    "QUEUE5",
    engine("state/timer-queue", "    if (this.#taken.length > 0) this.#went(this.#taken[0]![0], until);\n", ""),
  ),
  one(
    "a snapshot forgets a timer that is due when it is taken",
    "QUEUE4",
    engine(
      "snapshot/capture",
      "pendingFrom === Number.POSITIVE_INFINITY ? null : pendingFrom,",
      "pendingFrom === Number.POSITIVE_INFINITY ? null : pendingFrom + 1,",
    ),
  ),
  one(
    "a key that fired isn't looked at again",
    "QUEUE2",
    engine(
      "partition/group-commit",
      "        if (pending !== undefined) timers.add(key, earliest(pending)[1], seq(group.next - 1));\n",
      "",
    ),
  ),
  one(
    "a snapshot takes along the hints of events that came after it",
    "QUEUE2",
    engine("state/timer-queue", "(hint) => hint.seq > saved", "() => false"),
  ),
  one(
    "a snapshot file leaves out timers",
    "SNAP1",
    engine("snapshot/record", "${timersText(entry.timers)}${entry.text}", "${entry.text}"),
  ),
  one(
    "nothing wakes a partition for its timers",
    "SNAP6",
    engine("checkpoint/checkpointer", "earlier(at, open.sealed ? null : wakeAt(open))", "at"),
    engine("partition/row-stats", "timers.next === Number.POSITIVE_INFINITY ? {}", "timers.next > 0 ? {}"),
  ),
];
