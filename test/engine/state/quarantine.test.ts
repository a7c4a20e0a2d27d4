/**
 * The quarantine is a pause: what became of an event that was quarantined is heard by its sender, and by whoever steers
 * it.
 */
import { describe, expect, it } from "vitest";
import { ERASE } from "../../../src/engine/state/edit.ts";
import { seq } from "../../../src/engine/base/ids.ts";
import type { Operator } from "../../../src/engine/operator/operator.ts";
import { DELETE, RETRY } from "../../../src/engine/state/quarantine.ts";
import { sum } from "../fakes/sum.ts";
import { words, World, type Incarnation, type Sent } from "../fakes/world.ts";

class Overflow extends RangeError {}

/** Throws as long as it is told to. */
let broken: Error | null = null;
const operator = sum({
  dedup: { keep: "10m" },
  on: {
    add(state, event, ctx) {
      if (broken !== null) throw broken;
      if (event.data === 0) return ctx.refuse("zero", { total: state.total });
      state.total += event.data as number;
      state.times += 1;
      return { total: state.total };
    },
  },
});

const retry = (at: number, id = `retry-${at}`): Sent => ({ id, type: RETRY, data: { seq: at } });
const remove = (at: number): Sent => ({ id: `delete-${at}`, type: DELETE, data: { seq: at } });
const erase: Sent = { id: "erase", type: ERASE, data: { if: "any", version: 1 } };

/** Sends events that are quarantined: seqs from 1 on. */
async function aside(...events: readonly Sent[]): Promise<{ world: World; one: Incarnation }> {
  const world = new World();
  const one = world.start(operator);
  broken = new Overflow("boom");
  await world.send(one, ...events);
  broken = null;
  return { world, one };
}

/** The answer to a duplicate: its status, seq and outcome. */
async function heard(world: World, to: Incarnation, event: Sent): Promise<unknown> {
  const result = await world.send(to, event);
  if (result.tag !== "decided") throw new Error(result.message);
  return [words(result)[0], ...result.details[0]!.slice(1)];
}

/** Live, after a replay, and after a snapshot with and without a tail. */
async function everywhere(world: World, one: Incarnation, check: (of: Incarnation) => Promise<void>): Promise<void> {
  await check(one);
  const two = world.start(operator);
  await check(two);
  expect((await world.clock.run(two.partition.snapshot())).tag).toBe("current");
  const three = world.start(operator);
  await check(three);
  await world.send(three, { id: `more-${world.calls}`, key: "other", data: 1 });
  expect((await world.clock.run(three.partition.snapshot())).tag).toBe("current");
  await check(world.start(operator));
}

const a: Sent = { id: "a", data: 5 };

describe("ONE3: a duplicate of an event that was quarantined hears", () => {
  it("that it waits, with the error of the last retry", async () => {
    const { world, one } = await aside(a);
    await everywhere(world, one, async (of) => {
      expect(await heard(world, of, a)).toEqual(["quarantined again", 1, '["q","boom"]']);
    });
    const { world: other, one: again } = await aside(a);
    broken = new Error("boom, differently");
    await other.send(again, retry(1));
    broken = null;
    await everywhere(other, again, async (of) => {
      expect(await heard(other, of, a)).toEqual(["quarantined again", 1, '["q","boom, differently"]']);
    });
  });

  it("the reply of the retry that applied it", async () => {
    const { world, one } = await aside(a);
    await world.send(one, retry(1));
    await everywhere(world, one, async (of) => {
      expect(await heard(world, of, a)).toEqual(["applied again", 1, '["a",{"total":5}]']);
      expect(await world.value(of)).toEqual({ total: 5, times: 1 });
    });
  });

  it("the refusal of a retry", async () => {
    const zero = { id: "zero", data: 0 };
    const { world, one } = await aside(zero);
    await world.send(one, retry(1));
    await everywhere(world, one, async (of) => {
      expect(await heard(world, of, zero)).toEqual(["refused again", 1, '["r","zero",{"total":0}]']);
    });
  });

  it("that somebody deleted it", async () => {
    const { world, one } = await aside(a);
    await world.send(one, remove(1));
    await everywhere(world, one, async (of) => {
      expect(await heard(world, of, a)).toEqual(["refused again", 1, '["r","deleted",null]']);
    });
  });

  it("that its key was erased", async () => {
    const { world, one } = await aside(a);
    await world.send(one, erase);
    await everywhere(world, one, async (of) => {
      expect(await heard(world, of, a)).toEqual(["refused again", 1, '["r","erased",null]']);
    });
  });

  it("LOG1: nothing of a retry that isn't in the log yet", async () => {
    const { world, one } = await aside(a);
    let go = (): void => undefined;
    world.fates = ({ method }) => (method === "append" ? new Promise<void>((resolve) => (go = resolve)) : "ok");
    const retried = one.partition.append(world.slice([retry(1)]));
    for (let i = 0; i < 20; i++) await world.clock.settle();
    let answered = false;
    const duplicate = one.partition.append(world.slice([a])).then((result) => {
      answered = true;
      return result;
    });
    for (let i = 0; i < 20; i++) await world.clock.settle();
    expect(answered).toBe(false);
    expect((await world.clock.run(one.partition.setAside(seq(1))))?.tag).toBe("waits");
    world.fates = () => "ok";
    go();
    expect(words(await world.clock.run(retried))).toEqual(["applied"]);
    expect(words(await world.clock.run(duplicate))).toEqual(["applied again"]);
  });

  it("the outcome of a retry long after, for as long as the retry's id is known", async () => {
    const { world, one } = await aside(a);
    await world.clock.advance(60 * 60_000);
    await world.send(one, { id: "b", data: 1 });
    await world.send(one, retry(1));
    const found = async (of: Incarnation) => (await world.clock.run(of.partition.setAside(seq(1))))?.tag;
    await everywhere(world, one, async (of) => expect(await found(of)).toBe("settled"));
    const last = world.start(operator);
    await world.clock.advance(12 * 60_000);
    await world.send(last, { id: "c", data: 1 });
    expect(await found(last)).toBeUndefined();
    expect(await found(world.start(operator))).toBeUndefined();
  });
});

describe("a command on an entry that went", () => {
  it.each<[string, Sent, object]>([
    ["retried", retry(1), { how: "retried", by: 3 }],
    ["deleted", remove(1), { how: "deleted", by: 3 }],
    ["erased", erase, { how: "erased", by: 3 }],
  ])("is told that it was %s, and by which command", async (_, command, settled) => {
    const { world, one } = await aside(a, { id: "b", data: 7 });
    await world.send(one, command);
    await everywhere(world, one, async (of) => {
      expect(words(await world.send(of, { ...retry(1), id: `r${world.calls}` }))).toEqual(["refused"]);
      expect(await world.clock.run(of.partition.setAside(seq(1)))).toMatchObject({
        tag: "settled",
        settled: { seq: 1, ...settled },
      });
      expect(await world.clock.run(of.partition.setAside(seq(99)))).toBeNull();
    });
  });
});

describe("C2: an entry says what was thrown,", () => {
  const entries = async (world: World, of: Incarnation) =>
    (await world.clock.run(of.partition.quarantined(seq(0), 10, 1e6))).items;

  it("its class, message, the top of its stack, and the code that ran, everywhere the same", async () => {
    const { world, one } = await aside(a);
    const [entry] = await entries(world, one);
    expect(entry).toMatchObject({
      type: "add",
      error: "boom",
      errorName: "Overflow",
      operatorVersion: 1,
      code: "code-1",
    });
    expect(entry!.stack).toMatch(/^at aside .*quarantine\.test\.ts/);
    expect(entry!.stack!.split("\n").length).toBeLessThanOrEqual(6);
    await everywhere(world, one, async (of) => expect(await entries(world, of)).toEqual([entry]));
    // Other code replays what this one logged.
    expect(await entries(world, world.start(operator, "code-2"))).toEqual([entry]);
    const [again] = await (async () => {
      const two = world.start(operator, "code-2");
      broken = new TypeError("again");
      await world.send(two, retry(1));
      broken = null;
      return entries(world, two);
    })();
    expect(again).toMatchObject({ error: "again", errorName: "TypeError", code: "code-2", by: 3, now: entry!.now });
  });

  it("the code that replays, where that one sets it aside", async () => {
    const world = new World();
    await world.send(world.start(operator), a);
    broken = new Overflow("now");
    const [entry] = await entries(world, world.start(operator, "code-2"));
    broken = null;
    expect(entry).toMatchObject({ error: "now", errorName: "Overflow", code: "code-2" });
  });

  it.each<[string, unknown, string, string]>([
    ["an error whose name was set", Object.assign(new Error("x"), { name: "Mine" }), "Mine", "x"],
    ["a text", "just text", "a thrown string", "just text"],
    ["nothing", undefined, "a thrown undefined", "undefined"],
    [
      "one that hides all",
      new Proxy(new Error("x"), {
        get: () => {
          throw new Error("no");
        },
      }),
      "something that hides its class",
      "something was thrown that has no text",
    ],
  ])("of %s as well", async (_, thrown, errorName, error) => {
    const hostile: Operator = sum({
      on: {
        add() {
          throw thrown;
        },
      },
    });
    const world = new World();
    const one = world.start(hostile);
    await world.send(one, a);
    for (const of of [one, world.start(hostile)]) {
      expect(await entries(world, of)).toMatchObject([{ errorName, error }]);
    }
  });

  it("a line in the log says where, once a minute for each kind, and nothing of data", async () => {
    const { world, one } = await aside(a, { id: "b", data: 5 });
    const notes = () => one.notes.filter((note) => note === "a handler threw").length;
    expect(notes()).toBe(1);
    broken = new TypeError("boom");
    await world.send(one, { id: "c", data: 5 });
    expect(notes()).toBe(2);
    await world.clock.advance(61_000);
    await world.send(one, { id: "d", data: 5 }, { id: "e", data: 5 });
    broken = null;
    expect(notes()).toBe(3);
  });

  it("entries are found and counted by type and error", async () => {
    const { world, one } = await aside(a, { id: "b", data: 5 });
    broken = new Error("order 17 is gone");
    await world.send(one, { id: "c", data: 5 });
    broken = null;
    const found = async (wanted: object) =>
      (await world.clock.run(one.partition.quarantined(seq(0), 10, 1e6, wanted))).items.map(({ seq: at }) => at);
    expect(await found({})).toEqual([1, 2, 3]);
    expect(await found({ type: "add" })).toEqual([1, 2, 3]);
    expect(await found({ type: "ad" })).toEqual([]);
    expect(await found({ errorName: "Overflow" })).toEqual([1, 2]);
    expect(await found({ error: "order 17 is gone" })).toEqual([3]);
    expect(await found({ error: "order *" })).toEqual([3]);
    expect(await found({ error: "order" })).toEqual([]);
    expect(await found({ untilMs: 0 })).toEqual([]);
    expect(await world.clock.run(one.partition.quarantineGroups())).toMatchObject([
      { type: "add", errorName: "Overflow", error: "boom", events: 2, first: 1 },
      { type: "add", errorName: "Error", error: "order 17 is gone", events: 1, first: 3 },
    ]);
  });
});
