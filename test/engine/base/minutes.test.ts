/** The last hour, minute by minute: it rides in rows that are written anyway, and comes back with the partition. */
import { describe, expect, it } from "vitest";
import { brotli } from "../../../src/adapters/brotli.ts";
import { Counters } from "../../../src/engine/base/counters.ts";
import { readManifest } from "../../../src/engine/snapshot/manifest.ts";
import { isMinutes, mergeMinutes, Minutes, MINUTE_MS, MINUTES, readMinutes } from "../../../src/engine/base/minutes.ts";
import { readRiding } from "../../../src/engine/recovery/open-partition.ts";
import { sum } from "../fakes/sum.ts";
import { World, type Incarnation } from "../fakes/world.ts";

const NAME = "1/sum/0000";
const riding = (world: World) => readRiding(world.db.segments.get(NAME)?.at(-1)?.stats ?? null).minutes ?? [];
const saved = (world: World) => {
  const text = world.db.rows.get(NAME)?.manifest ?? null;
  return text === null ? [] : (readManifest(text, brotli.crc32).minutes ?? []);
};
/** As `GET /v1/overview` puts it together: applied, by minute from the first one on. */
const applied = (world: World, from: number): [number, number][] =>
  mergeMinutes([saved(world), riding(world)]).map(([minute, n = 0]) => [minute - from, n]);
const send = (world: World, one: Incarnation, ...ids: string[]) =>
  world.send(one, ...ids.map((id) => ({ id, key: "k", data: 1 })));

describe("the last hour", () => {
  it("N6, N7: continues over snapshots and evictions, and a minute that is told twice counts once", async () => {
    const world = new World();
    const from = Math.floor(world.clock.now() / MINUTE_MS);
    let one = world.start(sum());
    await send(world, one, "a", "b");
    await world.clock.advance(MINUTE_MS);
    await send(world, one, "c");
    expect(applied(world, from)).toEqual([
      [0, 2],
      [1, 1],
    ]);
    await world.clock.run(one.partition.snapshot());
    expect(applied(world, from)).toEqual([
      [0, 2],
      [1, 1],
    ]);
    await send(world, one, "d");
    expect(applied(world, from), "the same minute, in the manifest and in a row").toEqual([
      [0, 2],
      [1, 2],
    ]);
    expect(
      riding(world).map(([minute]) => minute - from),
      "a row tells what is newer than the snapshot",
    ).toEqual([1]);
    await world.clock.advance(5 * MINUTE_MS);
    one = world.start(sum());
    await send(world, one, "e");
    expect(applied(world, from)).toEqual([
      [0, 2],
      [1, 2],
      [6, 1],
    ]);
    await world.clock.advance(70 * MINUTE_MS);
    await send(world, one, "f");
    expect(
      riding(world).map(([minute]) => minute - from),
      "an hour, and no more",
    ).toEqual([76]);
  });

  it("counts failed snapshots in the minute of the next row", async () => {
    const world = new World();
    const one = world.start(sum());
    await send(world, one, "a");
    world.fates = ({ method }) => (method === "put" ? "before" : "ok");
    await world.clock.run(one.partition.snapshot().catch(() => null));
    world.fates = () => "ok";
    await send(world, one, "b");
    expect(riding(world).at(-1)![6]).toBe(1);
  });

  it("stays within its bounds, whatever the clock does", () => {
    const [counters, minutes] = [new Counters(), new Minutes()];
    for (let i = 0; i < 200; i++) {
      counters.add({ applied: 1 });
      minutes.count(counters.row(), (1_000 + i) * MINUTE_MS);
    }
    expect(minutes.since(0)).toHaveLength(MINUTES);
    counters.add({ applied: 5 });
    minutes.count(counters.row(), 0);
    expect(minutes.since(0).at(-1)).toEqual([1_199, 6]);
    minutes.count(counters.row(), 2_000 * MINUTE_MS);
    expect(minutes.since(0).at(-1), "nothing was counted").toEqual([1_199, 6]);
    expect(JSON.stringify(minutes.since(0)).length).toBeLessThan(2_000);
  });

  it.each([[null], ["text"], [[1]], [[[]]], [[[-1, 2]]], [[[1.5]]], [Array.from({ length: 62 }, () => [1])]])(
    "%j is none",
    (value) => {
      expect(isMinutes(value)).toBe(false);
      expect(readMinutes(value)).toEqual([]);
    },
  );
});
