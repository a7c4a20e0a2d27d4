/**
 * Reading request bodies: gzip, UTF-8, lines and arrays, all bounded (IN1).
 *
 * BODY1. Bytes are decoded once, a whole run of lines at a time. Only a run with a broken line is decoded line by line.
 * BODY2. A line longer than an event may be is skipped without being held.
 */
import { gunzip } from "../../adapters/gunzip.ts";
import { exceeds } from "../../engine/base/json.ts";
import { stringEnd } from "../../engine/base/json-text.ts";
import { rejected, type Rejected } from "../../engine/event/rejection.ts";
import { EVENT_BYTES, GZIP_FREE_BYTES, GZIP_RATIO, HELD_BODY_BYTES, REQUEST_BYTES } from "../../engine/base/limits.ts";
import type { HeldBody } from "./held-bodies.ts";

/** The reason why the whole request is unusable. */
export class BodyError extends Error {
  readonly status: 400 | 403 | 413 | 415 | 503;
  readonly code: string;
  constructor(status: 400 | 403 | 413 | 415 | 503, code: string, detail: string) {
    super(detail);
    this.name = "BodyError";
    this.status = status;
    this.code = code;
  }
}

/** Yields the body's bytes, unpacked if they are gzip; at most `limit` bytes as they were sent. @throws BodyError */
export async function* bodyBytes(request: Request, limit: number): AsyncGenerator<Uint8Array> {
  const gzip = isGzip(request.headers);
  const length = Number(request.headers.get("content-length") ?? 0);
  if (length > limit) throw tooLarge(limit);
  if (request.body === null) return;
  if (!gzip && request.headers.has("content-length") && length <= AT_ONCE_BYTES) {
    const bytes = await request.arrayBuffer().catch((error: unknown) => Promise.reject(interrupted(error)));
    yield new Uint8Array(bytes);
    return;
  }
  const meter = new Meter(limit);
  const reader = request.body.getReader();
  const packed = chunksOf(reader, meter);
  try {
    if (!gzip) yield* packed;
    else for await (const chunk of gunzip(packed)) yield meter.unpacked(chunk);
  } catch (error) {
    throw error instanceof BodyError ? error : malformedGzip();
  } finally {
    // If the reader stops early, the sender must not hang.
    await reader.cancel().catch(() => undefined);
  }
}

/** `x-gzip` is gzip (RFC 9110, 8.4.1.3). @throws BodyError if the encoding is another one */
function isGzip(headers: Headers): boolean {
  const encoding = (headers.get("content-encoding") ?? "identity").trim().toLowerCase();
  if (encoding === "identity") return false;
  if (encoding === "gzip" || encoding === "x-gzip") return true;
  throw new BodyError(
    415,
    "unsupported_encoding",
    `content-encoding "${encoding}" isn't understood; send identity or gzip`,
  );
}

/** @throws BodyError */
async function* chunksOf(reader: ReadableStreamDefaultReader<Uint8Array>, meter: Meter): AsyncGenerator<Uint8Array> {
  for (;;) {
    const { done, value } = await reader.read().catch((error: unknown) => Promise.reject(interrupted(error)));
    if (done) return;
    yield meter.packed(value);
  }
}

/** A body of at most this size is read in one piece, because a stream costs more. */
const AT_ONCE_BYTES = 1_000_000;

const tooLarge = (limit: number): BodyError =>
  new BodyError(413, "body_too_large", `the body has more than ${limit} bytes; send it in parts`);
const tooMuchHeld = (): BodyError =>
  new BodyError(
    503,
    "too_many_bodies",
    `this isolate has nearly ${HELD_BODY_BYTES} bytes of other requests in memory; send it again, or send NDJSON, which needs no such memory`,
  );
const malformedGzip = (): BodyError => new BodyError(400, "malformed_gzip", "the body isn't complete, valid gzip");
const interrupted = (error: unknown): BodyError =>
  new BodyError(400, "body_interrupted", `the body broke off: ${error instanceof Error ? error.message : "unknown"}`);

/** Bounds the bytes that come in and the bytes that they unpack to. */
class Meter {
  readonly #limit: number;
  #in = 0;
  #out = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  packed(chunk: Uint8Array): Uint8Array {
    this.#in += chunk.length;
    if (this.#in > this.#limit) throw tooLarge(this.#limit);
    return chunk;
  }

  unpacked(chunk: Uint8Array): Uint8Array {
    this.#out += chunk.length;
    if (this.#out > GZIP_FREE_BYTES && this.#out > this.#in * GZIP_RATIO)
      throw new BodyError(413, "gzip_bomb", `the body unpacks to more than ${GZIP_RATIO} times its size`);
    return chunk;
  }
}

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Returns the whole body as text. `held` counts it among the bodies that the isolate holds.
 *
 * @throws BodyError if it is too large, isn't UTF-8, or too much is held
 */
export async function bodyText(request: Request, limit: number, held?: HeldBody): Promise<string> {
  const bytes = await wholeBody(request, limit, held);
  refuseUtf16(bytes);
  const text = utf8Text(bytes);
  if (text === null) throw new BodyError(400, "invalid_utf8", "the body isn't valid UTF-8");
  return withoutBom(text);
}

/** Returns null if the bytes aren't UTF-8. */
export function utf8Text(bytes: Uint8Array): string | null {
  try {
    return strict.decode(bytes);
  } catch {
    return null;
  }
}

/** @throws BodyError if it is too large, or too much is held */
export async function wholeBody(request: Request, limit: number, held?: HeldBody): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of heldBytes(request, limit, held)) parts.push(part);
  return parts.length === 1 ? parts[0]! : concat(parts);
}

/** Yields the bytes of a body that is held as a whole. `limit`: of the unpacked bytes. @throws BodyError */
export async function* heldBytes(request: Request, limit: number, held?: HeldBody): AsyncGenerator<Uint8Array> {
  let length = 0;
  for await (const part of bodyBytes(request, REQUEST_BYTES)) {
    length += part.length;
    if (length > limit) throw tooLarge(limit);
    if (held?.hold(part.length) === false) throw tooMuchHeld();
    yield part;
  }
}

/**
 * Refuses JSON in UTF-16: with a byte order mark, which UTF-8 never begins with, or with a bracket beside a zero byte.
 *
 * @throws BodyError
 */
export function refuseUtf16(bytes: Uint8Array): void {
  const [first, second] = bytes;
  const marked = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
  const bare = (first === 0 && isBracket(second)) || (second === 0 && isBracket(first));
  if (marked || bare)
    throw new BodyError(
      400,
      "invalid_utf8",
      `the body is UTF-16${marked ? " (it begins with that byte order mark)" : ""}; send UTF-8`,
    );
}

const isBracket = (byte: number | undefined): boolean => byte === BRACE || byte === 0x5b;

const withoutBom = (text: string): string => (text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);

const withoutBomBytes = (run: Uint8Array): Uint8Array =>
  run[0] === 0xef && run[1] === 0xbb && run[2] === 0xbf ? run.subarray(3) : run;

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** The text of an event, with its value if it is parsed already, or the reason why there is none. */
export type Line = string | { readonly text: string; readonly value: unknown } | Rejected;

export const TOO_LONG = rejected("event_too_large", "the event is too long");
export const NO_UTF8 = rejected("invalid_utf8", "the line isn't valid UTF-8");

const LF = 10;
const BRACE = 0x7b;

const NOTHING = new Uint8Array(0);
/** An unfinished line is held in at most this many pieces. */
const MOST_PIECES = 512;
const BOM_BYTES = 3;

/** Cuts chunks of bytes into lines, without blank lines. */
export class LineReader {
  #rest: Uint8Array[] = [];
  #restLength = 0;
  #skipping = false;
  #first = true;
  /** True while all lines are ASCII. Decoding tells it; later it would cost a look at every character. */
  ascii = true;

  /** Returns the lines that are complete now. @throws BodyError if the first line shows that the body is UTF-16 */
  push(chunk: Uint8Array): Line[] {
    const end = chunk.lastIndexOf(LF);
    if (end < 0) {
      this.#keep(chunk);
      return [];
    }
    // A line that is too long is reported when it becomes too long, so skip its rest.
    const from = this.#skipping ? chunk.indexOf(LF) + 1 : 0;
    this.#skipping = false;
    const run = this.#take(chunk.subarray(from, end + 1));
    if (end + 1 < chunk.length) this.#keep(chunk.subarray(end + 1));
    return this.#decode(run);
  }

  /** Returns the last line, at the end of the body. */
  end(): Line[] {
    if (this.#skipping) return [];
    return this.#decode(this.#take(NOTHING));
  }

  #take(tail: Uint8Array): Uint8Array {
    if (this.#restLength === 0) return tail;
    const run = concat([...this.#rest, tail]);
    this.#rest = [];
    this.#restLength = 0;
    return run;
  }

  #keep(part: Uint8Array): void {
    if (this.#skipping) return;
    // The stream may reuse its buffer, so copy.
    this.#rest.push(part.slice());
    this.#restLength += part.length;
    // A piece costs some hundred bytes of memory even if it holds one byte.
    if (this.#rest.length > MOST_PIECES) this.#rest = [concat(this.#rest)];
  }

  /**
   * Returns true if an unfinished line is longer than an event may be. The line is dropped, and counts as one flawed
   * line.
   */
  overlong(): boolean {
    if (this.#restLength <= EVENT_BYTES + (this.#first ? BOM_BYTES : 0)) return false;
    this.#first = false;
    this.#rest = [];
    this.#restLength = 0;
    this.#skipping = true;
    return true;
  }

  #decode(given: Uint8Array): Line[] {
    if (this.#first) refuseUtf16(given);
    const run = this.#first ? withoutBomBytes(given) : given;
    this.#first &&= given.length === 0;
    let text: string;
    try {
      text = strict.decode(run);
    } catch {
      this.ascii = false;
      return this.#decodeEach(run);
    }
    this.ascii &&= text.length === run.length;
    const lines: Line[] = [];
    for (let from = 0; from < text.length;) {
      const found = text.indexOf("\n", from);
      const to = found < 0 ? text.length : found;
      // Nearly every line begins with its brace. Only other lines can be blank.
      if (to > from && text.charCodeAt(from) === BRACE) lines.push(text.slice(from, to));
      else addLine(lines, text.slice(from, to));
      from = to + 1;
    }
    return lines;
  }

  #decodeEach(run: Uint8Array): Line[] {
    const lines: Line[] = [];
    for (let from = 0; from < run.length;) {
      const found = run.indexOf(LF, from);
      const to = found < 0 ? run.length : found;
      try {
        addLine(lines, strict.decode(run.subarray(from, to)));
      } catch {
        lines.push(NO_UTF8);
      }
      from = to + 1;
    }
    return lines;
  }
}

/**
 * Leaves out blank lines, except those so long that they would count if they came in several chunks. The index of later
 * lines must not depend on how the bytes are cut, since ids may be made from it.
 */
function addLine(lines: Line[], line: string): void {
  if (line.trim() !== "") lines.push(line);
  else if (exceeds(line, EVENT_BYTES)) lines.push(TOO_LONG);
}

/**
 * Returns the texts of a JSON array's elements, each to be parsed by itself, or null if the text is no array. Only
 * strings and nesting are looked at; the parser of an element checks the rest. Stops at the first element beyond
 * `most`, since the list of all could take more memory than the text.
 */
export function arrayElements(text: string, most: number = Number.POSITIVE_INFINITY): string[] | null {
  const [open, end] = withoutSpace(text, 0, text.length);
  const close = end - 1;
  if (text[open] !== "[" || text[close] !== "]" || close <= open) return null;
  const elements: string[] = [];
  let depth = 0;
  let from = open + 1;
  for (let i = from; i < close; i++) {
    switch (text.charCodeAt(i)) {
      case 0x22: // "
        i = stringEnd(text, i, close);
        break;
      case 0x5b: // [
      case 0x7b: // {
        depth += 1;
        break;
      case 0x5d: // ]
      case 0x7d: // }
        depth -= 1;
        if (depth < 0) return null;
        break;
      case 0x2c: // ,
        if (depth > 0) break;
        elements.push(text.slice(...withoutSpace(text, from, i)));
        if (elements.length > most) return elements;
        from = i + 1;
        break;
      default:
    }
  }
  if (depth !== 0) return null;
  const last = text.slice(...withoutSpace(text, from, close));
  if (last !== "" || elements.length > 0) elements.push(last);
  return elements;
}

/** Trims [from, to) at both ends, of JSON's white space only: `trim` removes characters that a JSON parser refuses. */
function withoutSpace(text: string, from: number, to: number): [from: number, to: number] {
  let [first, end] = [from, to];
  while (first < end && isSpace(text.charCodeAt(first))) first += 1;
  while (end > first && isSpace(text.charCodeAt(end - 1))) end -= 1;
  return [first, end];
}

const isSpace = (unit: number): boolean => unit === 0x20 || unit === 0x0a || unit === 0x0d || unit === 0x09;
