/** CODE2: how an operator was placed, from what is left; what doesn't agree gives none. */
import { describe, expect, it } from "vitest";
import { deducePlacement, type Hint } from "../../../src/engine/operator/lost-placement.ts";

const hint = (partition: number, more: Partial<Hint> = {}): Hint => ({
  from: `manifest of ${partition}`,
  partition,
  seed: 7,
  partitions: 4,
  database: "LOG_0",
  ...more,
});
const BOUND = ["LOG_0", "LOG_1"];

describe("a placement", () => {
  it("follows from one manifest; partitions that left nothing go round the databases", () => {
    expect(deducePlacement("op", [hint(3)], BOUND)).toEqual({
      tag: "placed",
      placement: {
        operator: "op",
        partitions: 4,
        hash: "kf1",
        seed: 7,
        databases: ["LOG_0", "LOG_1", "LOG_0", "LOG_0"],
      },
    });
  });

  it("a row that is still there says where its partition lives, but not how many there are", () => {
    const row = hint(0, { from: "a row", partitions: null, database: "LOG_1" });
    expect(deducePlacement("op", [row, hint(1)], BOUND)).toMatchObject({
      placement: { partitions: 4, databases: ["LOG_1", "LOG_0", "LOG_0", "LOG_1"] },
    });
    expect(deducePlacement("op", [row], BOUND)).toEqual({
      tag: "unclear",
      why: "nothing says how many partitions there were",
    });
  });

  it.each<[string, readonly Hint[], RegExp]>([
    ["no manifest at all", [], /nothing says how many/],
    ["one of older code", [hint(0), hint(1, { seed: null, database: null })], /manifest of 1 doesn't say/],
    ["two seeds", [hint(0), hint(1, { seed: 8 })], /manifest of 0 says 7, manifest of 1 says 8, two seeds/],
    ["two numbers of partitions", [hint(0), hint(1, { partitions: 8 })], /two numbers of partitions/],
    ["a partition beyond the number", [hint(4)], /partition 4 of 4/],
    ["a row elsewhere", [hint(0), hint(0, { from: "a row", database: "LOG_1" })], /LOG_0, a row says LOG_1/],
    ["a database that isn't bound", [hint(0, { database: "LOG_2" })], /LOG_2, which isn't bound/],
  ])("%s gives none, and the reason", (_, hints, why) => {
    const deduced = deducePlacement("op", hints, BOUND);
    expect(deduced.tag === "unclear" && deduced.why).toMatch(why);
  });
});
