/*
 * The minimum that a sender and a reader of events must do: fetch, and a rule for retries.
 *
 * 1. No answer and 503 mean the same to a sender: the events may be in the log. Send them again; events that are there
 *    count as duplicates.
 * 2. Any other answer than 2xx is an error here, with the answer's text.
 */
import { setTimeout as sleep } from "node:timers/promises";

export interface BatchAnswer {
  received: number;
  accepted: number;
  duplicates: number;
  refused: number;
  rejected: number;
  quarantined: number;
  unrouted: number;
  through: number;
  errors: { index: number; id?: string; code: string; message: string }[];
}

interface Feed {
  /** Asked for every request, since a restarted app may have another address. */
  url: () => string;
  /** Of every request, such as `?timeline=fix`. */
  query?: string;
  chunks: string[][];
  /** Requests at a time. */
  lanes: number;
  onAnswer: (answer: BatchAnswer, chunk: string[]) => void | Promise<void>;
  /** Runs before a chunk is sent again. */
  beforeRetry: () => Promise<void>;
}

/** The server answers within 30 s, whatever happens. */
const REQUEST_TIMEOUT_MS = 35_000;
/** With the pause before each attempt, more than a minute. No restart takes that long. */
const MAX_ATTEMPTS = 600;
const RETRY_PAUSE_MS = 100;
const PAGE = 100;
const MAX_PAGES = 10_000;

/** Sends every chunk until it is answered. Each lane takes the next chunk when its last one is answered. */
export async function sendAll(feed: Feed): Promise<void> {
  const chunks = feed.chunks.values();
  const lane = async (): Promise<void> => {
    // The lanes share one iterator: each chunk goes to one of them.
    for (const chunk of chunks) {
      const { answer } = await sendUntilAnswered(feed.url, chunk, feed.beforeRetry, feed.query);
      await feed.onAnswer(answer, chunk);
    }
  };
  await Promise.all(Array.from({ length: feed.lanes }, lane));
}

/** `attempts` is 1 if the first attempt was answered. */
async function sendUntilAnswered(
  url: () => string,
  chunk: string[],
  beforeRetry: () => Promise<void>,
  query = "",
): Promise<{ answer: BatchAnswer; attempts: number }> {
  for (let attempts = 1; attempts <= MAX_ATTEMPTS; attempts++) {
    const answer = await postLines(url(), chunk, query);
    if (answer !== null) return { answer, attempts };
    await beforeRetry();
    await sleep(RETRY_PAUSE_MS);
  }
  throw new Error(`no answer after ${MAX_ATTEMPTS} attempts`);
}

export function splitInto<T>(items: T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
}

/** Returns null if the lines must be sent again. */
export async function postLines(url: string, lines: string[], query = ""): Promise<BatchAnswer | null> {
  const body = lines.join("\n");
  const headers = { "content-type": "application/x-ndjson" };
  return (await requestJson(`${url}/v1/events${query}`, { method: "POST", headers, body })) as BatchAnswer | null;
}

/** Returns null if the request must be sent again. */
export async function getJson(url: string): Promise<unknown> {
  return requestJson(url, {});
}

export async function postEmpty(url: string): Promise<unknown> {
  return requestJson(url, { method: "POST", headers: { "content-type": "application/json" } });
}

/** For reads of an app that may be starting. */
export async function getUntilAnswered(url: string): Promise<unknown> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const answer = await getJson(url);
    if (answer !== null) return answer;
    await sleep(RETRY_PAUSE_MS);
  }
  throw new Error(`no answer from ${url}`);
}

/** Every key of an operator with its value, on a timeline. */
export async function readAllStates(url: string, operator: string, timeline = "main"): Promise<Map<string, unknown>> {
  const states = new Map<string, unknown>();
  let cursor: string | undefined;
  for (let page = 0; page < MAX_PAGES; page++) {
    const query = new URLSearchParams({ limit: String(PAGE), timeline, ...(cursor === undefined ? {} : { cursor }) });
    const answer = (await getUntilAnswered(`${url}/v1/operators/${operator}/state?${query.toString()}`)) as StatePage;
    for (const { key, value } of answer.items) {
      if (states.has(key)) throw new Error(`key ${key} is listed twice`);
      states.set(key, value);
    }
    cursor = answer.cursor;
    if (cursor === undefined) return states;
  }
  throw new Error(`more than ${MAX_PAGES} pages of state`);
}

interface StatePage {
  items: { key: string; value: unknown }[];
  cursor?: string;
}

async function requestJson(url: string, init: RequestInit): Promise<unknown> {
  const answer = await exchange(url, init);
  if (answer === null || answer.status === 503) return null;
  if (!answer.ok) throw new Error(`${init.method ?? "GET"} ${url} answered ${answer.status}: ${answer.text}`);
  return JSON.parse(answer.text) as unknown;
}

/** One request and its whole answer. Returns null if there was no answer. */
export async function exchange(
  url: string,
  init: RequestInit,
): Promise<{ status: number; ok: boolean; text: string } | null> {
  try {
    const timeout = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
    const signal = init.signal ? AbortSignal.any([init.signal, timeout]) : timeout;
    const response = await fetch(url, { ...init, signal });
    return { status: response.status, ok: response.ok, text: await response.text() };
  } catch {
    return null;
  }
}
