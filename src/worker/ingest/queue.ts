/**
 * Events from a Cloudflare Queue. A message's body is an event, or an array of events, in the JSON of `POST /v1/events`
 * (CloudEvents too): as a value, as text, or as bytes.
 *
 * QUEUE1. A message is acknowledged when all its events are decided: what counts is durable then. Else it is retried, after as
 *     long as the store's trouble says, and ever longer: the platform gives a message up after so many retries, so they must
 *     outlast an outage. What was taken already counts as duplicate.
 * QUEUE2. What is refused or rejected is decided: the same event would get the same answer for ever, and a retry would only go
 *     round until the queue gives up, in front of the others. So it is acknowledged, and noted. Only a message with an event whose
 *     key has a state that can't be migrated is retried: it counts as soon as mended code is there.
 * QUEUE3. Queues deliver at least once. An event without an id gets the message's: the same at every delivery.
 */
import { NAME_BYTES } from "../../engine/base/limits.ts";
import { exceeds } from "../../engine/base/json.ts";
import type { App, Routes } from "../app.ts";
import type { Env } from "../env.ts";
import { Intake } from "./intake.ts";
import { note } from "../note.ts";
import { postOf } from "./partition-client.ts";
import { MIGRATION_RETRY_SEC } from "../http/rejected-status.ts";
import { troubleOf } from "../trouble.ts";

const RETRY_SEC = 5;
/** With the hundred retries that the platform allows these outlast the four days for which it keeps a message. */
const MOST_RETRY_SEC = 3_600;

const retry = (message: Message, afterSec: number): void =>
  message.retry({
    delaySeconds: Math.min(MOST_RETRY_SEC, Math.max(1, afterSec) * 2 ** Math.min(12, message.attempts - 1)),
  });

export async function consume(app: App, env: Env, batch: MessageBatch): Promise<void> {
  let routes: Routes;
  try {
    routes = await app.routes(env);
  } catch (error) {
    const trouble = troubleOf(error);
    if (trouble === null) throw error;
    note("a batch of the queue waits", { queue: batch.queue, code: trouble.code, messages: batch.messages.length });
    for (const message of batch.messages) retry(message, RETRY_SEC);
    return;
  }
  const messages = batch.messages.map(opened);
  const intake = newIntake(env, routes, batch, messages);
  sending: for (const { texts } of messages)
    for (const text of texts) {
      intake.add(text);
      if (!intake.batchFull) continue;
      await intake.takeBatch()();
      if (intake.interruption !== null) break sending;
    }
  if (intake.interruption === null) await intake.takeBatch()();
  settle(batch, messages, intake);
}

interface Opened {
  readonly message: Message;
  readonly texts: readonly string[];
}

/** Texts of its events; one that is no JSON stays as it is, and is rejected as such. */
function opened(message: Message): Opened {
  return { message, texts: textsOf(message.body) };
}

function textsOf(body: unknown): string[] {
  const given = body instanceof ArrayBuffer || ArrayBuffer.isView(body) ? new TextDecoder().decode(body) : body;
  if (typeof given !== "string") return eventTexts(given);
  // Looked at for its brackets only: an event's own text is what is logged.
  if (!given.trimStart().startsWith("[")) return [given];
  try {
    return eventTexts(JSON.parse(given));
  } catch {
    return [given];
  }
}

function eventTexts(value: unknown): string[] {
  const events: unknown[] = Array.isArray(value) ? value : [value];
  return events.map((event) => {
    try {
      return JSON.stringify(event) ?? "";
    } catch {
      return "";
    }
  });
}

function newIntake(env: Env, routes: Routes, batch: MessageBatch, messages: readonly Opened[]): Intake {
  const receivedMs = Date.now();
  return new Intake({
    post: postOf(env),
    routes,
    only: null,
    defaults: { time: new Date(receivedMs).toISOString(), id: (index) => idAt(batch.queue, messages, index) },
    receivedMs,
    ignoreUnrouted: false,
    standard: false,
    full: false,
    producer: null,
  });
}

/** QUEUE3. */
function idAt(queue: string, messages: readonly Opened[], index: number): string {
  let first = 0;
  for (const { message, texts } of messages) {
    const id = `${queue}/${message.id}/${index - first}`;
    if (index < first + texts.length) return exceeds(id, NAME_BYTES) ? `${message.id}/${index - first}` : id;
    first += texts.length;
  }
  throw new Error(`no message has event ${index}`);
}

function settle(batch: MessageBatch, messages: readonly Opened[], intake: Intake): void {
  const { counts, errors, interruption } = intake;
  let last = 0;
  let waiting = 0;
  const kept = new Set(intake.waiting);
  for (const { message, texts } of messages) {
    last += texts.length;
    // A mended migration may come, and then the event counts.
    if (texts.some((_, i) => kept.has(last - texts.length + i))) {
      waiting += 1;
      retry(message, MIGRATION_RETRY_SEC);
      continue;
    }
    if (interruption === null || last <= counts.through) {
      message.ack();
      continue;
    }
    waiting += 1;
    retry(message, interruption.retryAfterSec);
  }
  const { queue } = batch;
  if (interruption !== null) note("messages of the queue wait", { queue, messages: waiting, code: interruption.code });
  if (counts.refused + counts.rejected === 0) return;
  // QUEUE2. Messages and codes say which; what is in the events, their ids included, doesn't belong into a log.
  const first = errors.slice(0, NOTED).map(({ index, code }) => `${code} in ${messageAt(messages, index)}`);
  note("events of the queue don't count", {
    queue,
    refused: counts.refused,
    rejected: counts.rejected,
    first: first.join(", "),
  });
}

const NOTED = 5;

/** The platform's id of the message that has the event. */
function messageAt(messages: readonly Opened[], index: number): string {
  let first = 0;
  const found = messages.find(({ texts }) => index < (first += texts.length));
  return found?.message.id ?? "no message";
}
