/** CLOCK3: the time that handlers see never goes back, and needs the Worker's clock and the object's. */
import { describe, expect, it } from "vitest";
import { sum } from "../fakes/sum.ts";
import { words, World } from "../fakes/world.ts";

/** Leaves the time that the handler saw. */
const clocked = (keep: `${number}s` = "60s") =>
  sum({
    on: {
      add: (state, _event, ctx) => {
        state.total = ctx.now;
      },
    },
    dedup: { keep },
  });

/** An event that a Worker received so much later than the object's clock says, or earlier. */
async function sendAt(world: World, to: ReturnType<World["start"]>, id: string, aheadMs: number) {
  const slice = { ...world.slice([{ id, data: 1 }]), at: world.clock.now() + aheadMs };
  return world.clock.run(to.partition.append(slice));
}

const seen = async (world: World, of: ReturnType<World["start"]>): Promise<number> =>
  ((await world.value(of)) as { total: number }).total;

describe("the partition clock", () => {
  it("is the time of receipt while clocks agree, and the earlier one of two that don't", async () => {
    const world = new World();
    const one = world.start(clocked());
    await sendAt(world, one, "on time", 0);
    expect(await seen(world, one)).toBe(world.clock.now());
    await world.clock.advance(10_000);
    await sendAt(world, one, "a slow Worker", -4_000);
    expect(await seen(world, one)).toBe(world.clock.now() - 4_000);
    await sendAt(world, one, "a Worker ahead", 3_600_000);
    expect(await seen(world, one)).toBe(world.clock.now());
  });

  it("doesn't go back, in one group, over groups, a replay, and a snapshot", async () => {
    const world = new World();
    const one = world.start(clocked());
    const ahead = { ...world.slice([{ id: "first", data: 1 }]), at: world.clock.now() };
    const behind = { ...world.slice([{ id: "second", data: 1 }]), at: world.clock.now() - 5_000 };
    const both = Promise.all([one.partition.append(ahead), one.partition.append(behind)]);
    expect((await world.clock.run(both)).map(words)).toEqual([["applied"], ["applied"]]);
    const first = ahead.at;
    expect(await seen(world, one)).toBe(first);
    await sendAt(world, one, "third", -60_000);
    expect(await seen(world, one)).toBe(first);

    const replayed = world.start(clocked());
    await sendAt(world, replayed, "fourth", -60_000);
    expect(await seen(world, replayed)).toBe(first);
    await world.clock.run(replayed.partition.snapshot());
    const restored = world.start(clocked());
    await sendAt(world, restored, "fifth", -60_000);
    expect(await seen(world, restored)).toBe(first);
  });

  it("is what ids expire by: a Worker that runs ahead makes none of them expire", async () => {
    const world = new World();
    const one = world.start(clocked("60s"));
    await sendAt(world, one, "kept", 0);
    await sendAt(world, one, "from the future", 3_600_000);
    expect(words(await sendAt(world, one, "kept", 0))).toEqual(["applied again"]);
    await world.clock.advance(180_000);
    await sendAt(world, one, "later", 0);
    expect(words(await sendAt(world, one, "kept", 0))).toEqual(["applied"]);
  });
});
