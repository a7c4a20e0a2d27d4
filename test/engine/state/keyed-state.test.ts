/** The committed state against a naive model: order, prefixes, sizes, captures. */
import { Buffer } from "node:buffer";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { seq, stamp } from "../../../src/engine/base/ids.ts";
import { put, remove } from "../fakes/change.ts";
import { KeyedState } from "../../../src/engine/state/keyed-state.ts";

const entry = (text: string) => ({ text, seq: seq(1), stamp: stamp(1) });
const keys = fc.oneof(
  fc.string({ unit: "grapheme", minLength: 1, maxLength: 4 }),
  fc.constantFrom("__proto__", "..", "a//b", "a", "ab", "\u{10000}", "\uffff", "\ue000"),
);
const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

describe("keyed state", () => {
  it("IN2: scans in the order of UTF-8 bytes, by prefix and above a key", () => {
    const changes = fc.array(fc.tuple(keys, fc.boolean()), { maxLength: 40 });
    fc.assert(
      fc.property(changes, fc.oneof(fc.constant(""), keys), fc.oneof(fc.constant(""), keys), (list, prefix, after) => {
        const state = new KeyedState();
        const model = new Map<string, string>();
        for (const [key, there] of list) {
          if (there) put(state, key, entry(`"${key.length}"`));
          else remove(state, key, seq(2));
          if (there) model.set(key, `"${key.length}"`);
          else model.delete(key);
        }
        const expected = [...model.keys()]
          .filter((key) => key.startsWith(prefix) && (after === "" || byBytes(key, after) > 0))
          .sort(byBytes);
        expect(state.overlay(prefix, after).map(([key]) => key)).toEqual(expected);
        expect(state.keys).toBe(model.size);
        expect(state.size).toBe([...model].reduce((sum, [key, text]) => sum + key.length + text.length, 0));
      }),
      { numRuns: 300 },
    );
  });

  it("SNAP1: a capture doesn't see what comes after it", () => {
    const state = new KeyedState();
    put(state, "b", entry("1"));
    put(state, "a", entry("2"));
    const captured = state.capture(seq(0), true);
    put(state, "a", entry("3"));
    put(state, "c", entry("4"));
    remove(state, "b", seq(2));
    expect(Object.fromEntries(captured.map(([key, found]) => [key, found?.text]))).toEqual({ a: "2", b: "1" });
  });
});
