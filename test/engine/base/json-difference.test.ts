/** The first place at which two JSON values differ. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { jsonDifference } from "../../../src/engine/base/json-difference.ts";
import { runs } from "../hostile.ts";

const same = (value: unknown): unknown => JSON.parse(JSON.stringify(value)) as unknown;

/** The value with its members in another order. */
function turned(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(turned);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([name, member]) => [name, turned(member)]),
  );
}

it("finds nothing between equal values, in whatever order their members stand, and something between others", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
      expect(jsonDifference(same(a), turned(same(a)))).toBeNull();
      expect(jsonDifference(same(a), same(b)) === null).toBe(
        JSON.stringify(turned(sorted(a))) === JSON.stringify(turned(sorted(b))),
      );
    }),
    runs(300),
  );
});

/** The value with its members in the order of their names. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(members.map(([name, member]) => [name, sorted(member)]));
}

it.each([
  [1, 2, { path: "", a: 1, b: 2 }],
  [{ a: [1, { b: 2 }] }, { a: [1, { b: 3 }] }, { path: "/a/1/b", a: 2, b: 3 }],
  [{ "a/b~": 1 }, {}, { path: "/a~1b~0", a: 1, b: undefined }],
  [{ a: null }, {}, { path: "/a", a: null, b: undefined }],
  [[], {}, { path: "", a: [], b: {} }],
  [{ x: [1] }, { x: [1, 2] }, { path: "/x/1", a: undefined, b: 2 }],
  [{}, JSON.parse('{"__proto__":1}') as object, { path: "/__proto__", a: undefined, b: 1 }],
])("%j and %j differ at %j", (a, b, found) => {
  expect(jsonDifference(a, b)).toEqual(found);
});
