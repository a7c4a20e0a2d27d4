/**
 * LOG6, LOG5: after an outage of R2 as much log as a partition takes goes through its first snapshot in the memory of
 * an isolate.
 */
import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { TAIL_BYTES } from "../../../src/engine/base/limits.ts";

const RUN = path.join(import.meta.dirname, "../../bench/stores/full-tail.ts");
const MB = 1_000_000;

it("a full tail is opened, archived and opened again with 128 MB of heap, and few buffers beside it", async () => {
  const flags = ["--expose-gc", "--max-old-space-size=128", RUN];
  const { stdout } = await promisify(execFile)(process.execPath, flags, { maxBuffer: MB });
  const held = JSON.parse(stdout) as { peakBytes: number; boundBytes: number; buffers: number; archive: number };
  expect(held.archive).toBeGreaterThan(TAIL_BYTES / 4);
  expect(held.peakBytes, "heap and buffers that are reachable").toBeLessThan(held.boundBytes);
  expect(held.buffers, "with what is not collected yet").toBeLessThan(100 * MB);
}, 900_000);
