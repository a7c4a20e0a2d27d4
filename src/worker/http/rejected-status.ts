/** The status of a request with one event that is rejected, if the status isn't 422. */
import { MIGRATION_FAILED } from "../../engine/operator/migration.ts";

export const REJECTED_STATUS: Readonly<Record<string, number>> = {
  id_reused: 409,
  key_not_allowed: 403,
  // A relay that knows nothing of this app drops an event answered with 4xx, and keeps one answered with 503.
  [MIGRATION_FAILED]: 503,
};

/** Retries fail until fixed code is deployed. */
export const MIGRATION_RETRY_SEC = 60;

/** Returns the retry delay of a problem with this code. */
export const retryOf = (code: string): { readonly retryAfterSec?: number } =>
  code === MIGRATION_FAILED ? { retryAfterSec: MIGRATION_RETRY_SEC } : {};
