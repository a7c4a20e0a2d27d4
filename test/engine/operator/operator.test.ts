/** Definitions that can't work are refused where they are made, with a message that says what to change. */
import { z } from "zod";
import { describe, expect, it } from "vitest";
import { DEDUP_IDS } from "../../../src/engine/base/limits.ts";
import { operator } from "../../../src/engine/operator/operator.ts";

/** A definition that works but for what `more` says, which the compiler would refuse. */
const make = (name: string, more: object = {}) => operator(name, { ...sound, ...more });

const sound = {
  version: 1,
  events: { tick: z.object({ n: z.int() }) },
  initial: () => ({ n: 0 }),
  on: { tick: (state: { n: number }) => void (state.n += 1) },
};

const timers = (n: number) => Object.fromEntries(Array.from({ length: n }, (_, i) => [`t${i}`, () => undefined]));

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

  it("has 16 timers with names of 63 letters, and an expiry", () => {
    const made = make("ticks", { timers: { ...timers(15), ["N-_9".padEnd(63, "n")]: () => undefined }, expire: "90m" });
    expect([made.timers.size, made.expireMs]).toEqual([16, 5_400_000]);
    expect([make("ticks").timers.size, make("ticks").expireMs]).toEqual([0, null]);
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
    ["a duration without unit", () => make("a", { dedup: { keep: "24" } }), /"24" isn't a duration/],
    ["an age without unit", () => make("a", { snapshot: { retain: { age: "7" } } }), /"7" isn't a duration/],
    ["no age", () => make("a", { snapshot: { retain: { last: 3 } } }), /needs an age, such as "7d"/],
    ["an age of nothing", () => make("a", { snapshot: { retain: "0d" } }), /retain: "0d" must be from 1ms to 36500d/],
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
    [
      "more ids than an isolate and a snapshot have room for",
      () => make("a", { dedup: { maxIds: DEDUP_IDS + 1 } }),
      /dedup\.maxIds must be at most 1000000, not 1000001/,
    ],
    ["ids that nobody keeps", () => make("a", { dedup: { keep: "0s" } }), /dedup\.keep: "0s" must be from 1ms/],
    [
      "a time beyond all dates",
      () => make("a", { dedup: { keep: `${"9".repeat(400)}d` } }),
      /must be from 1ms to 36500d/,
    ],
    ["replies that nobody keeps", () => make("a", { replies: { keep: "0ms" } }), /replies\.keep: "0ms"/],
    ["a recovery in no time", () => make("a", { snapshot: { recovery: "0s" } }), /snapshot\.recovery: "0s"/],
    ["snapshots all the time", () => make("a", { snapshot: { every: "0m" } }), /snapshot\.every: "0m"/],
    [
      "a tail that the log never has",
      () => make("a", { snapshot: { maxTailBytes: 256_000_001 } }),
      /snapshot\.maxTailBytes must be at most 256000000/,
    ],
    ["more memory than there is", () => make("a", { memory: 100_000_001 }), /memory must be at most 100000000/],
    ["half a byte", () => make("a", { memory: 0.5 }), /memory must be a whole number/],
    ["fewer keys than partitions", () => make("a", { partitions: 4, maxKeys: 3 }), /maxKeys is 3.* raise it to 4/],
    [
      "fewer events a day than partitions",
      () => make("a", { partitions: 4, maxEventsPerDay: 3 }),
      /maxEventsPerDay is 3.* raise it to 4/,
    ],
    [
      "a timer without a name",
      () => make("a", { timers: { "": () => undefined } }),
      /"" can't be a timer: a name is letters, digits, _ and -, and has at most 63 of them/,
    ],
    ["a timer's name with a space", () => make("a", { timers: { "a b": () => undefined } }), /"a b" can't be a timer/],
    [
      "a timer's name of 64 letters",
      () => make("a", { timers: { ["n".repeat(64)]: () => undefined } }),
      /can't be a timer/,
    ],
    ["a timer that is none", () => make("a", { timers: { soon: "30m" } }), /the timer "soon" must be a function/],
    ["timers that are none", () => make("a", { timers: "soon" }), /timers must be an object/],
    ["no timers", () => make("a", { timers: null }), /timers must be an object/],
    [
      "a timer that waits",
      () => make("a", { timers: { soon: async () => undefined } }),
      /the timer "soon" is an AsyncFunction; it must be a plain, synchronous function/,
    ],
    [
      "more timers than a key has room for",
      () => make("a", { timers: timers(17) }),
      /it has 17 timers; there may be 16/,
    ],
    ["an expiry without unit", () => make("a", { expire: "30" }), /expire: "30" isn't a duration/],
    ["an expiry at once", () => make("a", { expire: "0d" }), /expire: "0d" must be from 1ms to 36500d/],
    ["an expiry that is none", () => make("a", { expire: null }), /expire: "null" isn't a duration/],
    ["a setting that is misspelt", () => make("a", { dedupe: {} }), /the definition has no "dedupe"; it has version, /],
    ["a setting of dedup", () => make("a", { dedup: { ids: 5 } }), /dedup has no "ids"; it has keep, maxIds/],
    ["a setting of replies", () => make("a", { replies: { keep: "1h", max: 5 } }), /replies has no "max"/],
    ["a setting of snapshot", () => make("a", { snapshot: { retention: "7d" } }), /snapshot has no "retention"/],
    [
      "a handler that waits",
      () => make("a", { on: { tick: async () => undefined } }),
      /the handler for "tick" is an AsyncFunction; it must be a plain, synchronous function/,
    ],
    ["a generator", () => make("a", { on: { *tick() {} } }), /is a GeneratorFunction/],
    ["a handler that is none", () => make("a", { on: { tick: {} } }), /the handler for "tick" must be a function/],
    ["a key that waits", () => make("a", { key: async () => "k" }), /key is an AsyncFunction/],
    ["a group that is none", () => make("a", { group: "k" }), /group must be a function/],
    ["no initial", () => make("a", { initial: undefined }), /initial must be a function/],
    [
      "a migration that waits",
      () => make("a", { version: 2, migrate: { 2: async (old: object) => old } }),
      /migrate 2 is an AsyncFunction/,
    ],
    [
      "a schema that is none",
      () => make("a", { events: { tick: { n: "number" } } }),
      /schema of "tick" isn't a Standard/,
    ],
    [
      "a type that no event can have",
      () => make("a", { events: { ["x".repeat(1_025)]: z.null() }, on: { ["x".repeat(1_025)]: () => undefined } }),
      /no event has one of more than 1024 bytes/,
    ],
  ])("refuses %s", (_, define, message) => {
    expect(define).toThrow(message);
  });
});
