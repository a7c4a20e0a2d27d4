/**
 * How long to wait before the next attempt, and when to give up.
 *
 * PATIENCE1. Full jitter: a random share of a bound that doubles, so that senders that failed together don't come back
 *     together.
 * PATIENCE2. Each pause lasts at least as long as `Retry-After` asks. The jitter is added.
 * PATIENCE3. There is an end: if the next attempt would come too late, the client gives up at once.
 */
import { type ClientClock, pause } from "./clock.ts";
import { keyframeErrorOf, type Answer, type GoodAnswer, type NoAnswer } from "./answer.ts";
import { KeyframeError } from "./keyframe-error.ts";

export interface Retry {
  /** Bound of the first pause. The bound doubles with every attempt. */
  readonly firstMs: number;
  readonly mostMs: number;
  /** The limit since the first attempt, or since the last progress. */
  readonly overallMs: number;
}

/** An answer, or no answer, after which another attempt may succeed. */
export type Failed = Exclude<Answer, GoodAnswer> | NoAnswer;

export class Patience {
  readonly #clock: ClientClock;
  readonly #random: () => number;
  readonly #retry: Retry;
  #attempts = 0;
  #failures = 0;
  #since: number;

  constructor(clock: ClientClock, random: () => number, retry: Retry) {
    this.#clock = clock;
    this.#random = random;
    this.#retry = retry;
    this.#since = clock.now();
  }

  /** Restarts the time limit, since something was decided. */
  progress(): void {
    this.#failures = 0;
    this.#since = this.#clock.now();
  }

  /**
   * Waits at least `leastMs`.
   * @throws KeyframeError `gave_up`
   */
  async wait(failed: Failed, leastMs = 0, signal?: AbortSignal): Promise<void> {
    const { firstMs, mostMs, overallMs } = this.#retry;
    this.#attempts += 1;
    const bound = Math.min(mostMs, firstMs * 2 ** Math.min(this.#failures, 40));
    this.#failures += 1;
    const asked = failed.tag === "none" ? 0 : (failed.retryAfterMs ?? 0);
    const ms = Math.max(asked, leastMs) + this.#random() * bound;
    if (this.#clock.now() - this.#since + ms > overallMs) throw this.#gaveUp(failed);
    await pause(this.#clock, ms, signal);
  }

  #gaveUp(failed: Failed): KeyframeError {
    const attempts = this.#attempts === 1 ? "one attempt" : `${this.#attempts} attempts`;
    const left = `gave up after ${attempts}, ${this.#clock.now() - this.#since} ms without progress`;
    if (failed.tag === "none") return new KeyframeError("gave_up", `${left}: ${failed.why}`);
    const { code, detail, status, problem } = keyframeErrorOf(failed);
    const last = failed.tag === "problem" ? `${code}, ${detail}` : detail;
    return new KeyframeError("gave_up", `${left}: ${last}`, { status, problem });
  }
}
