/** Parameters of many routes, and the problems that every route may answer. */
import type { FailureCode } from "../../engine/base/errors.ts";
import { NAME_BYTES } from "../../engine/base/limits.ts";
import type { Schema, TextParam, Whole, WholeParam } from "./described.ts";
import { MOMENT_FORMS, TIMELINE_NAME } from "../../engine/history/moment.ts";
import { COUNT, object, STRING, TIME } from "./schemas.ts";

/** Most items of one page. */
const PAGE_MOST = 1_000;

export const OP: TextParam = { type: "string", about: "Name of the operator." };

/** Another number is answered with the number of partitions (routes.ts). */
export const PARTITION: Whole = {
  type: "integer",
  minimum: 0,
  maximum: 999_999_999,
  about: "Number of the partition, from 0.",
  example: 0,
};

export const TIMELINE: TextParam = {
  type: "string",
  pattern: `^(?:${TIMELINE_NAME})$`,
  about: "The timeline: `main` if missing, `main~1` for what was main before, or a name.",
  example: "main",
  flaw: {
    status: 404,
    code: "no_timeline",
    detail: (given) => `there is no timeline ${JSON.stringify(given.slice(0, 100))}`,
  },
};

export const LIMIT = {
  type: "integer",
  minimum: 1,
  maximum: PAGE_MOST,
  about: "Items of this page, at most.",
  flaw: { status: 400, code: "invalid_limit", detail: `limit must be a whole number from 1 to ${PAGE_MOST}` },
} as const satisfies WholeParam;

export const CURSOR_FLAW = {
  status: 400,
  code: "invalid_cursor",
  detail: "the cursor isn't one that a page of this list gave",
} as const;

export const AT = {
  type: "string",
  maxLength: 100,
  about: `A moment: ${MOMENT_FORMS}. Without it, the present.`,
  example: "-90m",
} as const satisfies TextParam;

/** The members of an answer about a moment. */
export const MOMENT_SCHEMA = {
  "at?": { ...COUNT, description: "The stamp that was read. Asked again with it, the answer is the same for ever." },
  "exact?": {
    const: false,
    description:
      "Another version of the operator applied events that were read; this is what the present one makes of them.",
  },
} as const;

/** Codes of a moment that can't be read. */
export const AT_PROBLEMS = {
  400: ["invalid_moment"],
  404: ["no_savepoint"],
  409: ["not_settled"],
  410: ["moment_gone"],
} as const;

export const ABOUT_GONE = { "oldest?": COUNT, "oldestTime?": TIME } as const;

export const KEY = {
  type: "string",
  minLength: 1,
  maxLength: NAME_BYTES,
  about: `The key, of at most ${NAME_BYTES} bytes of UTF-8.`,
  example: "ada",
} as const satisfies TextParam;

/** Codes of a 503: waiting or an operator's action fixes it. */
const FAILURES: Readonly<Record<FailureCode, string>> = {
  store_unavailable: "D1 or R2 did not answer in time, or with an error that may pass",
  log_not_migrated: "the log's tables are missing: migrate",
  log_broken: "the log has a gap, a duplicate or a wrong checksum",
  snapshot_unreadable: "no generation and no archive gives the state back",
  state_newer: "newer code wrote the state: deploy that code",
  unknown_format: "newer code wrote a row or an object: deploy that code",
  log_rewound: "D1 was restored to an older point: see adopt",
  catalogue_lost: "D1 doesn't know how the operator was placed: see recover",
  placement_unclear: "the remaining records don't say how the operator was placed",
  database_missing: "a database of the log isn't bound",
  database_swapped: "a database is bound under another one's name",
  moment_gone: "retention gave up the moment while it was read",
  invalid_region: "the setting REGION or JURISDICTION isn't known",
  line_sealed: "the line of history takes no events now: a promotion is under way, or another line is main",
  line_gone: "the line of history was removed",
  quarantine_full: "the quarantine is full: retry or delete its events",
  replay_other_code: "other code runs than the one that began the replay",
  fenced: "another instance of the partition took over",
};

export const UNAVAILABLE: Readonly<Record<string, string>> = {
  ...FAILURES,
  partition_gone: "the partition's object went away during the call",
  superseded: "an object of older code ended, so that newer code can start: send it again",
  object_older:
    "the platform keeps the partition's object on older code than this Worker's: finish the gradual deployment",
  migration_failed: "the key's state is of an older version, and migrating it fails: fix the migration, and deploy",
  snapshot_failed: "the snapshot could not be written",
  too_many_calls: "the request would make more calls than the platform allows: resume from `through`",
  queue_full: "too much waits for the log",
  log_full: "the log may not grow before a snapshot is taken, or its database is full",
  snapshot_behind: "too much waits for a snapshot",
  too_many_bodies: "the isolate can't hold another large body: send it again, or send NDJSON",
  too_many_watchers: "the isolate can't watch another key: try again",
  check_only: "the Worker has no binding PARTITION: it only checks code",
  quota_uncountable: "the share of maxEventsPerDay is more than dedup.maxIds counts",
};

/** RFC 9457. */
export const PROBLEM: Schema = object(
  {
    type: { type: "string", pattern: "^urn:keyframe:problem:." },
    title: STRING,
    status: { type: "integer", minimum: 400, maximum: 599 },
    detail: { description: "What happened, with values, and what to do; if an operator refused, its own detail." },
    code: { type: "string", description: "Stable." },
  },
  { description: "RFC 9457." },
);

/** The problem of a 503. */
export const UNAVAILABLE_PROBLEM: Schema = {
  description: "Waiting or an operator's action fixes it.",
  properties: {
    code: { oneOf: Object.entries(UNAVAILABLE).map(([code, means]) => ({ const: code, description: means })) },
  },
};

/** A page: `items`, and the cursor of the next page. */
export const page = (items: Schema): Schema =>
  object({
    items: { type: "array", items },
    "cursor?": { type: "string", description: "Absent at the end." },
  });
