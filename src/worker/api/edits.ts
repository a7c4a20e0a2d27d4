/** Routes that edit, erase and export states. */
import { ABOUT_GONE, AT, AT_PROBLEMS, KEY } from "./common.ts";
import { described, type DescribedAnswer, type HeaderParams } from "./described.ts";
import { ANY, BOOLEAN, COUNT, list, object, STRING, TIME } from "./schemas.ts";

const GROUP = "Edit, erase, export";
const STATE = "/v1/operators/:op/state";

const CONDITION: HeaderParams = {
  "If-Match": {
    type: "string",
    about: "The `ETag` of a read, one or more, or `*` for any state. This or `If-None-Match` is required.",
  },
  "If-None-Match": { type: "string", about: "`*`: the key must have no state." },
  "Idempotency-Key": { type: "string", about: "The same edit under the same key counts once." },
};

const edited: Readonly<Record<number, DescribedAnswer>> = {
  200: {
    about: "Logged.",
    schema: object({
      operator: STRING,
      key: STRING,
      partition: COUNT,
      seq: COUNT,
      duplicate: BOOLEAN,
      "etag?": { ...STRING, description: "Of the new state, for the next edit." },
    }),
  },
};
const refused = {
  409: ["id_reused", "too_many_keys"],
  412: ["precondition_failed"],
  422: ["quarantined"],
  428: ["precondition_required"],
} as const;
const PLACE = object({ "key?": STRING, "partition?": COUNT, "seq?": COUNT, "duplicate?": BOOLEAN });
const FLAWS = ["invalid_key", "invalid_condition", "invalid_idempotency_key"] as const;

export const PUT_STATE = described({
  method: "PUT",
  path: STATE,
  role: "admin",
  changes: true,
  group: GROUP,
  id: "putState",
  summary: "Puts a state, on the condition that nobody changed it meanwhile",
  inPath: {},
  inQuery: { key: KEY },
  inHeaders: CONDITION,
  body: { "application/json": { schema: ANY, example: { left: 7 } } },
  answers: edited,
  problems: {
    400: [...FLAWS, "malformed_json", "invalid_state", "not_json", "unsafe_integer", "invalid_utf8", "empty_body"],
    413: ["state_too_large", "body_too_large"],
    415: ["unsupported_media_type", "unsupported_encoding"],
    ...refused,
    422: ["quarantined", "invalid_state", "unsafe_integer"],
  },
  more: PLACE,
});

export const DELETE_STATE = described({
  method: "DELETE",
  path: STATE,
  role: "admin",
  changes: true,
  group: GROUP,
  id: "deleteState",
  summary: "Removes a state, on the same condition",
  inPath: {},
  inQuery: { key: KEY },
  inHeaders: CONDITION,
  answers: edited,
  problems: { 400: FLAWS, ...refused },
  more: PLACE,
});

export const EXPORT = described({
  method: "GET",
  path: "/v1/operators/:op/export",
  role: "read",
  group: GROUP,
  id: "export",
  summary: "Every key with its state, as NDJSON",
  about:
    "Each partition as of one seq, which the first line names. The last line says whether the export is complete; an export without a last line is incomplete.",
  inPath: {},
  inQuery: { prefix: { type: "string", about: "Only keys that begin with this.", example: "a" }, at: AT },
  answers: { 200: { about: "The lines.", type: "application/x-ndjson" } },
  problems: { ...AT_PROBLEMS, 403: ["key_not_allowed"], 405: ["method_not_allowed"] },
  more: object({ "key?": STRING, ...ABOUT_GONE }),
});

const progress: DescribedAnswer = {
  about: "The state is removed. The answer names what still holds the key, and until when.",
  schema: object({
    id: STRING,
    operator: STRING,
    partition: COUNT,
    seq: COUNT,
    at: TIME,
    state: { enum: ["erased"] },
    complete: BOOLEAN,
    notBefore: TIME,
    holders: list(
      object({
        where: {
          enum: ["log", "archives", "snapshots", "pins", "savepoints", "timelines", "unknown"],
          description:
            "`log`: rows in D1, up to the command itself. `archives`: objects in R2 with such rows; a replay needs them intact, so they never change. `snapshots`: state files from before the erasure, and those that may hold ids of the key's events (as 192 bits of a hash), replies or details. `pins`: restore points that somebody holds. `savepoints`, `timelines`: those from before the erasure, by `names`; former mains are among them. `unknown`: objects that can't be read, or are too many for one request; delete corrupt ones by hand.",
        },
        count: COUNT,
        goes: { ...STRING, description: "When it goes." },
        "names?": list(STRING),
        "pins?": list(object({ manifest: COUNT, name: STRING })),
      }),
    ),
  }),
};

export const POST_ERASURE = described({
  method: "POST",
  path: "/v1/erasures",
  role: "admin",
  mainOnly: true,
  group: GROUP,
  id: "erase",
  summary: "Erases a key",
  inPath: {},
  inQuery: {},
  body: {
    "application/json": {
      schema: object({ operator: STRING, key: { type: "string", minLength: 1, maxLength: KEY.maxLength } }),
      example: { operator: "usage", key: "ada" },
    },
  },
  answers: { 202: progress },
  problems: {
    400: ["malformed_json", "invalid_body", "invalid_key", "invalid_utf8", "empty_body"],
    404: ["no_operator"],
    409: ["erasure_unknown"],
    413: ["body_too_large"],
    415: ["unsupported_encoding"],
  },
});

export const GET_ERASURE = described({
  method: "GET",
  path: "/v1/erasures/:id",
  role: "admin",
  mainOnly: true,
  group: GROUP,
  id: "getErasure",
  summary: "Progress of an erasure",
  inPath: { id: { type: "string", about: "As the erasure was answered.", example: "1.usage.0.48211.0" } },
  inQuery: {},
  answers: { 200: progress },
  problems: { 404: ["no_erasure"], 409: ["erasure_unknown"] },
});
