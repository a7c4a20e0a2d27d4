/** The deploy gate: what this code makes of logged events, and of states at rest. */
import { MOMENT_FORMS } from "../../engine/history/moment.ts";
import { AT_PROBLEMS, CURSOR_FLAW } from "./common.ts";
import { described } from "./described.ts";

export const CHECK = described({
  method: "GET",
  path: "/v1/check",
  role: "admin",
  group: "The app",
  id: "check",
  summary: "What this code would decide and make otherwise than what is logged, as NDJSON",
  about:
    "Reads D1 and R2 alone and writes nothing; a Worker without the binding `PARTITION` serves this route and no other. The last line says that the check is complete, or has the `cursor` for the next request.",
  withoutObjects: true,
  mainOnly: true,
  inPath: {},
  inQuery: {
    from: {
      type: "string",
      maxLength: 100,
      about: `Events after the newest kept snapshot at or before this moment: ${MOMENT_FORMS}.`,
      example: "-24h",
    },
    to: { type: "string", maxLength: 100, about: "Events and snapshots up to this moment. Without it, all." },
    operator: { type: "string", about: "Operators, with commas between them. Without it, all of the app." },
    sample: {
      type: "integer",
      minimum: 1,
      maximum: 1_000_000,
      about: "Only so many keys of each partition, the same ones each time. States are migrated nevertheless.",
      flaw: { status: 400, code: "invalid_sample", detail: "sample must be a whole number from 1 to 1000000" },
    },
    cursor: { type: "string", about: "Of the answer before, with the same parameters.", flaw: CURSOR_FLAW },
  },
  answers: { 200: { about: "The lines.", type: "application/x-ndjson" } },
  problems: {
    400: ["invalid_moment", "invalid_cursor"],
    404: [...AT_PROBLEMS[404], "no_operator"],
    405: ["method_not_allowed"],
  },
});
