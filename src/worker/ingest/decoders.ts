/**
 * Decoders: from a request's body, in each content mode, to lines. A line is an event's text, or the reason why there
 * is none.
 *
 * DECODE1. Lines of NDJSON are passed on as they arrive. If a flaw comes, the events before it count.
 * DECODE2. Any other body is held, and so are lines that `handling=strict` or `return=representation` judges as a
 *     whole. Such a body gives all its lines at once, after every check. If it has a flaw, no event of it counts.
 */
import { messageOf } from "../../engine/base/errors.ts";
import { ARRAY_EVENTS, PARSED_CHARS, RESULT_EVENTS } from "../../engine/base/limits.ts";
import { binaryEvent } from "../http/binary-mode.ts";
import {
  arrayElements,
  BodyError,
  bodyBytes,
  bodyText,
  heldBytes,
  LineReader,
  TOO_LONG,
  wholeBody,
  type Line,
} from "../http/body.ts";
import type { ContentMode } from "../http/content-mode.ts";
import type { HeldBody } from "../http/held-bodies.ts";
import { BATCH_CHARS } from "./batch.ts";

export interface Run {
  readonly lines: Iterable<Line>;
  /** All texts are known to be ASCII. */
  readonly ascii?: boolean;
}

export interface Wishes {
  readonly strict: boolean;
  readonly full: boolean;
  /** Most bytes of a body that is held. */
  readonly limit: number;
  /** Bytes of the body that the isolate holds until the request is answered. */
  readonly held: HeldBody;
}

/** Lines that are decided as they come need no bound on their total: the bytes held at once are bounded. */
const ANY_LENGTH = Number.POSITIVE_INFINITY;

/** Yields the lines of NDJSON as they arrive. @throws BodyError */
export const arrivingLines = (request: Request): AsyncGenerator<Run> => runsOf(bodyBytes(request, ANY_LENGTH));

/** Returns the lines of a whole body. @throws BodyError */
export async function heldLines(request: Request, mode: ContentMode, wishes: Wishes): Promise<Line[]> {
  const { full, limit, held } = wishes;
  if (mode === "binary") return [binaryEvent(request.headers, await wholeBody(request, PARSED_CHARS, held))];
  if (mode !== "lines") return jsonLines(await bodyText(request, limit, held), WANTED[mode], wishes);
  const all: Line[] = [];
  for await (const { lines } of runsOf(heldBytes(request, limit, held))) {
    for (const line of lines) all.push(line);
    if (full && all.length > RESULT_EVENTS) throw tooManyResults();
  }
  return all;
}

async function* runsOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Run> {
  const reader = new LineReader();
  let any = false;
  for await (const chunk of chunks) {
    const lines = reader.push(chunk);
    if (reader.overlong()) lines.push(TOO_LONG);
    any ||= lines.length > 0;
    yield { lines, ascii: reader.ascii };
  }
  const lines = reader.end();
  if (!any && lines.length === 0) throw empty();
  yield { lines, ascii: reader.ascii };
}

/** The JSON kinds that a body may have. */
type Wanted = "object" | "array" | "object or array";
const WANTED: Readonly<Record<Exclude<ContentMode, "lines" | "binary">, Wanted>> = {
  json: "object or array",
  structured: "object",
  batch: "array",
};

function jsonLines(text: string, wanted: Wanted, { strict, full }: Wishes): Line[] {
  const array = text.trimStart().startsWith("[");
  const most = full ? RESULT_EVENTS : ARRAY_EVENTS;
  const elements = array && wanted !== "object" ? arrayElements(text, most) : null;
  // Taking an event in changes its value, and `handling=strict` may take it in twice.
  const line = (event: string, value: unknown): Line => (strict ? event : { text: event, value });
  if (elements === null) {
    if (text.length <= PARSED_CHARS) return [line(text.trim(), wholeJson(text, wanted))];
    if (array) throw malformed("its brackets don't match");
    if (wanted === "array") throw notAnEvent(wanted);
    return [text.trim()];
  }
  // The CloudEvents batch format may be empty.
  if (elements.length === 0 && wanted !== "array") throw empty();
  if (elements.length > most) throw full ? tooManyResults() : tooManyEvents();
  // All values of a large array would take several times its memory.
  if (text.length < BATCH_CHARS) return elements.map((element, i) => line(element, elementJson(element, i)));
  elements.forEach(elementJson);
  return elements;
}

/** @throws BodyError */
function elementJson(text: string, index: number): unknown {
  if (text.length > PARSED_CHARS)
    throw new BodyError(413, "event_too_large", `event ${index} has ${text.length} characters; omit it`);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw malformed(`event ${index}: ${messageOf(error)}`);
  }
}

const BOM = "\ufeff";

/** @throws BodyError if the text is no JSON of the wanted kind */
function wholeJson(text: string, wanted: Wanted): unknown {
  if (text.trim() === "") throw empty();
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw malformed(text.startsWith(BOM) ? "it begins with a second byte order mark" : messageOf(error));
  }
  const is = typeof value !== "object" || value === null ? null : Array.isArray(value) ? "array" : "object";
  if (is === null || !wanted.includes(is)) throw notAnEvent(wanted);
  return value;
}

const empty = (): BodyError => new BodyError(400, "empty_body", "there is no event in the body");
const malformed = (why: string): BodyError =>
  new BodyError(400, "malformed_json", `the body isn't valid JSON: ${why.slice(0, 200)}`);
const notAnEvent = (wanted: Wanted): BodyError =>
  new BodyError(400, "not_an_event", `the body must be a JSON ${wanted}`);
const tooManyEvents = (): BodyError =>
  new BodyError(
    413,
    "too_many_events",
    `the array has more than ${ARRAY_EVENTS} events; send NDJSON, or several requests`,
  );
const tooManyResults = (): BodyError =>
  new BodyError(413, "too_many_results", `return=representation is for up to ${RESULT_EVENTS} events`);
