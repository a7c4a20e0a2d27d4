/**
 * Watching a key: an iterator over the server-sent events of `GET /v1/operators/{op}/watch?key=`.
 *
 * WATCH1. A connection that ends is opened again, after a pause with backoff. A value that was given isn't given again.
 *     A connection that is silent for longer than the server ever is counts as ended.
 * WATCH2. The signal ends the iterator without an error, and so does leaving the loop. A lasting failure is thrown.
 */
import { EventStream, type Message } from "./event-stream.ts";
import { keyframeErrorOf, lacking, passes } from "./answer.ts";
import { WATCHED } from "./holds.ts";
import { whyOf, type Http } from "./http.ts";
import { KeyframeError } from "./keyframe-error.ts";
import type { Patience } from "./patience.ts";
import { StreamedAnswer } from "./streamed.ts";

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
      const link = new Link(target, lastId);
      for await (const data of link.messages(stop.signal)) {
        if (data !== given) yield valueOf<State>(data);
        given = data;
      }
      if (stop.signal.aborted) return;
      lastId = link.stream.lastId ?? lastId;
      const { heard, end } = link.answer;
      if (heard) patience.progress();
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
  readonly answer: StreamedAnswer;

  constructor({ http, path }: WatchTarget, lastId: string | null) {
    const headers: Record<string, string> = { accept: STREAM };
    if (lastId !== null) headers["last-event-id"] = lastId;
    this.answer = new StreamedAnswer(http, { method: "GET", path, headers }, STREAM, SILENCE_MS);
  }

  /** Yields the data of each message. When the messages end, the answer has the reason. */
  async *messages(stop: AbortSignal): AsyncGenerator<string, void> {
    for await (const text of this.answer.texts(stop)) {
      let messages: readonly Message[];
      try {
        messages = this.stream.push(text);
      } catch (error) {
        this.answer.end = { tag: "none", why: whyOf(error), unsent: false };
        return;
      }
      for (const { data } of messages) yield data;
    }
  }
}

const STREAM = "text/event-stream";

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
