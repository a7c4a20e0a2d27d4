/**
 * How a partition takes its epoch: events with their first append, snapshots before they begin (LOG2, APPEND0 of
 * append.ts).
 */
import { describe, expect, it } from "vitest";
import { FRESH_MS } from "../../../src/engine/base/limits.ts";
import { sum } from "../fakes/sum.ts";
import { words, World, type Fate, type Incarnation } from "../fakes/world.ts";

const operator = sum();
const NAME = "1/sum/0000";

function gate(): { readonly opened: Promise<void>; open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

const epochs = (world: World): number[] => world.db.segments.get(NAME)!.map((row) => row.epoch);
const epochOfRow = (world: World): number => world.db.rows.get(NAME)!.epoch;
const snapshot = (world: World, one: Incarnation) => world.clock.run(one.partition.snapshot());
const at = (method: string, fate: Fate, by?: Incarnation): World["fates"] => {
  let used = false;
  return (call) => {
    if (used || call.method !== method || (by !== undefined && call.by !== by)) return "ok";
    used = true;
    return fate;
  };
};

/** The first instance holds epoch 1 and has logged two events. */
async function begun(): Promise<{ world: World; one: Incarnation }> {
  const world = new World();
  const one = world.start(operator);
  await world.send(one, { id: "a", data: 1 });
  await world.send(one, { id: "b", data: 2 });
  world.trace.length = 0;
  return { world, one };
}

describe("the first append of an opening", () => {
  it("LOG2: takes the next epoch, and writes nothing but its own row", async () => {
    const { world, one } = await begun();
    one.crashed = true;
    const next = world.start(operator);
    expect(words(await world.send(next, { id: "c", data: 3 }, { id: "a", data: 1 }))).toEqual([
      "applied",
      "applied again",
    ]);
    expect(world.trace).toEqual(["peek", "append"]);
    expect(epochs(world)).toEqual([1, 1, 2]);
    expect(epochOfRow(world), "the row keeps what was taken before").toBe(1);
    expect((await next.partition.facts()).epoch).toBe(2);
    await world.send(next, { id: "d", data: 4 });
    expect(epochs(world)).toEqual([1, 1, 2, 2]);
    await snapshot(world, next);
    expect(epochOfRow(world), "a snapshot puts it there").toBe(2);
  });

  it("CODE1: takes none where other code wrote before: that is fenced by the partition's row, which it may know alone", async () => {
    const { world, one } = await begun();
    one.crashed = true;
    const deployed = world.start(operator, "code-2");
    expect(words(await world.send(deployed, { id: "c", data: 3 }))).toEqual(["applied"]);
    expect(world.trace).toEqual(["peek", "open", "append"]);
    expect([epochOfRow(world), epochs(world)]).toEqual([2, [1, 1, 2]]);
    deployed.crashed = true;
    world.trace.length = 0;
    await world.send(world.start(operator, "code-2"), { id: "d", data: 4 });
    expect(world.trace, "until a snapshot of its own covers what the other one wrote").toEqual([
      "peek",
      "open",
      "append",
    ]);
    await snapshot(world, world.start(operator, "code-2"));
    world.trace.length = 0;
    const last = world.start(operator, "code-2");
    await world.send(last, { id: "e", data: 5 });
    expect(world.trace.filter((method) => method !== "range")).toEqual(["peek", "append"]);
    expect((await last.partition.facts()).epoch).toBe(epochOfRow(world) + 1);
  });

  it("LOG2: is refused where the writer before has logged meanwhile; whoever comes next continues", async () => {
    const { world, one } = await begun();
    const next = world.start(operator);
    expect(await world.value(next)).toEqual({ total: 3, times: 2 });
    expect(words(await world.send(one, { id: "c", data: 10 }))).toEqual(["applied"]);
    expect(words(await world.send(next, { id: "d", data: 20 }))).toBe("fenced");
    expect(next.ended).toMatch(/another group is at seq 3/);
    const last = world.start(operator);
    expect(words(await world.send(last, { id: "d", data: 20 }))).toEqual(["applied"]);
    expect(words(await world.send(one, { id: "e", data: 1 })), "who held the epoch before").toBe("fenced");
    expect(await world.value(last)).toEqual({ total: 33, times: 4 });
    expect(epochs(world)).toEqual([1, 1, 1, 2]);
  });

  it("LOG3: is sent again where its outcome is unknown, and counts once", async () => {
    for (const fate of ["before", "after", "silent", "silent after"] as const) {
      const { world, one } = await begun();
      one.crashed = true;
      const next = world.start(operator);
      world.fates = at("append", fate);
      const answer = words(await world.send(next, { id: "c", data: 3 }));
      expect([answer, epochs(world), next.ended], fate).toEqual([["applied"], [1, 1, 2], null]);
      expect(words(await world.send(next, { id: "d", data: 1 })), fate).toEqual(["applied"]);
    }
  });

  it("LOG2: executed late, after another one took the epoch, it has no effect", async () => {
    const { world, one } = await begun();
    one.crashed = true;
    const late = gate();
    const second = world.start(operator);
    world.fates = at("append", late.opened, second);
    const lost = second.partition.append(world.slice([{ id: "c", data: 100 }]));
    await world.clock.settle();
    const third = world.start(operator);
    await snapshot(world, third);
    expect(epochOfRow(world)).toBe(2);
    late.open();
    expect(words(await world.clock.run(lost))).toBe("fenced");
    expect(second.ended).toMatch(/epoch 1 was superseded by epoch 2/);
    expect(words(await world.send(third, { id: "c", data: 5 }))).toEqual(["applied"]);
    expect(await world.value(third)).toEqual({ total: 8, times: 3 });
  });
});

describe("an epoch that two want within one instance", () => {
  it("LOG2: a snapshot waits for the group that is taking it, and takes none", async () => {
    const { world, one } = await begun();
    one.crashed = true;
    const held = gate();
    const next = world.start(operator);
    world.fates = at("append", { answered: held.opened });
    const sent = next.partition.append(world.slice([{ id: "c", data: 3 }]));
    await world.clock.advance(10);
    const saved = next.partition.snapshot();
    await world.clock.advance(10);
    expect(world.trace).toEqual(["peek", "append"]);
    held.open();
    expect(words(await world.clock.run(sent))).toEqual(["applied"]);
    expect(await world.clock.run(saved)).toMatchObject({ tag: "current", manifest: { seq: 3, epoch: 2 } });
    expect(world.trace).not.toContain("open");
  });

  it("LOG2: a group waits for the opening that is taking it", async () => {
    const { world, one } = await begun();
    one.crashed = true;
    const held = gate();
    const next = world.start(operator);
    await world.value(next);
    world.fates = at("open", { answered: held.opened });
    const saved = next.partition.snapshot();
    await world.clock.settle();
    const sent = next.partition.append(world.slice([{ id: "c", data: 3 }]));
    await world.clock.settle();
    expect(world.trace).toEqual(["peek", "open"]);
    held.open();
    expect(words(await world.clock.run(sent))).toEqual(["applied"]);
    expect(await world.clock.run(saved)).toMatchObject({ tag: "current", manifest: { epoch: 2 } });
    expect([epochs(world), next.ended]).toEqual([[1, 1, 2], null]);
  });

  it("LOG2: what D1 said before it was taken doesn't count after it", async () => {
    const { world, one } = await begun();
    const next = world.start(operator);
    await world.value(next);
    await snapshot(world, one);
    await world.clock.advance(FRESH_MS);
    const held = gate();
    world.fates = at("peek", { answered: held.opened }, next);
    const read = next.partition.read(["k"]);
    await world.clock.settle();
    expect(words(await world.send(next, { id: "c", data: 3 }))).toEqual(["applied"]);
    held.open();
    expect((await world.clock.run(read))[0]!.text).toBe('{"total":6,"times":3}');
    expect([next.ended, world.mark?.refused]).toEqual([null, undefined]);
    expect(words(await world.send(next, { id: "d", data: 1 }))).toEqual(["applied"]);
  });

  it("LOG1: a read that asks D1 meanwhile neither shows the group nor ends it", async () => {
    const { world, one } = await begun();
    one.crashed = true;
    const held = gate();
    const next = world.start(operator);
    world.fates = at("append", { answered: held.opened });
    const sent = next.partition.append(world.slice([{ id: "c", data: 3 }]));
    await world.clock.advance(FRESH_MS + 1);
    expect(epochs(world), "D1 has it").toEqual([1, 1, 2]);
    expect(await world.value(next)).toEqual({ total: 3, times: 2 });
    held.open();
    expect(words(await world.clock.run(sent))).toEqual(["applied"]);
    expect(await world.value(next)).toEqual({ total: 6, times: 3 });
    expect(next.ended).toBeNull();
  });

  it("LOG2: a read that finds what others wrote below a group of ours ends it", async () => {
    const { world, one } = await begun();
    const held = gate();
    const next = world.start(operator);
    await world.value(next);
    world.fates = at("append", held.opened, next);
    const sent = next.partition.append(world.slice([{ id: "c", data: 3 }]));
    await world.clock.settle();
    expect(words(await world.send(one, { id: "d", data: 10 }))).toEqual(["applied"]);
    await world.clock.advance(FRESH_MS + 1);
    await expect(world.clock.run(next.partition.read(["k"]))).rejects.toThrow(/another writer has reached seq 3/);
    expect(words(await world.clock.run(sent))).toBe("fenced");
    held.open();
    await world.clock.settle();
    expect(epochs(world)).toEqual([1, 1, 1]);
  });

  it("SNAP2: a late snapshot of the writer before takes nothing from a group, and the next one builds on it", async () => {
    const { world, one } = await begun();
    const held = gate();
    world.fates = at("promote", held.opened, one);
    const late = one.partition.snapshot().catch(() => null);
    await world.clock.settle();
    const next = world.start(operator);
    await world.value(next);
    held.open();
    await world.clock.run(late);
    expect(world.db.rows.get(NAME)!.version).toBe(1);
    expect(words(await world.send(next, { id: "c", data: 3 }))).toEqual(["applied"]);
    await snapshot(world, next).catch(() => null);
    await world.clock.advance(120_000);
    expect(await snapshot(world, next)).toMatchObject({ tag: "current", manifest: { number: 2, seq: 3 } });
    expect(await world.value(world.start(operator))).toEqual({ total: 6, times: 3 });
    expect(next.ended).toBeNull();
  });
});
