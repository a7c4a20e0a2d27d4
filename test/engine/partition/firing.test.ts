/** TIMER1 to TIMER5, FIRING1 to FIRING4: timers fire once, in order, before what comes later, over whatever happens. */
import { describe, expect, it } from "vitest";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { brotli } from "../../../src/adapters/brotli.ts";
import { SIZES } from "../../../src/engine/base/limits.ts";
import { operator } from "../../../src/engine/operator/operator.ts";
import { readFooter } from "../../../src/engine/snapshot/file-footer.ts";
import { type Incarnation, words, World } from "../fakes/world.ts";

const anything: StandardSchemaV1<unknown, unknown> = {
  "~standard": { version: 1, vendor: "test", validate: (value) => ({ value }) },
};

interface Command {
  readonly set?: Record<string, number>;
  readonly clear?: string;
  readonly ends?: "refuse" | "throw" | "remove";
}

interface Seen {
  seen: string[];
}

/** Sets and clears timers as an event says. The state notes which fired, and when. */
const timed = (more: { readonly expire?: "1h"; readonly boom?: boolean } = {}) =>
  operator("sum", {
    version: 1,
    events: { add: anything },
    key: (event) => event.partitionkey ?? "k",
    initial: (): Seen => ({ seen: [] }),
    on: {
      add(state, event, ctx) {
        const { set = {}, clear, ends } = event.data as Command;
        for (const [name, ms] of Object.entries(set)) ctx.timers.set(name as "a", { after: ms });
        if (clear !== undefined) ctx.timers.clear(clear as "a");
        state.seen.push(`${event.id} at ${ctx.now - START}`);
        if (ends === "refuse") return ctx.refuse("no");
        if (ends === "throw") throw new Error("boom");
        if (ends === "remove") ctx.remove();
        return undefined;
      },
    },
    timers: {
      a: (state, { due }, ctx) => void state.seen.push(`a at ${due - START} ${ctx.now - START}`),
      b(state, { name, due }, ctx) {
        if (more.boom === true) throw new Error("boom");
        state.seen.push(`${name} at ${due - START}`);
        if (state.seen.length < 6) ctx.timers.set("b", { at: due });
      },
    },
    ...(more.expire === undefined ? {} : { expire: more.expire }),
  });

const START = new World().clock.now();

const seen = async (world: World, of: Incarnation, key = "k"): Promise<string[] | undefined> =>
  ((await world.value(of, key)) as Seen | undefined)?.seen;

const wake = (world: World, one: Incarnation): Promise<void> => world.clock.run(one.partition.wake());

const send = (world: World, to: Incarnation, id: string, data: Command = {}, key = "k") =>
  world.send(to, { id, key, data });

describe("a timer", () => {
  it("fires at the alarm, with its due time, and once", async () => {
    const world = new World();
    const one = world.start(timed());
    await send(world, one, "e", { set: { a: 5_000 } });
    expect(one.armed).toBe(START + 5_000);
    await world.clock.advance(7_777);
    await wake(world, one);
    await wake(world, one);
    expect(await seen(world, one)).toEqual(["e at 0", "a at 5000 5000"]);
  });

  it("fires before the event that finds it due, if the alarm was lost", async () => {
    const world = new World();
    const one = world.start(timed());
    await send(world, one, "e", { set: { a: 5_000 } });
    await world.clock.advance(6_000);
    await send(world, one, "f");
    expect(await seen(world, one)).toEqual(["e at 0", "a at 5000 5000", "f at 6000"]);
  });

  it("fires before an event of another key, and after one that came before", async () => {
    const world = new World();
    const one = world.start(timed());
    await send(world, one, "e", { set: { a: 5_000 } });
    await world.clock.advance(4_999);
    await send(world, one, "f", {}, "other");
    expect(await seen(world, one)).toEqual(["e at 0"]);
    await world.clock.advance(1);
    await send(world, one, "g", {}, "other");
    expect(await seen(world, one)).toEqual(["e at 0", "a at 5000 5000"]);
  });

  it("is replaced by one of its name, and doesn't fire if it was cleared", async () => {
    const world = new World();
    const one = world.start(timed());
    await send(world, one, "e", { set: { a: 5_000 } });
    await send(world, one, "f", { set: { a: 9_000, b: 3_000 } });
    await send(world, one, "g", { clear: "b" });
    await world.clock.advance(8_000);
    await wake(world, one);
    expect(await seen(world, one)).toEqual(["e at 0", "f at 0", "g at 0"]);
    await world.clock.advance(1_000);
    await wake(world, one);
    expect(await seen(world, one)).toEqual(["e at 0", "f at 0", "g at 0", "a at 9000 9000"]);
  });

  it.each(["refuse", "throw", "remove"] as const)("leaves no timer if its event ends with %s", async (ends) => {
    const world = new World();
    const one = world.start(timed());
    await send(world, one, "e");
    await send(world, one, "f", { set: { a: 5_000 }, ends });
    await world.clock.advance(6_000);
    await wake(world, one);
    expect(await seen(world, one)).toEqual(ends === "remove" ? undefined : ["e at 0"]);
    expect((await world.clock.run(one.partition.facts())).appliedSeq).toBe(2);
  });

  it("is due at once for a moment that has passed, and what it sets is later", async () => {
    const world = new World();
    const one = world.start(timed());
    await send(world, one, "e", { set: { b: -9_000 } });
    await wake(world, one);
    await world.clock.advance(1_000);
    await wake(world, one);
    expect(await seen(world, one)).toEqual(["e at 0", "b at 0", "b at 1", "b at 2", "b at 3", "b at 4"]);
  });

  it.each(["replay", "snapshot", "snapshot before"] as const)("is the same after a recovery from a %s", async (how) => {
    const world = new World();
    const one = world.start(timed());
    await send(world, one, "e", { set: { a: 5_000, b: 8_000 } });
    await send(world, one, "far", { set: { a: 500_000 } }, "far");
    if (how === "snapshot before") await world.clock.run(one.partition.snapshot());
    await world.clock.advance(6_000);
    await wake(world, one);
    if (how === "snapshot") await world.clock.run(one.partition.snapshot());
    const two = world.start(timed());
    expect(await seen(world, two)).toEqual(["e at 0", "a at 5000 5000"]);
    await world.clock.advance(3_000);
    const at = world.clock.now() - START;
    await send(world, two, "f");
    const all = ["e at 0", "a at 5000 5000", "b at 8000", "b at 8001", "b at 8002", "b at 8003", `f at ${at}`];
    expect(await seen(world, two)).toEqual(all);
    expect(await seen(world, two, "far")).toEqual(["far at 0"]);
    expect((await world.clock.run(two.partition.verify())).tag).toBe("equal");
    await world.clock.advance(600_000);
    const three = world.start(timed());
    await wake(world, three);
    expect(await seen(world, three, "far")).toEqual(["far at 0", "a at 500000 500000"]);
    expect(await seen(world, three)).toEqual(all);
  });

  it("that throws is quarantined and gone, and a retry fires it", async () => {
    const world = new World();
    const one = world.start(timed({ boom: true }));
    await send(world, one, "e", { set: { b: 5_000 } });
    await world.clock.advance(6_000);
    await wake(world, one);
    const held = await world.clock.run(one.partition.quarantined(0 as never, 10, 10_000));
    expect(held.items.map(({ type, key, event }) => [type, key, JSON.parse(event) as unknown])).toEqual([
      [
        "keyframe.timer",
        "k",
        {
          type: "keyframe.timer",
          source: "keyframe:timer",
          id: `b@${START + 5_000}`,
          data: { timer: "b", due: START + 5_000 },
        },
      ],
    ]);
    const two = world.start(timed());
    expect(await seen(world, two)).toEqual(["e at 0"]);
    await send(world, two, "f");
    expect(await seen(world, two)).toHaveLength(2);
    const { seq } = held.items[0]!;
    expect(
      words(await world.send(two, { id: "r", key: "k", type: "keyframe.quarantine.retry", data: { seq } })),
    ).toEqual(["applied"]);
    expect((await seen(world, two))?.at(-1)).toBe("b at 5000");
  });
});

describe("a key that expires", () => {
  it("is removed so long after its last event, with its timers", async () => {
    const world = new World();
    const one = world.start(timed({ expire: "1h" }));
    await send(world, one, "e", { set: { a: 7_200_000 } });
    await world.clock.advance(3_000_000);
    await send(world, one, "f");
    await world.clock.advance(3_000_000);
    await wake(world, one);
    expect(await seen(world, one)).toHaveLength(2);
    await world.clock.advance(600_000);
    await wake(world, one);
    expect(await seen(world, one)).toBeUndefined();
    await world.clock.advance(9_000_000);
    await wake(world, one);
    expect(await seen(world, one)).toBeUndefined();
    await send(world, one, "g");
    expect((await seen(world, one))?.[0]).toMatch(/^g at 1560000/);
  });
});

describe("a partition", () => {
  it("isn't woken before something is due, nor again for what was cleared", async () => {
    const world = new World();
    const one = world.start(timed());
    await send(world, one, "e");
    const idle = one.armed;
    await send(world, one, "f", { set: { a: 5_000 } });
    expect(one.armed).toBe(START + 5_000);
    await send(world, one, "g", { clear: "a" });
    expect(one.armed).toBe(idle);
  });

  it("fires many in parts, and events wait for all of them", async () => {
    const world = new World();
    const one = world.start(timed());
    const keys = Array.from({ length: 2_500 }, (_, i) => `k${i}`);
    await world.send(one, ...keys.map((key) => ({ id: key, key, data: { set: { a: 5_000 } } })));
    await world.clock.run(one.partition.snapshot());
    const two = world.start(timed());
    await world.clock.advance(60_000);
    await send(world, two, "e", {}, "k7");
    expect(await seen(world, two, "k7")).toEqual(["k7 at 0", "a at 5000 5000", "e at 60000"]);
    for (const key of keys) expect((await seen(world, two, key))?.[1]).toBe("a at 5000 5000");
    expect((await world.clock.run(two.partition.facts())).appliedSeq).toBe(5_001);
  });
});

describe("bounds", () => {
  it("FIRING5: many due timers don't hold more changed states than snapshots keep up with", async () => {
    const world = new World();
    const memory = 60_000;
    const small = { ...timed(), memoryBytes: memory };
    const one = world.start(small);
    const keys = Array.from({ length: 6_000 }, (_, i) => `key ${i}`);
    for (let i = 0; i < keys.length; i += 300) {
      await world.send(one, ...keys.slice(i, i + 300).map((key) => ({ id: key, key, data: { set: { a: 50_000 } } })));
      await world.clock.run(one.partition.snapshot());
    }
    const puts = world.trace.filter((name) => name === "promote").length;
    await world.clock.advance(60_000);
    await wake(world, one);
    await wake(world, one);
    expect((await world.clock.run(one.partition.facts())).appliedSeq).toBe(12_000);
    expect(world.trace.filter((name) => name === "promote").length - puts).toBeGreaterThan(2);
    expect(one.ended).toBeNull();
  });

  it("FIRING5: nothing fires while the quarantine is full, and a command makes room", async () => {
    const world = new World();
    const one = world.start(timed({ boom: true }));
    const most = 10_000;
    const keys = Array.from({ length: most + 3_000 }, (_, i) => `key ${i}`);
    await world.send(one, ...keys.map((key) => ({ id: key, key, data: { set: { b: 50_000 } } })));
    await world.clock.advance(60_000);
    await wake(world, one);
    const held = (await world.clock.run(one.partition.facts())).quarantined!;
    expect(held).toBe(most);
    const [first] = (await world.clock.run(one.partition.quarantined(0 as never, 1, 10_000))).items;
    const command = { id: "d", key: first!.key, type: "keyframe.quarantine.delete", data: { seq: first!.seq } };
    const slice = { ...world.slice([command]), command: true as const };
    expect(words(await world.clock.run(one.partition.append(slice)))).toEqual(["applied"]);
    await wake(world, one);
    expect((await world.clock.run(one.partition.facts())).quarantined).toBeGreaterThan(most - 1);
  });
});

describe("damage", () => {
  it("SNAP4: of a file with due timers ends the instance at an alarm, and the next one recovers without it", async () => {
    const world = new World();
    world.sizes = { ...SIZES, wholeBytes: 64 };
    const one = world.start(timed());
    await send(world, one, "e", { set: { a: 5_000 } });
    await world.clock.run(one.partition.snapshot());
    const two = world.start(timed());
    await world.clock.run(two.partition.facts());
    const [[name, file]] = [...world.store.objects].filter(([key]) => key.endsWith(".kfs")) as [[string, Uint8Array]];
    const [offset] = readFooter(file, brotli).timers![0]!;
    world.store.objects.set(
      name,
      file.map((byte, i) => (i === offset ? byte ^ 1 : byte)),
    );
    await world.clock.advance(6_000);
    await wake(world, two);
    expect(two.ended).toContain("is corrupt");
    const three = world.start(timed());
    await wake(world, three);
    expect(await seen(world, three)).toEqual(["e at 0", "a at 5000 5000"]);
    expect(three.notes).toContain("recovered by fallback");
  });
});
