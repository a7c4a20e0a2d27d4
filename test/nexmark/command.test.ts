/** The options of the command, and the comparison of two results. */
import { describe, expect, it } from "vitest";
import { parseOptions } from "../../examples/nexmark/options.ts";
import { differences, linesOf } from "../../examples/nexmark/result.ts";

describe("the options", () => {
  it("name queries, and have the generator's names", () => {
    const options = parseOptions(["--query", "3,17", "--events", "10", "--out-of-order-ms", "5", "--kills", "2"]);
    expect(options.queries.map(({ number }) => number)).toEqual([3, 17]);
    expect(options.generator).toEqual({ events: 10, outOfOrderMs: 5 });
    expect(options.kills).toBe(2);
  });

  it.each([
    [["--query", "5"], /--query 5/],
    [[], /--query/],
    [["--query", "3", "--events", "many"], /--events many/],
    [["--query", "3", "--batch", "0"], /--batch 0/],
    [["--query", "3", "--bids", "1"], /--bids/],
  ])("refuse %j", (args, why) => {
    expect(() => parseOptions(args)).toThrow(why);
  });
});

describe("two results", () => {
  it("are compared line by line, in one order", () => {
    const [one, other] = [
      [{ n: 2 }, { n: 1 }],
      [{ n: 1 }, { n: 2 }],
    ];
    expect(differences(linesOf(one), linesOf(other), 10)).toEqual({ surplus: [], missing: [] });
  });

  it.each([
    [["a", "b"], ["a"], { surplus: ["b"], missing: [] }],
    [["a"], ["a", "a"], { surplus: [], missing: ["a"] }],
    [["b", "d"], ["a", "c", "d"], { surplus: ["b"], missing: ["a", "c"] }],
    [["a", "b", "c"], [], { surplus: ["a", "b"], missing: [] }],
  ])("%j differs from %j", (found, expected, shown) => {
    expect(differences(found, expected, Math.max(2, expected.length))).toEqual(shown);
  });
});
