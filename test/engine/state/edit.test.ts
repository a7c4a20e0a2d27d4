/** Editing states by hand: logged once, on a condition, and the same under any code that replays it. */
import { describe, expect, it } from "vitest";
import { ERASE, PUT, REMOVE, tagOf, type Condition } from "../../../src/engine/state/edit.ts";
import { seq } from "../../../src/engine/base/ids.ts";
import { RETRY } from "../../../src/engine/state/quarantine.ts";
import { parseOutcome } from "../../../src/engine/log/outcome.ts";
import { sum } from "../fakes/sum.ts";
import { words, World, type Incarnation, type Sent } from "../fakes/world.ts";

const operator = sum();

let made = 0;
const put = (state: unknown, condition: Condition = "any", more: Partial<Sent> & { version?: number } = {}): Sent => {
  const { version = 1, ...rest } = more;
  return { id: `edit-${++made}`, type: PUT, ...rest, data: { if: condition, version, state } };
};
const remove = (condition: Condition = "any"): Sent => ({
  id: `edit-${++made}`,
  type: REMOVE,
  data: { if: condition, version: 1 },
});

/** The tag of what stands there now. */
async function tag(world: World, of: Incarnation, key = "k"): Promise<Condition> {
  const [entry] = await world.clock.run(of.partition.read([key]));
  return [tagOf(entry!)];
}

async function outcomesOf(world: World, to: Incarnation, ...events: readonly Sent[]): Promise<string[]> {
  const result = await world.send(to, ...events);
  if (result.tag !== "decided") throw new Error(result.message);
  return result.details.map(([, , text]) => {
    const outcome = text === null ? null : parseOutcome(text);
    return outcome === null || outcome.tag === "applied"
      ? "applied"
      : outcome.tag === "refused"
        ? outcome.code
        : outcome.error;
  });
}

/** Each in a call of its own, all at once. */
async function together(world: World, to: Incarnation, ...events: readonly Sent[]): Promise<string[]> {
  const calls = events.map((event) => to.partition.append(world.slice([event])));
  return (await world.clock.run(Promise.all(calls))).map(words).flat();
}

const snapshot = (world: World, one: Incarnation) => world.clock.run(one.partition.snapshot());

describe("an edit", () => {
  it("puts a state, and takes one away", async () => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, { id: "a", data: 5 });
    expect(await outcomesOf(world, one, put({ total: 100, times: 1 }))).toEqual(["applied"]);
    expect(await world.value(one)).toEqual({ total: 100, times: 1 });
    await world.send(one, { id: "b", data: 5 });
    expect(await world.value(one)).toEqual({ total: 105, times: 2 });
    expect(await outcomesOf(world, one, remove())).toEqual(["applied"]);
    expect(await world.value(one)).toBeUndefined();
    await world.send(one, { id: "c", data: 5 });
    expect(await world.value(one)).toEqual({ total: 5, times: 1 });
  });

  it.each<[string, Condition, boolean, boolean]>([
    ["any", "any", true, false],
    ["none", "none", false, true],
    ["no tag at all", [], false, false],
    ["a tag of another seq", [[9, 0]], false, false],
  ])("on the condition %s", async (_, condition, there, absent) => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, { id: "a", data: 5 });
    const said = (holds: boolean) => (holds ? "applied" : "precondition_failed");
    expect(await outcomesOf(world, one, put({ total: 1 }, condition))).toEqual([said(there)]);
    expect(await outcomesOf(world, one, put({ total: 1 }, condition, { key: "new" }))).toEqual([said(absent)]);
    expect(await world.value(one)).toEqual(there ? { total: 1 } : { total: 5, times: 1 });
    expect(await world.value(one, "new")).toEqual(absent ? { total: 1 } : undefined);
  });

  it("W1: of two with the same tag one counts, in the order of seqs, also within one group", async () => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, { id: "a", data: 5 });
    const seen = await tag(world, one);
    const sent = [put({ total: 1, times: 0 }, seen), put({ total: 2 }, seen), { id: "b", data: 7 }, remove(seen)];
    expect(await together(world, one, ...sent)).toEqual(["applied", "refused", "applied", "refused"]);
    expect(await world.value(one)).toEqual({ total: 8, times: 1 });
    expect(await outcomesOf(world, one, put({ total: 3 }, seen))).toEqual(["precondition_failed"]);
    expect(await outcomesOf(world, one, put({ total: 3 }, await tag(world, one)))).toEqual(["applied"]);
  });

  it("an event that was refused or threw leaves the tag as it was", async () => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, { id: "a", data: 5 });
    const seen = await tag(world, one);
    const between: Sent[] = [
      { id: "no", data: 0 },
      { id: "bad", data: "boom" },
    ];
    expect(words(await world.send(one, ...between, put({ total: 1 }, seen)))).toEqual([
      "refused",
      "quarantined",
      "applied",
    ]);
  });

  it("ONE1: counts once, however often it is sent; the retry learns the first outcome", async () => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, { id: "a", data: 5 });
    const seen = await tag(world, one);
    const [good, bad] = [put({ total: 1, times: 0 }, seen), put({ total: 2 }, seen)];
    expect(words(await world.send(one, good, bad))).toEqual(["applied", "refused"]);
    await world.send(one, { id: "b", data: 1 });
    for (const to of [one, world.start(operator)]) {
      expect(words(await world.send(to, good, bad))).toEqual(["applied again", "refused again"]);
      expect(await world.value(to)).toEqual({ total: 2, times: 1 });
    }
  });

  it.each([
    ["nested too deep", Array.from({ length: 300 }).reduce<unknown>((inner) => [inner], 1), /nested deeper/],
    ["too large", "x".repeat(1024 * 1024), /more than 1048576 bytes/],
    ["null", null, /the state is null, which means no state/],
    ["no longer exact", { n: [2 ** 53] }, /the state isn't exact, at \.n\[0\]: 9007199254740992 is an unsafe_integer/],
  ])("SNAP8: a state that is %s goes to the quarantine, and changes nothing", async (_, state, why) => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, { id: "a", data: 5 });
    expect((await outcomesOf(world, one, put(state)))[0]).toMatch(why);
    expect(await world.value(one)).toEqual({ total: 5, times: 1 });
  });

  it.each<[string, unknown]>([
    ["a number", -0.5],
    ["a text", "é\u0000😀"],
    ["members that objects have", JSON.parse('{"__proto__":{"a":1},"constructor":2}')],
  ])("SNAP8: %s is the same in memory, after a replay, and after a snapshot", async (_, state) => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, put(state, "none"));
    const text = async (of: Incarnation) => (await world.clock.run(of.partition.read(["k"])))[0]!.text;
    expect(await text(one)).toBe(JSON.stringify(state));
    const replayed = world.start(operator);
    expect(await text(replayed)).toBe(JSON.stringify(state));
    await snapshot(world, replayed);
    expect(await text(world.start(operator))).toBe(JSON.stringify(state));
  });
});

describe("an erasure", () => {
  const erase = (id: string, key = "k"): Sent => ({ id, key, type: ERASE, data: { if: "any", version: 1 } });
  const aside = async (world: World, of: Incarnation): Promise<string[]> =>
    (await world.clock.run(of.partition.quarantined(seq(0), 100, 1_000_000))).items.map(({ key }) => key);

  it("takes the state away and the key's events out of the quarantine, and says the same after a replay and a snapshot", async () => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, { id: "a", data: 5 }, { id: "q", data: "boom" }, { id: "o", key: "other", data: "boom" });
    expect(await outcomesOf(world, one, erase("e1"), erase("e2", "nobody"))).toEqual(["applied", "applied"]);
    for (const of of [one, world.start(operator)]) {
      expect(await world.value(of)).toBeUndefined();
      expect(await aside(world, of)).toEqual(["other"]);
    }
    await snapshot(world, one);
    await world.send(one, { id: "b", data: 1 });
    expect(await world.value(world.start(operator))).toEqual({ total: 1, times: 1 });
    expect(words(await world.send(one, { id: "a", data: 5 })), "an id is known still").toEqual(["applied again"]);
  });

  it("F2: a retry that comes after it, in the same group, finds nothing; replay and verification decide alike", async () => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, { id: "a", data: 1 });
    await snapshot(world, one);
    const fixed = sum({ on: { add: (state) => void (state.times += 1) } });
    await world.send(one, { id: "q", data: "boom" });
    const two = world.start(fixed);
    const retry: Sent = { id: "retry", type: "keyframe.quarantine.retry", data: { seq: 2 } };
    expect(words(await world.send(two, erase("e"), retry))).toEqual(["applied", "refused"]);
    expect(await world.value(two)).toBeUndefined();
    const replayed = world.start(fixed);
    expect(await world.value(replayed)).toBeUndefined();
    expect(await aside(world, replayed)).toEqual([]);
    expect(await world.clock.run(two.partition.verify())).toMatchObject({ tag: "equal" });
  });
});

describe("an edit after a crash", () => {
  it.each(["before", "after", "silent", "silent after"] as const)(
    "LOG3: whose append fails %s is there once, or not at all",
    async (fate) => {
      const world = new World();
      const one = world.start(operator);
      await world.send(one, { id: "a", data: 5 });
      const command = put({ total: 50, times: 0 }, await tag(world, one));
      world.fates = ({ method, by }) => (method === "append" && by === one ? fate : "ok");
      void one.partition.append(world.slice([command])).catch(() => undefined);
      await world.clock.advance(50);
      one.crashed = true;
      const next = world.start(operator);
      expect(words(await world.send(next, command))).toEqual([fate.endsWith("after") ? "applied again" : "applied"]);
      await world.send(next, { id: "b", data: 1 });
      expect(await world.value(world.start(operator))).toEqual({ total: 51, times: 1 });
    },
  );

  it("LOG1: is seen by nobody while it is on its way", async () => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, { id: "a", data: 5 });
    let release = (): void => undefined;
    const wait = new Promise<void>((resolve) => (release = resolve));
    world.fates = ({ method }) => (method === "append" ? wait : "ok");
    const sent = one.partition.append(world.slice([put({ total: 50 })]));
    expect(await world.value(one)).toEqual({ total: 5, times: 1 });
    release();
    await world.clock.run(sent);
    expect(await world.value(one)).toEqual({ total: 50 });
  });
});

describe("W1: an edit that other code replays", () => {
  const doubling = sum({
    on: {
      add(state, event) {
        state.total += 2 * (event.data as number);
        state.times += 1;
      },
    },
  });

  it("counts, though what it was made upon is something else now; and what was refused stays so", async () => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, { id: "a", data: 5 });
    const seen = await tag(world, one);
    await world.send(one, put({ total: 100, times: 0 }, seen), put({ total: 7 }, seen), { id: "b", data: 1 });
    const other = world.start(doubling, "code-2");
    expect(await world.value(other)).toEqual({ total: 102, times: 1 });
    const before = await tag(world, other);
    expect(before).not.toEqual(seen);
    await snapshot(world, other);
    expect(await world.value(world.start(doubling, "code-2"))).toEqual({ total: 102, times: 1 });
  });

  it("ETags of the other code's value don't hold", async () => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, { id: "a", data: 5 });
    const seen = await tag(world, one);
    const other = world.start(doubling, "code-2");
    expect(await outcomesOf(world, other, put({ total: 1 }, seen))).toEqual(["precondition_failed"]);
  });

  it("a verification finds no difference", async () => {
    const world = new World();
    const one = world.start(operator);
    for (const data of [1, 2, 3]) {
      await world.send(one, { id: `a${data}`, data });
      await world.send(one, put({ total: data * 10, times: data }, await tag(world, one)));
      await snapshot(world, one);
    }
    await world.send(one, remove());
    expect(await world.clock.run(one.partition.verify())).toMatchObject({ tag: "equal" });
  });
});

describe("CODE1: versions", () => {
  const newer = sum({ version: 2, migrate: { 2: (old) => ({ ...old, moved: true }) } });

  it("W2: newer code migrates what older code put, live and at replay", async () => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, put({ total: 9, times: 9 }, "none"));
    const next = world.start(newer, "code-2");
    expect(await world.value(next)).toEqual({ total: 9, times: 9, moved: true });
    await world.send(next, put({ total: 1, times: 1 }, "any"));
    expect(await world.value(next)).toEqual({ total: 1, times: 1, moved: true });
    await world.send(next, put({ total: 2, times: 2 }, "any", { version: 2 }));
    expect(await world.value(next)).toEqual({ total: 2, times: 2 });
  });

  it("W2: older code, after a rollback, quarantines what newer code put; a retry under newer code applies it", async () => {
    const world = new World();
    await world.send(world.start(newer, "code-2"), put({ total: 2, times: 2 }, "none", { version: 2 }));
    const back = world.start(operator);
    expect(await world.value(back)).toBeUndefined();
    const aside = await world.clock.run(back.partition.quarantined(0 as never, 10, 1_000_000));
    expect(aside.items.map(({ seq, error }) => [seq, error])).toEqual([[1, expect.stringMatching(/version 2/)]]);
    await snapshot(world, back);
    const again = world.start(newer, "code-3");
    const retry: Sent = { id: "retry", type: "keyframe.quarantine.retry", data: { seq: 1 } };
    expect(words(await world.send(again, retry))).toEqual(["applied"]);
    expect(await world.value(again)).toEqual({ total: 2, times: 2 });
  });
});

describe("bounds", () => {
  const bounded = (maxKeys: number) => sum({ maxKeys });
  const adds = (...keys: string[]): Sent[] => keys.map((key) => ({ id: `add-${++made}`, key, data: 1 }));

  it("too_many_keys: refuses what would make one more, in the order of seqs, and continues with the others", async () => {
    const world = new World();
    const one = world.start(bounded(2));
    expect(words(await world.send(one, ...adds("a", "b", "c", "a")))).toEqual([
      "applied",
      "applied",
      "refused",
      "applied",
    ]);
    expect(await outcomesOf(world, one, ...adds("d"), put({ total: 1 }, "none", { key: "e" }))).toEqual([
      "too_many_keys",
      "too_many_keys",
    ]);
    expect(await world.value(one, "a")).toEqual({ total: 2, times: 2 });
    expect(await world.value(one, "c")).toBeUndefined();
  });

  it("a retry that finds no room stays in the quarantine, live and at replay, until there is some", async () => {
    const fuse = { lit: true };
    const throwing = sum({
      maxKeys: 1,
      on: {
        add(state) {
          if (fuse.lit) throw new Error("boom");
          state.times += 1;
        },
      },
    });
    const world = new World();
    let one = world.start(throwing);
    await world.send(one, { id: "aside", key: "a", data: 1 });
    fuse.lit = false;
    await world.send(one, { id: "room", key: "b", data: 1 });
    const retry = (): Promise<string[]> =>
      outcomesOf(world, one, { id: `retry-${++made}`, type: RETRY, key: "a", data: { seq: 1 } });
    expect(await retry()).toEqual(["too_many_keys"]);
    expect((await world.clock.run(one.partition.quarantined(seq(0), 10, 1e6))).items.length).toBe(1);
    one = world.start(throwing);
    expect((await world.clock.run(one.partition.quarantined(seq(0), 10, 1e6))).items.length).toBe(1);
    await world.send(one, { ...remove(), key: "b" });
    expect(await retry()).toEqual(["applied"]);
    expect((await world.clock.run(one.partition.quarantined(seq(0), 10, 1e6))).items).toEqual([]);
    expect(await world.value(one, "a")).toEqual({ total: 0, times: 1 });
  });

  it("counts what is still on its way, and what went", async () => {
    const world = new World();
    const one = world.start(bounded(2));
    const all = adds("a", "b", "c", "d", "e");
    const sent = [...all.slice(0, 3), { ...remove(), key: "a" }, ...all.slice(3)];
    expect(await together(world, one, ...sent)).toEqual([
      "applied",
      "applied",
      "refused",
      "applied",
      "applied",
      "refused",
    ]);
  });

  it("an event that makes no key passes: one that is refused, one that throws", async () => {
    const world = new World();
    const one = world.start(bounded(1));
    await world.send(one, ...adds("a"));
    expect(
      await outcomesOf(world, one, { id: "zero", key: "b", data: 0 }, { id: "boom", key: "b", data: "boom" }),
    ).toEqual(["zero", "boom"]);
  });

  it("ONE6: a retry hears the refusal again, and replay decides alike, also under a higher bound", async () => {
    const world = new World();
    const one = world.start(bounded(1));
    const events = adds("a", "b");
    expect(words(await world.send(one, ...events))).toEqual(["applied", "refused"]);
    const next = world.start(bounded(5), "code-2");
    expect(words(await world.send(next, ...events))).toEqual(["applied again", "refused again"]);
    expect(await world.value(next, "b")).toBeUndefined();
    expect(words(await world.send(next, ...adds("b")))).toEqual(["applied"]);
    const lower = world.start(bounded(1), "code-3");
    expect(await world.value(lower, "b")).toEqual({ total: 1, times: 1 });
  });

  it("each partition has its share", async () => {
    const world = new World();
    Object.assign(world.address, { partitions: 4 });
    const one = world.start(bounded(4));
    expect(words(await world.send(one, ...adds("a", "b")))).toEqual(["applied", "refused"]);
  });
});

describe("quota_exceeded: events of one day", () => {
  const thrifty = (maxEventsPerDay: number) => sum({ maxEventsPerDay });
  const adds = (count: number): Sent[] => Array.from({ length: count }, () => ({ id: `day-${++made}`, data: 1 }));
  const DAY_MS = 86_400_000;

  it("refuses a slice that would pass it, whole, and takes it on the next day", async () => {
    const world = new World();
    const one = world.start(thrifty(5));
    const first = adds(4);
    expect(words(await world.send(one, ...first))).toHaveLength(4);
    const more = adds(2);
    const refused = await world.send(one, ...more);
    expect(refused).toMatchObject({ tag: "busy", code: "quota_exceeded" });
    const now = world.clock.now();
    expect(refused.tag === "busy" && refused.retryAfterMs).toBe(DAY_MS - (now % DAY_MS));
    expect(words(await world.send(one, ...first)), "repeats cost nothing").toHaveLength(4);
    expect(words(await world.send(one, ...adds(1)))).toEqual(["applied"]);
    const command = { ...world.slice([put({ total: 0, times: 0 })]), command: true } as const;
    expect(words(await world.clock.run(one.partition.append(command))), "a command always passes").toEqual(["applied"]);
    await world.clock.advance(DAY_MS - (world.clock.now() % DAY_MS));
    expect(words(await world.send(one, ...more))).toEqual(["applied", "applied"]);
  });

  it("takes a slice that is more than a day's share where nothing else was taken: it would wait for ever", async () => {
    const world = new World();
    const one = world.start(thrifty(5));
    expect(words(await world.send(one, ...adds(7)))).toHaveLength(7);
    expect(words(await world.send(one, ...adds(1)))).toBe("quota_exceeded");
    expect(words(await world.send(one, ...adds(7)))).toBe("quota_exceeded");
  });

  it("counts on after a crash, a snapshot and an eviction", async () => {
    const world = new World();
    const one = world.start(thrifty(5));
    await world.send(one, ...adds(3));
    await snapshot(world, one);
    await world.send(one, ...adds(1));
    const next = world.start(thrifty(5));
    expect(words(await world.send(next, ...adds(2)))).toBe("quota_exceeded");
    expect(words(await world.send(next, ...adds(1)))).toEqual(["applied"]);
  });

  it("counts what is still on its way", async () => {
    const world = new World();
    const one = world.start(thrifty(3));
    expect(await together(world, one, ...adds(4))).toEqual(["applied", "applied", "applied", "quota_exceeded"]);
  });

  it("CODE2: takes nothing where fewer partitions are stored, and the ids can't count the share: it would never trip", async () => {
    const many = sum({ partitions: 4, maxEventsPerDay: 40, dedup: { maxIds: 10 } });
    const world = new World();
    Object.assign(world.address, { partitions: 1 });
    const one = world.start(many);
    expect(await world.send(one, ...adds(1))).toMatchObject({
      tag: "busy",
      code: "quota_uncountable",
      message: expect.stringContaining(
        "the share of maxEventsPerDay is 40 events, since fewer partitions are stored than the code says; dedup.maxIds",
      ),
    });
    const command = { ...world.slice([put({ total: 0, times: 0 }, "none")]), command: true } as const;
    expect(words(await world.clock.run(one.partition.append(command)))).toEqual(["applied"]);
    Object.assign(world.address, { partitions: 4 });
    const next = world.start(many);
    // The command counts as one of the ten.
    expect(words(await world.send(next, ...adds(9)))).toHaveLength(9);
    expect(words(await world.send(next, ...adds(1)))).toBe("quota_exceeded");
  });

  it("is no bound that can't be counted", () => {
    expect(() => sum({ maxEventsPerDay: 10, dedup: { maxIds: 9 } })).toThrow(/raise dedup.maxIds/);
    expect(() => sum({ maxEventsPerDay: 10, dedup: { keep: "1h" } })).toThrow(/dedup.keep to 24h/);
    expect(() => sum({ maxEventsPerDay: 0 })).toThrow(/whole number from 1/);
  });
});
