/** `POST /v1/events` and `POST /v1/operators/{op}/ask`: events in. */
import type { Route } from "../../engine/operator/routing.ts";
import { messageOf } from "../../engine/base/errors.ts";
import {
  ARRAY_EVENTS,
  NAME_BYTES,
  PARSED_CHARS,
  REQUEST_BYTES,
  RESULT_EVENTS,
  STRICT_BYTES,
} from "../../engine/base/limits.ts";
import { exceeds } from "../../engine/base/json.ts";
import type { Env } from "../env.ts";
import type { Routes } from "../app.ts";
import type { Grant } from "../http/access.ts";
import { askedOf, type Asked } from "./ask.ts";
import { binaryEvent } from "../http/binary-mode.ts";
import {
  arrayElements,
  BodyError,
  bodyBytes,
  bodyText,
  LineReader,
  tooMuchHeld,
  wholeBody,
  type Line,
} from "../http/body.ts";
import { contentMode, isStandard, type ContentMode } from "../http/content-mode.ts";
import { BATCH_CHARS, BATCH_EVENTS, FULL_BATCH_EVENTS, Intake, type IntakeOptions } from "./intake.ts";
import { HeldBody } from "../http/held-bodies.ts";
import { postOf } from "./partition-client.ts";
import { problem } from "../problem.ts";
import { producerOf, requestName } from "../http/producer-headers.ts";
import { REJECTED_STATUS, retryOf } from "../http/rejected-status.ts";
import { report, strictly } from "./report.ts";
import { unavailableStatus } from "../trouble.ts";

interface Wishes {
  readonly strict: boolean;
  readonly full: boolean;
  /** Bytes of the body that the isolate holds until the request is answered. */
  readonly held: HeldBody;
}

export async function postEvents(
  request: Request,
  env: Env,
  routes: Routes,
  { keyPrefix = "" }: Grant,
): Promise<Response> {
  const wishes = preferences(request);
  try {
    const mode = contentMode(request.headers);
    const intake = newIntake(request, env, {
      routes,
      only: null,
      full: wishes.full,
      standard: isStandard(mode),
      keyPrefix,
    });
    if (mode === "binary") return await takeBinary(request, intake, wishes);
    if (mode !== "lines") return await takeJson(request, intake, wishes, WANTED[mode]);
    if (wishes.strict || wishes.full) return await takeHeldLines(request, intake, wishes);
    return await streamLines(request, intake);
  } catch (error) {
    if (error instanceof BodyError) return problem({ status: error.status, code: error.code, detail: error.message });
    throw error;
  } finally {
    wishes.held.release();
  }
}

export async function postAsk(
  request: Request,
  env: Env,
  routes: Routes,
  route: Route,
  { keyPrefix = "" }: Grant,
): Promise<Response> {
  let intake: Intake;
  try {
    const mode = contentMode(request.headers);
    if (mode === "lines" || mode === "batch")
      throw new BodyError(
        415,
        "unsupported_media_type",
        "ask takes one event: application/json, application/cloudevents+json, or any type with ce- headers",
      );
    intake = newIntake(request, env, { routes, only: route, full: true, standard: isStandard(mode), keyPrefix });
    if (mode === "binary") addBinary(request, intake, await wholeBody(request, PARSED_CHARS));
    else {
      const text = await bodyText(request, PARSED_CHARS);
      wholeJson(text, "object");
      intake.add(text.trim());
    }
  } catch (error) {
    if (error instanceof BodyError) return problem({ status: error.status, code: error.code, detail: error.message });
    throw error;
  }
  return answer(await askedOf(intake), route.operator.name);
}

function answer(asked: Asked, operator: string): Response {
  switch (asked.tag) {
    case "applied": {
      const { value, key, partition, seq, duplicate } = asked;
      return Response.json({ value, key, partition, seq, duplicate });
    }
    case "refused": {
      const { tag: _, code, ...more } = asked;
      return problem({ status: 409, code, detail: `refused by ${operator}`, more });
    }
    case "quarantined": {
      const { tag: _, error, ...more } = asked;
      return problem({ status: 422, code: "quarantined", detail: `the handler threw: ${error}`, more });
    }
    case "rejected": {
      const { tag: _, code, message, ...more } = asked;
      return problem({ status: REJECTED_STATUS[code] ?? 422, code, detail: message, more, ...retryOf(code) });
    }
    case "unavailable":
      return problem({
        status: unavailableStatus(asked.code),
        code: asked.code,
        detail: asked.message,
        retryAfterSec: asked.retryAfterSec,
      });
  }
}

type Chosen = Pick<IntakeOptions, "routes" | "only" | "full" | "standard"> & { readonly keyPrefix: string };

function newIntake(request: Request, env: Env, chosen: Chosen): Intake {
  const receivedMs = Date.now();
  const producer = producerOf(request.headers);
  // U4: a higher epoch under another caller's producer id would lock that caller out.
  if (producer !== null && !producer.id.startsWith(chosen.keyPrefix))
    throw new BodyError(403, "producer_not_allowed", `this caller's Producer-Id must begin with ${chosen.keyPrefix}`);
  if (producer !== null && chosen.only !== null)
    throw new BodyError(400, "invalid_producer", "Producer-* headers number requests to /v1/events, not to ask");
  const given = request.headers.get("idempotency-key");
  if (given !== null && (given === "" || exceeds(given, NAME_BYTES - 16)))
    throw new BodyError(400, "invalid_idempotency_key", `Idempotency-Key must have 1 to ${NAME_BYTES - 16} bytes`);
  // Make the prefix once and keep it over our own retries of a call, so that the partition knows their events. A
  // producer's number names its request forever. A library may make a new Idempotency-Key for each attempt, so it can't
  // name the request.
  const prefix = producer === null ? (given ?? crypto.randomUUID()) : requestName(producer);
  const defaults = { time: new Date(receivedMs).toISOString(), id: (index: number) => `${prefix}/${index}` };
  return new Intake({
    ...chosen,
    post: postOf(env),
    defaults,
    receivedMs,
    ignoreUnrouted: ignoresUnrouted(request.url),
    producer,
  });
}

/** Most requests have no query, and parsing a URL costs as much as a few events. */
const ignoresUnrouted = (url: string): boolean =>
  url.includes("unrouted=") && new URL(url).searchParams.get("unrouted") === "ignore";

function preferences(request: Request): Wishes {
  const wishes = (request.headers.get("prefer") ?? "")
    .toLowerCase()
    .split(/[,;]/)
    .map((wish) => wish.trim().replaceAll(/\s|"/g, ""));
  return {
    strict: wishes.includes("handling=strict"),
    full: wishes.includes("return=representation"),
    held: new HeldBody(),
  };
}

/** Takes one event whose attributes are headers. */
async function takeBinary(request: Request, intake: Intake, wishes: Wishes): Promise<Response> {
  addBinary(request, intake, await wholeBody(request, PARSED_CHARS));
  return finish(intake, wishes);
}

function addBinary(request: Request, intake: Intake, body: Uint8Array): void {
  const event = binaryEvent(request.headers, body);
  if (typeof event === "string") intake.add(event);
  else intake.refuse(event);
}

/** The JSON kinds that a body may have. */
type Wanted = "object" | "array" | "object or array";
const WANTED: Readonly<Record<Exclude<ContentMode, "lines" | "binary">, Wanted>> = {
  json: "object or array",
  structured: "object",
  batch: "array",
};

async function takeJson(request: Request, intake: Intake, wishes: Wishes, wanted: Wanted): Promise<Response> {
  const { strict, full, held } = wishes;
  const text = await bodyText(request, strict ? STRICT_BYTES : REQUEST_BYTES, held);
  const array = text.trimStart().startsWith("[");
  const elements = array && wanted !== "object" ? arrayElements(text, ARRAY_EVENTS) : null;
  if (elements === null) {
    if (text.length <= PARSED_CHARS) wholeJson(text, wanted);
    else if (array) throw malformed("its brackets don't match");
    else if (wanted === "array") throw notAnEvent(wanted);
    return takeHeld([text.trim()], intake, wishes);
  }
  // The CloudEvents batch format may be empty.
  if (elements.length === 0 && wanted !== "array") throw empty();
  if (elements.length > ARRAY_EVENTS)
    throw new BodyError(
      413,
      "too_many_events",
      `the array has more than ${ARRAY_EVENTS} events; send NDJSON, or several requests`,
    );
  if (full && elements.length > RESULT_EVENTS) throw tooManyResults();
  // Malformed JSON inside an array makes the whole body unusable: no event of it may count.
  if (text.length < BATCH_CHARS && elements.length < (full ? FULL_BATCH_EVENTS : BATCH_EVENTS)) {
    for (const element of elements) intake.add(element);
    if (intake.unparsed) wholeJson(text, wanted);
    return finish(intake, wishes);
  }
  elements.forEach(elementJson);
  return takeHeld(elements, intake, wishes);
}

/** Parses element by element: all values of a large array would take several times its memory. @throws BodyError */
function elementJson(text: string, index: number): void {
  if (text.length > PARSED_CHARS)
    throw new BodyError(413, "event_too_large", `event ${index} has ${text.length} characters; leave it out`);
  try {
    JSON.parse(text);
  } catch (error) {
    throw malformed(`event ${index}: ${messageOf(error)}`);
  }
}

/** Takes in events that are all in memory, and sends them in batches: one call can't carry the replies of all. */
async function takeHeld(events: readonly Line[], intake: Intake, wishes: Wishes): Promise<Response> {
  if (wishes.strict) {
    for (const event of events) intake.add(event);
    if (!intake.batchFull) return finish(intake, wishes);
    const flawed = strictly(intake);
    if (flawed !== null) return flawed;
    // Every event is valid and none was sent, so start over in batches.
    intake.forget();
  }
  for (const event of events) {
    intake.add(event);
    if (!intake.batchFull) continue;
    await intake.takeBatch()();
    if (intake.interruption !== null) return report(intake, wishes.full);
  }
  await intake.takeBatch()();
  return report(intake, wishes.full);
}

const empty = (): BodyError => new BodyError(400, "empty_body", "there is no event in the body");
const tooManyResults = (): BodyError =>
  new BodyError(413, "too_many_results", `return=representation is for up to ${RESULT_EVENTS} events`);

const malformed = (why: string): BodyError =>
  new BodyError(400, "malformed_json", `the body isn't valid JSON: ${why.slice(0, 200)}`);

const BOM = "\ufeff";

/** @throws BodyError if the text is no JSON of the wanted kind */
function wholeJson(text: string, wanted: Wanted): void {
  if (text.trim() === "") throw empty();
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw malformed(text.startsWith(BOM) ? "it begins with a second byte order mark" : messageOf(error));
  }
  const is = typeof value !== "object" || value === null ? null : Array.isArray(value) ? "array" : "object";
  if (is === null || !wanted.includes(is)) throw notAnEvent(wanted);
}

const notAnEvent = (wanted: Wanted): BodyError =>
  new BodyError(400, "not_an_event", `the body must be a JSON ${wanted}`);

/** Takes lines of a body that must be known completely before any event counts. */
async function takeHeldLines(request: Request, intake: Intake, wishes: Wishes): Promise<Response> {
  const { strict, full } = wishes;
  const reader = new LineReader();
  const held: Line[] = [];
  let length = 0;
  for await (const chunk of bodyBytes(request, REQUEST_BYTES)) {
    length += chunk.length;
    if (strict && length > STRICT_BYTES)
      throw new BodyError(413, "body_too_large", `handling=strict is for bodies of up to ${STRICT_BYTES} bytes`);
    // All unpacked bytes are held, so bound them.
    if (length > REQUEST_BYTES)
      throw new BodyError(413, "body_too_large", `the lines have more than ${REQUEST_BYTES} bytes; send them in parts`);
    if (!wishes.held.hold(chunk.length)) throw tooMuchHeld();
    for (const line of reader.push(chunk)) held.push(line);
    if (reader.overlong()) held.push({ flaw: "too_long" });
    if (full && held.length > RESULT_EVENTS) throw tooManyResults();
  }
  held.push(...reader.end());
  if (held.length === 0) throw empty();
  if (full && held.length > RESULT_EVENTS) throw tooManyResults();
  return takeHeld(held, intake, wishes);
}

/** Lines that are decided as they come need no bound on their total: the bytes held at once are bounded. */
const ANY_LENGTH = Number.POSITIVE_INFINITY;

/** Reads ahead while a batch is being decided, and sends the next batch only after that (INTAKE2 of intake.ts). */
async function streamLines(request: Request, intake: Intake): Promise<Response> {
  const reader = new LineReader();
  let sending: Promise<void> = Promise.resolve();
  const send = async (): Promise<boolean> => {
    await sending;
    if (intake.interruption !== null) return false;
    sending = intake.takeBatch()();
    return true;
  };
  let flaw: BodyError | null = null;
  try {
    reading: for await (const chunk of bodyBytes(request, ANY_LENGTH)) {
      for (const line of reader.push(chunk)) {
        intake.add(line, reader.ascii);
        if (intake.batchFull && !(await send())) break reading;
      }
      if (reader.overlong()) intake.add({ flaw: "too_long" });
    }
    if (intake.interruption === null) for (const line of reader.end()) intake.add(line, reader.ascii);
  } catch (error) {
    if (!(error instanceof BodyError)) throw error;
    flaw = error;
  }
  if (intake.counts.received > 0) {
    await send();
    await sending;
  }
  // If an event before the flaw isn't durable, report that instead of the flaw: the sender retries from `through` on,
  // and hears of the flaw later. If all events before the flaw are decided, the counts say so.
  if (flaw !== null && intake.interruption === null)
    return problem({
      status: flaw.status,
      code: flaw.code,
      detail: flaw.message,
      more: { ...intake.counts, errors: intake.errors },
    });
  if (intake.counts.received === 0) return problem({ status: 400, code: "empty_body", detail: empty().message });
  return report(intake, false);
}

/** Sends all events as one batch, unless one event stops the request. */
async function finish(intake: Intake, { strict, full }: Wishes): Promise<Response> {
  const flawed = strict ? strictly(intake) : null;
  if (flawed !== null) return flawed;
  await intake.takeBatch()();
  return report(intake, full);
}
