/** A reader of `GET …/watch` as a client is one: it takes what comes, and can be waited for. */
import { expect } from "vitest";
import { EventStream } from "../../src/client/event-stream.ts";
import { fetchApp } from "./http.ts";

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
    const response = await fetchApp(watchPath(operator, key), { headers });
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
