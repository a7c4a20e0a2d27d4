/** LOG6: what may fill the memory of an isolate, in a process with 128 MB of heap, by the bytes that are really held. */
import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const RUN = path.join(import.meta.dirname, "../bench/held/run.ts");
const MB = 1_000_000;

it("replies, refusals, a burst of ids, a JSON array and an unpacked line stay within their bounds", async () => {
  const flags = ["--expose-gc", "--max-old-space-size=128", RUN];
  const { stdout } = await promisify(execFile)(process.execPath, flags);
  const held = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { what: string; peakBytes: number; boundBytes: number });
  expect(held).toHaveLength(5);
  for (const { what, peakBytes, boundBytes } of held) {
    expect(boundBytes, what).toBeLessThan(128 * MB);
    expect(peakBytes, what).toBeLessThan(boundBytes);
  }
}, 600_000);
