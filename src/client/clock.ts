/** Time as the client sees it: a port, so that tests control it. */

export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls `then` once after `ms`. Returns a function that cancels the call. */
  after(ms: number, then: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, then) {
    const timer = setTimeout(then, ms);
    return () => clearTimeout(timer);
  },
};

/** Waits for `ms`. Ends early, without an error, if the signal aborts. */
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
