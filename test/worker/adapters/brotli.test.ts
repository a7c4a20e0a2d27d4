/** SNAP3: the codec in the runtime gives back what it wrote, and never more than a file of ours can hold. */
import { expect, it } from "vitest";
import { brotli } from "../../../src/adapters/brotli.ts";
import { UNPACKED_BYTES } from "../../../src/engine/base/limits.ts";

it("gives back what it compressed and packed", () => {
  const text = "é😀\n".repeat(1_000);
  expect(brotli.decompress(brotli.compress(text))).toBe(text);
  expect(brotli.decompress(brotli.compressFast(text))).toBe(text);
  expect(brotli.unpack(brotli.pack([text], 3 * text.length))).toBe(text);
});

it("refuses what unpacks to more than it may", () => {
  const text = "x".repeat(UNPACKED_BYTES + 1);
  expect(() => brotli.decompress(brotli.compressFast(text))).toThrow();
  expect(() => brotli.unpack(brotli.pack([text], 3 * text.length))).toThrow();
});

it("packs parts as it packs the text that they make, whatever is said of their bytes", () => {
  const parts = ["", "a".repeat(100_000), "ü€😀\ud800".repeat(30_000), "]", "€".repeat(200_000), "end"];
  const text = parts.join("");
  const packed = brotli.pack([text], 10_000_000);
  for (const bytes of [3 * text.length, 1_500_000, 100, 1_900_000]) expect(brotli.pack(parts, bytes)).toBe(packed);
  expect(brotli.pack(["short"], 100), "nothing of what was packed before").toBe(brotli.pack(["short"], 10_000_000));
});
