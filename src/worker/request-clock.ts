/**
 * The clock of a request in the Worker, for the time limits of its calls to D1. Its timers belong to that request
 * alone.
 */
import type { Clock } from "../engine/base/ports.ts";

export const requestClock: Clock = {
  now: () => Date.now(),
  after: (ms, then) => {
    const timer = setTimeout(then, ms);
    return () => clearTimeout(timer);
  },
  jitter: () => Math.random(),
};
