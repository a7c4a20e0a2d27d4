/** LOG6: every queue is bounded. A request that can't be taken now is refused whole, before any of it has a seq. */
import { CHANGED_BUDGETS, PENDING_BYTES, PENDING_EVENTS, TAIL_BYTES } from "../base/limits.ts";
import type { OpenPartition } from "../recovery/open-partition.ts";
import { busy, type AppendRequest, type AppendResponse } from "./protocol.ts";

/** Returns null if the request can be taken behind those that wait already; else says why it can't. */
export function backpressure(
  { machine, tail }: OpenPartition,
  slice: AppendRequest,
  queues: readonly { readonly events: number; readonly bytes: number }[],
): AppendResponse | null {
  const bytes = queues.reduce((sum, queue) => sum + queue.bytes, slice.bytes);
  const events = queues.reduce((sum, queue) => sum + queue.events, slice.keys.length);
  if (events > slice.keys.length && (bytes > PENDING_BYTES || events > PENDING_EVENTS))
    return busy(
      "queue_full",
      `${events} events with ${bytes} bytes wait for the log; the limits are ${PENDING_EVENTS} and ${PENDING_BYTES}: send it again later`,
    );
  if (tail.bytes > TAIL_BYTES)
    return busy(
      "log_full",
      `the log holds ${tail.bytes} bytes that no snapshot covers; the limit is ${TAIL_BYTES}: see why snapshots fail`,
      30_000,
    );
  const { changedBytes } = machine.state;
  const limit = machine.operator.memoryBytes * CHANGED_BUDGETS;
  if (changedBytes > limit)
    return busy(
      "snapshot_behind",
      `${changedBytes} bytes of changed states wait in memory for a snapshot; the limit is ${limit}: see why snapshots fail, or are slow`,
      5_000,
    );
  if (machine.quarantine.full && slice.command !== true)
    return busy("quarantine_full", "the quarantine is full: retry or delete its events", 30_000);
  return null;
}
