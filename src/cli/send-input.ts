/**
 * Lines of NDJSON from a file or from standard input, cut into batches.
 *
 * SENDINPUT1. Offsets are those of the unpacked stream, and count every byte. Events are counted without blank lines,
 *     as the app does.
 * SENDINPUT2. A line is sent unchanged. A line without an id gets `{key}/{index}` of the event, as if the whole file
 *     had come in one request with that `Idempotency-Key`: the same however it is cut into batches.
 * SENDINPUT3. Skipped bytes are read and compared by digest with the bytes of the earlier run, so that another file
 *     under the same name is refused. So are the bytes that were under way when the earlier run ended, since they may
 *     count. Reading is a hundred times faster than sending, so seeking, which gzip doesn't offer, would gain nothing.
 * SENDINPUT4. The end line of a file that the app made, as of the events that a promotion gives up, isn't sent. If it
 *     says that the file isn't complete, nothing more is sent.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { lacksId, putId } from "./event-id.ts";

/** The place up to which everything is decided, or read. */
export interface Position {
  readonly bytes: number;
  readonly events: number;
  readonly lines: number;
  /** The digest of all bytes before it. */
  readonly sha256: string;
}

/** A place that an earlier run knew, and the digest of the bytes before it then. */
export type Mark = Pick<Position, "bytes" | "sha256">;

export interface InputEvent {
  /** The line to send, with its end. */
  readonly bytes: Uint8Array;
  /** Its number in the file, from 1. */
  readonly line: number;
}

export interface InputBatch {
  readonly events: readonly InputEvent[];
  readonly end: Position;
  /** The share of the file that was read by then, or null if the file's size is unknown. */
  readonly share: number | null;
}

export interface BatchSize {
  readonly events: number;
  readonly bytes: number;
}

/** The file can't be read in its format. */
export class InputError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "InputError";
  }
}

/** The file differs from the part that an earlier run sent. */
export class ChangedError extends InputError {}

const CHUNK_BYTES = 1 << 20;
/** The longest line that is held: far more than an event may have, so that the app can report that it is too long. */
const LINE_BYTES = 4 << 20;
const LF = 10;
const EMPTY_SHA256 = createHash("sha256").digest("hex");
export const BEGINNING: Position = { bytes: 0, events: 0, lines: 0, sha256: EMPTY_SHA256 };

/** A source of bytes, unpacked if they are gzip, with the count of bytes that were read before unpacking. */
interface Source {
  readonly chunks: AsyncIterable<Buffer>;
  readonly size: number | null;
  read(): number;
  /** Without this, standard input would keep the process alive. */
  close(): void;
}

export async function openInput(file: string, stdin: Readable): Promise<Source> {
  if (file === "-") return source(stdin, null);
  const info = await stat(file);
  // A pipe gives its bytes once, and they are needed again: for ids that are made, and to resume after a break.
  if (!info.isFile()) throw new InputError("it isn't a regular file; send a stream with: keyframe send - < FILE");
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
    throw new InputError(`the gzip file is corrupt or cut off: ${error instanceof Error ? error.message : "unknown"}`);
  }
  await fed;
}

/** The digest of the unpacked file: the same lines are the same events, in any file and compression. */
export async function contentKey(file: string): Promise<string> {
  const hash = createHash("sha256");
  const { chunks } = await openInput(file, process.stdin);
  for await (const chunk of chunks) hash.update(chunk);
  return hash.digest("hex").slice(0, 32);
}

/**
 * Yields the batches after `from`. `key` is called at the first line without an id. `sending` is the end of the batch
 * that was under way when an earlier run ended.
 *
 * @throws ChangedError if the bytes before `from` or `sending` have changed, InputError if the gzip is corrupt
 */
export async function* batches(
  input: Source,
  from: Position,
  most: BatchSize,
  key: () => Promise<string>,
  sending: Mark | null = null,
): AsyncGenerator<InputBatch> {
  const hash = createHash("sha256");
  const chunks = checked(input.chunks, sending === null ? [from] : [from, sending]);
  const skipped = { unended: false };
  let [bytes, events, lines] = [from.bytes, from.events, from.lines];
  let batch: InputEvent[] = [];
  let batchBytes = 0;
  const cut = (): InputBatch => {
    const end = { bytes, events, lines, sha256: hash.copy().digest("hex") };
    const done = { events: batch, end, share: shareOf(input) };
    batch = [];
    batchBytes = 0;
    return done;
  };
  for await (const line of linesAfter(chunks, from, hash, skipped)) {
    hash.update(line);
    bytes += line.length;
    if (skipped.unended) {
      // The end of a line that was sent without one.
      if (line.toString("latin1").trim() !== "")
        throw new ChangedError(`its line ${lines} was sent when it ended at byte ${from.bytes}, and is longer now`);
      skipped.unended = false;
      continue;
    }
    lines += 1;
    if (isBlank(line, lines) || isEnd(line)) continue;
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

/** Yields the same chunks. The digest at a mark is compared before the chunk that holds the mark is yielded. */
async function* checked(chunks: AsyncIterable<Buffer>, marks: readonly Mark[]): AsyncGenerator<Buffer> {
  const hash = createHash("sha256");
  const left = [...marks];
  let at = 0;
  const compare = (): void => {
    const { bytes, sha256 } = left.shift()!;
    if (hash.copy().digest("hex") !== sha256)
      throw new ChangedError(`its first ${bytes} bytes differ from those that were sent before`);
  };
  while (left[0]?.bytes === 0) compare();
  for await (const chunk of chunks) {
    let from = 0;
    while (left.length > 0 && left[0]!.bytes <= at + chunk.length) {
      hash.update(chunk.subarray(from, left[0]!.bytes - at));
      from = left[0]!.bytes - at;
      compare();
    }
    if (left.length > 0) hash.update(chunk.subarray(from));
    at += chunk.length;
    yield chunk;
  }
  if (left.length > 0)
    throw new ChangedError(`it ends ${left.at(-1)!.bytes - at} bytes before the position up to which it was sent`);
}

/** Lines with their ends; the last may have none. `skipped.unended`: the last line before `from` had no end. */
async function* linesAfter(
  chunks: AsyncIterable<Buffer>,
  from: Position,
  hash: ReturnType<typeof createHash>,
  skipped: { unended: boolean },
): AsyncGenerator<Buffer> {
  let skip = from.bytes;
  let rest: Buffer[] = [];
  let restBytes = 0;
  for await (let chunk of chunks) {
    if (skip > 0) {
      const known = chunk.subarray(0, skip);
      hash.update(known);
      skip -= known.length;
      chunk = chunk.subarray(known.length);
      skipped.unended = known.length > 0 ? known.at(-1) !== LF : skipped.unended;
      if (skip > 0) continue;
    }
    for (let at = 0; at < chunk.length;) {
      const end = chunk.indexOf(LF, at);
      if (end < 0) {
        // The next chunk may overwrite this one's memory.
        rest.push(Buffer.from(chunk.subarray(at)));
        restBytes += chunk.length - at;
        if (restBytes > LINE_BYTES) throw new InputError(`a line has more than ${LINE_BYTES} bytes; this isn't NDJSON`);
        break;
      }
      const line = chunk.subarray(at, end + 1);
      yield rest.length === 0 ? line : Buffer.concat([...rest, line]);
      rest = [];
      restBytes = 0;
      at = end + 1;
    }
  }
  if (rest.length > 0) yield Buffer.concat(rest);
}

const BRACE = 0x7b;

/** Blank in the app's sense: the app also ignores a byte order mark at the very beginning. */
function isBlank(line: Buffer, number: number): boolean {
  if (line[0] === BRACE) return false;
  const text = line.toString("utf8");
  return (number === 1 ? text.replace(/^\uFEFF/, "") : text).trim() === "";
}

const END = Buffer.from('{"end":true,"complete":');
const COMPLETE = Buffer.from("true");

/** @throws InputError if the file says that it isn't complete */
function isEnd(line: Buffer): boolean {
  if (!line.subarray(0, END.length).equals(END)) return false;
  if (line.subarray(END.length, END.length + COMPLETE.length).equals(COMPLETE)) return true;
  throw new InputError("its last line says that it isn't complete: get it again");
}

/** Nearly every event begins with its id, so most lines needn't be parsed. */
const FIRST_ID = Buffer.from('{"id":"');

function hasId(line: Buffer): boolean {
  return line.length > FIRST_ID.length && line.compare(FIRST_ID, 0, FIRST_ID.length, 0, FIRST_ID.length) === 0;
}

async function withId(line: Buffer, index: number, key: () => Promise<string>): Promise<Buffer> {
  const text = line.toString("utf8");
  return lacksId(text) ? Buffer.from(`${putId(text, `${await key()}/${index}`)}\n`) : line;
}
