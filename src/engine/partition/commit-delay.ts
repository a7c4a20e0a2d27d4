/**
 * Decides how long a group waits for more callers before it goes to the log, from what the last commits saw.
 *
 * A commit costs the same for one caller as for many. Callers that were answered together come back together if each
 * waits for its answer before it sends again. If a group left with the first of them, the others would wait for two
 * commits. So a group waits a little, for as many callers as were answered last and waited then.
 *
 * DELAY1. A lone caller never waits: nobody else is expected.
 * DELAY2. The wait is bounded by time and by the length of a commit. If it brings too few callers, because they are far
 *     away or come irregularly, the next groups don't wait. The wait is tried again less and less often.
 */
export class CommitDelay {
  /** Moving average of a commit's duration, in milliseconds. */
  #commitMs = 0;
  #expected = 1;
  /** Groups that still leave without waiting, and how many did so the last time. */
  #skip = 0;
  #skipped = 0;

  /** Notes a commit that took `ms` and answered `callers`, while `waiting` others had come. */
  answered(callers: number, waiting: number, ms: number): void {
    this.#commitMs = this.#commitMs === 0 ? ms : this.#commitMs * 0.8 + ms * 0.2;
    this.#expected = callers + waiting;
  }

  /** Returns how many milliseconds a group of `callers` should wait for more, or 0 if it has enough. */
  waitMs(callers: number): number {
    if (this.enough(callers)) return 0;
    if (this.#skip > 0) {
      this.#skip -= 1;
      return 0;
    }
    return Math.min(LONGEST_MS, Math.max(1, this.#commitMs * LONGEST_COMMITS));
  }

  enough(callers: number): boolean {
    return callers >= this.#expected;
  }

  /** Notes a group that began its wait with `before` callers and leaves with `callers`. */
  left(before: number, callers: number): void {
    this.#skipped = callers >= before * WORTHWHILE ? 0 : Math.min(MOST_SKIPPED, this.#skipped * 2 + 1);
    this.#skip = this.#skipped;
  }
}

const LONGEST_MS = 10;
/** In durations of a commit. */
const LONGEST_COMMITS = 2;
/** A wait pays only if it makes the group at least this many times as large. */
const WORTHWHILE = 1.25;
const MOST_SKIPPED = 63;
