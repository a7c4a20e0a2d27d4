/** Where a key lives (CODE2), and what an event is recognised by (ONE1, ONE4). */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Content, Prints, pushPrint } from "../../../src/engine/event/fingerprint.ts";
import { hashGroup, PRINT_WORDS } from "../../../src/engine/base/hash.ts";
import { partitionOf } from "../../../src/engine/operator/key-placement.ts";

function contentOf(value: unknown, seed = 1): string {
  const content = new Content();
  content.start(seed);
  content.add(value);
  return `${content.a}/${content.b}`;
}

function printOf(source: string, id: string, value: unknown = null, seed = 1): number[] {
  const content = new Content();
  content.start(seed);
  content.add(value);
  const prints = new Prints(0);
  pushPrint(prints, source, id, content, seed);
  return [...prints.words()];
}

const who = (source: string, id: string, seed = 1): string => printOf(source, id, null, seed).slice(0, 4).join("/");

/** The same value with the members of every object in another order. */
function reordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reordered);
  if (typeof value !== "object" || value === null) return value;
  const members = Object.entries(value).map(([name, member]) => [name, reordered(member)] as const);
  return Object.fromEntries(members.toReversed());
}

describe("content", () => {
  it("ONE1: knows neither the order of members nor white space nor how a number is written", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const again = JSON.parse(JSON.stringify(reordered(value), null, 2)) as unknown;
        expect(contentOf(again)).toBe(contentOf(value));
      }),
      { numRuns: 500 },
    );
    expect(contentOf(JSON.parse('{"a":1.0,"b":1e2,"c":-0,"d":"A"}'))).toBe(
      contentOf(JSON.parse('{"d":"\\u0041","c":0,"b":100,"a":1}')),
    );
  });

  it("ONE4: differs where values differ", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
        const same = JSON.stringify(canonical(a)) === JSON.stringify(canonical(b));
        expect(contentOf(a) === contentOf(b)).toBe(same);
      }),
      { numRuns: 2_000 },
    );
  });

  it("ONE4: tells apart what looks alike", () => {
    const alike = [
      null,
      undefined,
      true,
      false,
      "",
      0,
      1,
      2,
      3,
      4,
      5,
      -1,
      0.5,
      1.5,
      2 ** 31,
      -(2 ** 31),
      2 ** 32,
      1e300,
      "0",
      "1",
      "null",
      "true",
      [],
      {},
      [[]],
      [null],
      [0],
      [[], []],
      [{}],
      { a: null },
      { "": 0 },
      [1, 2],
      [2, 1],
      [[1], 2],
      [1, [2]],
      [[1, 2]],
      [[1], [2]],
      ["ab", "c"],
      ["a", "bc"],
      ["abc"],
      ["abc", ""],
      {
        a: 1,
        b: 2,
      },
      {
        a: 2,
        b: 1,
      },
      { a: "b" },
      { b: "a" },
      { ab: "" },
      { a: { b: 1 } },
      {
        a: 1,
        c: { b: 2 },
      },
      {
        a: { x: 1 },
        b: { y: 2 },
      },
      {
        a: { y: 2 },
        b: { x: 1 },
      },
      {
        a: {
          x: 1,
          y: 2,
        },
        b: {},
      },
    ];
    expect(new Set(alike.map((value) => contentOf(value))).size).toBe(alike.length);
  });

  it("depends on the seed", () => {
    expect(contentOf("x", 1)).not.toBe(contentOf("x", 2));
  });
});

describe("prints", () => {
  it("has six words, and grows with what is pushed", () => {
    const prints = new Prints(1);
    const content = new Content();
    for (let i = 0; i < 50; i++) pushPrint(prints, "s", `${i}`, content, 1);
    const words = prints.words();
    expect(words.length).toBe(50 * PRINT_WORDS);
    for (let i = 0; i < 50; i++) {
      const alone = new Prints(1);
      pushPrint(alone, "s", `${i}`, content, 1);
      expect([...words.subarray(i * PRINT_WORDS, (i + 1) * PRINT_WORDS)]).toEqual([...alone.words()]);
    }
  });

  it("ONE4: the first four say who, the last two say what", () => {
    const [one, other] = [printOf("s", "i", { n: 1 }), printOf("s", "i", { n: 2 })];
    expect(one.slice(0, 4)).toEqual(other.slice(0, 4));
    expect(one.slice(4)).not.toEqual(other.slice(4));
    expect(printOf("s", "j", { n: 1 }).slice(4)).toEqual(one.slice(4));
  });

  it("ONE1: ('ab', 'c') is not ('a', 'bc')", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, unit: "grapheme" }), fc.nat(), fc.nat(), (text, a, b) => {
        const [i, j] = [a % (text.length + 1), b % (text.length + 1)];
        const same = who(text.slice(0, i), text.slice(i)) === who(text.slice(0, j), text.slice(j));
        expect(same).toBe(i === j);
      }),
      { numRuns: 1_000 },
    );
    const zeros = Array.from({ length: 40 }, (_, i) => who("\0".repeat(i), "\0".repeat(39 - i)));
    expect(new Set(zeros).size).toBe(40);
  });

  it("ONE1: no two of 200,000 ids of a counter share even 64 bits, in any pair of words", () => {
    const prints = new Prints(200_000);
    const content = new Content();
    for (let i = 0; i < 200_000; i++) pushPrint(prints, "/meter", `reading-${i}`, content, 0x9e3779b9);
    const words = prints.words();
    for (const [x, y] of [
      [0, 1],
      [2, 3],
      [0, 3],
    ] as const) {
      const seen = new Set<bigint>();
      for (let at = 0; at < words.length; at += PRINT_WORDS)
        seen.add((BigInt(words[at + x]!) << 32n) | BigInt(words[at + y]!));
      expect(seen.size).toBe(200_000);
    }
  });

  it("depends on the seed, in every word", () => {
    const [one, other] = [printOf("s", "i", "x", 1), printOf("s", "i", "x", 2)];
    for (let word = 0; word < PRINT_WORDS; word++) expect(one[word]).not.toBe(other[word]);
  });
});

describe("partitions", () => {
  it("CODE2: the hash of a group never changes", () => {
    expect([hashGroup("", 0), hashGroup("a", 0), hashGroup("customer-1", 7), hashGroup("ключ/😀", -1)]).toEqual(FIXED);
  });

  it("CODE2: doubling the number splits each partition in two", () => {
    fc.assert(
      fc.property(fc.nat(0xffff_ffff), fc.integer({ min: 1, max: 4_096 }), (hash, count) => {
        const at = partitionOf(hash, count);
        expect(at).toBeGreaterThanOrEqual(0);
        expect(at).toBeLessThan(count);
        expect(Math.floor(partitionOf(hash, 2 * count) / 2)).toBe(at);
      }),
    );
    expect(partitionOf(0xffff_ffff, 7)).toBe(6);
  });

  it.each([
    ["a counter", (i: number) => `${i}`],
    ["names with a counter in front", (i: number) => `${i}/meter`],
    ["names with a counter behind", (i: number) => `customer-${String(i).padStart(8, "0")}`],
    ["one letter more each", (i: number) => "x".repeat(i % 500) + Math.floor(i / 500)],
  ])("spreads %s evenly over ranges", (_, name) => {
    for (const count of [2, 7, 64]) {
      const found = new Float64Array(count);
      const total = 20_000;
      for (let i = 0; i < total; i++) found[partitionOf(hashGroup(name(i), 0x1234_5678), count)]! += 1;
      const expected = total / count;
      const chiSquare = found.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
      // Six standard deviations above the mean of the distribution.
      expect(chiSquare).toBeLessThan(count - 1 + 6 * Math.sqrt(2 * (count - 1)));
    }
  });
});

/** Of kf1. Another algorithm needs another name, since keys would move. */
const FIXED = [0, 3000242748, 1205673104, 3010383867];

/** Members sorted, so that equal contents have equal texts. */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== "object" || value === null) return value;
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return { members: members.map(([name, member]) => [name, canonical(member)]) };
}
