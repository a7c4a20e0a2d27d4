/** Rare ways in which a partition once went wrong, each kept as a test. */
import { describe, expect, it } from "vitest";
import { sum } from "../fakes/sum.ts";
import { words, World } from "../fakes/world.ts";

const settle = async (world: World, done: Promise<unknown>): Promise<boolean> => {
  let settled = false;
  void done.catch(() => undefined).finally(() => (settled = true));
  await world.clock.advance(30_000);
  return settled;
};

describe("a partition", () => {
  it.each<[string, unknown]>([
    ["without a text", Object.create(null)],
    ["with a message that is none", Object.assign(new Error("e"), { message: { code: 5 } })],
  ])("IN4: quarantines what threw something %s, and loses nothing", async (_, thrown) => {
    const world = new World();
    const operator = sum({
      on: {
        add(state, event) {
          if (event.data === "x") throw thrown;
          state.total += Number(event.data);
        },
      },
    });
    const one = world.start(operator);
    const events = [
      { id: "good", data: 7 },
      { id: "bad", data: "x" },
      { id: "tail", data: 7 },
    ];
    expect(words(await world.send(one, ...events))).toEqual(["applied", "quarantined", "applied"]);
    expect(await world.value(world.start(operator))).toMatchObject({ total: 14 });
  });

  it("SNAP2: a promotion that took effect while nobody could be asked is learnt of by the next snapshot", async () => {
    const world = new World();
    const one = world.start(sum());
    await world.send(one, { id: "a", data: 1 });
    world.fates = ({ method }) => (method === "promote" ? "silent after" : method === "row" ? "silent" : "ok");
    await world.clock.run(one.partition.snapshot().catch(() => undefined));
    await world.clock.advance(120_000);
    world.fates = () => "ok";
    await world.send(one, { id: "b", data: 2 });
    await world.clock.run(one.partition.snapshot());
    expect((await world.clock.run(one.partition.snapshot())).tag).toBe("current");
    expect(await world.value(world.start(sum()))).toEqual({ total: 3, times: 2 });
  });

  it("LINE5: a call that D1 never answers doesn't keep later requests of repeats waiting", async () => {
    const world = new World();
    const one = world.start(sum());
    await world.send(one, { id: "a", data: 1 });
    world.fates = ({ method }) => (method === "explain" ? "silent" : "ok");
    expect(words(await world.send(one, { id: "a", data: 1 }))).toBe("store_unavailable");
    world.fates = () => "ok";
    expect(words(await world.send(one, { id: "a", data: 1 }))).toEqual(["applied again"]);
  });

  it("a read that was asked of before the write took its epoch doesn't end the writer", async () => {
    const world = new World();
    await world.send(world.start(sum()), { id: "a", data: 1 });
    const one = world.start(sum());
    await world.value(one);
    await world.clock.advance(6_000);
    const read = one.partition.read(["k"]);
    expect(words(await world.send(one, { id: "b", data: 1 }))).toEqual(["applied"]);
    await world.clock.run(read);
    expect(one.ended).toBeNull();
  });

  it("LOG3: stepping aside and catching up have limits too", async () => {
    const world = new World();
    const one = world.start(sum());
    await world.send(one, { id: "a", data: 1 });
    world.fates = ({ method }) => (method === "append" ? "silent" : "ok");
    void one.partition.append(world.slice([{ id: "b", data: 1 }]));
    await world.clock.advance(100);
    const newer = one.partition.append({ ...world.slice([{ id: "c", data: 1 }]), operatorVersion: 2 });
    expect(await settle(world, newer)).toBe(true);

    world.fates = () => "ok";
    const writer = world.start(sum());
    await world.send(writer, { id: "d", data: 1 });
    const reader = world.start(sum());
    await world.value(reader);
    await world.send(writer, { id: "e", data: 1 });
    await world.clock.advance(6_000);
    world.fates = ({ method }) => (method === "peek" ? "silent" : "ok");
    expect(await settle(world, reader.partition.read(["k"]))).toBe(true);
  });

  it("repeats with kept replies don't crowd a refusal out of the details", async () => {
    const world = new World();
    const one = world.start(sum());
    const many = Array.from({ length: 150 }, (_, i) => ({ id: `a${i}`, data: 1 }));
    await world.send(one, ...many);
    const result = await world.clock.run(one.partition.append(world.slice([...many, { id: "z", data: 0 }], false)));
    expect(result.tag === "decided" && result.details.map(([index]) => index)).toEqual([150]);
  });

  it("CODE3: after a rollback over two versions snapshots go on, though D1 has cut all of the log", async () => {
    const world = new World();
    const same = (old: object): object => old;
    const version = (n: number) =>
      sum({ version: n, migrate: Object.fromEntries(Array.from({ length: n - 1 }, (_, i) => [i + 2, same])) });
    const first = world.start(version(1));
    await world.send(first, { id: "a", data: 1 });
    await world.clock.run(first.partition.snapshot());
    const second = world.start(version(2));
    await world.send(second, { id: "b", data: 1 });
    await world.clock.run(second.partition.snapshot());
    await world.clock.run(world.start(version(3)).partition.snapshot());
    await world.clock.advance(1_000);
    const back = world.start(version(1));
    expect(await world.value(back)).toEqual({ total: 2, times: 2 });
    expect((await world.clock.run(back.partition.snapshot())).tag).toBe("current");
    expect(await world.value(world.start(version(1)))).toEqual({ total: 2, times: 2 });
  });
});
