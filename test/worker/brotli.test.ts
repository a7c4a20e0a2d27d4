/** SNAP3: the codec in the runtime gives back what it wrote, and never more than a file of ours can hold. */
import { expect, it } from "vitest";
import { brotli } from "../../src/adapters/brotli.ts";
import { UNPACKED_BYTES } from "../../src/engine/limits.ts";

it("gives back what it compressed and packed", () => {
  const text = "é😀\n".repeat(1_000);
  expect(brotli.decompress(brotli.compress(text))).toBe(text);
  expect(brotli.decompress(brotli.compressFast(text))).toBe(text);
  expect(brotli.unpack(brotli.pack(text))).toBe(text);
});

it("refuses what unpacks to more than it may", () => {
  const text = "x".repeat(UNPACKED_BYTES + 1);
  expect(() => brotli.decompress(brotli.compressFast(text))).toThrow();
  expect(() => brotli.unpack(brotli.pack(text))).toThrow();
});
