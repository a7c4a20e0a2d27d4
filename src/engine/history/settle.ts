/**
 * Settling: after it, no row at or below a stamp can be logged any more, in any of the databases. So all rows up to the
 * stamp are one consistent cut of every partition, for ever (TIME1, TIME2). No partition is stopped or woken.
 *
 * SETTLE1. A floor in each database refuses rows at or below it, in the append's own statement. A cut counts once every
 *     database that is read has the floor. A writer whose row is refused stamps the row anew, above the floor.
 * SETTLE2. A floor is never raised above what the databases' clocks show, or a row has. Otherwise the stamps of all
 *     writers would run ahead of time.
 * SETTLE3. "Now" is the larger one of the clocks and of the newest stamp. So it holds all that was acknowledged before,
 *     even by a writer whose clock is ahead.
 * SETTLE4. A floor that must rise is raised to some seconds ago at least, where no writer is. So reads of older moments
 *     seldom write.
 */
import { lastStampOf, stampMs } from "../base/hybrid-clock.ts";
import { stamp, type Stamp } from "../base/ids.ts";
import type { Clock, Floor } from "../base/ports.ts";
import { persistent, sleep } from "../base/retry.ts";
import { stampUpTo, type Moment } from "./moment.ts";

type SettledMoment =
  | { readonly tag: "settled"; readonly at: Stamp }
  /** The moment is ahead of the databases' clocks by this long. */
  | { readonly tag: "not_settled"; readonly aheadMs: number };

/** Writers' clocks are behind the databases' by less than this, so a floor this far back disturbs none. */
const BEHIND_MS = 5_000;

/** A moment that is ahead by no more than this is waited for. */
const WAIT_MS = 1_000;

/** Turns a moment into a settled stamp. @throws Failure store_unavailable */
export async function settle(
  clock: Clock,
  floors: readonly Floor[],
  moment: Exclude<Moment, { tag: "savepoint" }>,
): Promise<SettledMoment> {
  const ask = <T>(call: (floor: Floor) => Promise<T>): Promise<T[]> =>
    Promise.all(floors.map((floor) => persistent(clock, "D1", () => call(floor))));
  for (let waited = false; ; waited = true) {
    const facts = await ask((floor) => floor.facts());
    const present = lastStampOf(Math.max(...facts.map(({ nowMs }) => nowMs)));
    // Only these two need the newest stamp, which costs a look at each partition.
    const beyond = moment.tag === "now" || (moment.tag === "stamp" && moment.at > present);
    const newest = beyond ? Math.max(present, ...(await ask((floor) => floor.newest()))) : present;
    const at = stampOf(moment, present, stamp(newest));
    if (at <= newest) {
      const quiet = lastStampOf(Math.max(0, Math.min(...facts.map(({ nowMs }) => nowMs)) - BEHIND_MS));
      const low = floors.filter((_, i) => facts[i]!.floor < at);
      await Promise.all(low.map((floor) => persistent(clock, "D1", () => floor.raise(stamp(Math.max(at, quiet))))));
      return { tag: "settled", at };
    }
    const aheadMs = stampMs(at) - stampMs(stamp(newest)) + 1;
    if (waited || aheadMs > WAIT_MS) return { tag: "not_settled", aheadMs };
    await sleep(clock, aheadMs);
  }
}

function stampOf(moment: Exclude<Moment, { tag: "savepoint" }>, present: Stamp, newest: Stamp): Stamp {
  switch (moment.tag) {
    case "stamp":
      return moment.at;
    case "now":
      return newest;
    case "ago":
      return stampUpTo(stampMs(present) - moment.ms);
  }
}
