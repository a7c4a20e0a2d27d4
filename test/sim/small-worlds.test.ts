import { describe, expect, it } from "vitest";
import { explore } from "./exhaustive.ts";
import { smallWorld, STORIES } from "./small-world.ts";

describe("every small world", () => {
  it.each(STORIES)("has a call of every kind in it when nothing goes wrong: %s", async (story) => {
    const { calls, violations } = await smallWorld([], story);
    expect(violations).toEqual([]);
    expect(calls.length).toBeGreaterThanOrEqual(20);
    expect(calls).toEqual(
      expect.arrayContaining(["open", "list", "create", "append", "put", "page", "promote", "roots", "retain"]),
    );
  });

  it("LOG1, LOG2, ONE1, SNAP2: one crash, rival, late or lost call at any call to a store: nothing is lost, nothing counts twice", async () => {
    const { worlds, broken } = await explore(false);
    expect(broken).toEqual([]);
    expect(worlds).toBeGreaterThan(100);
  });

  // `npm run sim -- --small` takes every pair, in every story. 3 or 5 kinds of pairs stand in a row: with a step of 7
  // each kind meets each.
  it("LOG1, LOG2, ONE1, SNAP2: the same with any two crashes, and some other two of them, where events are all", async () => {
    const { worlds, broken } = await explore(true, { stories: ["events"], every: 7 });
    expect(broken).toEqual([]);
    expect(worlds).toBeGreaterThan(2_000);
  });
});
