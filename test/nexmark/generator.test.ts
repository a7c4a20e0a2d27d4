/** The generator gives the same bytes for the same options, and a delivery changes only order and multiplicity. */
import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { type GeneratorOptions, NexmarkGenerator } from "../../examples/nexmark/generator.ts";

function linesOf(options: Partial<GeneratorOptions>): string[] {
  const generator = new NexmarkGenerator(options);
  return generator.arrivals().map((number) => JSON.stringify(generator.event(number)));
}

const sha256 = (lines: readonly string[]): string =>
  createHash("sha256")
    .update(lines.map((line) => `${line}\n`).join(""))
    .digest("hex");

// Results that somebody has noted stay comparable as long as these hold.
test.each([
  [{ events: 5_000 }, "8ddf0baf28d7cbc0d0937303826175eaa66f3a04d3b7b972a51b9fb2190f23c6"],
  [
    { events: 5_000, seed: 7, outOfOrderMs: 4_000, duplicateProb: 0.1 },
    "3d15c2d1616fde59ac309021af482891b3fb3fa709d51026ff4b5d0776f577c4",
  ],
  [
    { events: 3_000, first: 20_000, seed: 3, rate: 10_000, lateProb: 0.05, outOfOrderMs: 500, delayProb: 0.5, pad: 0 },
    "7d73a3d8bea7c20be7cf6b81ae44631efb1e6af0f139ce5a35ac83c127405695",
  ],
])("%j gives the same bytes as ever", (options, expected) => {
  expect(sha256(linesOf(options))).toBe(expected);
});

test("a delivery out of order with duplicates has the same events", () => {
  const inOrder = linesOf({ events: 2_000 });
  const shuffled = linesOf({ events: 2_000, outOfOrderMs: 1_000, duplicateProb: 0.2 });
  expect(shuffled.length).toBeGreaterThan(2_200);
  expect([...new Set(shuffled)]).not.toEqual(inOrder);
  expect([...new Set(shuffled)].sort()).toEqual(inOrder.toSorted());
});
