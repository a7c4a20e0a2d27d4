/** Statistics in a row that is written anyway, so that status needs no call to the partition (SNAP9). */
import type { CounterValues } from "../base/counters.ts";
import type { Environment } from "../operator/environment.ts";
import { isoOrNull, type OpenPartition, type RidingStats } from "../recovery/open-partition.ts";

/** `growth`: by how much the rows change the state. `counts`: what they add to the counters. */
export function rowStats(
  { clock, counters, minutes }: Environment,
  open: OpenPartition,
  growth: { readonly keys: number; readonly size: number },
  counts: CounterValues,
): string {
  const { state, quarantine, dedup, timers } = open.machine;
  const { keys, size } = state;
  const row = counters.row(counts);
  minutes.count(row, clock.now());
  const told = minutes.since(open.whole === null ? 0 : Date.parse(open.whole.at));
  return JSON.stringify({
    keys: keys + growth.keys,
    stateBytes: size + growth.size,
    dedupSince: isoOrNull(dedup.sinceMs),
    lastRecovery: open.report,
    rates: open.rates,
    quarantined: quarantine.decidedEvents,
    ...(timers.next === Number.POSITIVE_INFINITY ? {} : { pendingFrom: timers.next }),
    tail: [open.row.version, open.tail.bytes],
    counters: row,
    ...(told.length === 0 ? {} : { minutes: told }),
    writer: counters.holder!.writer,
    ...(counters.before === null ? {} : { before: counters.before }),
  } satisfies RidingStats);
}
