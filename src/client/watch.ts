/**
 * Watching a key: an iterator over the server-sent events of `GET /v1/operators/{op}/watch?key=`.
 *
 * WATCH1. A connection that ends is opened again, after a pause with backoff. A value that was given isn't given again.
 *     A connection that is silent for longer than the server ever is counts as ended.
 * WATCH2. The signal ends the iterator without an error, and so does leaving the loop. A lasting failure is thrown.
 */
import { EventStream } from "./event-stream.ts";
import { keyframeErrorOf, judgeStream, lacking, passes, type Call } from "./answer.ts";
import { WATCHED } from "./holds.ts";
import { whyOf, type Http } from "./http.ts";
import { KeyframeError } from "./keyframe-error.ts";
import type { Failed, Patience } from "./patience.ts";

export interface Watched<State> {
  readonly key: string;
  /** Null if the key has no state. */
  readonly value: State | null;
  /** The seq of the event that changed the value, or null if none is known. */
  readonly seq: number | null;
}

export interface WatchOptions {
  readonly signal?: AbortSignal;
}

export interface WatchTarget {
  readonly http: Http;
  readonly patience: () => Patience;
  readonly path: string;
}

export async function* watchStates<State>(
  target: WatchTarget,
  { signal }: WatchOptions,
): AsyncGenerator<Watched<State>, void> {
  if (signal?.aborted) return;
  const stop = new AbortController();
  const abort = (): void => stop.abort();
  signal?.addEventListener("abort", abort);
  const patience = target.patience();
  let lastId: string | null = null;
  let given: string | null = null;
  try {
    while (!stop.signal.aborted) {
      const link = new Link(target, lastId, stop.signal);
      for await (const data of link.messages()) {
        if (data !== given) yield valueOf<State>(data);
        given = data;
      }
      if (stop.signal.aborted) return;
      lastId = link.stream.lastId ?? lastId;
      if (link.heard) patience.progress();
      const { end } = link;
      if (end.tag !== "none" && !passes(end)) throw keyframeErrorOf(end);
      await patience.wait(end, link.stream.retryMs ?? 0, stop.signal);
    }
  } finally {
    signal?.removeEventListener("abort", abort);
    stop.abort();
  }
}

/** The server sends a heartbeat each 20 s. */
const SILENCE_MS = 65_000;

/** One connection. */
class Link {
  readonly stream = new EventStream();
  /** The stream began, if only with heartbeats, so the connection was no failure. */
  heard = false;
  end: Failed = { tag: "none", why: "the stream ended", unsent: false };
  readonly #target: WatchTarget;
  readonly #lastId: string | null;
  readonly #signal: AbortSignal;

  constructor(target: WatchTarget, lastId: string | null, signal: AbortSignal) {
    this.#target = target;
    this.#lastId = lastId;
    this.#signal = signal;
  }

  /** Yields the data of each message. When the messages end, `end` has the reason. */
  async *messages(): AsyncGenerator<string, void> {
    const { http, path } = this.#target;
    const headers: Record<string, string> = { accept: "text/event-stream" };
    if (this.#lastId !== null) headers["last-event-id"] = this.#lastId;
    const quiet = new AbortController();
    const hush = (): (() => void) => http.clock.after(SILENCE_MS, () => quiet.abort());
    let cancel = hush();
    try {
      const signal = AbortSignal.any([this.#signal, quiet.signal]);
      const call: Call = { method: "GET", path, headers };
      const response = await http.open(call, signal);
      const answer = response.status < 300 ? judgeStream(call, response, STREAM) : await http.read(call, response);
      if (answer !== null || response.body === null) {
        // A good answer is a stream.
        if (answer !== null && answer.tag !== "good") this.end = answer;
        return;
      }
      for await (const chunk of texts(response.body)) {
        // The silence timer stops while the reader handles a message.
        cancel();
        this.heard = true;
        for (const { data } of this.stream.push(chunk)) yield data;
        cancel = hush();
      }
    } catch (error) {
      const why = quiet.signal.aborted ? `no data arrived for ${SILENCE_MS} ms` : whyOf(error);
      this.end = { tag: "none", why, unsent: false };
    } finally {
      cancel();
    }
  }
}

const STREAM = "text/event-stream";

async function* texts(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield decoder.decode(value, { stream: true });
    }
  } finally {
    // If the reader leaves the loop, close the connection.
    await reader.cancel().catch(() => undefined);
  }
}

function valueOf<State>(data: string): Watched<State> {
  let message: unknown;
  try {
    message = JSON.parse(data);
  } catch {
    throw new KeyframeError("unexpected_answer", `a message that isn't JSON: ${data.slice(0, 100)}`);
  }
  const flaw = lacking(WATCHED, message, "");
  if (flaw !== null) throw new KeyframeError("unexpected_answer", `a message that isn't Keyframe's: ${flaw}`);
  return message as Watched<State>;
}
