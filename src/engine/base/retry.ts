/**
 * Calls to D1 and R2 with our own time limit. Either store may stay silent for minutes, and a caller that waits for
 * ever would block its partition. After the limit the outcome is unknown (LOG3), because the call itself may still take
 * effect. An append resolves that by asking D1 (log/append.ts), a read from memory by partition/freshness.ts.
 */
import { Failure, messageOf } from "./errors.ts";
import { OPEN_ATTEMPTS, STORE_TIMEOUT_MS } from "./limits.ts";
import type { Clock } from "./ports.ts";

/** Returns the call's result. @throws Failure store_unavailable after the limit, or the call's own error */
export function limited<T>(
  clock: Clock,
  what: string,
  call: () => Promise<T>,
  limitMs: number = STORE_TIMEOUT_MS,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const cancel = clock.after(limitMs, () =>
      reject(new Failure("store_unavailable", `${what} did not answer within ${limitMs} ms`)),
    );
    call().then(resolve, reject).finally(cancel);
  });
}

export const sleep = (clock: Clock, ms: number): Promise<void> =>
  new Promise((resolve) => {
    clock.after(ms, resolve);
  });

/** Full jitter: a random wait of up to 50 ms · 2^attempt, at most 2 s, and never zero. */
export function backoffMs(attempt: number, clock: Clock): number {
  return 5 + Math.floor(clock.jitter() * Math.min(2_000, 50 * 2 ** Math.min(attempt, 10)));
}

/** Tries an idempotent call a few times. A named failure is final. @throws Failure store_unavailable with the last
 *  error */
export async function persistent<T>(clock: Clock, what: string, call: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await limited(clock, what, call);
    } catch (error) {
      if (error instanceof Failure && error.code !== "store_unavailable") throw error;
      if (attempt + 1 >= OPEN_ATTEMPTS)
        throw new Failure(
          "store_unavailable",
          `${what} failed ${OPEN_ATTEMPTS} times, last with: ${messageOf(error)}`,
          {
            cause: error,
          },
        );
      await sleep(clock, backoffMs(attempt, clock));
    }
  }
}
