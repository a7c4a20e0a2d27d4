/**
 * An operator whose placement D1 has lost. The operator exists, but its partitions can't be found until an admin
 * recovers it.
 */
import type { Routes } from "../app.ts";
import { problem } from "../problem.ts";

/** A retry does nothing until an admin has recovered the operator. */
export const LOST_RETRY_SEC = 30;

/** Returns null if the operator isn't lost. An operator that doesn't exist gets another answer. */
export function lostProblem({ lost }: Routes, operator: string): Response | null {
  const why = lost?.byOperator.get(operator);
  if (why === undefined) return null;
  return problem({ status: 503, code: why.code, detail: why.message, retryAfterSec: LOST_RETRY_SEC });
}
