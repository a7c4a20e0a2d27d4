/** SNAP8: a state is JSON that says the same when it is read back, or it is refused with the place of the flaw. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compareUtf8, copyJson, exceeds, inspectJson, toJson, utf8Length } from "../../../src/engine/base/json.ts";
import { STATE_DEPTH } from "../../../src/engine/base/limits.ts";

class Point {
  readonly x = 1;
}

const circle: Record<string, unknown> = {};
circle["self"] = circle;

function deep(levels: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < levels; i++) value = [value];
  return value;
}

const anyText = fc.string({ unit: "binary", maxLength: 40 });
/** UTF-16 code units at random: lone surrogates included. */
const units = fc
  .array(fc.oneof(fc.nat(0xffff), fc.integer({ min: 0xd7f0, max: 0xe00f }), fc.nat(0x80)), { maxLength: 12 })
  .map((codes) => String.fromCharCode(...codes));
const encoder = new TextEncoder();

describe("toJson", () => {
  it.each([
    ["NaN", { a: [1, NaN] }, "at .a[1]: NaN is not JSON"],
    ["Infinity", [-Infinity], "at [0]: -Infinity is not JSON"],
    ["a date", { at: new Date(0) }, "at .at: an object of class Date is not JSON"],
    ["a map", { m: new Map() }, "class Map"],
    ["a set", new Set(), "class Set"],
    ["bytes", { b: new Uint8Array(1) }, "class Uint8Array"],
    ["an instance", { p: new Point() }, "class Point"],
    ["a boxed number", [Object(1)], "class Number"],
    ["undefined", undefined, "type undefined"],
    ["undefined in a list", [undefined], "at [0]: a value of type undefined"],
    ["a hole in a list", Object.assign([1], { length: 2 }), "at [1]: a value of type undefined"],
    ["a bigint", { n: 1n }, "type bigint"],
    ["a symbol", [Symbol.iterator], "type symbol"],
    ["a function", { f: () => 1 }, "type function"],
    ["an object that writes itself", { toJSON: () => 1 }, "type function"],
    ["a circle", circle, "in a circle"],
    ["too deep a list", deep(STATE_DEPTH + 1), "nested deeper"],
  ])("refuses %s and says where", (_, value, why) => {
    const result = toJson(value);
    expect(result.tag === "not_json" && result.why).toContain(why);
  });

  it("takes what is as deep as allowed", () => {
    expect(toJson(deep(STATE_DEPTH)).tag).toBe("json");
  });

  it.each([
    ["-0", { a: -0 }],
    ["a member that is undefined", { a: undefined, b: 1 }],
    ["an object without prototype", { a: Object.assign(Object.create(null) as object, { b: 1 }) }],
  ])("says that %s is not read back as it was", (_, value) => {
    expect(toJson(value)).toMatchObject({ tag: "json", exact: false });
  });

  it("is exact for whatever JSON gives", () => {
    fc.assert(
      fc.property(fc.json({ stringUnit: "binary" }), (text) => {
        const value = JSON.parse(text) as unknown;
        const result = toJson(value);
        if (result.tag === "not_json") {
          expect(result.why).toMatch(/is an unsafe_integer/);
          return;
        }
        const back = JSON.parse(result.text) as unknown;
        if (result.exact) expect(back).toStrictEqual(value);
        else expect(text).toMatch(/-0/);
      }),
    );
  });

  it("is exact, or refuses, for whatever else there is", () => {
    const anything = fc.anything({
      withDate: true,
      withMap: true,
      withBigInt: true,
      withSparseArray: true,
      withNullPrototype: true,
    });
    fc.assert(
      fc.property(anything, (value) => {
        const result = toJson(value);
        if (result.tag === "json" && result.exact) expect(JSON.parse(result.text)).toStrictEqual(value);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("weight", () => {
  it("grows with the length of the text, in values and in names", () => {
    const { length } = "x".repeat(64_000);
    for (const value of ["x".repeat(length), [["x".repeat(length)]], { ["x".repeat(length)]: 1 }])
      expect(inspectJson(value).weight).toBeGreaterThanOrEqual(length / 64);
    expect(inspectJson(Array.from({ length: 100 }, () => 0)).weight).toBeGreaterThan(100);
  });
});

describe("copyJson", () => {
  it("is equal and shares nothing", () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        const value = JSON.parse(text) as unknown;
        const copy = copyJson(value);
        scribble(copy);
        expect(value).toStrictEqual(JSON.parse(text));
        expect(copyJson(value)).toStrictEqual(value);
      }),
    );
  });

  it("copies a member named __proto__ as a member", () => {
    const value = JSON.parse('{"__proto__":{"a":[1]},"b":1}') as Record<string, unknown>;
    const copy = copyJson(value) as Record<string, unknown>;
    expect(JSON.stringify(copy)).toBe(JSON.stringify(value));
    expect(Object.getPrototypeOf(copy)).toBe(Object.prototype);
    scribble(copy);
    expect(JSON.stringify(value)).toBe('{"__proto__":{"a":[1]},"b":1}');
  });
});

describe("UTF-8", () => {
  it("has the length that an encoder gives, lone surrogates included", () => {
    fc.assert(
      fc.property(fc.oneof(anyText, units), (text) => {
        const { length } = encoder.encode(text);
        expect(utf8Length(text)).toBe(length);
        for (const limit of [length - 1, length, length + 1]) expect(exceeds(text, limit)).toBe(length > limit);
      }),
      { numRuns: 1_000 },
    );
  });

  it("IN2: has an order, that of the bytes", () => {
    fc.assert(
      fc.property(anyText, anyText, (a, b) => {
        expect(Math.sign(compareUtf8(a, b))).toBe(Buffer.compare(encoder.encode(a), encoder.encode(b)));
      }),
      { numRuns: 1_000 },
    );
    expect(compareUtf8("\ufffd", "😀")).toBeLessThan(0);
    expect(compareUtf8("a", "ab")).toBeLessThan(0);
  });
});

/** Changes every object and list in a value. */
function scribble(value: unknown): void {
  if (typeof value !== "object" || value === null) return;
  for (const name of Object.keys(value)) scribble((value as Record<string, unknown>)[name]);
  if (Array.isArray(value)) value.push("scribble");
  else Object.defineProperty(value, "scribble", { value: 1, enumerable: true });
}
