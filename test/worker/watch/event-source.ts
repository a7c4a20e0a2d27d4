/**
 * A reader of `GET …/watch` as a client is one: it takes what comes, and can be waited for. The app is called within
 * the test's own request: between requests promises don't pass here, since the pool switches that off
 * (no_handle_cross_request_promise_resolution). Watchers of several requests are for test/e2e/watch.test.ts.
 */
import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect } from "vitest";
import { EventStream } from "../../../src/client/event-stream.ts";
import app from "../app.ts";
import { BASE } from "../http.ts";

export interface Seen {
  readonly key: string;
  readonly value: unknown;
  readonly seq: number | null;
}

export const watchPath = (operator: string, key: string): string =>
  `/v1/operators/${operator}/watch?key=${encodeURIComponent(key)}`;

export class EventSource {
  readonly stream = new EventStream();
  readonly headers: Headers;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  readonly #seen: Seen[] = [];
  /** Everything as it came. */
  raw = "";

  constructor(response: Response) {
    this.headers = response.headers;
    this.#reader = (response.body as ReadableStream<Uint8Array>).getReader();
  }

  static async open(operator: string, key: string, headers: Record<string, string> = {}): Promise<EventSource> {
    const request = new Request(`${BASE}${watchPath(operator, key)}`, { headers });
    const response = await app.fetch(request, env, createExecutionContext());
    if (response.status !== 200) expect.fail(`${response.status}: ${await response.text()}`);
    return new EventSource(response);
  }

  /** The next message. */
  async next(): Promise<Seen> {
    while (this.#seen.length === 0) {
      const { done, value } = await this.#reader.read();
      if (done) throw new Error("the stream ended");
      const text = this.#decoder.decode(value, { stream: true });
      this.raw += text;
      this.#seen.push(...this.stream.push(text).map(({ data }) => JSON.parse(data) as Seen));
    }
    return this.#seen.shift()!;
  }

  /** The messages up to the one that has the value. */
  async until(value: unknown): Promise<Seen[]> {
    const seen: Seen[] = [];
    do seen.push(await this.next());
    while (JSON.stringify(seen.at(-1)!.value) !== JSON.stringify(value));
    return seen;
  }

  close(): Promise<void> {
    return this.#reader.cancel();
  }
}
