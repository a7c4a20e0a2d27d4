/**
 * `keyframe send FILE|-`: streams NDJSON, plain or gzip, into the app, as fast as that takes it.
 *
 * F1. One request at a time, in the order of the file, so that events of one key keep theirs. The next batch is read, cut and
 *     given its ids meanwhile: what the app waits for is its own log.
 * F2. Killed at any moment and started again it goes on after the last batch that was decided; at most one is repeated, and
 *     counts as duplicates, since lines without an id have the same one in every run.
 * F3. Results go to `out`, how far it is to `err`. 0: all decided and taken. 1: some were refused or rejected. 2: trouble.
 */
import { randomUUID } from "node:crypto";
import type { Readable } from "node:stream";
import { promisify } from "node:util";
import { gzip as zlibGzip } from "node:zlib";
import { systemClock } from "../client/clock.ts";
import { Http } from "../client/http.ts";
import { KeyframeError } from "../client/keyframe-error.ts";
import { Patience } from "../client/patience.ts";
import { sendBatch, type Pack } from "./send-batch.ts";
import { batches, BEGINNING, contentKey, InputError, openInput, type BatchSize, type Position } from "./send-input.ts";
import { readProgress, removeProgress, writeProgress } from "./send-progress.ts";
import { type Output, ProgressLine } from "./send-screen.ts";
import { NOTHING, plus, summaryText, type Summary } from "./send-summary.ts";

export interface SendOptions {
  /** `-`: standard input. */
  readonly file: string;
  readonly url: string;
  readonly token?: string;
  /** Where to write how far it is. Default: FILE.keyframe-progress; for standard input, nowhere. */
  readonly resumeFile?: string;
  /** What ids of lines without one are made of. Default: a digest of the file, so that the same file is the same events. */
  readonly idempotencyKey?: string;
  /** Pack the requests: for narrow lines to the app. */
  readonly gzip?: boolean;
  /** The summary as one JSON object. */
  readonly json?: boolean;
  readonly batch?: Partial<BatchSize>;
  /** How long to go on without progress. Default 10 minutes. */
  readonly patienceMs?: number;
  readonly stdin: Readable;
  readonly out: Output;
  readonly err: Output;
}

export type SendStatus = 0 | 1 | 2;

/** About four of the batches that the app makes of a request, so that it has the next at hand while one is being logged. */
const BATCH: BatchSize = { events: 20_000, bytes: 4_000_000 };
/** The app answers within 30 s of no progress; a slow line may take longer to bring a batch. */
const ATTEMPT_MS = 120_000;
const PATIENCE_MS = 600_000;
const RETRY = { firstMs: 200, mostMs: 15_000 };

const gzip = promisify(zlibGzip);

export async function send(options: SendOptions): Promise<SendStatus> {
  try {
    return await run(options);
  } catch (error) {
    const trouble = error instanceof InputError || error instanceof KeyframeError || "code" in (error as object);
    if (!trouble) throw error;
    options.err.write(`${options.file}: ${(error as Error).message}\n`);
    return 2;
  }
}

async function run(options: SendOptions): Promise<SendStatus> {
  const { file, url, err, out } = options;
  const http = new Http({
    url,
    token: options.token ?? null,
    fetch: (to, init) => fetch(to, init),
    clock: systemClock,
    attemptMs: ATTEMPT_MS,
  });
  const patience = (): Patience =>
    new Patience(systemClock, Math.random, { ...RETRY, overallMs: options.patienceMs ?? PATIENCE_MS });
  const pack: Pack = options.gzip === true ? (bytes) => gzip(bytes, { level: 1 }) : null;

  const resumeFile = options.resumeFile ?? (file === "-" ? null : `${file}.keyframe-progress`);
  const before = resumeFile === null ? null : await readProgress(resumeFile, url);
  let summary: Summary = before?.summary ?? NOTHING;
  let key = before?.key ?? null;
  const record = async (position: Position): Promise<void> => {
    if (resumeFile !== null)
      await writeProgress(resumeFile, { format: "keyframe-progress", version: 1, url, key, position, summary });
  };
  const keyOnce = async (): Promise<string> => (key ??= options.idempotencyKey ?? (await contentKey(file)));

  if (file === "-" && before === null) {
    // What comes from a pipe can't be read twice, so that this isn't found again: it must be there before the first request.
    key = options.idempotencyKey ?? randomUUID();
    await record(BEGINNING);
  }
  const sentBefore = summary.events;
  if (sentBefore > 0) err.write(`going on after ${sentBefore.toLocaleString("en-US")} events that were sent before\n`);
  const input = await openInput(file, options.stdin);
  const startMs = performance.now();
  let line: ProgressLine | null = null;
  try {
    for await (const { events, end, share } of ahead(
      batches(input, before?.position ?? BEGINNING, { ...BATCH, ...options.batch }, keyOnce),
    )) {
      line ??= new ProgressLine(err, startMs, sentBefore > 0 ? (share ?? 0) : 0);
      const outcome = await sendBatch(events, http, patience(), pack);
      summary = plus(summary, events.length, outcome);
      await record(end);
      line.show(summary.events, summary.events - sentBefore, share, performance.now());
    }
  } finally {
    input.close();
    line?.clear();
  }
  const seconds = (performance.now() - startMs) / 1_000;
  out.write(
    options.json === true
      ? `${JSON.stringify({ ...summary, sentBefore, seconds })}\n`
      : `${summaryText(summary, seconds, summary.events - sentBefore)}\n`,
  );
  if (resumeFile !== null) await removeProgress(resumeFile);
  return summary.refused + summary.rejected > 0 ? 1 : 0;
}

/** Makes the next one while this one is being used. */
async function* ahead<T>(items: AsyncGenerator<T>): AsyncGenerator<T> {
  let next = items.next();
  // Looked at when its turn comes; until then a failure isn't unhandled.
  next.catch(() => undefined);
  for (;;) {
    const { done, value } = await next;
    if (done) return;
    next = items.next();
    next.catch(() => undefined);
    yield value;
  }
}
