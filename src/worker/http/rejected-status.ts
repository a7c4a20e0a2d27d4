/** The status of a request whose one event is rejected by itself, where that isn't 422. */
import { MIGRATION_FAILED } from "../../engine/operator/migration.ts";

export const REJECTED_STATUS: Readonly<Record<string, number>> = {
  id_reused: 409,
  key_not_allowed: 403,
  // A relay that knows nothing of this app drops what is answered with 4xx, and keeps what is answered with 503.
  [MIGRATION_FAILED]: 503,
};

/** Until mended code is deployed. */
export const MIGRATION_RETRY_SEC = 60;

/** Of a problem with that code: when to come back. */
export const retryOf = (code: string): { readonly retryAfterSec?: number } =>
  code === MIGRATION_FAILED ? { retryAfterSec: MIGRATION_RETRY_SEC } : {};
