/**
 * Is there room in the database that a partition's log shares with others (LOG6)? Decided before events are taken, while there still is
 * room to open, to take snapshots, and so to cut the log again.
 *
 * SPACE1. A database's size comes with each of its answers, and need not shrink: cut rows leave free pages. So a size above the limit
 *     alone says nothing. Growing above it does: then no page is free.
 * SPACE2. Only then is what the log holds added up, which costs a row read for each segment: at most every ASK_MS, and no more once that
 *     says that there is room, until the size has grown again.
 * SPACE3. What can't be added up in time counts as full.
 * SPACE4. Above the limit a snapshot cuts all that it archives, not only up to the one before it (CHECKPOINT4 of checkpoint.ts): else a partition
 *     that takes no events would never let go of what it holds.
 */
import { messageOf } from "../base/errors.ts";
import type { Clock, Host, Log } from "../base/ports.ts";
import { limited } from "../base/retry.ts";

/** Between two looks at what a log holds. */
const ASK_MS = 30_000;
/** Of the limit, what segments may come to: rows have more columns, and pages aren't full. */
const SEGMENTS_SHARE = 0.75;
/** Of what is left, how far the size may grow before it is looked at again: others share it. Never further than CALM_SHARE of the limit. */
const STEP_SHARE = 1 / 8;
const CALM_SHARE = 1.05;

export interface DiskFacts {
  readonly limit: number;
  /** As last heard. */
  readonly size: number;
  /** Up to which size there was room when it was looked at last; 0: never. */
  readonly roomUpTo: number;
  /** What the segments came to at that last look, if it is not too old; null: not known. */
  readonly used: number | null;
}

export type SpaceVerdict = { readonly tag: "room"; readonly roomUpTo: number } | { readonly tag: "ask" | "full" };

/** From facts alone (SPACE1, SPACE2). */
export function judgeSpace({ limit, size, roomUpTo, used }: DiskFacts): SpaceVerdict {
  if (size <= Math.max(limit, roomUpTo)) return { tag: "room", roomUpTo };
  if (used === null) return { tag: "ask" };
  const left = limit * SEGMENTS_SHARE - used;
  if (left <= 0) return { tag: "full" };
  const next = Math.min(size + Math.floor(left * STEP_SHARE), limit * CALM_SHARE);
  return { tag: "room", roomUpTo: Math.max(size, next) };
}

export class DiskSpace {
  readonly #limit: number;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #host: Host;
  #calmUpTo = 0;
  #used: number | null = null;
  #askedAt = Number.NEGATIVE_INFINITY;
  #asking: Promise<void> | null = null;

  constructor(limit: number, { log, clock, host }: { readonly log: Log; readonly clock: Clock; readonly host: Host }) {
    this.#calmUpTo = host.highWaterMark()?.roomUpTo ?? 0;
    this.#limit = limit;
    this.#log = log;
    this.#clock = clock;
    this.#host = host;
  }

  /** Nothing needs to be looked at before events are taken. */
  get hasRoom(): boolean {
    return this.#log.size <= Math.max(this.#limit, this.#calmUpTo);
  }

  /** What is kept over openings. */
  kept(): { readonly roomUpTo?: number } {
    return this.#calmUpTo === 0 ? {} : { roomUpTo: this.#calmUpTo };
  }

  /** A snapshot has cut the log: it may be worth another look at once. */
  freed(): void {
    this.#askedAt = Number.NEGATIVE_INFINITY;
  }

  /** SPACE4: may be so also when there is room again, which costs nothing but a longer way for a fall-back. */
  get overLimit(): boolean {
    return this.#log.size > this.#limit;
  }

  /** Why no event can be taken now; null: it can. */
  async full(): Promise<string | null> {
    if (!this.hasRoom) await this.#ask();
    const verdict = this.#verdict();
    if (verdict.tag === "room") {
      this.#calmUpTo = verdict.roomUpTo;
      this.#used = null;
      return null;
    }
    const held = this.#used === null ? "can't be added up in time" : `come to ${this.#used} bytes`;
    return `the log's database has ${this.#log.size} bytes and grows, and its segments ${held}; the limit is ${this.#limit}: see why snapshots fail, or raise LOG_BYTES where the database may be larger`;
  }

  #verdict(): SpaceVerdict {
    return judgeSpace({ limit: this.#limit, size: this.#log.size, roomUpTo: this.#calmUpTo, used: this.#used });
  }

  /** One look at a time, and none sooner than ASK_MS after the last. */
  async #ask(): Promise<void> {
    if (this.#asking === null && this.#clock.now() - this.#askedAt < ASK_MS) return;
    this.#asking ??= this.#look().finally(() => {
      this.#asking = null;
    });
    await this.#asking;
  }

  async #look(): Promise<void> {
    this.#askedAt = this.#clock.now();
    try {
      this.#used = await limited(this.#clock, "D1", () => this.#log.used());
    } catch (error) {
      this.#used = null;
      this.#host.note("the log's bytes can't be added up", { error: messageOf(error) });
    }
  }
}
