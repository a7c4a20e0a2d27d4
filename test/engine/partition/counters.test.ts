/** A partition's counters: it rides in rows that are written anyway, never falls, and counts what is there. */
import { describe, expect, it } from "vitest";
import { brotli } from "../../../src/adapters/brotli.ts";
import {
  commitCounts,
  groupCounts,
  countOf,
  Counters,
  COUNTERS,
  laterOf,
  readCounters,
  type Counter,
  type CounterRow,
} from "../../../src/engine/base/counters.ts";
import { readManifest } from "../../../src/engine/snapshot/manifest.ts";
import { readRiding, type RidingStats } from "../../../src/engine/recovery/open-partition.ts";
import { sum } from "../fakes/sum.ts";
import { World, type Incarnation } from "../fakes/world.ts";

const operator = sum();
const NAME = "1/sum/0000";

const manifest = (world: World) => {
  const text = world.db.rows.get(NAME)?.manifest ?? null;
  return text === null ? null : readManifest(text, brotli.crc32);
};
const riding = (world: World): Partial<RidingStats> => readRiding(world.db.segments.get(NAME)?.at(-1)?.stats ?? null);
const head = (world: World): number =>
  world.db.segments.get(NAME)?.at(-1)?.last ?? world.db.rows.get(NAME)?.snapshotSeq ?? 0;

/** As `GET /metrics` puts it together, from D1 alone. */
const shown = (world: World): CounterRow =>
  laterOf([riding(world).counters, manifest(world)?.counters].map(readCounters));
const counts = (world: World, ...names: readonly Counter[]): number[] =>
  names.map((name) => countOf(shown(world), name));

const snapshot = (world: World, one: Incarnation) => world.clock.run(one.partition.snapshot().catch(() => null));

async function fill(world: World, one: Incarnation, from: number, to: number): Promise<void> {
  for (let n = from; n <= to; n++) await world.send(one, { id: `a${n}`, key: `k${n % 3}`, data: n });
}

describe("counters of a partition", () => {
  it("N2: each event counts once, by its outcome, with the group that logs it", async () => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, { id: "a", data: 1 }, { id: "b", data: 0 }, { id: "c", data: "boom" }, { id: "a", data: 1 });
    const outcomes = ["applied", "refused", "quarantined", "duplicates", "reused"] as const;
    expect(counts(world, ...outcomes)).toEqual([1, 1, 1, 1, 0]);
    expect(riding(world).quarantined).toBe(1);
    // Repeats alone write nothing, so they are told with the next group.
    await world.send(one, { id: "a", data: 1 }, { id: "a", data: 2 });
    expect(counts(world, ...outcomes)).toEqual([1, 1, 1, 1, 0]);
    await world.send(one, { id: "d", data: 4 });
    expect(counts(world, ...outcomes)).toEqual([2, 1, 1, 2, 1]);
    expect(counts(world, "slices", "segments", "group<=10", "group<=1")).toEqual([3, 2, 1, 1]);
    const written = counts(world, "d1RowsWritten")[0]!;
    expect(written - 2 * 2, "its own row is among them, and what made the partition").toBe(6);
    expect(counts(world, "commit<=10")[0], "its own commit isn't timed yet").toBe(1);
  });

  it("SNAP9: nothing is written for them: as many calls as there are without, and less than a kilobyte in a row", async () => {
    const world = new World();
    const one = world.start(operator);
    await fill(world, one, 1, 3);
    expect(world.trace).toEqual(["peek", "list", "create", "open", "append", "append", "append"]);
    const { stats } = world.db.segments.get(NAME)!.at(-1)!;
    const without = JSON.stringify({ ...JSON.parse(stats), counters: undefined, tail: undefined, writer: undefined });
    expect(stats.length - without.length).toBeLessThan(200);
    const grown = new Counters();
    grown.add(Object.fromEntries(COUNTERS.map((name) => [name, 1_000_000_000])));
    expect(JSON.stringify(grown.row()).length).toBeLessThan(600);
  });

  it("N2: they go on after a crash, after a snapshot that left no tail, and after a fall-back", async () => {
    const world = new World();
    let one = world.start(operator);
    await fill(world, one, 1, 4);
    one.crashed = true;
    one = world.start(operator);
    await fill(world, one, 5, 6);
    expect(counts(world, "applied", "recoveries", "replayedEvents")).toEqual([6, 2, 4]);
    await snapshot(world, one);
    expect(counts(world, "fullSnapshots", "deltaSnapshots", "snapshotFailures")).toEqual([1, 0, 0]);
    expect(counts(world, "fullBytes")[0]).toBe(manifest(world)!.snapshot.bytes);
    expect(counts(world, "archiveBytes")[0]).toBeGreaterThan(0);
    // D1 short of room: nothing of the log is left.
    world.db.segments.set(NAME, []);
    one.crashed = true;
    one = world.start(operator);
    await fill(world, one, 7, 7);
    expect(counts(world, "applied", "fullSnapshots", "recoveries")).toEqual([7, 1, 3]);
    await snapshot(world, one);
    world.store.objects.delete(manifest(world)!.snapshot.name);
    const before = shown(world);
    one = world.start(operator);
    await fill(world, one, 8, 8);
    expect(counts(world, "applied", "fallbacks")).toEqual([8, 1]);
    expect(laterOf([before, shown(world)])).toEqual(shown(world));
  });

  it("a failed snapshot counts, and one that took effect unheard counts as well", async () => {
    const world = new World();
    const one = world.start(operator);
    await fill(world, one, 1, 2);
    world.fates = ({ method }) => (method === "put" ? "before" : "ok");
    await snapshot(world, one);
    world.fates = () => "ok";
    await fill(world, one, 3, 3);
    expect(counts(world, "fullSnapshots", "snapshotFailures")).toEqual([0, 1]);
    await snapshot(world, one);
    await fill(world, one, 4, 4);
    expect(counts(world, "fullSnapshots", "snapshotFailures")).toEqual([1, 1]);
  });

  it("says who writes, and whom it follows", async () => {
    const world = new World();
    const one = world.start(operator);
    await fill(world, one, 1, 1);
    const first = riding(world).writer;
    expect(first).toMatch(/^nonce-/);
    expect(riding(world).before).toBeUndefined();
    const two = world.start(operator);
    await fill(world, two, 2, 2);
    expect(riding(world)).toMatchObject({ before: { epoch: 1, writer: first } });
    expect(riding(world).writer).not.toBe(first);
  });

  it("splits a recovery into the round trip to D1, the base and the log", async () => {
    const world = new World();
    const one = world.start(operator);
    await fill(world, one, 1, 3);
    let wait = 0;
    const slow = (ms: number) => new Promise<void>((resolve) => void world.clock.after(ms, resolve));
    world.fates = ({ method }) => ((wait = method === "peek" ? 70 : 0) > 0 ? slow(wait) : "ok");
    const next = world.start(operator);
    await fill(world, next, 4, 4);
    const { lastRecovery } = await world.clock.run(next.partition.facts());
    expect(lastRecovery.phases).toEqual({ openMs: 70, loadMs: 0, replayMs: 0 });
    expect(counts(world, "openMs")[0]).toBeGreaterThanOrEqual(70);
  });

  it("knows how large the quarantine is after retries and deletions, before anything else is logged", async () => {
    const world = new World();
    const one = world.start(operator);
    const events = ["q1", "q2", "q3"].map((id) => ({ id, data: "boom" }));
    await world.send(one, ...events);
    expect(riding(world).quarantined).toBe(3);
    const command = (kind: string, seq: number) => ({
      id: `${kind}-${seq}`,
      type: `keyframe.quarantine.${kind}`,
      data: { seq },
    });
    await world.send(one, command("delete", 1), command("retry", 2), command("delete", 99));
    const listed = await world.clock.run(one.partition.quarantined(0 as never, 10, 1_000_000));
    expect(riding(world).quarantined).toBe(listed.items.length);
    expect(listed.items).toHaveLength(2);
    await snapshot(world, one);
    expect(manifest(world)!.quarantined).toBe(2);
  });

  it("N2: whatever fails and whoever crashes, no number that D1 shows ever falls, and the outcomes are the log", async () => {
    let state = 7;
    const random = (n: number): number => (state = (state * 48_271) % 2_147_483_647) % n;
    const world = new World();
    let one = world.start(operator);
    let last = shown(world);
    let id = 0;
    const happened = { crashes: 0, falls: 0, snapshots: 0 };
    for (let step = 0; step < 400; step++) {
      const failing = random(4) === 0;
      world.fates = () => (failing && random(3) === 0 ? (random(2) === 0 ? "before" : "after") : "ok");
      const what = random(10);
      if (what < 6) {
        const events = Array.from({ length: 1 + random(20) }, () => ({
          id: `e${random(4) === 0 ? random(id + 1) : ++id}`,
          key: `k${random(5)}`,
          data: [0, "boom", 1, 2, 3][random(40)] ?? 5,
        }));
        await world.send(one, ...events);
      } else if (what < 8) {
        if ((await snapshot(world, one))?.tag === "current") happened.snapshots += 1;
      } else {
        one.crashed = random(2) === 0;
        happened.crashes += 1;
        one = world.start(operator);
        const found = random(4) === 0 ? manifest(world)?.snapshot.name : undefined;
        if (found !== undefined && manifest(world)!.number > 1 && manifest(world)!.kind === "delta") {
          world.store.objects.delete(found);
          happened.falls += 1;
        }
        if (random(2) === 0) await world.clock.run(one.partition.read(["k1"]).catch(() => null));
      }
      if (one.ended !== null) one = world.start(operator);
      world.fates = () => "ok";
      await world.clock.advance(5_000);
      const now = shown(world);
      expect(laterOf([last, now]), `step ${step}`).toEqual(now);
      const [applied, refused, quarantined] = counts(world, "applied", "refused", "quarantined");
      expect(applied! + refused! + quarantined!, `step ${step}`).toBe(head(world));
      last = now;
    }
    expect(Math.min(...Object.values(happened)), JSON.stringify(happened)).toBeGreaterThan(2);
    expect(counts(world, "fallbacks", "snapshotFailures", "reused", "deltaSnapshots").every((n) => n > 0)).toBe(true);
  });
});

describe("a row of counters", () => {
  it.each([null, undefined, "x", {}, [], [2, 5], [1, -1], [1, 0.5], [1, "2"]])("isn't read from %j", (value) => {
    expect(readCounters(value)).toBeNull();
  });

  it("N3: what only newer code counts is carried along", () => {
    const counters = new Counters();
    counters.restore([[...counters.row(), 77]]);
    counters.add({ applied: 1 });
    expect(counters.row().at(-1)).toBe(77);
    expect(countOf(counters.row(), "applied")).toBe(1);
    expect(countOf([1, 5], "wakes"), "a row of older code").toBe(0);
  });

  it("sorts commits into histograms", () => {
    expect(commitCounts(25)).toEqual({ commitMs: 25, "commit<=25": 1 });
    expect(commitCounts(26)).toEqual({ commitMs: 26, "commit<=50": 1 });
    expect(commitCounts(60_000)).toMatchObject({ "commit>": 1 });
    expect(groupCounts(1)).toEqual({ groupEvents: 1, "group<=1": 1 });
    expect(groupCounts(2)).toMatchObject({ "group<=10": 1 });
    expect(groupCounts(10_001)).toEqual({ groupEvents: 10_001, "group>": 1 });
  });
});
