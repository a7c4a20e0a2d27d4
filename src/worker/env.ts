import { LOG_BYTES } from "../engine/base/limits.ts";

export interface Env {
  readonly PARTITION: DurableObjectNamespace;
  readonly SNAPSHOTS: R2Bucket;
  readonly LOG_0: D1Database;
  readonly VERSION?: WorkerVersionMetadata;
  /** Bytes that a database of the log may reach (LOG6). Default: LOG_BYTES of engine/base/limits.ts. */
  readonly LOG_BYTES?: string | number;
  readonly INGEST_TOKEN?: string;
  readonly READ_TOKEN?: string;
  readonly ADMIN_TOKEN?: string;
  /** Requests with events that a caller may send (rate-limit.ts). Default: any number. */
  readonly INGEST_LIMIT?: RateLimit;
  /** The token of a scraper. It opens GET /metrics and nothing else. If it is the only token, it opens nothing. */
  readonly METRICS_TOKEN?: string;
  /** The location of new objects: a location hint of Durable Objects (region.ts). Default: near the first caller. */
  readonly REGION?: string;
  /** "eu" or "fedramp": objects must stay there, by law. */
  readonly JURISDICTION?: string;
}

/** Returns false in a Worker that only checks code: it has the app's stores, and no partitions. */
export const hasObjects = ({ PARTITION }: Partial<Env>): boolean => PARTITION !== undefined;

export const CHECK_ONLY =
  "this Worker has no Durable Object binding PARTITION, so it only checks code: it serves GET /v1/check";

/** @throws if the setting isn't a number of bytes */
export function logBytes({ LOG_BYTES: setting }: Env): number {
  if (setting === undefined) return LOG_BYTES;
  if (!/^[1-9]\d{0,14}$/.test(String(setting)))
    throw new Error(`LOG_BYTES must be a whole number of bytes, not ${JSON.stringify(setting)}`);
  return Number(setting);
}

/** Returns the id of the deployed version, if the platform tells it. */
export const codeId = (env: Env): string => env.VERSION?.id ?? "dev";
