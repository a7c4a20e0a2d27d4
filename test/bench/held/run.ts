// Loads that fill the memory of an isolate, one after the other, in a process with its heap: prints a line of JSON for
// each with the most bytes that it held (peak.ts), beside what the measuring itself holds, and with the bound that
// test/engine/held.test.ts asserts.

import { Dedup } from "../../../src/engine/state/dedup.ts";
import { PRINT_WORDS } from "../../../src/engine/base/hash.ts";
import { seq } from "../../../src/engine/base/ids.ts";
import { ARRAY_EVENTS, PENDING_EVENTS, REQUEST_BYTES } from "../../../src/engine/base/limits.ts";
import { arrayElements, bodyBytes, bodyText, LineReader, type BodyError } from "../../../src/worker/http/body.ts";
import { heldBytes, Peak } from "./peak.ts";
import { createGzip } from "node:zlib";
import { Readable } from "node:stream";

const IDS = 500_000;
const DAY_MS = 86_400_000;
const BEGUN_MS = 1_700_000_000_000;

/** A table of ids, with an outcome for each or none; and a burst that waits for the log on top of a full horizon. */
class Ids {
  readonly dedup = new Dedup({ keepMs: DAY_MS, maxIds: IDS, repliesMs: DAY_MS });
  readonly #prints = new Uint32Array(PRINT_WORDS);
  #n = 0;

  add(count: number, outcome: ((n: number) => string) | null): void {
    for (let i = 0; i < count; i++) {
      const n = ++this.#n;
      this.#prints.set([Math.imul(n, 2_654_435_761) >>> 0, n, 1, 2, 3, 4]);
      if (this.dedup.find(this.#prints, 0).tag !== "new") throw new Error(`id ${n} is taken for a duplicate`);
      this.dedup.add(this.#prints, 0);
      if (outcome !== null) this.dedup.answer(seq(n), outcome(n));
    }
  }

  /** Committed in segments of 10,000, a minute each. */
  fill(outcome: ((n: number) => string) | null): void {
    for (let minute = 0; this.#n < IDS; minute++) {
      this.add(10_000, outcome);
      this.dedup.committed(seq(this.#n), BEGUN_MS + minute * 60_000);
    }
  }

  get last(): number {
    return this.#n;
  }
}

const MB = 1_000_000;

async function told(what: string, boundMb: number, act: (peak: Peak) => Promise<void> | void): Promise<void> {
  // Buffers of the one before go with the second look.
  for (let i = 0; i < 3; i++) {
    heldBytes();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const base = heldBytes();
  const peak = new Peak();
  await act(peak);
  peak.stop();
  console.log(JSON.stringify({ what, peakBytes: peak.bytes - base, boundBytes: boundMb * MB }));
}

const left = (n: number): number => (n * 7_919) % 100_000;
const captured = (peak: Peak, ids: Ids): void => {
  const image = ids.dedup.image(seq(ids.last), seq(0));
  peak.look();
  let count = 0;
  for (const _ of image.answers) count += 1;
  if (count === 0) throw new Error("nothing was kept");
};

await told("500,000 ids with a small reply each, and a full snapshot captured", 90, (peak) => {
  const ids = new Ids();
  ids.fill((n) => JSON.stringify(["a", { left: left(n) }]));
  captured(peak, ids);
});
await told("500,000 ids with a small refusal each, and a full snapshot captured", 95, (peak) => {
  const ids = new Ids();
  ids.fill((n) => JSON.stringify(["r", "insufficient_credits", { left: left(n) }]));
  captured(peak, ids);
});
await told("50,000 events that wait for the log, above 500,000 ids", 50, (peak) => {
  const ids = new Ids();
  ids.fill(null);
  ids.add(PENDING_EVENTS, null);
  peak.look();
});
await told("a JSON array of 8 MB, as much as a request may hold", 50, async (peak) => {
  const one = JSON.stringify({ type: "t", id: "x".repeat(36), data: { a: "y".repeat(500), b: "ключ" } });
  const chunk = new TextEncoder().encode(`${one},`.repeat(100));
  const times = Math.floor((REQUEST_BYTES - 1_000) / chunk.length);
  let sent = -1;
  const body = new ReadableStream<Uint8Array>({
    pull: (to) => {
      if (sent < 0) to.enqueue(new TextEncoder().encode("["));
      else if (sent < times) to.enqueue(chunk.slice());
      else {
        to.enqueue(new TextEncoder().encode(`${one}]`));
        to.close();
      }
      sent += 1;
    },
  });
  const request = new Request("http://x/", { method: "POST", body, duplex: "half" });
  const text = await bodyText(request, REQUEST_BYTES);
  peak.look();
  const elements = arrayElements(text, ARRAY_EVENTS);
  peak.look();
  if (elements?.length !== 100 * times + 1) throw new Error(`the array has ${elements?.length} elements`);
  for (const element of elements) JSON.parse(element);
});
function* pieces(count: number): Generator<Buffer> {
  for (let n = 0; n < count; n++) yield Buffer.alloc(MB, "x");
}

await told("a gzip body whose one line unpacks to 400 MB", 50, async (peak) => {
  const line = Readable.from(pieces(400));
  const body = Readable.toWeb(line.pipe(createGzip())) as ReadableStream<Uint8Array>;
  const headers = { "content-encoding": "gzip" };
  const request = new Request("http://x/", { method: "POST", headers, body, duplex: "half" });
  const lines = new LineReader();
  let refused = "";
  try {
    for await (const unpacked of bodyBytes(request, Number.POSITIVE_INFINITY)) {
      lines.push(unpacked);
      lines.overlong();
      peak.look();
    }
  } catch (error) {
    refused = (error as BodyError).code;
  }
  if (refused !== "gzip_bomb") throw new Error(`the body was not refused as a gzip bomb: ${refused}`);
});
