/** The changes of an operator's states. */
import { MOMENT_FORMS } from "../../engine/history/moment.ts";
import { ABOUT_GONE, AT_PROBLEMS } from "./common.ts";
import { described } from "./described.ts";
import { COUNT, object, STRING, TIME } from "./schemas.ts";

/** Changes of a page, at most and by default: each page replays the log from a snapshot, so small ones cost as much. */
export const CHANGES_MOST = 10_000;

/** Seconds that a request may wait for a change. */
const WAIT_MOST = 30;

export const CHANGES = described({
  method: "GET",
  path: "/v1/operators/:op/changes",
  role: "read",
  group: "Read state",
  id: "changes",
  summary: "The state after each event that changed one, over all keys, as NDJSON or as server-sent events",
  about:
    'Oldest first, each key\'s changes in their order. The first line names the format. Then comes a line for each change, `{"key","value","partition","seq","stamp","time","event":{"type","id","source"},"cursor"}`, with null for a key without a state. The last line, `{"end":true,"cursor","more"}`, says where the next page begins, and whether it has more at once. With `Accept: text/event-stream` the lines are the data of events that continue, with cursors as their ids. From D1 and R2 alone.',
  inPath: {},
  inQuery: {
    after: {
      type: "string",
      maxLength: 100,
      about: `The cursor of a line or of a page's end; or a moment: ${MOMENT_FORMS}. Without it, from the first change on.`,
    },
    prefix: { type: "string", about: "Only keys that begin with this.", example: "a" },
    limit: {
      type: "integer",
      minimum: 1,
      maximum: CHANGES_MOST,
      about: `Changes of this page, at most. Default: ${CHANGES_MOST}.`,
      flaw: { status: 400, code: "invalid_limit", detail: `limit must be a whole number from 1 to ${CHANGES_MOST}` },
    },
    wait: {
      type: "integer",
      minimum: 0,
      maximum: WAIT_MOST,
      about: "Seconds to wait for a change if there is none yet. Default: 0.",
      flaw: {
        status: 400,
        code: "invalid_wait",
        detail: `wait must be a whole number of seconds from 0 to ${WAIT_MOST}`,
      },
    },
  },
  inHeaders: { "Last-Event-ID": { type: "string", about: "The cursor where a stream resumes, instead of `after`." } },
  answers: { 200: { about: "The lines.", type: "application/x-ndjson" } },
  problems: {
    ...AT_PROBLEMS,
    400: ["invalid_moment", "invalid_cursor", "unknown_cursor", "invalid_limit", "invalid_wait"],
    403: ["key_not_allowed"],
    405: ["method_not_allowed"],
    409: ["not_settled", "line_parted", "timeline_replays"],
  },
  more: object({ "key?": STRING, "parted?": COUNT, "partedTime?": TIME, ...ABOUT_GONE }),
});
