/** Savepoints: named moments over all operators. */
import { MOMENT_FORMS, SAVEPOINT_NAME } from "../../engine/history/moment.ts";
import { AT_PROBLEMS } from "./common.ts";
import { described, type TextParam } from "./described.ts";
import { BOOLEAN, COUNT, list, object, ref, STRING, TIME } from "./schemas.ts";

const GROUP = "Savepoints";

const NAME = {
  type: "string",
  pattern: `^(?!(?:now|end)$)${SAVEPOINT_NAME}$`,
  about: "Name of the savepoint.",
  example: "month-end",
  flaw: {
    status: 400,
    code: "invalid_name",
    detail:
      "a savepoint's name is a-z, 0-9 and '-', starts with a letter, and has at most 63 characters; `now` is none",
  },
} as const satisfies TextParam;

export const SAVEPOINT_SCHEMAS = {
  Savepoint: object({
    name: STRING,
    at: { ...COUNT, description: "The stamp that the name stands for." },
    time: TIME,
    created: TIME,
    restorable: {
      ...BOOLEAN,
      description: "A recovery from R2 alone comes to this moment: no partition has events up to it in D1 alone.",
    },
    "unarchived?": {
      ...COUNT,
      description: "Partitions that have events up to the moment in D1 alone, until their next snapshot.",
    },
  }),
} as const;

export const PUT_SAVEPOINT = described({
  method: "PUT",
  path: "/v1/savepoints/:name",
  role: "admin",
  group: GROUP,
  id: "putSavepoint",
  summary: "Save a moment of all operators under a name",
  about:
    "It stops and wakes nothing. Retention keeps what a read of it needs, until it is deleted. The same again is answered 200.",
  inPath: { name: NAME },
  inQuery: {},
  body: {
    "application/json": {
      schema: object({
        "at?": { anyOf: [STRING, COUNT], description: `${MOMENT_FORMS}. Without it, now: all that was acknowledged.` },
      }),
      example: {},
    },
  },
  answers: {
    200: { about: "It was there.", schema: ref("Savepoint") },
    201: { about: "It is held in every database.", schema: ref("Savepoint") },
  },
  problems: {
    ...AT_PROBLEMS,
    400: ["invalid_moment", "malformed_json", "invalid_body", "invalid_utf8", "malformed_gzip", "body_interrupted"],
    409: ["not_settled", "savepoint_exists", "too_many_savepoints"],
    413: ["body_too_large", "gzip_bomb"],
    415: ["unsupported_encoding"],
  },
  more: object({ "at?": COUNT }),
});

export const LIST_SAVEPOINTS = described({
  method: "GET",
  path: "/v1/savepoints",
  role: "read",
  group: GROUP,
  id: "listSavepoints",
  summary: "All savepoints",
  inPath: {},
  inQuery: {},
  answers: { 200: { about: "By name.", schema: list(ref("Savepoint")) } },
});

export const GET_SAVEPOINT = described({
  method: "GET",
  path: "/v1/savepoints/:name",
  role: "read",
  group: GROUP,
  id: "getSavepoint",
  summary: "One savepoint",
  inPath: { name: NAME },
  inQuery: {},
  answers: { 200: { about: "Its moment.", schema: ref("Savepoint") } },
  problems: { 404: ["no_savepoint"] },
});

export const DELETE_SAVEPOINT = described({
  method: "DELETE",
  path: "/v1/savepoints/:name",
  role: "admin",
  group: GROUP,
  id: "deleteSavepoint",
  summary: "Let go of a savepoint",
  inPath: { name: NAME },
  inQuery: {},
  answers: {
    200: {
      about: "Retention decides alone again. May be sent again.",
      schema: object({ name: STRING, removed: { const: true } }),
    },
  },
});
