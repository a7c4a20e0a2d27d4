/** Time as the client sees it: a port, so that tests can let it pass. */

export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls `then` once after `ms`; returns what cancels that. */
  after(ms: number, then: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, then) {
    const timer = setTimeout(then, ms);
    return () => clearTimeout(timer);
  },
};

/** Ends early, without an error, when the signal says so. */
export const pause = (clock: Clock, ms: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const over = (): void => {
      signal?.removeEventListener("abort", over);
      cancel();
      resolve();
    };
    const cancel = clock.after(ms, over);
    signal?.addEventListener("abort", over);
    if (signal?.aborted === true) over();
  });
