/** The history of a key, and which event of it changed a member of the state. */
import { ABOUT_GONE, AT, AT_PROBLEMS, KEY, LIMIT } from "./common.ts";
import { MOMENT_FORMS } from "../../engine/history/moment.ts";
import { described, type TextParam } from "./described.ts";
import { ANY, COUNT, list, object, orNull, STRING, TIME } from "./schemas.ts";

const BEFORE = {
  type: "string",
  pattern: "^[1-9]\\d{0,14}$",
  about: "Only events below this seq.",
  example: "7",
  flaw: {
    status: 400,
    code: "invalid_before",
    detail: "before must be the seq of an event, a whole number from 1, as an answer gave it",
  },
} as const satisfies TextParam;
const UP_TO = { ...AT, about: `Only events that were logged up to this moment: ${MOMENT_FORMS}.` } as const;

const EVENT = {
  seq: COUNT,
  time: TIME,
  event: ANY,
  outcome: object({
    status: { enum: ["applied", "refused", "quarantined"] },
    "reply?": ANY,
    "code?": STRING,
    "detail?": ANY,
    "error?": STRING,
  }),
  operatorVersion: COUNT,
};
/** The end of an answer about a history. */
const END = {
  "before?": COUNT,
  "expired?": { const: true },
  "at?": { ...COUNT, description: "The stamp of the moment. With `before`, the next request needs no moment." },
};

export const HISTORY = described({
  method: "GET",
  path: "/v1/operators/:op/history",
  role: "read",
  group: "Read state",
  id: "getHistory",
  summary: "The events that touched a key, newest first, with the value after each",
  about:
    "From D1 and R2 alone. Continue with `before` as long as a page has it; `expired` says that retention has given up the rest.",
  inPath: {},
  inQuery: {
    key: KEY,
    limit: LIMIT,
    at: UP_TO,
    before: BEFORE,
  },
  answers: {
    200: {
      about: "A page.",
      schema: object({
        operator: STRING,
        key: STRING,
        partition: COUNT,
        items: list(
          object({
            ...EVENT,
            value: ANY,
            "unknown?": { type: "string", description: "Why the value isn't known." },
          }),
        ),
        ...END,
      }),
    },
  },
  problems: {
    ...AT_PROBLEMS,
    400: ["invalid_key", "invalid_limit", "invalid_before", "invalid_moment"],
    403: ["key_not_allowed"],
  },
  more: object({ "key?": STRING, ...ABOUT_GONE }),
});

export const BLAME = described({
  method: "GET",
  path: "/v1/operators/:op/blame",
  role: "read",
  group: "Read state",
  id: "blame",
  summary: "The newest event that changed a member of a key's state",
  about:
    "From D1 and R2 alone. Without an `item` but with `before`, nothing was found so far: ask again with it. Without both, no event changed the member, or `expired` says that retention has given up the rest.",
  inPath: {},
  inQuery: {
    key: KEY,
    path: {
      type: "string",
      pattern: "^(?:/(?:[^/~]|~[01])*)*$",
      about: "A JSON pointer into the state (RFC 6901). Default: the whole state.",
      example: "/n",
      flaw: {
        status: 400,
        code: "invalid_path",
        detail: "path must be a JSON pointer (RFC 6901), such as /left or /items/0; `~0` stands for ~ and `~1` for /",
      },
    },
    at: UP_TO,
    before: BEFORE,
  },
  answers: {
    200: {
      about: "The event, or where to look further.",
      schema: object({
        operator: STRING,
        key: STRING,
        partition: COUNT,
        path: STRING,
        item: orNull(
          object({
            ...EVENT,
            "from?": { description: "The member before the event. Absent if there was none." },
            "to?": { description: "The member after the event. Absent if there is none." },
            "unknown?": {
              type: "string",
              description: "Why it isn't known whether the event changed the member. Events after it didn't.",
            },
          }),
        ),
        ...END,
      }),
    },
  },
  problems: {
    ...AT_PROBLEMS,
    400: ["invalid_key", "invalid_path", "invalid_before", "invalid_moment"],
    403: ["key_not_allowed"],
  },
  more: object({ "key?": STRING, ...ABOUT_GONE }),
});
