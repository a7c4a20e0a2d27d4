/**
 * How many calls to D1 and R2 follow each other until a partition's first answer. Every call takes the same time here,
 * so the time that passes says how many.
 */
import { describe, expect, it } from "vitest";
import { seq, type Stamp } from "../../../src/engine/base/ids.ts";
import type { Log, ObjectStore } from "../../../src/engine/base/ports.ts";
import type { Origin } from "../../../src/engine/operator/environment.ts";
import { sum } from "../fakes/sum.ts";
import { World, type Incarnation } from "../fakes/world.ts";

const operator = sum();
const CALL_MS = 25;

/** So small that the states of a file, its ids and everything else in it are fetched apart. */
const SIZES = { blockChars: 100, fileBytes: 1_000_000, archiveBytes: 1_000_000, wholeBytes: 1, idsBytes: 100 };

const numbered = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => ({ id: `e${from + i}`, key: `k${from + i}`, data: from + i }));

const headStamp = async ({ db, address }: World): Promise<Stamp> => (await db.log(address).explain(seq(0))).headStamp;

/** A partition with a snapshot and events above it. Its object keeps no files. */
async function begun(): Promise<{ main: World; one: Incarnation }> {
  const main = Object.assign(new World(), { sizes: SIZES });
  const one = main.start(operator);
  await main.send(one, ...numbered(0, 30));
  await main.clock.run(one.partition.snapshot());
  await main.send(one, ...numbered(30, 40));
  return { main, one };
}

function slow<Port extends Log | ObjectStore>(port: Port, { clock }: World): Port {
  return new Proxy(port, {
    get: (target, name) => {
      const method = Reflect.get(target, name, target) as unknown;
      if (typeof method !== "function") return method;
      return async (...args: unknown[]) => {
        await new Promise<void>((resolve) => clock.after(CALL_MS, resolve));
        return Reflect.apply(method, target, args) as Promise<unknown>;
      };
    },
  });
}

const slowed = ({ at, env }: Origin, world: World): Origin => {
  const stores = { log: slow(env.log, world), objects: slow(env.objects, world) };
  const origin = env.origin === undefined ? {} : { origin: slowed(env.origin, world) };
  return { at, env: { ...env, ...stores, ...origin } };
};

/** From now on every call takes a while, those to the line that this one starts from as well. */
function slowDown(world: World): World {
  const { clock, origin } = world;
  world.fates = () => new Promise<void>((resolve) => clock.after(CALL_MS, resolve));
  return Object.assign(world, origin === undefined ? {} : { origin: slowed(origin, world) });
}

async function roundsOf(world: World, act: (one: Incarnation) => Promise<unknown>): Promise<number> {
  const begunMs = world.clock.now();
  await act(world.start(operator));
  return (world.clock.now() - begunMs) / CALL_MS;
}

const reads = (world: World, key = "k3"): Promise<number> => roundsOf(world, async (one) => world.value(one, key));

const forked = (main: World, at: Stamp, line?: number): World =>
  slowDown(Object.assign(main.fork(operator, at, line), { sizes: SIZES }));

describe("calls that follow each other until the first answer", () => {
  it("main after an eviction: its row while the end of its file comes, then the block of the key", async () => {
    const { main } = await begun();
    expect(await reads(slowDown(main))).toBe(2);
  });

  it("a line that starts from main: a row is made while the files are read, and later openings are as main's", async () => {
    const { main, one } = await begun();
    const at = await headStamp(main);
    await main.send(one, ...numbered(40, 50));
    const world = forked(main, at);
    expect(await reads(world), "what is there, the row and the files, the block").toBe(3);
    expect(world.trace.filter((method) => method === "create")).toHaveLength(1);
    expect([await reads(world), await reads(world)], "the mark names the files").toEqual([2, 2]);
    expect(
      world.trace.filter((method) => method === "list"),
      "only the first opening looks for a trace",
    ).toHaveLength(1);
    const event = { id: "n", key: "k3", data: 1 };
    expect(await roundsOf(world, async (next) => world.send(next, event))).toBe(4);
    const sent = await roundsOf(world, async (next) => world.send(next, { ...event, id: "m" }));
    expect(sent).toBe(await roundsOf(slowDown(main), async (next) => main.send(next, event)));
  });

  it("a line that starts below main's newest snapshot: the state is opened once, also to find where the log begins", async () => {
    const { main, one } = await begun();
    const at = await headStamp(main);
    main.db.savepoints.set(1, { number: 1, name: "hold", at, createdMs: 0, state: "held", line: 1 });
    await main.send(one, ...numbered(40, 50));
    await main.clock.run(one.partition.snapshot());
    const world = forked(main, at);
    expect(await reads(world), "as below, and the row").toBe(5);
    expect(await reads(world), "roots, the manifest, the archive, the block").toBe(4);
    expect(world.trace.filter((method) => method === "create")).toHaveLength(1);
  });

  it("a line that starts from a line without a snapshot: its files are fetched ahead as well", async () => {
    const { main } = await begun();
    const first = main.fork(operator, await headStamp(main));
    await first.send(first.start(operator), { id: "own", key: "k3", data: 1 });
    const world = forked(Object.assign(first, { sizes: SIZES }), await headStamp(first), 3);
    await reads(world);
    expect(await reads(world), "the first line, main, the block").toBe(3);
  });

  it("AHEAD1: a row that is there counts, whatever was asked for ahead, and whether or not that came", async () => {
    const { main } = await begun();
    const world = main.fork(operator, await headStamp(main));
    const one = world.start(operator);
    await world.send(one, { id: "own", key: "k3", data: 100 });
    await world.clock.run(one.partition.snapshot());
    const fails = (): never => {
      throw new Error("the other line doesn't answer");
    };
    const { env, at } = world.origin!;
    for (const log of [env.log, new Proxy(env.log, { get: () => fails })]) {
      Object.assign(world, { mark: null, origin: { at, env: { ...env, log } } });
      world.trace.length = 0;
      const next = world.start(operator);
      expect(await world.value(next, "k3")).toEqual({ total: 103, times: 2 });
      expect(world.trace).not.toContain("create");
      expect([next.ended, next.notes]).toEqual([null, []]);
      const own = world.mark?.files?.map(({ name }) => name.startsWith("2/"));
      expect(own, "the next opening leaves the other line alone").toEqual([true]);
      await world.clock.advance(60_000);
    }
  });
});
