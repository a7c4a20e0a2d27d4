/** IN2: keys in the order of their UTF-8 bytes, however many there are. */
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { sortByKey } from "../../../src/engine/base/key-order.ts";

const sorted = (keys: readonly string[]): { keys: string[]; steps: number } => {
  const work = sortByKey(keys.map((key, i) => [key, i] as const));
  for (let steps = 0; ; steps++) {
    const { done, value } = work.next();
    if (done !== true) continue;
    for (const [key, i] of value) expect(keys[i]).toBe(key);
    return { keys: value.map(([key]) => key), steps };
  }
};
const byBytes = (keys: readonly string[]): string[] =>
  [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));

it("a few keys of any kind", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.string({ unit: "grapheme" })), (keys) => {
      expect(sorted(keys)).toEqual({ keys: byBytes(keys), steps: 0 });
    }),
  );
});

it.each([
  ["plain", ""],
  ["beyond U+FFFF among them", "\u{1f600}"],
])("SNAP1: very many keys, %s, in steps of a few thousand", (_, odd) => {
  let state = 1;
  const keys = Array.from({ length: 50_003 }, (__, i) => {
    state = (state * 48_271) % 2_147_483_647;
    return `${i % 1_000 === 0 ? odd : ""}\uffee${state.toString(36)}`.slice(i % 2);
  });
  const all = [...new Set(keys)];
  const { keys: found, steps } = sorted(all);
  expect(found).toEqual(byBytes(all));
  expect(steps).toBeGreaterThan(15);
});

it("none", () => {
  expect(sorted([])).toEqual({ keys: [], steps: 0 });
});
