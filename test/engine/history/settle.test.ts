/** TIME2: after settling no row at or below the stamp gets into any log, and nobody is stopped or woken. */
import { describe, expect, it } from "vitest";
import { lastStampOf, stampMs } from "../../../src/engine/base/hybrid-clock.ts";
import { seq, stamp, type Stamp } from "../../../src/engine/base/ids.ts";
import { settle } from "../../../src/engine/history/settle.ts";
import { MemoryDatabase } from "../../../src/testkit/memory-log.ts";
import { sum } from "../fakes/sum.ts";
import { World } from "../fakes/world.ts";

const ID = { line: 1, operator: "sum", partition: 0 };

function setting(world = new World(), behindMs = 0) {
  const other = new MemoryDatabase();
  const now = (): number => world.clock.now();
  const floors = [world.db.floorPort(now), other.floorPort(() => now() - behindMs)];
  const run = (moment: Parameters<typeof settle>[2]) => world.clock.run(settle(world.clock, floors, moment));
  return { world, other, run };
}

const headOf = async (world: World): Promise<Stamp> => (await world.db.log(ID).explain(seq(0))).headStamp;

describe("settling", () => {
  it("raises the floor of every database, and a writer stamps its next group above it", async () => {
    const { world, other, run } = setting();
    const one = world.start(sum());
    await world.send(one, { id: "1", key: "a", data: 1 });
    const settled = await run({ tag: "now" });
    if (settled.tag !== "settled") throw new Error("not settled");
    expect(settled.at).toBeGreaterThanOrEqual(await headOf(world));
    expect([world.db.first.floor, other.first.floor].every((floor) => floor >= settled.at)).toBe(true);
    const { epoch } = (await world.db.log(ID).row())!;
    expect(await world.send(one, { id: "2", key: "a", data: 1 })).toMatchObject({ tag: "decided" });
    expect(await headOf(world)).toBeGreaterThan(settled.at);
    expect((await world.db.log(ID).row())!.epoch).toBe(epoch);
    expect(one.ended).toBeNull();
  });

  it("SETTLE3: now holds what a writer logged whose clock is ahead", async () => {
    const { world, run } = setting(new World(), 0);
    const one = world.start(sum());
    // Its clock continues; the databases' stands an hour behind.
    world.clock.now = (
      (real) => () =>
        real() + 3_600_000
    )(world.clock.now.bind(world.clock));
    await world.send(one, { id: "1", key: "a", data: 1 });
    const ahead = await headOf(world);
    Reflect.deleteProperty(world.clock, "now");
    expect(stampMs(ahead)).toBeGreaterThan(world.clock.now());
    expect(await run({ tag: "now" })).toEqual({ tag: "settled", at: ahead });
  });

  it("waits for a moment that is a little ahead, and refuses one that is more", async () => {
    const { world, run } = setting();
    const soon = lastStampOf(world.clock.now() + 400);
    expect(await run({ tag: "stamp", at: soon })).toEqual({ tag: "settled", at: soon });
    expect(stampMs(soon)).toBeLessThanOrEqual(world.clock.now());
    const later = lastStampOf(world.clock.now() + 60_000);
    const refused = await run({ tag: "stamp", at: later });
    expect(refused).toMatchObject({ tag: "not_settled" });
    expect(world.db.first.floor).toBeLessThan(later);
  });

  it("writes once for many old moments, and for the same one never again", async () => {
    const { world, run } = setting();
    await world.clock.advance(60_000);
    await run({ tag: "ago", ms: 30_000 });
    const { floor } = world.db.first;
    expect(stampMs(stamp(floor))).toBe(world.clock.now() - 5_000);
    await run({ tag: "ago", ms: 10_000 });
    expect(world.db.first.floor).toBe(floor);
  });

  it("counts from the database whose clock is ahead, and raises the other's floor as high", async () => {
    const { world, other, run } = setting(new World(), 2_000);
    const at = lastStampOf(world.clock.now());
    expect(await run({ tag: "stamp", at })).toEqual({ tag: "settled", at });
    expect(other.first.floor).toBe(at);
  });
});
