/** Events whose handler threw. */
import { LISTED_ERRORS } from "../../engine/base/limits.ts";
import { CURSOR_FLAW, LIMIT, page } from "./common.ts";
import { described, type Params, type TextParam } from "./described.ts";
import { ANY, COUNT, list, object, STRING, TIME } from "./schemas.ts";

const GROUP = "Quarantine";
/** Most events of one command: as many as an answer lists outcomes of. */
export const STEERED_AT_ONCE = LISTED_ERRORS;
const ENTRY_ID = "^\\d{1,9}-\\d{1,15}$";

/** The filter of a group: its `type`, `errorName` and `error` select its events. */
const FILTER = {
  type: { type: "string", about: "Only events of this type." },
  errorName: {
    type: "string",
    about: "Only errors of this class; if empty, only events for which nothing was thrown.",
  },
  error: { type: "string", about: "Only this message; a `*` at its end matches any continuation." },
} as const satisfies Params;

export const LIST_QUARANTINE = described({
  method: "GET",
  path: "/v1/operators/:op/quarantine",
  role: "admin",
  group: GROUP,
  id: "listQuarantine",
  summary: "Events whose handler threw",
  inPath: {},
  inQuery: {
    limit: { ...LIMIT, about: "Items of this page, at most; without it about 4 MB." },
    cursor: { type: "string", pattern: ENTRY_ID, about: "Of the page before.", flaw: CURSOR_FLAW },
    ...FILTER,
  },
  answers: {
    200: {
      about: "By partition and seq.",
      schema: page(
        object({
          id: STRING,
          partition: COUNT,
          seq: COUNT,
          type: STRING,
          key: STRING,
          error: { type: "string", description: "The message of the thrown error, or why no handler could run." },
          "errorName?": { type: "string", description: "Its class; absent if nothing was thrown." },
          "stack?": { type: "string", description: "The top of its stack, one frame per line." },
          operatorVersion: COUNT,
          code: { type: "string", description: "Version of the code that ran." },
          time: TIME,
          event: { description: "As it was sent." },
        }),
      ),
    },
  },
});

export const GROUP_QUARANTINE = described({
  method: "GET",
  path: "/v1/operators/:op/quarantine/groups",
  role: "admin",
  group: GROUP,
  id: "groupQuarantine",
  summary: "How many of them have which type and error",
  inPath: {},
  inQuery: {},
  answers: {
    200: {
      about: "The largest groups first, 200 at most; `events` and `groups` count all.",
      schema: object({
        items: list(
          object({
            type: STRING,
            "errorName?": STRING,
            error: STRING,
            events: COUNT,
            first: { type: "string", description: "Id of an event of the group." },
            since: TIME,
          }),
        ),
        events: COUNT,
        groups: COUNT,
      }),
    },
  },
});

export const notQuarantined = (id: string, operator: string): string =>
  `there is no quarantined event ${JSON.stringify(id)} in operator "${operator}"`;

const ID: TextParam = {
  type: "string",
  pattern: ENTRY_ID,
  about: "`{partition}-{seq}`.",
  example: "0-1",
  flaw: { status: 404, code: "not_quarantined", detail: (given, { op = "" }) => notQuarantined(given, op) },
};

const steered = {
  answers: {
    200: {
      about: "Logged, and so done once.",
      schema: object({
        id: STRING,
        command: { enum: ["retry", "delete"] },
        status: { enum: ["applied", "refused", "quarantined"] },
        seq: { type: "integer", minimum: 0, description: "Seq of the command that did it." },
        duplicate: { type: "boolean", description: "True if an earlier command did it; the answer has its result." },
        "value?": ANY,
        "code?": STRING,
        "detail?": ANY,
        "error?": STRING,
      }),
    },
  },
  problems: { 409: ["settled"] },
  more: object({ "how?": { enum: ["retried", "deleted", "erased"] }, "seq?": COUNT }),
} as const;

export const RETRY_QUARANTINED = described({
  method: "POST",
  path: "/v1/operators/:op/quarantine/:id/retry",
  role: "admin",
  changes: true,
  group: GROUP,
  id: "retryQuarantined",
  summary: "Retry the event",
  inPath: { id: ID },
  inQuery: {},
  ...steered,
});

export const DELETE_QUARANTINED = described({
  method: "DELETE",
  path: "/v1/operators/:op/quarantine/:id",
  role: "admin",
  changes: true,
  group: GROUP,
  id: "deleteQuarantined",
  summary: "Delete the event",
  inPath: { id: ID },
  inQuery: {},
  ...steered,
});

const MANY_LIMIT = {
  type: "integer",
  minimum: 1,
  maximum: STEERED_AT_ONCE,
  about: `Events of this page, ${STEERED_AT_ONCE} at most; without it so many.`,
  flaw: { status: 400, code: "invalid_limit", detail: `limit must be a whole number from 1 to ${STEERED_AT_ONCE}` },
} as const;

const many = {
  inPath: {},
  inQuery: {
    ...FILTER,
    limit: MANY_LIMIT,
    cursor: {
      type: "string",
      pattern: "^\\d{1,9}-\\d{1,15}-\\d{1,15}$",
      about: "Of the page before. Events that were received after the first page are left out.",
      flaw: CURSOR_FLAW,
    },
  },
  answers: {
    200: {
      about: "In the order of partition and seq. `gone`: another command took it out meanwhile.",
      schema: object({
        command: { enum: ["retry", "delete"] },
        applied: COUNT,
        refused: COUNT,
        quarantined: COUNT,
        gone: COUNT,
        items: list(
          object({
            id: STRING,
            status: { enum: ["applied", "refused", "quarantined", "gone"] },
            "code?": STRING,
            "error?": STRING,
          }),
        ),
        "cursor?": { type: "string", description: "Absent at the end." },
      }),
    },
  },
} as const;

export const RETRY_MANY = described({
  method: "POST",
  path: "/v1/operators/:op/quarantine/retry",
  role: "admin",
  changes: true,
  group: GROUP,
  id: "retryMany",
  summary: "Retry many events, one page at a time",
  ...many,
});

export const DELETE_MANY = described({
  method: "POST",
  path: "/v1/operators/:op/quarantine/delete",
  role: "admin",
  changes: true,
  group: GROUP,
  id: "deleteMany",
  summary: "Delete many events, one page at a time",
  ...many,
  inQuery: {
    ...many.inQuery,
    all: {
      type: "string",
      enum: ["true"],
      about: "Every event; required if no filter is given.",
      flaw: { status: 400, code: "invalid_all", detail: "all can only be true" },
    },
  },
  problems: { 400: ["no_filter"] },
});
