/**
 * Names, types and helps of all metrics. Names are never changed; units are seconds, bytes and dollars.
 * docs/reference/operations.md describes each.
 */
import type { Family } from "./exposition.ts";

const counter = (name: string, help: string): Family => ({ name: `keyframe_${name}`, type: "counter", help });
const gauge = (name: string, help: string): Family => ({ name: `keyframe_${name}`, type: "gauge", help });
const histogram = (name: string, help: string): Family => ({ name: `keyframe_${name}`, type: "histogram", help });

export const FAMILIES = {
  events: counter("events_total", "Events by outcome"),
  timers: counter("timers_fired_total", "Timers that fired, and keys that expired; they are among the events"),
  calls: counter("appends_total", "Calls of the partition's object that brought events"),
  segments: counter("segments_total", "Rows of the log that were written"),
  commit: histogram("commit_duration_seconds", "From closing a group to D1's answer that it is in the log"),
  group: histogram("commit_events", "Events that one commit made durable"),
  head: gauge("head_seq", "Seq of the last event in the log"),
  tailEvents: gauge("tail_events", "Events that no snapshot covers yet"),
  tailBytes: gauge("tail_bytes", "Bytes of the log that no snapshot covers yet"),
  tailAge: gauge("tail_age_seconds", "Age of the oldest event that no snapshot covers; 0 without a tail"),
  keys: gauge("keys", "Keys with a state"),
  state: gauge("state_bytes", "Characters of keys and states"),
  quarantine: gauge("quarantine_events", "Events in quarantine"),
  snapshots: counter("snapshots_total", "Snapshots that became current"),
  snapshotFailures: counter("snapshot_failures_total", "Attempts to take a snapshot that failed"),
  snapshotSeconds: counter("snapshot_seconds_total", "Time from beginning a snapshot to its manifest"),
  snapshotBytes: counter("snapshot_bytes_total", "Bytes of state files that snapshots wrote to R2"),
  archiveBytes: counter("archive_bytes_total", "Bytes of the log that snapshots archived in R2"),
  lastManifest: gauge("last_snapshot_manifest", "Number of the current manifest; it rises with each snapshot"),
  lastTime: gauge("last_snapshot_timestamp_seconds", "Start of the current snapshot, since 1970"),
  lastAge: gauge("last_snapshot_age_seconds", "Age of the current snapshot, from its start"),
  lastSeconds: gauge("last_snapshot_duration_seconds", "Duration of the current snapshot"),
  lastBytes: gauge("last_snapshot_bytes", "Size of the file that the current snapshot wrote last"),
  recoveries: counter("recoveries_total", "Recoveries of the partition from snapshot and log"),
  recoverySeconds: counter("recovery_seconds_total", "Duration of all recoveries, by phase"),
  lastRecovery: gauge("last_recovery_duration_seconds", "Duration of the last recovery, by phase"),
  replayed: counter("replayed_events_total", "Events that recoveries replayed"),
  fallbacks: counter(
    "recovery_fallbacks_total",
    "Snapshots that recoveries passed over because they were corrupt or missing",
  ),
  estimated: gauge("estimated_recovery_seconds", "Estimated recovery: how long a recovery would take now"),
  cache: counter("cache_requests_total", "Ranges of R2 that were looked for in the object's own storage"),
  d1Queries: counter("d1_queries_total", "Statements and transactions that D1 ran for the partition"),
  d1Read: counter("d1_rows_read_total", "Rows that D1 read for the partition"),
  d1Written: counter("d1_rows_written_total", "Rows that D1 wrote for the partition, a row's later deletion included"),
  r2: counter("r2_operations_total", "Operations of R2, by price class"),
  ownWritten: counter("object_rows_written_total", "Rows that the object wrote to its own storage, alarms included"),
  wakes: counter("alarms_total", "Times that an alarm or the cron woke the partition"),
  dollars: counter("cost_dollars_total", "Dollars at list price for the counted usage, by meter"),
  epochs: counter("epochs_total", "Times that an instance took the epoch"),
  writer: gauge("writer_info", "Current and previous writer; always 1"),
} satisfies Readonly<Record<string, Family>>;

/** Metrics of the app, its operators and databases. */
export const APP_FAMILIES = {
  partitions: gauge("partitions", "Partitions of the operator"),
  omitted: gauge(
    "partitions_omitted",
    "Partitions that this answer leaves out; ask for them with ?operator= and ?from=",
  ),
  lost: gauge("operator_lost", "1 if D1 doesn't know how the operator was placed"),
  target: gauge("recovery_target_seconds", "The target for a recovery, by the operator's setting"),
  up: gauge("database_up", "1 if the database answered this request"),
  size: gauge("database_size_bytes", "Size of the log's database; freed pages are part of it"),
  limit: gauge("database_limit_bytes", "Size at which it takes no more events (log_full)"),
} satisfies Readonly<Record<string, Family>>;
