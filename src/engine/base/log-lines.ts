/**
 * All lines of the platform's log, with their levels. "error" asks somebody to act, "warn" asks somebody to look, and
 * "info" helps a later investigation. docs/reference/operations.md explains each line.
 */
type LogLevel = "info" | "warn" | "error";

export const NOTES = {
  "partition ended": "warn",
  "recovered by fallback": "error",
  "replay quarantined events": "error",
  "a handler threw": "error",
  "a state file is corrupt": "error",
  "keys can't be migrated": "error",
  "snapshot failed": "warn",
  "a promoted snapshot is not read yet": "warn",
  "garbage collected": "info",
  "garbage collection skipped": "warn",
  "the state differs from its counters": "error",
  "D1 didn't answer a commit": "warn",
  "the log's bytes can't be added up": "warn",
  "alarm failed": "warn",
  "alarm was lost": "warn",
  "alarm without a partition": "error",
  "verification found no difference": "info",
  "verification found a difference": "error",
  "verification can't rebuild the state": "error",
  "partition adopted": "warn",
  "partition recovered from R2": "warn",
  "partition went away": "info",
  "cron didn't finish a database": "warn",
  "a timeline could not be removed": "warn",
  "a split partition stays unopened": "warn",
  "a timeline could not replay": "warn",
  "a database didn't answer for the metrics": "warn",
  "a database didn't answer for the overview": "warn",
  "a batch of the queue waits": "warn",
  "messages of the queue wait": "warn",
  "events of the queue don't count": "warn",
  "export broke off": "warn",
  "diff broke off": "warn",
  "the rate limit doesn't answer": "warn",
  "request failed": "error",
} as const satisfies Readonly<Record<string, LogLevel>>;

export type LogLine = keyof typeof NOTES;
export type NoteFacts = Readonly<Record<string, string | number | boolean | null>>;
