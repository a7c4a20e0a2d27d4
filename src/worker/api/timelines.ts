/** Timelines: lines of history under names, and their promotion. */
import { CHANGED_NAMED, PARTITIONS } from "../../engine/base/limits.ts";
import { MOMENT_FORMS, TIMELINE_NAME } from "../../engine/history/moment.ts";
import { ABOUT_GONE, AT_PROBLEMS } from "./common.ts";
import { described, type HeaderParams, type TextParam } from "./described.ts";
import { COUNT, list, object, orNull, ref, STRING, TIME } from "./schemas.ts";

const GROUP = "Timelines";
const PATH = "/v1/timelines/:name";

const NEW_NAME = {
  type: "string",
  pattern: "^(?!(main|now)$)[a-z][a-z0-9-]{0,62}$",
  about: "Name of the timeline.",
  example: "fix",
  flaw: {
    status: 400,
    code: "invalid_name",
    detail:
      "a timeline's name is a-z, 0-9 and '-', starts with a letter, and has at most 63 characters; `main` and `now` are none",
  },
} as const satisfies TextParam;

const NAME = {
  type: "string",
  pattern: `^(?:${TIMELINE_NAME})$`,
  about: "Name of the timeline; `main~1` is what was main before.",
  example: "fix",
  flaw: {
    status: 404,
    code: "no_timeline",
    detail: (given) => `there is no timeline ${JSON.stringify(given.slice(0, 100))}`,
  },
} as const satisfies TextParam;

const STRETCH = object({
  events: COUNT,
  "last?": TIME,
  partitions: list(object({ operator: STRING, partition: COUNT, first: COUNT, last: COUNT })),
});

const GIVING_UP = {
  timeline: STRING,
  mode: { const: "give_up" },
  parted: { ...COUNT, description: "The stamp up to which both have the same events." },
  partedTime: TIME,
  givesUp: ref("Stretches"),
  takes: ref("Stretches"),
};

/** Of a timeline that replays main's log. */
const FOLLOWING = {
  timeline: STRING,
  mode: { const: "follow" },
  outcomes: { enum: ["logged", "decide"] },
  lag: COUNT,
  changes: object({
    events: { ...COUNT, description: "Events whose outcome is another one on the timeline." },
    partitions: list(object({ operator: STRING, partition: COUNT, events: COUNT })),
  }),
};

/** Of a timeline with other partitions that starts where main ends. */
const RESCALING = {
  timeline: STRING,
  mode: { const: "rescale" },
  partitions: {
    type: "object",
    additionalProperties: object({ from: COUNT, to: COUNT }),
    description: "Numbers of partitions, by operator.",
  },
};

const DONE = {
  promoted: { const: true },
  switches: { ...COUNT, description: "How often main was switched." },
  former: { type: "string", description: "The name of what was main." },
};

const CHANGED = {
  ...list(
    object({
      operator: STRING,
      "count?": COUNT,
      "atLeast?": COUNT,
      first: list(STRING, { maxItems: CHANGED_NAMED }),
      "flaw?": { type: "string", description: "Why a partition could not be compared." },
    }),
  ),
  description:
    "Keys whose states differ, for each operator with events that only one of both has, or that the timeline replayed. `atLeast` stands for `count` if there may be more. The `ETag` doesn't stand for it.",
};

export const TIMELINE_SCHEMAS = {
  Timeline: object({
    name: STRING,
    line: { ...COUNT, description: "The number of its line, which is never given again." },
    state: { enum: ["main", "sealed", "making", "ready", "replaying", "unstarted", "removing"] },
    "from?": { type: "string", description: "The timeline that it starts from." },
    "at?": { ...COUNT, description: "The stamp of its start. Missing while it is unstarted." },
    "split?": {
      type: "object",
      additionalProperties: COUNT,
      description: "Partitions for each one of the timeline that it starts from, by operator.",
    },
    "time?": TIME,
    "created?": TIME,
    "expires?": TIME,
    "keptFor?": {
      ...object({
        timelines: list(object({ name: STRING, partitions: COUNT, first: orNull(STRING) })),
        savepoints: list(STRING),
      }),
      description: "Why it is still there after it expired.",
    },
    "replay?": object({
      of: { type: "string", description: "The timeline whose log it replays." },
      outcomes: { enum: ["logged", "decide"] },
      lag: { ...COUNT, description: "Events that it hasn't taken in, as far as D1 tells without a partition." },
      behind: { ...COUNT, description: "Partitions that have more to take in." },
      changed: { ...COUNT, description: "Events whose outcome differs." },
      "trouble?": { type: "string", description: "Why some partition takes in nothing now." },
    }),
  }),
  Stretches: STRETCH,
  PromotionPreview: {
    anyOf: [object({ ...GIVING_UP, keys: CHANGED }), object({ ...FOLLOWING, keys: CHANGED }), object(RESCALING)],
  },
  Promoted: {
    anyOf: [object({ ...GIVING_UP, ...DONE }), object({ ...FOLLOWING, ...DONE }), object({ ...RESCALING, ...DONE })],
  },
} as const;

export const PUT_TIMELINE = described({
  method: "PUT",
  path: PATH,
  role: "admin",
  mainOnly: true,
  group: GROUP,
  id: "putTimeline",
  summary: "Start a timeline at a moment of another one",
  about:
    "It has the states, ids and quarantine of that moment, and takes events of its own under `timeline=`. Nothing is copied, stopped or woken. The same again is answered 200.",
  inPath: { name: NEW_NAME },
  inQuery: {},
  body: {
    "application/json": {
      schema: object({
        "from?": {
          anyOf: [STRING, COUNT],
          description: `${MOMENT_FORMS}. Without it, main as it is now. \`end\`: where main ends when the timeline is promoted; needs \`partitions\`.`,
        },
        "replay?": {
          enum: ["logged", "decide"],
          description:
            "The timeline takes in main's log from there on, with the code that is deployed, instead of events of its own. `logged`: what was refused stays refused. `decide`: this code decides each event anew.",
        },
        "partitions?": {
          type: "object",
          additionalProperties: { type: "integer", minimum: 1, maximum: PARTITIONS },
          description: "Numbers of partitions, by operator: a multiple of those that it has at that moment.",
        },
        "expires?": {
          anyOf: [{ type: "string", pattern: "^[1-9]\\d{0,3}(h|d)$" }, { type: "null" }],
          description: "When it is removed, as 12h or 7d. Without it, after 7 days. Null: when somebody removes it.",
        },
      }),
      example: { from: "-90m" },
    },
  },
  answers: {
    200: { about: "It was there.", schema: ref("Timeline") },
    201: { about: "It takes events.", schema: ref("Timeline") },
  },
  problems: {
    ...AT_PROBLEMS,
    400: ["invalid_moment", "malformed_json", "invalid_body", "invalid_utf8", "malformed_gzip", "body_interrupted"],
    404: ["no_timeline", "no_savepoint", "no_operator"],
    409: [
      "not_settled",
      "partitions_same",
      "partitions_unsplit",
      "timeline_unstarted",
      "timeline_exists",
      "timeline_replays",
      "timeline_unrelated",
      "too_many_timelines",
      "erasure_unreadable",
    ],
    413: ["body_too_large", "gzip_bomb"],
    415: ["unsupported_encoding"],
  },
  more: object(ABOUT_GONE),
});

export const LIST_TIMELINES = described({
  method: "GET",
  path: "/v1/timelines",
  role: "read",
  mainOnly: true,
  group: GROUP,
  id: "listTimelines",
  summary: "All timelines",
  inPath: {},
  inQuery: {},
  answers: { 200: { about: "In the order in which they were made.", schema: list(ref("Timeline")) } },
});

export const GET_TIMELINE = described({
  method: "GET",
  path: PATH,
  role: "read",
  mainOnly: true,
  group: GROUP,
  id: "getTimeline",
  summary: "One timeline",
  inPath: { name: NAME },
  inQuery: {},
  answers: { 200: { about: "It is there.", schema: ref("Timeline") } },
});

export const DELETE_TIMELINE = described({
  method: "DELETE",
  path: PATH,
  role: "admin",
  mainOnly: true,
  group: GROUP,
  id: "deleteTimeline",
  summary: "Remove a timeline and all that was logged on it",
  inPath: { name: NAME },
  inQuery: {},
  answers: {
    200: { about: "It is gone. May be sent again.", schema: object({ name: STRING, removed: { const: true } }) },
    202: {
      about: "More is left than one request deletes: send it again.",
      schema: object({ name: STRING, removed: { const: false } }),
    },
  },
  problems: { 409: ["timeline_in_use"] },
});

export const ADVANCE_TIMELINE = described({
  method: "POST",
  path: `${PATH}/replay`,
  role: "admin",
  mainOnly: true,
  group: GROUP,
  id: "advanceReplay",
  summary: "Take in more of the log that a timeline replays",
  about:
    "Takes about ten seconds, or less if it has come to the end. The cron does the same each minute. After a deploy the replay starts again.",
  inPath: { name: NAME },
  inQuery: {},
  answers: { 200: { about: "How far it has come.", schema: ref("Timeline") } },
  problems: { 404: ["no_timeline"], 409: ["no_replay"] },
});

const PROBLEMS = {
  404: ["no_timeline"],
  409: ["timeline_is_main", "timeline_sealed", "timeline_unrelated", "timeline_behind"],
} as const;

export const GET_PROMOTION = described({
  method: "GET",
  path: `${PATH}/promotion`,
  role: "admin",
  mainOnly: true,
  group: GROUP,
  id: "getPromotion",
  summary: "What main would give up if the timeline became main",
  about:
    'With `Accept: application/x-ndjson`, the events that main would give up, as they were sent: a file for `keyframe send`. Edits and other commands aren\'t among them. The last line, `{"end":true,"complete":true,"events":2}`, is no event: it says that the file is complete, and counts. Of a timeline that replays: the events whose outcome changes.',
  inPath: { name: NAME },
  inQuery: {},
  answers: {
    200: {
      about: "The preview.",
      schema: ref("PromotionPreview"),
      headers: { etag: "For `If-Match` of the promotion." },
    },
  },
  problems: PROBLEMS,
});

const IF_MATCH: HeaderParams = {
  "if-match": {
    type: "string",
    about: "The ETag of the preview, or `*` to accept whatever main gives up.",
    example: "*",
  },
};

export const POST_PROMOTION = described({
  method: "POST",
  path: `${PATH}/promotion`,
  role: "admin",
  mainOnly: true,
  group: GROUP,
  id: "promote",
  summary: "Make the timeline main",
  about:
    "Both timelines are sealed, compared with the preview, and switched: meanwhile events are answered 503, and a retry counts once. What was main stays readable as `main~1`. May be sent again with the same `If-Match`.",
  inPath: { name: NAME },
  inQuery: {},
  inHeaders: IF_MATCH,
  answers: { 200: { about: "It is main.", schema: ref("Promoted") } },
  problems: {
    ...PROBLEMS,
    409: [...PROBLEMS[409], "promotion_busy", "erasure_missing"],
    412: ["promotion_moved"],
    428: ["promotion_unseen"],
  },
  more: object({ "etag?": STRING }),
});

export const DELETE_PROMOTION = described({
  method: "DELETE",
  path: `${PATH}/promotion`,
  role: "admin",
  mainOnly: true,
  group: GROUP,
  id: "abortPromotion",
  summary: "Abort a promotion, or finish one that has switched main already",
  inPath: { name: NAME },
  inQuery: {},
  answers: {
    200: {
      about: "No promotion is under way.",
      schema: object({ name: STRING, state: { const: "idle" }, switches: COUNT }),
    },
  },
});
