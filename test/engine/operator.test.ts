/** Definitions that can't work are refused where they are made, with a message that says what to change. */
import { z } from "zod";
import { describe, expect, it } from "vitest";
import { operator } from "../../src/engine/operator.ts";

/** A definition that works but for what `more` says, which the compiler would refuse. */
const make = (name: string, more: object = {}) => operator(name, { ...sound, ...more });

const sound = {
  version: 1,
  events: { tick: z.object({ n: z.int() }) },
  initial: () => ({ n: 0 }),
  on: { tick: (state: { n: number }) => void (state.n += 1) },
};

describe("operator", () => {
  it("has the defaults of the design", () => {
    expect(make("ticks")).toMatchObject({
      version: 1,
      partitions: 1,
      repliesMs: 0,
      dedup: { keepMs: 86_400_000, maxIds: 500_000 },
      snapshot: {
        everyMs: 300_000,
        recoveryMs: 1_000,
        maxTailBytes: 4_000_000,
        retain: { ageMs: 604_800_000, last: 0, hourly: 0, daily: 0 },
      },
    });
  });

  it("takes its key from partitionkey, else from subject", () => {
    const { key } = make("ticks");
    const event = { id: "1", source: "/", type: "tick", time: "", data: null };
    expect(key({ ...event, partitionkey: "p", subject: "s" })).toBe("p");
    expect(key({ ...event, subject: "s" })).toBe("s");
    expect(key(event)).toBeUndefined();
  });

  it.each<[string, () => unknown, RegExp]>([
    ["a name with a slash", () => make("a/b"), /a-z, 0-9 and -/],
    ["an empty name", () => make(""), /a-z, 0-9 and -/],
    ["version 0", () => make("a", { version: 0 }), /version must be a whole number from 1/],
    ["half a partition", () => make("a", { partitions: 0.5 }), /partitions must be a whole number/],
    ["a handler that is missing", () => make("a", { on: {} }), /no handler for event type "tick"/],
    [
      "a handler that only every object has",
      () => make("a", { events: { constructor: z.string() }, on: {} }),
      /no handler for event type "constructor"/,
    ],
    [
      "a handler without a schema",
      () => make("a", { on: { tick: () => undefined, tock: () => undefined } }),
      /handler for "tock"/,
    ],
    [
      "a reserved type",
      () => make("a", { events: { "keyframe.x": z.string() }, on: { "keyframe.x": () => undefined } }),
      /can't be an event type/,
    ],
    [
      "CODE3: a version without its migration",
      () => make("a", { version: 3, migrate: { 2: (old: object) => old } }),
      /version 3 needs a migrate entry for 3, .* write 3: \(old\) => old/,
    ],
    [
      "CODE3: a migration that is missing in between",
      () => make("a", { version: 3, migrate: { 3: (old: object) => old } }),
      /needs a migrate entry for 2/,
    ],
    ["CODE3: a raised version alone", () => make("a", { version: 2 }), /needs a migrate entry for 2/],
    [
      "a migration that is no function",
      () => make("a", { version: 2, migrate: { 2: {} } }),
      /needs a migrate entry for 2/,
    ],
    [
      "a migration to no version",
      () => make("a", { version: 2, migrate: { 2: (old: object) => old, next: (old: object) => old } }),
      /an entry for version next/,
    ],
    [
      "a migration beyond the version",
      () => make("a", { migrate: { 2: (old: object) => old } }),
      /versions go from 1 to 1/,
    ],
    ["a duration without unit", () => make("a", { dedup: { keep: "24" } }), /"24" is no duration/],
    ["an age without unit", () => make("a", { snapshot: { retain: { age: "7" } } }), /"7" is no duration/],
    ["no age", () => make("a", { snapshot: { retain: { last: 3 } } }), /needs an age, such as "7d"/],
    ["an age of nothing", () => make("a", { snapshot: { retain: "0d" } }), /"0d" is no age/],
    [
      "half a restore point",
      () => make("a", { snapshot: { retain: { age: "7d", last: 0.5 } } }),
      /retain\.last.*not 0\.5/,
    ],
    ["weeks", () => make("a", { snapshot: { retain: { age: "7d", weekly: 3 } } }), /no "weekly"; it has age, last/],
    [
      "more restore points than a row of D1 has room for",
      () => make("a", { snapshot: { retain: { age: "7d", hourly: 168, daily: 33 } } }),
      /asks for 201 restore points.*there may be 200/,
    ],
    ["no ids at all", () => make("a", { dedup: { maxIds: 0 } }), /maxIds/],
  ])("refuses %s", (_, define, message) => {
    expect(define).toThrow(message);
  });
});
