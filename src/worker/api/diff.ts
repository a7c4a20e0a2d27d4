/** The differences between two moments. */
import { MOMENT_FORMS } from "../../engine/history/moment.ts";
import { ABOUT_GONE, AT, AT_PROBLEMS, KEY } from "./common.ts";
import { described } from "./described.ts";
import { object, STRING } from "./schemas.ts";

export const DIFF = described({
  method: "GET",
  path: "/v1/diff",
  role: "read",
  group: "Read state",
  id: "diff",
  summary: "The keys whose states differ between two moments, as NDJSON",
  about:
    'The first line names both stamps. Then comes a line for each key that differs, `{"operator","key","from","to","partition"}`, with null for a key without a state. The last line says whether the answer is complete, and counts the keys; an answer without a last line is incomplete. From D1 and R2 alone.',
  inPath: {},
  inQuery: {
    from: { ...AT, about: `A moment: ${MOMENT_FORMS}. Required. It may be the later one.` },
    to: { ...AT, about: "The other moment. Default: now.", example: "now" },
    operator: { type: "string", about: "Only this operator. Default: all.", example: "usage" },
    prefix: { type: "string", about: "Only keys that begin with this.", example: "a" },
    key: { ...KEY, about: "Only this key." },
  },
  answers: { 200: { about: "The lines.", type: "application/x-ndjson" } },
  problems: {
    ...AT_PROBLEMS,
    400: ["invalid_moment", "invalid_key"],
    403: ["key_not_allowed"],
    404: ["no_savepoint", "no_operator"],
    405: ["method_not_allowed"],
  },
  more: object({ "key?": STRING, ...ABOUT_GONE }),
});
