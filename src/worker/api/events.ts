/** Events in: bodies and answers of `POST /v1/events` and `ask`. */
import {
  ARRAY_EVENTS,
  LISTED_ERRORS,
  NAME_BYTES,
  REQUEST_BYTES,
  RESULT_EVENTS,
  STRICT_BYTES,
} from "../../engine/base/limits.ts";
import type { RejectionCode } from "../../engine/event/rejection.ts";
import { described, type Body, type HeaderParams, type Schema } from "./described.ts";
import { ANY, BOOLEAN, constant, COUNT, list, object, orNull, ref, STRING } from "./schemas.ts";

const GROUP = "Send events";

/** Missing, null, or text of 1 to 1,024 bytes. */
const ATTRIBUTE: Schema = { type: ["string", "null"], minLength: 1, maxLength: NAME_BYTES };
const NEEDED: Schema = { type: "string", minLength: 1, maxLength: NAME_BYTES };
const about = (schema: Schema, description: string): Schema => ({ ...schema, description });

const ATTRIBUTES = {
  "subject?": ATTRIBUTE,
  "partitionkey?": ATTRIBUTE,
  "time?": about({ ...ATTRIBUTE, format: "date-time" }, "RFC 3339. Default: the time of receipt."),
  "datacontenttype?": ATTRIBUTE,
  "dataschema?": ATTRIBUTE,
  "data?": about(ANY, "As the operator's schema says."),
  "data_base64?": { type: ["string", "null"] },
};

/**
 * The type of extensions is only described in words. Generators make an index signature of `additionalProperties`,
 * which would apply to `data` too. Then no event with an object as its data would fit their types.
 */
const extensions = (what: string): Schema => about(ANY, `An extension attribute: ${what}.`);

export const EVENT_SCHEMAS: Readonly<Record<string, Schema>> = {
  Event: object(
    {
      type: NEEDED,
      "id?": about(
        ATTRIBUTE,
        "With `source` it names the event, and duplicates are recognised by both. Made up if it is missing.",
      ),
      "source?": about(ATTRIBUTE, 'Default "/".'),
      "key?": about(ATTRIBUTE, "Short for `partitionkey`."),
      "specversion?": { enum: ["1.0", null] },
      ...ATTRIBUTES,
    },
    { additionalProperties: extensions("a string, a number, a boolean or null") },
  ),
  CloudEvent: object(
    { specversion: constant("1.0"), id: NEEDED, source: NEEDED, type: NEEDED, ...ATTRIBUTES },
    {
      additionalProperties: extensions("a string, a boolean, an integer of 32 bits, or null"),
      propertyNames: { pattern: "^[a-z0-9_]+$" },
    },
  ),
  Counts: object({
    received: COUNT,
    accepted: about(COUNT, "At least one operator accepted it, and it is durable in all that want it."),
    duplicates: about(COUNT, "All operators that want it had it already."),
    refused: about(COUNT, "A handler refused it, now or the first time, and no operator rejected it."),
    rejected: about(
      COUNT,
      "Malformed, invalid by the schema, too large, with a reused id, or of a type that no operator wants. One of several operators is enough.",
    ),
    quarantined: about(COUNT, "Of the accepted: threw in a handler."),
    forgotten: about(
      COUNT,
      "Of the accepted and duplicates: at least one operator knows by the request's number alone that it was sent before. Whether it counted or was rejected then isn't known any more.",
    ),
    unrouted: about(COUNT, "Of a type that no operator wants, with `?unrouted=ignore`."),
    through: about(COUNT, "All events before this index are decided; a sender may resume there."),
    errors: list(ref("EventError"), { maxItems: LISTED_ERRORS }),
    "results?": list(ref("EventResult"), { maxItems: RESULT_EVENTS }),
  }),
  EventError: object({
    index: COUNT,
    id: orNull(STRING),
    code: STRING,
    message: STRING,
    "operator?": about(
      STRING,
      "The operator that answered; missing if the event was rejected before any operator was asked.",
    ),
    acceptedBy: about(list(STRING), "Operators that have the event nevertheless, by their answers to this request."),
    "attribute?": about(STRING, "The attribute at fault."),
    "detail?": about(ANY, "Of a refusal."),
    "key?": STRING,
    "partition?": COUNT,
    "seq?": orNull(COUNT),
  }),
  EventResult: object({
    index: COUNT,
    operator: orNull(STRING),
    key: orNull(STRING),
    partition: orNull(COUNT),
    seq: about(orNull(COUNT), "Null if rejected before it had one, or forgotten."),
    status: { enum: ["applied", "refused", "quarantined", "rejected", "forgotten"] },
    duplicate: BOOLEAN,
    value: about(ANY, "The reply; of a refusal its code and detail, of a quarantined event its error."),
  }),
};

/** Problems of a body, or of an `ask`. */
const BODY_PROBLEMS = {
  400: [
    "empty_body",
    "malformed_json",
    "not_an_event",
    "invalid_utf8",
    "malformed_gzip",
    "body_interrupted",
    "invalid_idempotency_key",
    "invalid_producer",
    "invalid_stamp",
  ],
  413: ["body_too_large", "event_too_large", "too_many_events", "too_many_results", "gzip_bomb"],
  415: ["unsupported_media_type", "unsupported_charset", "unsupported_encoding"],
} as const;

/** All codes: a missing one is a type error. */
const REJECTED: Readonly<Record<RejectionCode, true>> = {
  malformed_json: true,
  invalid_utf8: true,
  not_an_object: true,
  event_too_large: true,
  too_deep: true,
  unsafe_integer: true,
  invalid_attribute: true,
  unknown_type: true,
  missing_key: true,
  invalid_key: true,
  key_not_allowed: true,
  id_reused: true,
  migration_failed: true,
  missing_specversion: true,
  missing_id: true,
  missing_source: true,
  missing_type: true,
  invalid_specversion: true,
  invalid_id: true,
  invalid_source: true,
  invalid_type: true,
  invalid_datacontenttype: true,
  invalid_dataschema: true,
  invalid_subject: true,
  invalid_time: true,
  invalid_partitionkey: true,
  invalid_data: true,
  invalid_data_base64: true,
  invalid_extension: true,
};
const REJECTIONS = Object.keys(REJECTED);

const KEYED: HeaderParams = {
  "Idempotency-Key": {
    type: "string",
    minLength: 1,
    maxLength: NAME_BYTES - 16,
    about: "Events without an id get `{Idempotency-Key}/{index}`, so that a retry of the request is recognised.",
  },
  "Content-Encoding": { type: "string", enum: ["identity", "gzip", "x-gzip"], about: "How the body is packed." },
};
const NUMBERED: HeaderParams = {
  "Producer-Id": {
    type: "string",
    minLength: 1,
    maxLength: NAME_BYTES - 64,
    about: "A sender that numbers its requests: its name. All three of `Producer-*` or none.",
  },
  "Producer-Epoch": {
    type: "integer",
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER,
    about: "Raised if the sender starts and doesn't know its last number.",
  },
  "Producer-Seq": {
    type: "integer",
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER,
    about: "0, 1, 2, …; the same for every retry of a request.",
  },
};

const STAMPED: HeaderParams = {
  "Keyframe-Stamp": {
    type: "integer",
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER,
    about:
      "The `Keyframe-Stamp` of an answer before: any moment that holds this request's events holds that one's too.",
  },
};
const STAMP = { "Keyframe-Stamp": "For the next request." };

const EXAMPLE = { type: "credits.bought", id: "b-1", data: { account: "ada", n: 5 } };
const CLOUD_EXAMPLE = { specversion: "1.0", source: "/shop", ...EXAMPLE };

const ONE: Readonly<Record<string, Body>> = {
  "application/cloudevents+json": { schema: ref("CloudEvent"), example: CLOUD_EXAMPLE },
  "*/*": {
    schema: {
      description:
        "CloudEvents, binary: `ce-` headers are the attributes, the body is the data. All four of ce-id, ce-source, ce-specversion, ce-type.",
    },
  },
};

export const POST_EVENTS = described({
  method: "POST",
  path: "/v1/events",
  role: "ingest",
  group: GROUP,
  id: "sendEvents",
  summary: "Send events",
  about: `The answer comes when they are durable. Send them again after a 503 or without an answer: events that are in the log count as duplicates. Up to ${REQUEST_BYTES} bytes, ${ARRAY_EVENTS} events in an array, any number of lines.`,
  inPath: {},
  inQuery: {
    unrouted: {
      type: "string",
      about: "`ignore`: an event that no operator wants counts as unrouted, and not as rejected.",
      example: "ignore",
    },
  },
  inHeaders: {
    Prefer: {
      type: "string",
      about: `\`handling=strict\` (up to ${STRICT_BYTES} bytes): if one event is invalid before any partition sees it, no event is accepted; outcomes that only partitions know (a refusal, an id of an earlier request, 503) may still leave the request accepted in part. \`return=representation\` (up to ${RESULT_EVENTS} events): with \`results\`.`,
    },
    ...KEYED,
    ...NUMBERED,
    ...STAMPED,
  },
  body: {
    "application/json": {
      schema: { anyOf: [ref("Event"), list(ref("Event"), { minItems: 1, maxItems: ARRAY_EVENTS })] },
      example: EXAMPLE,
    },
    "application/x-ndjson": {
      schema: {
        type: "string",
        minLength: 1,
        description: "One event per line, as for application/json. Events are decided as they arrive.",
      },
      example: `${JSON.stringify({ ...EXAMPLE, id: "b-2" })}\n${JSON.stringify({ ...EXAMPLE, id: "b-3" })}\n`,
    },
    "application/cloudevents-batch+json": {
      schema: list(ref("CloudEvent"), { maxItems: ARRAY_EVENTS }),
      example: [{ ...CLOUD_EXAMPLE, id: "b-4" }],
    },
    ...ONE,
  },
  answers: {
    200: { about: "All accepted, duplicate or ignored.", schema: ref("Counts"), headers: STAMP },
    207: { about: "Some refused or rejected.", schema: ref("Counts"), headers: STAMP },
  },
  problems: {
    ...BODY_PROBLEMS,
    403: ["producer_fenced", "producer_not_allowed"],
    409: "any",
    422: ["strict", "rejected", ...REJECTIONS],
    429: ["too_many_producers", "quota_exceeded", "rate_limited"],
  },
  more: { ...object({}), properties: { ...(EVENT_SCHEMAS["Counts"]!["properties"] as Schema), attribute: STRING } },
});

const STANDING = { key: STRING, partition: COUNT, seq: orNull(COUNT), duplicate: BOOLEAN };

export const POST_ASK = described({
  method: "POST",
  path: "/v1/operators/:op/ask",
  role: "ingest",
  group: GROUP,
  id: "ask",
  summary: "Send one event to one operator, and get its reply",
  inPath: {},
  inQuery: {},
  inHeaders: { ...KEYED, ...STAMPED },
  body: { "application/json": { schema: ref("Event"), example: { ...EXAMPLE, id: "b-5" } }, ...ONE },
  answers: {
    200: {
      about: "Applied. A duplicate gets the first answer.",
      schema: object({ value: about(ANY, "The handler's reply."), ...STANDING }),
      headers: STAMP,
    },
  },
  problems: {
    ...BODY_PROBLEMS,
    403: ["key_not_allowed"],
    409: "any",
    422: ["quarantined", ...REJECTIONS],
    429: ["quota_exceeded", "rate_limited"],
  },
  more: object({
    "key?": STRING,
    "partition?": COUNT,
    "seq?": orNull(COUNT),
    "duplicate?": BOOLEAN,
    "error?": STRING,
    "id?": orNull(STRING),
    "attribute?": STRING,
  }),
});
