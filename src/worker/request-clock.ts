/** The clock of a request in the Worker, whose timers belong to it alone: for the time limits of its own calls to D1. */
import type { Clock } from "../engine/base/ports.ts";

export const requestClock: Clock = {
  now: () => Date.now(),
  after: (ms, then) => {
    const timer = setTimeout(then, ms);
    return () => clearTimeout(timer);
  },
};
