/** Events whose handler threw. */
import { CURSOR_FLAW, LIMIT, page } from "./common.ts";
import { described, type TextParam } from "./described.ts";
import { ANY, COUNT, object, STRING, TIME } from "./schemas.ts";

const GROUP = "Quarantine";
const ENTRY_ID = "^\\d{1,9}-\\d{1,15}$";

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
  },
  answers: {
    200: {
      about: "By partition and seq.",
      schema: page(
        object({ id: STRING, partition: COUNT, seq: COUNT, key: STRING, error: STRING, time: TIME, event: ANY }),
      ),
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
        seq: COUNT,
        "value?": ANY,
        "code?": STRING,
        "detail?": ANY,
        "error?": STRING,
      }),
    },
  },
} as const;

export const RETRY_QUARANTINED = described({
  method: "POST",
  path: "/v1/operators/:op/quarantine/:id/retry",
  role: "admin",
  group: GROUP,
  id: "retryQuarantined",
  summary: "Run the handler again",
  inPath: { id: ID },
  inQuery: {},
  ...steered,
});

export const DELETE_QUARANTINED = described({
  method: "DELETE",
  path: "/v1/operators/:op/quarantine/:id",
  role: "admin",
  group: GROUP,
  id: "deleteQuarantined",
  summary: "Give the event up",
  inPath: { id: ID },
  inQuery: {},
  ...steered,
});
