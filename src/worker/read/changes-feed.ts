/**
 * Feed of an operator's changes over all of its partitions, page by page, in one order (feed-place.ts).
 *
 * FEED1. A page goes up to a settled stamp, so nothing can come later that belongs before its end.
 * FEED2. D1 says first which partitions have rows behind the place. Only those are opened.
 * FEED3. A page covers what every partition's page covers. The rest is read again for the next one.
 * FEED4. The stamp is that of the newest row, so a feed that has nothing new writes nothing. A reader that waits gets
 *     changes that are a second old at least: a floor at the newest row would make writers stamp their rows anew.
 */
import { stamp, type Stamp } from "../../engine/base/ids.ts";
import { FEED_CHARS, FEED_SCAN, PASS } from "../../engine/base/limits.ts";
import { persistent } from "../../engine/base/retry.ts";
import { comparePlaces, cursorText, type FeedPlace, placeAfter, wholeUpTo } from "../../engine/history/feed-place.ts";
import { stampUpTo } from "../../engine/history/moment.ts";
import { settle } from "../../engine/history/settle.ts";
import {
  type ChangesAsked,
  type ChangesPage,
  type StateChange,
  nextChanges,
} from "../../engine/history/state-changes.ts";
import type { Address, Route } from "../../engine/operator/routing.ts";
import type { Gone } from "../../engine/recovery/past-state.ts";
import type { Env } from "../env.ts";
import { LAST_STAMP, partsOf } from "../lineage.ts";
import { requestClock } from "../request-clock.ts";
import { floorsOf } from "../timelines.ts";
import { headsAt } from "./heads.ts";
import { logEnvironment } from "./kept-manifests.ts";

export interface FeedPage {
  readonly tag: "page";
  readonly changes: readonly StateChange[];
  /** The next page begins here. */
  readonly end: FeedPlace;
  /** True if changes may follow at once. */
  readonly more: boolean;
  readonly exact: boolean;
}

/** Partitions that are read at a time, since all share the isolate's memory. */
const AT_A_TIME = 4;

/** Events that are read of each partition, at least: a page with few of each would often be read twice. */
const LEAST = 64;

/** The age of the changes that a waiting reader gets (FEED4). */
const BEHIND_MS = 1_000;

export class ChangesFeed {
  readonly #env: Env;
  readonly #route: Route;
  readonly #prefix: string;
  readonly #isWaiting: boolean;
  #settled = stamp(0);

  constructor(env: Env, route: Route, prefix: string, isWaiting: boolean) {
    this.#env = env;
    this.#route = route;
    this.#prefix = prefix;
    this.#isWaiting = isWaiting;
  }

  /** Returns the next page of at most so many changes. @throws Damage, Failure */
  async next(after: FeedPlace, limit: number): Promise<FeedPage | Gone> {
    const upTo = await this.#settledStamp();
    if (comparePlaces(after, placeAfter(upTo)) >= 0)
      return { tag: "page", changes: [], end: after, more: false, exact: true };
    const addresses = await this.#changedSince(after, upTo);
    const bounds = boundsAmong(addresses.length, limit);
    const pages: ChangesPage[] = [];
    let oldest = 0;
    for (let from = 0; from < addresses.length; from += AT_A_TIME) {
      const some = addresses
        .slice(from, from + AT_A_TIME)
        .map((address) => this.#pageOf(address, { after, upTo, ...bounds }));
      for (const page of await Promise.all(some))
        if (page.tag === "gone") oldest = Math.max(oldest, page.oldest);
        else pages.push(page);
    }
    return oldest > 0 ? { tag: "gone", oldest: stamp(oldest) } : together(pages, upTo, limit);
  }

  #pageOf(address: Address, asked: Omit<ChangesAsked, "wanted">): Promise<ChangesPage | Gone> {
    const wanted = (key: string): boolean => key.startsWith(this.#prefix);
    return nextChanges(logEnvironment(this.#env, this.#route, address), { ...asked, wanted });
  }

  /** The cursor of a place. `line`: the line that logged the change there; missing for the end of a page. */
  cursor(place: FeedPlace, line = this.#lineAt(place.stamp)): string {
    return cursorText(this.#route.operator.name, { line, place });
  }

  #lineAt(at: Stamp): number {
    return partsOf(this.#route).find(({ upTo }) => at <= upTo)!.line;
  }

  /** Returns the newest stamp that was logged, after settling it (FEED4). */
  async #settledStamp(): Promise<Stamp> {
    const { line, ancestors } = this.#route;
    const floors = floorsOf(this.#env, line);
    const start = ancestors[0]?.at ?? stamp(0);
    const found = await Promise.all(
      floors.map((floor) =>
        persistent(requestClock, "D1", () => Promise.all([floor.newest(), this.#isWaiting ? floor.facts() : null])),
      ),
    );
    const times = found.flatMap(([, facts]) => (facts === null ? [] : [facts.nowMs - BEHIND_MS]));
    const bound = times.length === 0 ? LAST_STAMP : stampUpTo(Math.min(...times));
    const newest = stamp(Math.min(bound, Math.max(...found.map(([one]) => one))));
    if (newest <= start) return start;
    if (newest <= this.#settled) return this.#settled;
    const settled = await settle(requestClock, floors, { tag: "stamp", at: newest });
    if (settled.tag === "settled") this.#settled = settled.at;
    return this.#settled;
  }

  /** Returns the partitions that have rows behind the place (FEED2). */
  async #changedSince(after: FeedPlace, upTo: Stamp): Promise<readonly Address[]> {
    const [then, now] = await Promise.all([wholeUpTo(after), upTo].map((at) => headsAt(this.#env, this.#route, at)));
    return this.#route.addresses.filter(({ operator, partition }) => {
      const [earlier, later] = [then!.of(operator, partition), now!.of(operator, partition)];
      return earlier === null || earlier !== later;
    });
  }
}

/** Returns the bounds of one partition's page, so that all together fit into one answer. */
function boundsAmong(partitions: number, limit: number): Pick<ChangesAsked, "most" | "bounds"> {
  const share = (whole: number): number => Math.ceil(whole / Math.max(1, partitions));
  return {
    most: Math.min(limit, Math.max(LEAST, share(2 * limit))),
    bounds: { bytes: PASS.bytes, chars: share(FEED_CHARS), scanned: Math.max(LEAST, share(FEED_SCAN)) },
  };
}

/** Merges the pages of the partitions, as far as all of them go (FEED3). */
function together(pages: readonly ChangesPage[], upTo: Stamp, limit: number): FeedPage {
  const ends = pages.flatMap(({ end }) => (end === null ? [] : [end])).sort(comparePlaces);
  const [end = null] = ends;
  const covered = pages
    .flatMap(({ changes }) => changes)
    .filter((one) => end === null || comparePlaces(one, end) <= 0)
    .sort(comparePlaces);
  const changes = covered.slice(0, limit);
  const exact = pages.every((one) => one.exact);
  if (covered.length > limit) return { tag: "page", changes, end: changes.at(-1)!, more: true, exact };
  return { tag: "page", changes, end: end ?? placeAfter(upTo), more: end !== null, exact };
}
