/** The history of a key. */
import { ABOUT_GONE, AT, AT_PROBLEMS, KEY, LIMIT } from "./common.ts";
import { MOMENT_FORMS } from "../../engine/history/moment.ts";
import { described } from "./described.ts";
import { ANY, COUNT, list, object, STRING, TIME } from "./schemas.ts";

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
    at: { ...AT, about: `Only events that were logged up to this moment: ${MOMENT_FORMS}.` },
    before: {
      type: "string",
      pattern: "^[1-9]\\d{0,14}$",
      about: "Only events below this seq.",
      example: "7",
      flaw: {
        status: 400,
        code: "invalid_before",
        detail: "before must be the seq of an event, a whole number from 1, as a page of this history gave it",
      },
    },
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
            value: ANY,
            "unknown?": { type: "string", description: "Why the value isn't known." },
          }),
        ),
        "before?": COUNT,
        "expired?": { const: true },
        "at?": { ...COUNT, description: "The stamp of the moment. With `before`, the next page needs no moment." },
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
