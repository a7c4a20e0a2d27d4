/**
 * Lines of NDJSON from a file or from standard input, cut into batches.
 *
 * I1. Offsets are those of the unpacked stream, and count every byte; events are counted without blank lines, as the app does.
 * I2. A line goes as it is. One that has no id gets `{key}/{index}` of the event, as if the whole file had come in one request
 *     with that `Idempotency-Key`: the same however it is cut into batches.
 * I3. What is skipped is read and compared with what was sent before, by its digest: another file under the same name is none
 *     of ours. Reading is a hundred times faster than sending, so nothing is gained by seeking, which gzip doesn't offer.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";

/** Up to where everything is decided, or read. */
export interface Position {
  readonly bytes: number;
  readonly events: number;
  readonly lines: number;
  /** Of all bytes before it. */
  readonly sha256: string;
}

export interface InputEvent {
  /** The line to send, with its end. */
  readonly bytes: Uint8Array;
  /** Its number in the file, from 1. */
  readonly line: number;
}

export interface Batch {
  readonly events: readonly InputEvent[];
  readonly end: Position;
  /** Share of the file that was read by then; null: its size isn't known. */
  readonly share: number | null;
}

export interface BatchSize {
  readonly events: number;
  readonly bytes: number;
}

/** The file isn't what it was, or can't be read as what it is. */
export class InputError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "InputError";
  }
}

const CHUNK_BYTES = 1 << 20;
/** The longest line that is held: far more than an event may have, so that the app can say that it is too long. */
const LINE_BYTES = 4 << 20;
const LF = 10;
const EMPTY_SHA256 = createHash("sha256").digest("hex");
export const BEGINNING: Position = { bytes: 0, events: 0, lines: 0, sha256: EMPTY_SHA256 };

/** Where bytes come from: unpacked where they are gzip, with the count of those that were read as they lie there. */
interface Source {
  readonly chunks: AsyncIterable<Buffer>;
  readonly size: number | null;
  read(): number;
  /** Standard input would else keep the process. */
  close(): void;
}

export async function openInput(file: string, stdin: Readable): Promise<Source> {
  if (file === "-") return source(stdin, null);
  const info = await stat(file);
  // A pipe gives its bytes once, and they are needed again: for ids that are made, and to go on after a break.
  if (!info.isFile())
    throw new InputError("it is no regular file; what comes but once is sent with: keyframe send - < FILE");
  return source(createReadStream(file, { highWaterMark: CHUNK_BYTES }), info.size);
}

async function source(raw: Readable, size: number | null): Promise<Source> {
  let read = 0;
  const iterator = raw[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  // The magic bytes may come one by one.
  let head = Buffer.alloc(0);
  while (head.length < 2) {
    const { done, value } = await iterator.next();
    if (done) break;
    head = Buffer.concat([head, value]);
  }
  read += head.length;
  async function* bytes(): AsyncGenerator<Buffer> {
    if (head.length > 0) yield head;
    for (;;) {
      const { done, value } = await iterator.next();
      if (done) return;
      read += value.length;
      yield value;
    }
  }
  const packed = head[0] === 0x1f && head[1] === 0x8b;
  return { chunks: packed ? unpacked(bytes()) : bytes(), size, read: () => read, close: () => void raw.destroy() };
}

async function* unpacked(bytes: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
  const fed = (async () => {
    for await (const chunk of bytes)
      if (!gunzip.write(chunk)) await new Promise((resolve) => gunzip.once("drain", resolve));
    gunzip.end();
  })();
  fed.catch((error: unknown) => gunzip.destroy(error as Error));
  try {
    for await (const chunk of gunzip) yield chunk as Buffer;
  } catch (error) {
    throw new InputError(`the gzip file is damaged or cut off: ${error instanceof Error ? error.message : "unknown"}`);
  }
  await fed;
}

/** The digest of all that a file unpacks to: the same lines are the same events, wherever they lie. */
export async function contentKey(file: string): Promise<string> {
  const hash = createHash("sha256");
  const { chunks } = await openInput(file, process.stdin);
  for await (const chunk of chunks) hash.update(chunk);
  return hash.digest("hex").slice(0, 32);
}

/**
 * The batches after `from`. `key` is asked for once a line without an id comes.
 *
 * @throws InputError where what comes before `from` isn't what was sent, or the gzip is damaged
 */
export async function* batches(
  input: Source,
  from: Position,
  most: BatchSize,
  key: () => Promise<string>,
): AsyncGenerator<Batch> {
  const hash = createHash("sha256");
  let [bytes, events, lines] = [from.bytes, from.events, from.lines];
  let batch: InputEvent[] = [];
  let batchBytes = 0;
  const cut = (): Batch => {
    const end = { bytes, events, lines, sha256: hash.copy().digest("hex") };
    const done = { events: batch, end, share: shareOf(input) };
    batch = [];
    batchBytes = 0;
    return done;
  };
  for await (const line of linesAfter(input.chunks, from, hash)) {
    hash.update(line);
    bytes += line.length;
    lines += 1;
    if (isBlank(line, lines)) continue;
    const event = hasId(line) ? line : await withId(line, events, key);
    batch.push({ bytes: event, line: lines });
    events += 1;
    batchBytes += event.length;
    if (batch.length >= most.events || batchBytes >= most.bytes) yield cut();
  }
  if (batch.length > 0) yield cut();
}

const shareOf = (input: Source): number | null =>
  input.size === null ? null : Math.min(1, input.read() / Math.max(1, input.size));

/** Lines with their ends; the last may have none. */
async function* linesAfter(
  chunks: AsyncIterable<Buffer>,
  from: Position,
  hash: ReturnType<typeof createHash>,
): AsyncGenerator<Buffer> {
  let skip = from.bytes;
  let rest: Buffer[] = [];
  let restBytes = 0;
  const compare = (): void => {
    if (hash.copy().digest("hex") !== from.sha256)
      throw new InputError(`its first ${from.bytes} bytes are not what was sent before`);
  };
  if (skip === 0) compare();
  for await (let chunk of chunks) {
    if (skip > 0) {
      const skipped = chunk.subarray(0, skip);
      hash.update(skipped);
      skip -= skipped.length;
      chunk = chunk.subarray(skipped.length);
      if (skip > 0) continue;
      compare();
    }
    for (let at = 0; at < chunk.length;) {
      const end = chunk.indexOf(LF, at);
      if (end < 0) {
        // The next chunk may be written over this one's memory.
        rest.push(Buffer.from(chunk.subarray(at)));
        restBytes += chunk.length - at;
        if (restBytes > LINE_BYTES) throw new InputError(`a line has more than ${LINE_BYTES} bytes; this is no NDJSON`);
        break;
      }
      const line = chunk.subarray(at, end + 1);
      yield rest.length === 0 ? line : Buffer.concat([...rest, line]);
      rest = [];
      restBytes = 0;
      at = end + 1;
    }
  }
  if (skip > 0) throw new InputError(`it ends ${skip} bytes before the place up to which it was sent`);
  if (rest.length > 0) yield Buffer.concat(rest);
}

const BRACE = 0x7b;

/** As the app sees it: it leaves out what is blank, and a byte order mark at the very beginning. */
function isBlank(line: Buffer, number: number): boolean {
  if (line[0] === BRACE) return false;
  const text = line.toString("utf8");
  return (number === 1 ? text.replace(/^\uFEFF/, "") : text).trim() === "";
}

/** Nearly every event begins with its id, so most needn't be parsed. */
const FIRST_ID = Buffer.from('{"id":"');

function hasId(line: Buffer): boolean {
  return line.length > FIRST_ID.length && line.compare(FIRST_ID, 0, FIRST_ID.length, 0, FIRST_ID.length) === 0;
}

async function withId(line: Buffer, index: number, key: () => Promise<string>): Promise<Buffer> {
  let event: unknown;
  const text = line.toString("utf8");
  try {
    event = JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch {
    // The app says what is wrong with it.
    return line;
  }
  if (typeof event !== "object" || event === null || Array.isArray(event) || Object.keys(event).length === 0)
    return line;
  const { id } = event as { readonly id?: unknown };
  if (id !== undefined && id !== null) return line;
  // Last, so that it wins over one that is null.
  return Buffer.from(`${text.slice(0, text.lastIndexOf("}"))},"id":${JSON.stringify(`${await key()}/${index}`)}}\n`);
}
