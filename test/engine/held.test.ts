/** LOG6: what may fill the memory of an isolate, in a process with 128 MB of heap, by the bytes that are really held. */
import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const RUN = path.join(import.meta.dirname, "../bench/held/run.ts");
const MB = 1_000_000;

it("replies, refusals, a burst of ids and a JSON array stay within their bounds", async () => {
  const flags = ["--expose-gc", "--max-old-space-size=128", RUN];
  const { stdout } = await promisify(execFile)(process.execPath, flags);
  const held = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { what: string; peakBytes: number });
  const most = [90, 95, 50, 50];
  expect(held).toHaveLength(most.length);
  held.forEach(({ what, peakBytes }, i) => expect(peakBytes / MB, what).toBeLessThan(most[i]!));
}, 600_000);
