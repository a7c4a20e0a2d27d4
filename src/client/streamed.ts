/** One answer that is a stream, read as it comes. A stream that is silent for too long counts as ended. */
import { judgeStream, type Call } from "./answer.ts";
import { whyOf, type Http } from "./http.ts";
import type { Failed } from "./patience.ts";

export class StreamedAnswer {
  /** Data came, so the answer was no failure. */
  heard = false;
  /** The reason why the texts ended. */
  end: Failed = { tag: "none", why: "the stream ended", unsent: false };
  readonly #http: Http;
  readonly #call: Call;
  readonly #mediaType: string;
  readonly #silenceMs: number;

  constructor(http: Http, call: Call, mediaType: string, silenceMs: number) {
    this.#http = http;
    this.#call = call;
    this.#mediaType = mediaType;
    this.#silenceMs = silenceMs;
  }

  /** Yields pieces of the text. Yields none if the answer isn't good. */
  async *texts(stop: AbortSignal): AsyncGenerator<string, void> {
    const http = this.#http;
    const quiet = new AbortController();
    const hush = (): (() => void) => http.clock.after(this.#silenceMs, () => quiet.abort());
    let cancel = hush();
    try {
      const response = await http.open(this.#call, AbortSignal.any([stop, quiet.signal]));
      const answer =
        response.status < 300
          ? judgeStream(this.#call, response, this.#mediaType)
          : await http.read(this.#call, response);
      if (answer !== null || response.body === null) {
        // A good answer is a stream.
        if (answer !== null && answer.tag !== "good") this.end = answer;
        return;
      }
      for await (const text of decoded(response.body)) {
        // The silence timer stops while the reader handles a text.
        cancel();
        this.heard = true;
        yield text;
        cancel = hush();
      }
    } catch (error) {
      const why = quiet.signal.aborted ? `no data arrived for ${this.#silenceMs} ms` : whyOf(error);
      this.end = { tag: "none", why, unsent: false };
    } finally {
      cancel();
    }
  }
}

async function* decoded(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
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
