/** An operator whose placement D1 has lost: it is there, but nothing of it can be found until somebody recovers it. */
import type { Routes } from "../app.ts";
import { problem } from "../problem.ts";

/** Until somebody has recovered it, a repeat does nothing. */
export const LOST_RETRY_SEC = 30;

/** Null: it isn't lost. That it isn't there at all is another answer. */
export function lostProblem({ lost }: Routes, operator: string): Response | null {
  const why = lost?.byOperator.get(operator);
  if (why === undefined) return null;
  return problem({ status: 503, code: why.code, detail: why.message, retryAfterSec: LOST_RETRY_SEC });
}
