/**
 * How long a group waits for more callers before it goes to the log: a pure decision over what the last commits saw.
 *
 * A commit costs the same for one caller as for many, and callers that were answered together come back together if each
 * waits for its answer before it sends again. A group that left with the first of them would let the others wait for two
 * commits. So it waits a little, for as many as were answered last and waited then.
 *
 * DELAY1. A lone caller never waits: nobody else is expected.
 * DELAY2. The wait is bounded, by time and by what a commit takes. Where it brings too few, since the callers are far away or
 *     come as they like, waiting is given up, and tried again ever more seldom.
 */
export class CommitDelay {
  /** Moving average of a commit's time, milliseconds. */
  #commitMs = 0;
  #expected = 1;
  /** Groups that go without waiting, and how many did so the last time. */
  #skip = 0;
  #skipped = 0;

  /** A commit took `ms` and answered `callers`, while `waiting` others had come. */
  answered(callers: number, waiting: number, ms: number): void {
    this.#commitMs = this.#commitMs === 0 ? ms : this.#commitMs * 0.8 + ms * 0.2;
    this.#expected = callers + waiting;
  }

  /** Milliseconds that a group of `callers` should wait for more; 0: it has enough. */
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

  /** A group that waited with `before` callers leaves with `callers`. */
  left(before: number, callers: number): void {
    this.#skipped = callers >= before * WORTHWHILE ? 0 : Math.min(MOST_SKIPPED, this.#skipped * 2 + 1);
    this.#skip = this.#skipped;
  }
}

const LONGEST_MS = 10;
/** In commits. */
const LONGEST_COMMITS = 2;
/** A wait that didn't make the group this many times as large is not worth its time. */
const WORTHWHILE = 1.25;
const MOST_SKIPPED = 63;
