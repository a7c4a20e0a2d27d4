/** The rates that openings measured pass from one to the next, with a snapshot or without. */
import { describe, expect, it } from "vitest";
import { readRiding } from "../../../src/engine/recovery/open-partition.ts";
import { sum } from "../fakes/sum.ts";
import { World } from "../fakes/world.ts";

describe("rates", () => {
  it("E1: are of several openings, also where none of them took a snapshot", async () => {
    const world = new World();
    const openings: number[] = [];
    const slow = (ms: number) => new Promise<void>((resolve) => void world.clock.after(ms, resolve));
    for (const ms of [10, 10, 400, 10]) {
      const one = world.start(sum());
      world.fates = ({ method }) => (method === "peek" || method === "open" ? slow(ms) : "ok");
      await world.send(one, { id: `a${openings.length}`, key: "k", data: 1 });
      world.fates = () => "ok";
      const { rates } = readRiding(world.db.segments.get("1/sum/0000")!.at(-1)!.stats);
      openings.push(rates!.openMs.length);

      expect(rates!.openMs.at(-1)).toBeGreaterThanOrEqual(ms);
    }
    // The first one asks twice: there is no row yet.
    expect(openings).toEqual([2, 3, 4, 5]);
  });
});
