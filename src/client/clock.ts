/** The time of the platform. Tests give another clock. */
import type { Clock } from "../engine/base/ports.ts";

/** The client has its own randomness, so its clock has none. */
export type ClientClock = Pick<Clock, "now" | "after">;

export const systemClock: ClientClock = {
  now: () => Date.now(),
  after(ms, then) {
    const timer = setTimeout(then, ms);
    return () => clearTimeout(timer);
  },
};

/** Waits for `ms`. Ends early, without an error, if the signal aborts. */
export const pause = (clock: ClientClock, ms: number, signal?: AbortSignal): Promise<void> =>
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
