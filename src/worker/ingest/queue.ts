/**
 * Events from a Cloudflare Queue. A message's body is an event, or an array of events, in the JSON of `POST /v1/events`
 * (CloudEvents too): as a value, as text, or as bytes.
 *
 * QUEUE1. A message is acknowledged when all its events are decided: every event that counts is durable then. Else the
 *     message is retried. The delay follows the store's trouble, and grows. The platform gives up a message after a
 *     number of retries, so the retries must outlast an outage. Events that were taken already count as duplicates.
 * QUEUE2. A refused or rejected event is decided: each retry would get the same answer, and delay other messages until
 *     the queue gives up. So its message is acknowledged and noted. A message is retried only if an event's key has a
 *     state that can't be migrated: the event counts as soon as fixed code is deployed.
 * QUEUE3. Queues deliver at least once. An event without an id gets the message's id, which is the same at every
 *     delivery.
 * QUEUE4. Events go to main. A message may wait for days, and nobody waits for its answer. A timeline that it named could
 *     be removed or promoted by then.
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
/**
 * With the hundred retries that the platform allows, this delay outlasts the four days for which it keeps a message.
 */
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
  await intake.take(messages.map(({ texts }) => ({ lines: texts })));
  settle(batch, messages, intake);
}

interface Opened {
  readonly message: Message;
  readonly texts: readonly string[];
}

/** Returns the texts of a message's events. A body that isn't JSON is passed on as it is, and rejected as malformed. */
function opened(message: Message): Opened {
  return { message, texts: textsOf(message.body) };
}

function textsOf(body: unknown): string[] {
  const given = body instanceof ArrayBuffer || ArrayBuffer.isView(body) ? new TextDecoder().decode(body) : body;
  if (typeof given !== "string") return eventTexts(given);
  // Parse only arrays: a single event is logged in the sender's own text.
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
    // If a fixed migration is deployed, the event counts.
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
  // QUEUE2. The line names messages and codes. Event contents, ids included, must not reach the log.
  const first = errors.slice(0, NOTED).map(({ index, code }) => `${code} in ${messageAt(messages, index)}`);
  note("events of the queue don't count", {
    queue,
    refused: counts.refused,
    rejected: counts.rejected,
    first: first.join(", "),
  });
}

const NOTED = 5;

/** Returns the platform's id of the message that has the event. */
function messageAt(messages: readonly Opened[], index: number): string {
  let first = 0;
  const found = messages.find(({ texts }) => index < (first += texts.length));
  return found?.message.id ?? "no message";
}
