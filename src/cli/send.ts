/**
 * `keyframe send FILE|-`: streams NDJSON, plain or gzip, into the app, as fast as the app takes it.
 *
 * SEND1. One request at a time, in the order of the file, so that events of one key keep their order. The next batch is
 *     read, cut and given its ids meanwhile, so that the app waits only for its own log.
 * SEND2. After a kill at any moment, the next run resumes after the last batch that was decided. At most one batch is
 *     sent again, and counts as duplicates: lines without an id get the same one in every run, even if the file has
 *     grown.
 * SEND3. Results go to `out`, progress to `err`. 0: all decided and accepted. 1: some were refused or rejected. 2:
 *     trouble.
 */
import { randomUUID } from "node:crypto";
import type { Readable } from "node:stream";
import { promisify } from "node:util";
import { gzip as zlibGzip } from "node:zlib";
import { systemClock } from "../client/clock.ts";
import { Http } from "../client/http.ts";
import { KeyframeError } from "../client/keyframe-error.ts";
import { withParam } from "../client/paths.ts";
import { Patience } from "../client/patience.ts";
import { hintFor, saidBy, stampToTell } from "./app.ts";
import { BatchSender, type BatchFailure, type Pack } from "./send-batch.ts";
import {
  batches,
  BEGINNING,
  ChangedError,
  contentKey,
  InputError,
  openInput,
  type BatchSize,
  type Mark,
  type Position,
} from "./send-input.ts";
import { ProgressFile, type Progress } from "./send-progress.ts";
import { ProgressLine, type Output } from "./send-screen.ts";
import { NO_EVENTS_SENT, plus, summaryText, type Summary } from "./send-summary.ts";
import { forTerminal } from "./text.ts";

export interface SendFileOptions {
  /** `-`: standard input. */
  readonly file: string;
  readonly url: string;
  readonly token?: string;
  /** Default: main. */
  readonly timeline?: string;
  /** The stamp above which events are stamped. The run says the one that it has heard of. */
  readonly after?: number;
  /** The file for progress. Default: FILE.keyframe-progress; for standard input, none. */
  readonly resumeFile?: string;
  /** The key for ids of lines without one. Default: a digest of the file, so that the same file is the same events. */
  readonly idempotencyKey?: string;
  /** Compresses the requests, for slow networks. */
  readonly gzip?: boolean;
  /** Prints the summary as one JSON object. */
  readonly json?: boolean;
  readonly batch?: Partial<BatchSize>;
  /** The time limit without progress. Default 10 minutes. */
  readonly patienceMs?: number;
  readonly stdin: Readable;
  readonly out: Output;
  readonly err: Output;
}

export type SendStatus = 0 | 1 | 2;

/**
 * About four of the batches that the app makes of a request, so that the app has the next one ready while it logs one.
 */
const BATCH: BatchSize = { events: 20_000, bytes: 4_000_000 };
/** The app answers within 30 s of no progress. A slow network may take longer to bring a batch. */
const ATTEMPT_MS = 120_000;
const PATIENCE_MS = 600_000;
const RETRY = { firstMs: 200, mostMs: 15_000 };

const gzip = promisify(zlibGzip);

export async function send(options: SendFileOptions): Promise<SendStatus> {
  const { file, err } = options;
  const resumeFile = options.resumeFile ?? (file === "-" ? null : `${file}.keyframe-progress`);
  try {
    return await run(options, resumeFile === null ? null : new ProgressFile(resumeFile, targetOf(options)));
  } catch (error) {
    const trouble = error instanceof InputError || error instanceof KeyframeError || "code" in (error as object);
    if (!trouble) throw error;
    const { message } = error as Error;
    const advice =
      error instanceof ChangedError && resumeFile !== null
        ? `; ${resumeFile} says what was sent. If this is another file, name another one with --resume-file`
        : "";
    err.write(`${shown(`${file}: ${message}${adviceOn(error)}${advice}`, err)}\n`);
    return 2;
  }
}

/** The address that the progress is bound to: another timeline has other events. */
const targetOf = ({ url, timeline }: SendFileOptions): string =>
  timeline === undefined ? url : withParam(url, "timeline", timeline);

/** The advice that follows an error's message. */
const adviceOn = (error: unknown): string =>
  error instanceof KeyframeError && error.status !== null
    ? hintFor({ status: error.status, code: error.code })
    : error instanceof KeyframeError && error.code === "no_answer"
      ? ". Is the app up (npx wrangler dev), and is --url or KEYFRAME_URL its address?"
      : "";

const shown = (text: string, { isTTY }: Output): string => (isTTY === true ? forTerminal(text) : text);

async function run(options: SendFileOptions, progress: ProgressFile | null): Promise<SendStatus> {
  const { file, err, out } = options;
  const before = (await progress?.read()) ?? null;
  const sentBefore = before?.summary.events ?? 0;
  if (sentBefore > 0) err.write(`resuming after ${sentBefore.toLocaleString("en-US")} events that were sent before\n`);
  const input = await openInput(file, options.stdin);
  const startMs = performance.now();
  const sending = new Sending(options, progress, before);
  try {
    await sending.all(input);
  } finally {
    input.close();
    sending.line.clear();
  }
  const { summary } = sending;
  if (summary.events === sentBefore && sentBefore > 0)
    err.write(`nothing to send: all of it was sent before, as ${progress?.path} says\n`);
  const seconds = (performance.now() - startMs) / 1_000;
  const text =
    options.json === true
      ? JSON.stringify({ ...summary, sentBefore, seconds })
      : summaryText(summary, seconds, summary.events - sentBefore);
  out.write(`${shown(text, out)}\n`);
  const next = stampToTell(options.after, sending.stamp);
  if (next !== null) err.write(`${next}\n`);
  return summary.refused + summary.rejected > 0 ? 1 : 0;
}

/** The sending of one file. */
class Sending {
  readonly line: ProgressLine;
  summary: Summary;
  readonly #options: SendFileOptions;
  readonly #progress: ProgressFile | null;
  readonly #before: Progress | null;
  readonly #sender: BatchSender;
  readonly #http: Http;
  #key: string | null;
  #position: Position;

  /** @throws InputError if earlier ids were made of another key */
  constructor(options: SendFileOptions, progress: ProgressFile | null, before: Progress | null) {
    const { idempotencyKey: wanted } = options;
    if (before?.key != null && wanted !== undefined && wanted !== before.key)
      throw new InputError(
        `${progress?.path} says that ids of its lines begin with ${JSON.stringify(before.key)}, not with ${JSON.stringify(wanted)}; omit --idempotency-key`,
      );
    this.#options = options;
    this.#progress = progress;
    this.#before = before;
    this.#key = before?.key ?? null;
    this.#position = before?.position ?? BEGINNING;
    this.summary = before?.summary ?? NO_EVENTS_SENT;
    this.line = new ProgressLine(options.err, performance.now());
    this.#http = httpOf(options);
    this.#sender = senderOf(this.#http, options, this.line);
  }

  /** The highest stamp that an answer has named. */
  get stamp(): number {
    return this.#http.heard;
  }

  async all(input: Awaited<ReturnType<typeof openInput>>): Promise<void> {
    const sentBefore = this.summary.events;
    const size = { ...BATCH, ...this.#options.batch };
    const key = (): Promise<string> => this.#keyOnce();
    for await (const { events, end, share } of ahead(
      batches(input, this.#position, size, key, this.#before?.sending ?? null),
    )) {
      this.line.begin(sentBefore > 0 ? (share ?? 0) : 0);
      await this.#record(end);
      const sent = await this.#sender.send(events);
      if (sent.tag === "failed") throw await this.#failed(sent);
      this.summary = plus(this.summary, events.length, sent);
      this.#position = end;
      await this.#record(null);
      this.line.show(this.summary.events, this.summary.events - sentBefore, share, performance.now());
    }
    // If all lines have ids of their own, nothing needs to be remembered (SENDPROGRESS3).
    if (this.#key === null) await this.#progress?.remove();
  }

  /** Makes the key once, and records it: a file that has grown keeps the ids of its lines. */
  async #keyOnce(): Promise<string> {
    const { file, idempotencyKey } = this.#options;
    return (this.#key ??= idempotencyKey ?? (file === "-" ? randomUUID() : await contentKey(file)));
  }

  async #record(sending: Mark | null): Promise<void> {
    const mark = sending === null ? null : { bytes: sending.bytes, sha256: sending.sha256 };
    await this.#progress?.write({ key: this.#key, position: this.#position, sending: mark, summary: this.summary });
  }

  /** Records a failure. Lines that are known not to count may change before the next run. */
  async #failed({ error, unknown }: BatchFailure): Promise<KeyframeError> {
    if (unknown) return error;
    // A key that was made for a pipe can't be made again, so keep it.
    if (this.#position.bytes === 0 && this.#options.file !== "-") await this.#progress?.remove();
    else await this.#record(null);
    return error;
  }
}

const httpOf = (options: SendFileOptions): Http =>
  new Http({
    url: options.url,
    token: options.token ?? null,
    timeline: options.timeline ?? null,
    after: options.after ?? null,
    fetch: (to, init) => fetch(to, init),
    clock: systemClock,
    attemptMs: ATTEMPT_MS,
  });

function senderOf(http: Http, options: SendFileOptions, line: ProgressLine): BatchSender {
  const { patienceMs = PATIENCE_MS } = options;
  const pack: Pack = options.gzip === true ? (bytes) => gzip(bytes, { level: 1 }) : null;
  return new BatchSender({
    http,
    pack,
    patience: () => new Patience(systemClock, Math.random, { ...RETRY, overallMs: patienceMs }),
    onWait: (failed) => line.waits(failed.tag === "none" ? `no answer: ${failed.why}` : saidBy(failed), patienceMs),
  });
}

/** Prepares the next item while the current one is used. */
async function* ahead<T>(items: AsyncGenerator<T>): AsyncGenerator<T> {
  let next = items.next();
  // The failure is thrown when the item's turn comes, and must not be unhandled until then.
  next.catch(() => undefined);
  for (;;) {
    const { done, value } = await next;
    if (done) return;
    next = items.next();
    next.catch(() => undefined);
    yield value;
  }
}
