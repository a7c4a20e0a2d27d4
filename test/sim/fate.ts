/**
 * Faults are data: what becomes of one call to a store, drawn before it is made.
 *
 * FATE1. Acting and answering are two moments. A call may act and not be heard of, or be heard of as failed though it
 *     acted. Or it may act minutes after its sender gave up, after newer calls (A1, A2, A3 of the models).
 * FATE2. In an outage nothing acts, or everything acts unheard; which of both is drawn with the outage.
 */
import { STORE_TIMEOUT_MS } from "../../src/engine/base/limits.ts";
import type { FaultRates } from "./configuration.ts";
import type { Random } from "./random.ts";
import type { Trace } from "./trace.ts";

export interface Fate {
  /** Milliseconds until the store acts, or null if it never does. */
  readonly actMs: number | null;
  /** Milliseconds from then (or from the call) until the caller hears, or null if it never does. */
  readonly answerMs: number | null;
  /** The error that the caller hears instead of the result. */
  readonly error: string | null;
  /** The instance dies: before the call leaves it, or right after. */
  readonly crash: "before" | "after" | null;
  /** Another instance of the partition begins now. */
  readonly rival?: true;
}

export interface Outage {
  readonly kind: "errors" | "silence" | "unheard";
  readonly untilMs: number;
}

const well = (actMs: number, answerMs: number): Fate => ({ actMs, answerMs, error: null, crash: null });

export function drawFate(
  random: Random,
  rates: FaultRates | null,
  meanMs: number,
  outage: Outage | null,
  trace: Trace,
): Fate {
  const actMs = random.wait(meanMs / 2);
  const answerMs = random.wait(meanMs / 2);
  if (outage !== null) return inOutage(outage, actMs, answerMs);
  if (rates === null) return well(actMs, answerMs);
  let left = random.unit();
  const falls = (probability: number): boolean => (left -= probability) < 0;
  if (falls(rates.before)) {
    trace.count("errors before");
    return { actMs: null, answerMs, error: "failed before it acted", crash: null };
  }
  if (falls(rates.after)) {
    trace.count("errors after");
    return { actMs, answerMs, error: "failed after it acted", crash: null };
  }
  if (falls(rates.silent)) {
    trace.count("silences");
    return { actMs: null, answerMs: null, error: null, crash: null };
  }
  if (falls(rates.silentAfter)) {
    trace.count("silences");
    return { actMs, answerMs: null, error: null, crash: null };
  }
  if (falls(rates.late)) return well(random.skewed(STORE_TIMEOUT_MS, 600_000), answerMs);
  if (falls(rates.slow)) return well(random.skewed(meanMs, 40_000), answerMs);
  if (falls(rates.crash)) return { ...well(actMs, answerMs), crash: random.chance(0.5) ? "before" : "after" };
  if (falls(rates.rival)) return { ...well(actMs, answerMs), rival: true };
  return well(actMs, answerMs);
}

function inOutage({ kind }: Outage, actMs: number, answerMs: number): Fate {
  switch (kind) {
    case "errors":
      return { actMs: null, answerMs, error: "the store is down", crash: null };
    case "silence":
      return { actMs: null, answerMs: null, error: null, crash: null };
    case "unheard":
      return { actMs, answerMs: null, error: null, crash: null };
  }
}
