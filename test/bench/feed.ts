// One very long request: NDJSON lines made as they are sent, in a chunked body, never all in memory.

import { request } from "node:http";
import { Readable } from "node:stream";
import { line, seeded } from "./body.ts";

const LINES_A_CHUNK = 500;

export interface Feed {
  url: URL;
  lines: number;
  keys: number;
  /** Line n has key (from + n) modulo keys; default 0. */
  from?: number;
  /** Makes ids unique; line n has the id `{nonce}-{n}`. */
  nonce: string;
  onProgress?: (sentLines: number, sentBytes: number) => void;
}

export interface Fed {
  seconds: number;
  bytes: number;
}

/** Resolves when all lines are accepted, and throws if any was not. */
export async function feed(plan: Feed): Promise<Fed> {
  let bytes = 0;
  const onChunk = (sentLines: number, chunk: Buffer): void => {
    bytes += chunk.length;
    plan.onProgress?.(sentLines, bytes);
  };
  const start = performance.now();
  const lines = Readable.from(chunks(plan, onChunk), { highWaterMark: 2, objectMode: true });
  const answer = await post(plan, lines);
  const seconds = (performance.now() - start) / 1000;
  const accepted = answer.status === 200 ? (JSON.parse(answer.body) as { accepted: number }).accepted : 0;
  if (accepted !== plan.lines) {
    throw new Error(`a body of ${plan.lines} lines was answered ${answer.status} ${answer.body.slice(0, 400)}`);
  }
  return { seconds, bytes };
}

function* chunks(
  { lines, keys, nonce, from: first = 0 }: Feed,
  onChunk: (sentLines: number, chunk: Buffer) => void,
): Generator<Buffer> {
  const random = seeded(lines);
  for (let from = 0; from < lines; from += LINES_A_CHUNK) {
    const to = Math.min(from + LINES_A_CHUNK, lines);
    let text = "";
    for (let n = from; n < to; n += 1)
      text += line(`${nonce}-${String(n).padStart(12, "0")}`, (first + n) % keys, random);
    const chunk = Buffer.from(text, "latin1");
    onChunk(to, chunk);
    yield chunk;
  }
}

function post({ url }: Feed, body: Readable): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const headers = { "Content-Type": "application/x-ndjson" };
    const sending = request(new URL("/v1/events", url), { method: "POST", headers }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => (text += part));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body: text }));
      response.on("error", reject);
    });
    sending.on("error", reject);
    body.on("error", reject);
    body.pipe(sending);
  });
}
