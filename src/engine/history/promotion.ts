/**
 * Promotion: another line becomes main. Main gives up the events that it logged since both parted, unless the target
 * has replayed them. They stay readable on `main~1`.
 *
 *   idle -> sealing -> opening -> idle
 *                  \-> aborting -> idle
 *
 * PROMOTION1. The directory's row holds main, how often it was switched, the state and the number of the last
 *     promotion. Every change compares the state and that number. In each database the rows of both lines hold the
 *     number too: a seal needs a lower one there, and what opens a line writes its own. So late statements of earlier
 *     promotions change nothing.
 * PROMOTION2. Both lines are sealed in every database before they are compared. A target that replays main's log takes
 *     no events anyway, and takes in the rest of that log after main is sealed. The seal is checked by the append's own
 *     statement. So nothing is logged between the comparison and the switch, and nothing is done that the caller
 *     didn't accept.
 * PROMOTION3. The caller accepts a list by its tag: which events main gives up, and which the target has instead. If
 *     the list differs after the seal, the promotion is aborted, and both lines are opened again. `*` accepts any list.
 * PROMOTION4. The tag of what was done stays in the directory. So the same call again hears the same answer.
 * PROMOTION5. Each step follows from the rows. A promotion whose caller went away is carried on or aborted by anybody.
 * PROMOTION6. The new main's stamps rise above all of the old one's, so stamps of `main` never go down.
 * PROMOTION7. R2 has an object for each switch before the new main is opened (SWITCH1). Without it, an empty first
 *     database would pass the first line for main, and undo the promotion.
 * PROMOTION8. A target that is unstarted starts where main ends. Main's end is read after the seal, and written by the
 *     statement that switches: an aborted promotion leaves the target unstarted, and main may grow on.
 */
import { stamp, type Stamp } from "../base/ids.ts";
import type { Clock, Codec, Directory, Floor, LineStore, ObjectStore } from "../base/ports.ts";
import type { Main } from "../base/records.ts";
import { persistent } from "../base/retry.ts";
import { settle } from "./settle.ts";
import { recordSwitch } from "./switch-object.ts";
import { ancestorsOf } from "./timelines.ts";

/** The stores of all databases. */
export interface PromotionStores {
  readonly directory: Directory;
  readonly lines: readonly LineStore[];
  /** The floors of a line. */
  floors(line: number): readonly Floor[];
  /** Has an object for each switch, so that a directory that was lost is noticed, and rebuilt (PROMOTION7). */
  readonly objects: ObjectStore;
  readonly codec: Codec;
}

export interface Wish {
  readonly target: number;
  /** The tag of the accepted list, or "*". */
  readonly accepted: string;
}

export type Promoted =
  /** `again`: an earlier call did it. */
  | { readonly tag: "promoted"; readonly main: Main; readonly done: string; readonly again: boolean }
  /** The list isn't the accepted one. Main is as before. */
  | { readonly tag: "moved"; readonly etag: string }
  /** Another promotion is under way, or came first. */
  | { readonly tag: "busy"; readonly main: Main }
  | { readonly tag: "no_target" };

/** The list of a promotion: its tag, and the answer that is kept if the promotion is done. */
export interface Compared {
  readonly etag: string;
  readonly done: string;
  /** The last stamp of main. Missing unless the target is unstarted, and starts there (PROMOTION8). */
  readonly end?: Stamp;
}

/**
 * Makes the target main. `compare` reads both lines, after they are sealed.
 *
 * @throws whatever `compare` throws, after the promotion was aborted
 */
export async function promote(
  clock: Clock,
  stores: PromotionStores,
  { target, accepted }: Wish,
  compare: (main: Main) => Promise<Compared>,
): Promise<Promoted> {
  const { directory } = stores;
  const before = await persistent(clock, "D1", () => directory.main());
  if (before.line === target) {
    if (before.state === "opening") await open(clock, stores, before);
    const { etag, done } = before;
    if (done === null || (accepted !== "*" && accepted !== etag)) return { tag: "busy", main: before };
    return { tag: "promoted", main: before, done, again: true };
  }
  if (before.state !== "idle") return { tag: "busy", main: before };
  const promotion = before.promotion + 1;
  const begun = await persistent(clock, "D1", () => directory.begin(promotion, target, clock.now()));
  if (begun === "no_target") return { tag: begun };
  if (begun.state !== "sealing" || begun.promotion !== promotion || begun.target !== target)
    return { tag: "busy", main: begun };
  await sealBoth(clock, stores, begun);
  let compared: Compared;
  try {
    compared = await compare(begun);
  } catch (error) {
    await abort(clock, stores, begun);
    throw error;
  }
  const { etag, done, end = null } = compared;
  if (accepted !== "*" && accepted !== etag) {
    const now = await abort(clock, stores, begun);
    return now.switches === begun.switches ? { tag: "moved", etag } : { tag: "busy", main: now };
  }
  const switched = await persistent(clock, "D1", () => directory.switch(promotion, etag, done, end));
  if (switched.line !== target || switched.promotion !== promotion) return { tag: "busy", main: switched };
  await open(clock, stores, switched);
  // Another caller of the same promotion may have switched first, and opened the line before `compare` read it.
  if (accepted !== "*" && accepted !== switched.etag) return { tag: "busy", main: switched };
  return { tag: "promoted", main: switched, done: switched.done!, again: false };
}

/**
 * Returns where a sealed line ends: its last stamp in any database, or where it starts if it has none (PROMOTION8). The
 * first line has no start. If nothing was ever logged on it, it ends now.
 */
export async function endOfLine(clock: Clock, floors: readonly Floor[], start: Stamp): Promise<Stamp> {
  const newest = await Promise.all(floors.map((floor) => persistent(clock, "D1", () => floor.newest())));
  const end = stamp(Math.max(start, ...newest));
  if (end > 0) return end;
  const now = await settle(clock, floors, { tag: "now" });
  return now.tag === "settled" ? now.at : end;
}

/** Finishes or aborts a promotion whose caller went away (PROMOTION5). Returns main as it is then. */
export async function settlePromotion(clock: Clock, stores: PromotionStores): Promise<Main> {
  const main = await persistent(clock, "D1", () => stores.directory.main());
  if (main.state === "sealing" || main.state === "aborting") await abort(clock, stores, main);
  if (main.state === "opening") await open(clock, stores, main);
  return main.state === "idle" ? main : persistent(clock, "D1", () => stores.directory.main());
}

async function sealBoth(clock: Clock, { lines }: PromotionStores, { line, target, promotion }: Main): Promise<void> {
  const both = [line, target!];
  await Promise.all(lines.map((store) => persistent(clock, "D1", () => store.seal(both, promotion))));
}

/** Opens both lines again. A promotion that was switched meanwhile stays switched. Returns main as it is then. */
async function abort(clock: Clock, { directory, lines }: PromotionStores, main: Main): Promise<Main> {
  const { promotion, line, target } = main;
  const now = await persistent(clock, "D1", () => directory.abort(promotion));
  if (now.state !== "aborting" || now.promotion !== promotion) return now;
  await Promise.all(lines.map((store) => persistent(clock, "D1", () => store.unseal([line, target!], promotion))));
  await persistent(clock, "D1", () => directory.idle(promotion));
  return now;
}

/** Opens the new main, above all stamps of the old one (PROMOTION6). */
async function open(clock: Clock, stores: PromotionStores, main: Main): Promise<void> {
  const { directory, lines } = stores;
  const { line, former, promotion } = main;
  await record(clock, stores, main);
  const newest = await Promise.all(
    stores
      .floors(former!)
      .map((floor) => persistent(clock, "D1", async () => Math.max((await floor.facts()).floor, await floor.newest()))),
  );
  const above = stamp(Math.max(...newest));
  await Promise.all(stores.floors(line).map((floor) => persistent(clock, "D1", () => floor.raise(above))));
  await Promise.all(lines.map((store) => persistent(clock, "D1", () => store.open(line, promotion))));
  await persistent(clock, "D1", () => directory.idle(promotion));
}

async function record(clock: Clock, stores: PromotionStores, { switches, line }: Main): Promise<void> {
  const { directory, objects, codec } = stores;
  const starts = ancestorsOf(await persistent(clock, "D1", () => directory.all()), line);
  await recordSwitch({ objects, clock, codec }, { switches, line, starts });
}
