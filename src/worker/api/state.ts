/** Reading state. */
import { MOMENT_SCHEMA, ABOUT_GONE, AT, AT_PROBLEMS, CURSOR_FLAW, KEY, LIMIT, page } from "./common.ts";
import { described, type DescribedAnswer, type Schema } from "./described.ts";
import { ANY, COUNT, list, object, orNull, ref, STRING, TIME } from "./schemas.ts";

export const BATCH_KEYS = 500;
export const SCAN_DEFAULT = 100;

const GROUP = "Read state";

const FAILED: Schema = {
  ...list(object({ key: STRING, code: STRING, message: STRING, version: COUNT })),
  description: "Keys whose state is of an older version, since migrating it fails. Absent if there are none.",
};
const STATES = page(object({ key: STRING, value: ANY })) as Schema & { readonly properties: object };

export const STATE_SCHEMAS: Readonly<Record<string, Schema>> = {
  State: object({
    operator: STRING,
    key: STRING,
    value: ANY,
    partition: COUNT,
    seq: { ...COUNT, description: "Of the last event that changed the key." },
    time: TIME,
    ...MOMENT_SCHEMA,
  }),
  StatePage: {
    ...STATES,
    properties: { ...STATES.properties, failed: FAILED, at: MOMENT_SCHEMA["at?"], exact: MOMENT_SCHEMA["exact?"] },
  },
};

export const LIST_OPERATORS = described({
  method: "GET",
  path: "/v1/operators",
  role: "read",
  group: GROUP,
  id: "listOperators",
  summary: "The operators",
  inPath: {},
  inQuery: {},
  answers: {
    200: {
      about: "All of the app.",
      schema: list(
        object({
          name: STRING,
          version: COUNT,
          events: list(STRING),
          partitions: orNull(COUNT),
          "lost?": { type: "string", description: "Why it can't be used: D1 doesn't know how it was placed." },
        }),
      ),
    },
  },
});

const IF_NONE_MATCH = { "If-None-Match": { type: "string", about: "An `ETag` that was answered before." } } as const;
const ONE_STATE: Readonly<Record<number, DescribedAnswer>> = {
  304: { about: "It is as `If-None-Match` says.", headers: { ETag: "Changes with the value." } },
};
const ETAG = { ETag: "Changes with the value." };
/**
 * The 404 `no_state` names the key. The 503 `migration_failed` also has the old state, its version, and the ETag with
 * which a PUT replaces it.
 */
const ABOUT_ONE = object({
  "key?": STRING,
  "partition?": COUNT,
  "seq?": COUNT,
  "version?": COUNT,
  "value?": ANY,
  "etag?": STRING,
  ...MOMENT_SCHEMA,
  ...ABOUT_GONE,
});

export const GET_STATE = described({
  method: "GET",
  path: "/v1/operators/:op/state",
  role: "read",
  group: GROUP,
  id: "getState",
  summary: "The state of a key, or all states in the order of their keys",
  about:
    "With `key` that one. Without it a page of all partitions, in the order of the UTF-8 bytes of the keys. A read after the answer to a write sees that write.",
  inPath: {},
  inQuery: {
    key: KEY,
    prefix: { type: "string", about: "Only keys that begin with this.", example: "a" },
    limit: { ...LIMIT, about: `Items of this page, at most; default ${SCAN_DEFAULT}.` },
    cursor: { type: "string", about: "Of the page before.", flaw: CURSOR_FLAW },
    at: AT,
  },
  inHeaders: IF_NONE_MATCH,
  answers: {
    200: { about: "The state, or the page.", schema: { anyOf: [ref("State"), ref("StatePage")] }, headers: ETAG },
    ...ONE_STATE,
  },
  problems: { ...AT_PROBLEMS, 400: ["invalid_key", "invalid_moment"], 404: ["no_state", "no_savepoint"] },
  more: ABOUT_ONE,
});

export const GET_STATE_BY_PATH = described({
  method: "GET",
  path: "/v1/operators/:op/state/*",
  role: "read",
  group: GROUP,
  id: "getStateByPath",
  summary: "The state of a key, short",
  about: "Keys such as `..` belong into `?key=`: every URL parser folds them in a path.",
  inPath: {},
  inQuery: { at: AT },
  inHeaders: IF_NONE_MATCH,
  answers: { 200: { about: "The state.", schema: ref("State"), headers: ETAG }, ...ONE_STATE },
  problems: { ...AT_PROBLEMS, 400: ["invalid_key", "invalid_moment"], 404: ["no_state", "no_savepoint"] },
  more: ABOUT_ONE,
});

export const GET_TIMERS = described({
  method: "GET",
  path: "/v1/operators/:op/timers",
  role: "read",
  group: GROUP,
  id: "getTimers",
  summary: "The pending timers of a key, and when it expires",
  about: "The timer that fires first comes first. They are a part of the key's state: a key without state has none.",
  inPath: {},
  inQuery: { key: KEY, at: AT },
  answers: {
    200: {
      about: "The timers.",
      schema: object({
        operator: STRING,
        key: STRING,
        timers: list(object({ name: STRING, due: TIME })),
        expires: orNull({ ...TIME, description: "Null if the key doesn't expire." }),
        partition: COUNT,
        seq: { ...COUNT, description: "Of the last event that changed the key." },
        time: TIME,
        ...MOMENT_SCHEMA,
      }),
    },
  },
  problems: {
    ...AT_PROBLEMS,
    400: ["invalid_key", "invalid_moment"],
    403: ["key_not_allowed"],
    404: ["no_state", "no_savepoint"],
  },
  more: object({ "key?": STRING, ...MOMENT_SCHEMA, ...ABOUT_GONE }),
});

export const WATCH = described({
  method: "GET",
  path: "/v1/operators/:op/watch",
  role: "read",
  group: GROUP,
  id: "watch",
  summary: "The value of a key now, then each change",
  about:
    "Server-sent events, each with a JSON object `{key, value, seq}` as its data; `value` is null if the key has no state.",
  inPath: {},
  inQuery: { key: KEY },
  inHeaders: { "Last-Event-ID": { type: "string", about: "The `id` of the last event that was received." } },
  answers: { 200: { about: "The stream.", type: "text/event-stream" } },
  problems: { 400: ["invalid_key"], 403: ["key_not_allowed"], 405: ["method_not_allowed"] },
});

export const POST_BATCH = described({
  method: "POST",
  path: "/v1/operators/:op/state/batch",
  role: "read",
  group: GROUP,
  id: "getStates",
  summary: "The states of many keys",
  inPath: {},
  inQuery: { at: AT },
  body: {
    "application/json": {
      schema: object({
        keys: list({ type: "string", minLength: 1, maxLength: KEY.maxLength }, { maxItems: BATCH_KEYS }),
      }),
      example: { keys: ["ada", "bo"] },
    },
  },
  answers: {
    200: {
      about: "Those that have a state, and those that don't.",
      schema: object({
        items: list(object({ key: STRING, value: ANY, seq: COUNT })),
        missing: list(STRING),
        "failed?": FAILED,
        ...MOMENT_SCHEMA,
      }),
    },
  },
  problems: {
    ...AT_PROBLEMS,
    400: ["invalid_moment", "invalid_keys", "invalid_utf8", "malformed_gzip", "body_interrupted"],
    413: ["body_too_large", "answer_too_large", "gzip_bomb"],
    415: ["unsupported_encoding"],
  },
  more: object(ABOUT_GONE),
});
