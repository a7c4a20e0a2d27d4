/**
 * The verification: equal where all is healthy, and the key and event where a handler, a snapshot or the log say
 * something else.
 */
import { describe, expect, it } from "vitest";
import type { Operator } from "../../../src/engine/operator/operator.ts";
import type { SnapshotPolicy } from "../../../src/engine/operator/settings.ts";
import type { Verified } from "../../../src/engine/checkpoint/verify.ts";
import { brotli } from "../../../src/adapters/brotli.ts";
import { readManifest } from "../../../src/engine/snapshot/manifest.ts";
import type { StateFile } from "../../../src/engine/base/records.ts";
import { sum } from "../fakes/sum.ts";
import { World, type Incarnation } from "../fakes/world.ts";

const plain = sum();
const verify = (world: World, one: Incarnation): Promise<Verified> => world.clock.run(one.partition.verify());

async function fill(world: World, one: Incarnation, from: number, to: number): Promise<void> {
  for (let n = from; n <= to; n++) await world.send(one, { id: `a${n}`, key: `k${n % 5}`, data: n });
}

async function snapshot(world: World, one: Incarnation): Promise<void> {
  const taken = await world.clock.run(one.partition.snapshot());
  if (taken.tag !== "current") throw new Error(JSON.stringify(taken));
}

/** Not deterministic: counts how often it ran, at replay too. */
function moody(snapshot: SnapshotPolicy = {}): Operator {
  let runs = 0;
  return sum({
    snapshot,
    on: {
      add(state, event) {
        runs += 1;
        state.total += event.data === 7 ? runs : Number(event.data);
        state.times += 1;
      },
    },
  });
}

describe("the verification", () => {
  it.each<[string, number[], number | null, number]>([
    ["without a snapshot, from the whole log", [], null, 20],
    ["with one, from the whole log still", [8], null, 20],
    ["with two, from the first", [8, 12], 1, 12],
    ["with five, from the one before the last", [4, 8, 12, 16, 18], 4, 4],
  ])("SNAP8: %s: equal", async (_, at, manifest, replayedEvents) => {
    const world = new World();
    const one = world.start(plain);
    let done = 0;
    for (const next of [...at, 20]) {
      await fill(world, one, done + 1, next);
      done = next;
      if (next < 20) await snapshot(world, one);
    }
    await world.clock.advance(100);
    const puts = world.store.objects.size;
    expect(await verify(world, one)).toEqual({
      tag: "equal",
      seq: 20,
      manifest,
      replayedEvents,
      keys: 5,
      unmigrated: { keys: 0, some: [] },
    });
    expect(world.store.objects.size, "V3: it writes nothing").toBe(puts);
    expect(await verify(world, world.start(plain)), "after a recovery").toMatchObject({ tag: "equal", seq: 20 });
  });

  it("ONE5: a handler that isn't deterministic is caught, with the first event and key", async () => {
    const world = new World();
    const one = world.start(moody());
    await fill(world, one, 1, 3);
    await snapshot(world, one);
    await fill(world, one, 4, 6);
    await snapshot(world, one);
    await fill(world, one, 7, 10);
    expect(await verify(world, one)).toMatchObject({
      tag: "differs",
      seq: 10,
      manifest: 1,
      difference: { seq: 7, key: "k2" },
    });
  });

  it("CODE4: what other code made is not compared", async () => {
    const world = new World();
    await fill(world, world.start(plain, "code-1"), 1, 3);
    const one = world.start(plain, "code-2");
    await fill(world, one, 4, 6);
    expect(await verify(world, one)).toMatchObject({
      tag: "not_comparable",
      why: expect.stringMatching(/code-1/) as string,
    });
  });

  it("an archive or snapshot that can't be read is named, while nothing is lost yet", async () => {
    const world = new World();
    const one = world.start(plain);
    await fill(world, one, 1, 3);
    await snapshot(world, one);
    await fill(world, one, 4, 6);
    await snapshot(world, one);
    const file = [...world.store.objects.keys()].find((name) => name.includes("/snapshots/"))!;
    world.store.damage(file);
    expect(await verify(world, one)).toMatchObject({
      tag: "not_rebuilt",
      why: expect.stringMatching(/checksum/) as string,
    });
    expect(await world.value(one, "k1")).toEqual({ total: 7, times: 2 });
    await world.clock.advance(1_000);
    const row = world.db.rows.get("1/sum/0000")!;
    expect(readManifest(row.manifest!, brotli.crc32), "saved anew at once").toMatchObject({ kind: "full", seq: 6 });
    expect(row.previous, "SNAP4: what is damaged counts as no generation").toBeNull();
    expect(await world.value(world.start(plain), "k1")).toEqual({ total: 7, times: 2 });
  });

  it("runs by itself after about one alarm a day, and tells of a difference", async () => {
    for (const [every, notes] of [
      ["24h", ["verification found a difference"]],
      ["5m", []],
    ] as const) {
      const world = new World();
      const one = world.start(moody({ every }));
      await fill(world, one, 1, 10);
      await world.clock.run(one.partition.wake());
      expect(one.notes).toEqual(notes);
    }
  });

  it.each([
    ["its end", ({ bytes }: StateFile) => bytes - 1],
    ["a block that is read while the states are compared", ({ rest }: StateFile) => rest! - 1],
  ])("SNAP4: with the older generation damaged (%s), the current one takes its place", async (_, at) => {
    const world = new World();
    world.sizes = { blockChars: 100, fileBytes: 1_000_000, archiveBytes: 1_000_000, wholeBytes: 1, idsBytes: 1 };
    // It holds next to nothing in memory, so that a replay reads the blocks that it needs and no other.
    const one = world.start(sum({ memory: 1 }));
    await fill(world, one, 1, 3);
    await snapshot(world, one);
    // A delta that outweighs the first, so that the next one is full.
    await world.send(one, ...Array.from({ length: 60 }, (_, i) => ({ id: `b${i}`, key: "bulk", data: 1 })));
    await snapshot(world, one);
    await fill(world, one, 4, 6);
    await snapshot(world, one);
    const row = world.db.rows.get("1/sum/0000")!;
    const [now, older] = [row.manifest!, row.previous!].map((text) => readManifest(text, brotli.crc32));
    expect(now!.kind).toBe("full");
    const file = older!.chain![0]!;
    world.store.objects.get(file.name)![at(file)]! ^= 1;
    expect(await verify(world, one)).toMatchObject({ tag: "not_rebuilt", damaged: "older" });
    await world.clock.advance(1_000);
    expect(readManifest(world.db.rows.get("1/sum/0000")!.previous!, brotli.crc32).number).toBe(now!.number);
  });

  it("LOG6: doesn't run by itself where the state is large", async () => {
    const world = new World();
    const large = sum({
      initial: () => ({ total: 0, times: 0, pad: "x".repeat(900_000) }),
      snapshot: { every: "24h" },
      memory: 100_000_000,
    });
    const one = world.start(large);
    for (let n = 0; n < 75; n++) await world.send(one, { id: `l${n}`, key: `large${n}`, data: 1 });
    await world.clock.run(one.partition.wake());
    expect(one.notes).toEqual([]);
    expect(await verify(world, one), "but when it is asked for").toMatchObject({ tag: "equal" });
  });

  it("an empty partition has nothing to compare", async () => {
    const world = new World();
    expect(await verify(world, world.start(plain))).toMatchObject({ tag: "not_comparable" });
  });
});
