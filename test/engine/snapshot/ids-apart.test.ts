/**
 * Ids that a reading opening leaves in the files: read with the first event, checked like all else (FILE2 of
 * file-reader.ts).
 */
import { describe, expect, it } from "vitest";
import { brotli } from "../../../src/adapters/brotli.ts";
import { readManifest, stateFiles, type Manifest } from "../../../src/engine/snapshot/manifest.ts";
import type { StateFile } from "../../../src/engine/base/records.ts";
import { sum } from "../fakes/sum.ts";
import { words, World, type Incarnation } from "../fakes/world.ts";

const NAME = "1/sum/0000";
const operator = sum({ memory: 1_000_000, dedup: { maxIds: 60 } });

const current = (world: World): Manifest => readManifest(world.db.rows.get(NAME)!.manifest!, brotli.crc32);

async function fill(world: World, to: Incarnation, from: number, upTo: number): Promise<void> {
  for (let n = from; n <= upTo; n++) await world.send(to, { id: `e${n}`, key: `k${n % 7}`, data: n });
}

/** A full snapshot at 40, a delta at 50, a tail up to 55. */
async function begun(): Promise<{ world: World; full: StateFile; delta: StateFile }> {
  const world = new World();
  world.sizes = { blockChars: 100, fileBytes: 1_000_000, archiveBytes: 1_000_000, wholeBytes: 1, idsBytes: 100 };
  const one = world.start(operator);
  await fill(world, one, 1, 40);
  await world.clock.run(one.partition.snapshot());
  await fill(world, one, 41, 50);
  await world.clock.run(one.partition.snapshot());
  await fill(world, one, 51, 55);
  one.crashed = true;
  const [full, delta] = stateFiles(current(world)) as [StateFile, StateFile];
  expect([full.ids, delta.ids]).toEqual([40 * 24, 10 * 24]);
  return { world, full, delta };
}

const spoilt = (world: World, { name, rest }: StateFile): void => {
  const bytes = world.store.objects.get(name)!.slice();
  bytes[rest! + 5]! ^= 1;
  world.store.objects.set(name, bytes);
};
const ranges = (world: World): number => world.trace.filter((method) => method === "range").length;

describe("ids that stand apart", () => {
  it("a read does without, the first event reads them, and knows every retry", async () => {
    const { world } = await begun();
    const next = world.start(operator);
    world.trace.length = 0;
    expect(await world.value(next, "k1")).toMatchObject({ times: 8 });
    const read = ranges(world);
    const again = Array.from({ length: 55 }, (_, i) => ({ id: `e${i + 1}`, key: `k${(i + 1) % 7}`, data: i + 1 }));
    const answers = words(await world.send(next, ...again, { id: "new", key: "k1", data: 1 })) as string[];
    expect(answers.filter((answer) => answer === "applied again")).toHaveLength(55);
    expect(answers.at(-1)).toBe("applied");
    expect(ranges(world) - read, "those of both files").toBe(2);
    await world.send(next, { id: "new", key: "k1", data: 1 });
    expect(ranges(world) - read, "once").toBe(2);
    expect(await world.clock.run(next.partition.snapshot())).toMatchObject({ tag: "current", manifest: { seq: 56 } });
  });

  it("an opening for events reads them beside the ends, and a snapshot has them", async () => {
    const { world } = await begun();
    const next = world.start(operator);
    expect(words(await world.send(next, { id: "e3", key: "k3", data: 3 }))).toEqual(["applied again"]);
    const reader = world.start(operator);
    await world.value(reader, "k1");
    expect(await world.clock.run(reader.partition.snapshot())).toMatchObject({ tag: "current", manifest: { seq: 55 } });
    reader.crashed = true;
    const last = world.start(operator);
    expect(words(await world.send(last, { id: "e3", key: "k3", data: 3 }, { id: "e55", key: "k6", data: 55 }))).toEqual(
      ["applied again", "applied again"],
    );
  });

  it("ONE3: those that have expired over the tail are left out", async () => {
    const { world } = await begun();
    const more = world.start(operator);
    await fill(world, more, 56, 80);
    more.crashed = true;
    const next = world.start(operator);
    await world.value(next, "k1");
    expect(words(await world.send(next, { id: "e20", key: "k6", data: 20 }))).toEqual(["applied"]);
    expect(
      words(await world.send(next, { id: "e22", key: "k1", data: 22 }, { id: "e80", key: "k3", data: 80 })),
    ).toEqual(["applied again", "applied again"]);
  });

  it("ONE3: a file all of whose ids have expired owes none", async () => {
    const few = sum({ memory: 1_000_000, dedup: { maxIds: 8 } });
    const world = new World();
    world.sizes = { blockChars: 100, fileBytes: 1_000_000, archiveBytes: 1_000_000, wholeBytes: 1, idsBytes: 100 };
    const one = world.start(few);
    for (const [from, to] of [
      [1, 30],
      [31, 45],
    ] as const) {
      await fill(world, one, from, to);
      await world.clock.run(one.partition.snapshot());
    }
    one.crashed = true;
    const next = world.start(few);
    await world.value(next, "k1");
    expect(
      words(await world.send(next, { id: "e45", key: "k3", data: 45 }, { id: "e30", key: "k2", data: 30 })),
    ).toEqual(["applied again", "applied"]);
  });

  it.each<["full" | "delta"]>([["full"], ["delta"]])(
    "SNAP3, SNAP4: damage in those of the %s file is found with the first event, and the next instance falls back",
    async (which) => {
      const found = await begun();
      const { world } = found;
      spoilt(world, found[which]);
      const reader = world.start(operator);
      expect(await world.value(reader, "k1")).toMatchObject({ times: 8 });
      expect(words(await world.send(reader, { id: "e3", key: "k3", data: 3 }))).toBe("fenced");
      expect(reader.ended).toMatch(/is corrupt: the checksum/);
      const next = world.start(operator);
      expect(
        words(await world.send(next, { id: "e3", key: "k3", data: 3 }, { id: "new", key: "k1", data: 1 })),
      ).toEqual(["applied again", "applied"]);
      expect(next.notes).toContain("recovered by fallback");
      expect(await world.value(next, "k1")).toMatchObject({ times: 9 });
    },
  );

  it("SNAP4: an opening for events falls back at once", async () => {
    const { world, delta } = await begun();
    spoilt(world, delta);
    const next = world.start(operator);
    expect(words(await world.send(next, { id: "e45", key: "k3", data: 45 }))).toEqual(["applied again"]);
    expect(next.notes).toContain("recovered by fallback");
  });

  it("J1: what the cache has of them is checked, and fetched again where it is wrong", async () => {
    const { world, full } = await begun();
    world.cache.open = true;
    const first = world.start(operator);
    await world.send(first, { id: "e3", key: "k3", data: 3 });
    await world.clock.advance(2_000);
    const kept = world.cache.ranges.get(full.name)!;
    const bytes = kept.get(full.rest!)!.slice();
    bytes[3]! ^= 1;
    kept.set(full.rest!, bytes);
    first.crashed = true;
    const next = world.start(operator);
    await world.value(next, "k1");
    expect(words(await world.send(next, { id: "e3", key: "k3", data: 3 }))).toEqual(["applied again"]);
    expect([next.ended, next.notes]).toEqual([null, []]);
  });

  it("what R2 doesn't give now it gives later", async () => {
    const { world } = await begun();
    const next = world.start(operator);
    await world.value(next, "k1");
    world.fates = ({ method }) => (method === "range" ? "before" : "ok");
    expect(words(await world.send(next, { id: "e3", key: "k3", data: 3 }))).toBe("store_unavailable");
    world.fates = () => "ok";
    expect(words(await world.send(next, { id: "e3", key: "k3", data: 3 }))).toEqual(["applied again"]);
    expect(next.ended).toBeNull();
  });
});
