/** Routes about the app itself: its health and its documentation. */
import { described } from "./described.ts";
import { RECOVERY } from "./partitions.ts";
import { constant, COUNT, list, NUMBER, object, orNull, ref, STRING, TIME } from "./schemas.ts";

export const OPENAPI_VERSION = "3.1.1";

const GROUP = "The app";

export const FROM_FLAW = {
  status: 400,
  code: "invalid_parameter",
  detail: "from is the number of a partition, and needs operator beside it",
} as const;

export const HEALTH = described({
  method: "GET",
  path: "/healthz",
  role: null,
  group: GROUP,
  id: "health",
  summary: "Is the app up?",
  inPath: {},
  inQuery: {},
  answers: { 200: { about: "It is. Open to everybody; no store is asked.", schema: object({ ok: constant(true) }) } },
});

export const OPENAPI = described({
  method: "GET",
  path: "/openapi.json",
  role: "admin",
  group: GROUP,
  id: "getOpenApi",
  summary: "This interface, for machines",
  about: "It names the operators and shows their schemas, so it needs the admin token.",
  inPath: {},
  inQuery: {},
  answers: {
    200: {
      about: "OpenAPI 3.1.",
      schema: object({ openapi: constant(OPENAPI_VERSION) }, { additionalProperties: true }),
    },
  },
});

export const DOCS = described({
  method: "GET",
  path: "/docs",
  role: "admin",
  group: GROUP,
  id: "getDocs",
  summary: "This interface, for people",
  inPath: {},
  inQuery: {},
  answers: { 200: { about: "One page that loads nothing from any host.", type: "text/html", schema: STRING } },
});

const STORE = object({
  name: STRING,
  kind: { enum: ["d1", "r2"] },
  ms: list(NUMBER),
  "error?": STRING,
  "region?": orNull(STRING),
  "bytes?": orNull(COUNT),
});

export const DOCTOR = described({
  method: "GET",
  path: "/v1/doctor",
  role: "admin",
  mainOnly: true,
  group: GROUP,
  id: "doctor",
  summary: "The code that answers, its place, and the round trips to its stores",
  inPath: {},
  inQuery: {},
  answers: {
    200: {
      about: "Round trips in milliseconds.",
      schema: object({
        code: STRING,
        deployedAt: orNull(STRING),
        region: orNull(STRING),
        jurisdiction: orNull(STRING),
        colo: orNull(STRING),
        stores: list(STORE),
      }),
    },
  },
});

export const METRICS = described({
  method: "GET",
  path: "/metrics",
  role: "metrics",
  mainOnly: true,
  group: GROUP,
  id: "metrics",
  summary: "Metrics for Prometheus",
  about:
    "From D1 alone, without waking any partition. At most 500 partitions in one answer; the answer says how many were omitted.",
  inPath: {},
  inQuery: {
    operator: { type: "string", about: "Partitions of this operator alone.", example: "credits" },
    from: {
      type: "integer",
      minimum: 0,
      maximum: 999_999_999,
      about: "Of this operator's partitions the first one to answer.",
      flaw: FROM_FLAW,
    },
  },
  answers: { 200: { about: "Prometheus' text format, 0.0.4.", type: "text/plain", schema: STRING } },
  problems: { 404: ["no_operator"] },
});

const EACH_MINUTE = list(NUMBER);
const LAST_HOUR = {
  ...object({
    from: TIME,
    applied: EACH_MINUTE,
    refused: EACH_MINUTE,
    quarantined: EACH_MINUTE,
    duplicates: EACH_MINUTE,
    reused: EACH_MINUTE,
    snapshotFailures: EACH_MINUTE,
    commitMs: { ...EACH_MINUTE, description: "Of all commits together." },
    commits: EACH_MINUTE,
  }),
  description:
    "What all partitions counted, each minute from `from` on; the last minute isn't over. As of the last row that each wrote.",
};
const GLANCE = object({
  partition: COUNT,
  epoch: COUNT,
  appliedSeq: COUNT,
  snapshotSeq: COUNT,
  tailEvents: { ...COUNT, description: "Events in the log, not yet in a snapshot." },
  "tailSince?": { ...TIME, description: "When the oldest of them was logged." },
  "lastEventAt?": TIME,
  "oldest?": { ...TIME, description: "The oldest moment that can be read; absent if nothing was given up." },
  keys: COUNT,
  stateBytes: COUNT,
  quarantined: { ...COUNT, description: "Events in quarantine." },
  "snapshotFailures?": { ...COUNT, description: "Snapshots that failed since the last one that didn't." },
  "lastSnapshot?": {
    anyOf: [
      object({ manifest: COUNT, kind: { enum: ["full", "delta"] }, bytes: COUNT, ms: NUMBER, at: TIME }),
      ref("Unreadable"),
    ],
  },
  "lastRecovery?": RECOVERY,
  "inherited?": {
    const: true,
    description: "It has logged nothing since main starts from another line. What it has from there isn't counted.",
  },
});
const UNKNOWN = object({
  partition: COUNT,
  unknown: { type: "string", description: "Its database doesn't answer, so its state is unknown." },
});

export const OVERVIEW = described({
  method: "GET",
  path: "/v1/overview",
  role: "admin",
  mainOnly: true,
  group: GROUP,
  id: "overview",
  summary: "All partitions of all operators, at a glance",
  about: "From one statement for each database, without waking any partition: made to be asked every second or two.",
  inPath: {},
  inQuery: {},
  answers: {
    200: {
      about: "As of `at`.",
      schema: object({
        at: TIME,
        operators: list(
          object({
            name: STRING,
            version: COUNT,
            everyMs: NUMBER,
            recoveryMs: NUMBER,
            "since?": { ...TIME, description: "When it was placed. Nothing was logged before." },
            "lost?": STRING,
            lastHour: LAST_HOUR,
            partitions: list({ anyOf: [GLANCE, UNKNOWN] }),
          }),
        ),
      }),
    },
  },
});

const file = (path: string, type: string, id: string) =>
  described({
    method: "GET",
    path,
    role: null,
    group: GROUP,
    id,
    summary: "The dashboard",
    about: "The page without data; it requests the data with the reader's token.",
    inPath: {},
    inQuery: {},
    inHeaders: { "If-None-Match": { type: "string", about: "An `ETag` that was answered before." } },
    answers: { 200: { about: "The file.", type }, 304: { about: "It is as `If-None-Match` says." } },
  });

export const DASHBOARD_PAGE = file("/", "text/html", "dashboard");
export const DASHBOARD_SCRIPT = file("/dashboard.js", "text/javascript", "dashboardScript");
export const DASHBOARD_STYLE = file("/dashboard.css", "text/css", "dashboardStyle");
