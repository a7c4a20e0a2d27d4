/**
 * Decides whether the database that a partition's log shares with others has room (LOG6). It decides before events are
 * taken, while there is still room to open, to take snapshots, and so to cut the log again.
 *
 * SPACE1. A database's size comes with each of its answers and need not shrink: cut rows leave free pages. So a size
 *     above the limit proves nothing. Growth above the limit does: then no page is free.
 * SPACE2. Only after such growth the bytes of the log are added up, which costs a row read for each segment. This
 *     happens at most every ASK_MS, and ends once the sum shows room, until the size has grown again.
 * SPACE3. If the sum doesn't come in time, the database counts as full.
 * SPACE4. Above the limit a snapshot cuts all that it archives, not only up to the snapshot before it (CHECKPOINT4 of
 *     checkpoint.ts). Otherwise a partition that takes no events would keep its rows for ever.
 */
import { messageOf } from "../base/errors.ts";
import type { Clock, Host, Log } from "../base/ports.ts";
import { limited } from "../base/retry.ts";
import type { Environment } from "../operator/environment.ts";

/** The shortest time between two sums over the log. */
const ASK_MS = 30_000;
/** The share of the limit that segments may fill: rows have more columns, and pages aren't full. */
const SEGMENTS_SHARE = 0.75;
/**
 * The share of the space left by which the size may grow before the next sum, since others share the database. The size
 * never grows beyond CALM_SHARE of the limit without a sum.
 */
const STEP_SHARE = 1 / 8;
const CALM_SHARE = 1.05;

export interface DiskFacts {
  readonly limit: number;
  /** The size in D1's last answer. */
  readonly size: number;
  /** The size up to which the last sum found room, or 0 if there was no sum yet. */
  readonly roomUpTo: number;
  /** Bytes of the segments in the last sum. Null if there was none, or it is too old. */
  readonly used: number | null;
}

export type SpaceVerdict = { readonly tag: "room"; readonly roomUpTo: number } | { readonly tag: "ask" | "full" };

/** Judges from facts alone (SPACE1, SPACE2). */
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

  constructor(limit: number, { log, clock, host }: Environment) {
    this.#calmUpTo = host.highWaterMark()?.roomUpTo ?? 0;
    this.#limit = limit;
    this.#log = log;
    this.#clock = clock;
    this.#host = host;
  }

  /** Events can be taken without a sum over the log. */
  get hasRoom(): boolean {
    return this.#log.size <= Math.max(this.#limit, this.#calmUpTo);
  }

  /** Facts that the high-water mark keeps over openings. */
  kept(): { readonly roomUpTo?: number } {
    return this.#calmUpTo === 0 ? {} : { roomUpTo: this.#calmUpTo };
  }

  /** A snapshot has cut the log, so the next sum may run at once. */
  freed(): void {
    this.#askedAt = Number.NEGATIVE_INFINITY;
  }

  /**
   * True if a snapshot cuts all that it archives (SPACE4). If there is room again, the only cost is a longer fallback.
   */
  get overLimit(): boolean {
    return this.#log.size > this.#limit;
  }

  /** Returns null if events can be taken now; else says why not. */
  async full(): Promise<string | null> {
    if (!this.hasRoom) await this.#ask();
    const verdict = this.#verdict();
    if (verdict.tag === "room") {
      this.#calmUpTo = verdict.roomUpTo;
      this.#used = null;
      return null;
    }
    const held = this.#used === null ? "can't be added up in time" : `come to ${this.#used} bytes`;
    return `the log's database has ${this.#log.size} bytes and grows, and its segments ${held}; the limit is ${this.#limit}: see why snapshots fail, or raise LOG_BYTES if the database may be larger`;
  }

  #verdict(): SpaceVerdict {
    return judgeSpace({ limit: this.#limit, size: this.#log.size, roomUpTo: this.#calmUpTo, used: this.#used });
  }

  /** Runs one sum at a time, and none sooner than ASK_MS after the last. */
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
