/** The other half: snapshots, what is kept, and coming back from whatever is left. */
import { describe, expect, it } from "vitest";
import { seq } from "../../../src/engine/base/ids.ts";
import { readManifest } from "../../../src/engine/snapshot/manifest.ts";
import { GARBAGE_MS } from "../../../src/engine/checkpoint/checkpointer.ts";
import { brotli } from "../../../src/adapters/brotli.ts";
import type { Operator } from "../../../src/engine/operator/operator.ts";
import { sum } from "../fakes/sum.ts";
import { words, World, type Fate, type Incarnation } from "../fakes/world.ts";

const operator = sum();
const NAME = "1/sum/0000";

async function snapshot(world: World, one: Incarnation): Promise<string> {
  const result = await world.clock.run(one.partition.snapshot().catch(() => null));
  if (result !== null) return result.tag;
  // The caller's patience ended first: the attempt itself continues until its own limit.
  await world.clock.advance(60_000);
  return "failed";
}

/** Sends events a1..an, one at a time. */
async function fill(world: World, one: Incarnation, from: number, to: number): Promise<void> {
  for (let n = from; n <= to; n++) await world.send(one, { id: `a${n}`, key: `k${n % 3}`, data: n });
}

async function totals(world: World, one: Incarnation): Promise<unknown[]> {
  const values: unknown[] = [];
  for (const key of ["k0", "k1", "k2"]) values.push(await world.value(one, key));
  return values;
}

const quarantined = async (world: World, one: Incarnation) =>
  (await world.clock.run(one.partition.quarantined(seq(0), 100, 1_000_000))).items;

/** Two generations: a full snapshot at 4, a delta at 44 that outweighs it, a full one at 48; and two events above. */
async function twoGenerations(): Promise<{ world: World; expected: unknown[] }> {
  const world = new World();
  const one = world.start(operator);
  await fill(world, one, 1, 4);
  await snapshot(world, one);
  await world.send(one, ...Array.from({ length: 40 }, (_, i) => ({ id: `bulk${i}`, key: "bulk", data: 1 })));
  await snapshot(world, one);
  await fill(world, one, 5, 8);
  await snapshot(world, one);
  expect([current(world).kind, world.db.rows.get(NAME)!.previousSeq]).toEqual(["full", 44]);
  await fill(world, one, 9, 10);
  return { world, expected: await totals(world, one) };
}

const current = (world: World) => readManifest(world.db.rows.get(NAME)!.manifest!, brotli.crc32);
const objects = (world: World, kind: string): string[] =>
  [...world.store.objects.keys()].filter((name) => name.includes(`/${kind}/`)).sort();

describe("snapshots", () => {
  it("SNAP1: state, repeats, replies and quarantine come back from snapshot and tail", async () => {
    const world = new World();
    const one = world.start(operator);
    await fill(world, one, 1, 9);
    await world.send(one, { id: "r", data: 0 }, { id: "q", data: "boom" });
    expect(await snapshot(world, one)).toBe("current");
    await fill(world, one, 10, 12);
    const next = world.start(operator);
    expect(await totals(world, next)).toEqual(await totals(world, one));
    const again = await world.send(
      next,
      { id: "a3", key: "k0", data: 3 },
      { id: "r", data: 0 },
      { id: "q", data: "boom" },
      { id: "a11", key: "k2", data: 11 },
    );
    expect(words(again)).toEqual(["applied again", "refused again", "quarantined again", "applied again"]);
    expect(again.tag === "decided" && again.details[0]![2], "the first reply").toBe('["a",{"total":3}]');
    expect((await quarantined(world, next)).map((entry) => entry.error)).toEqual(["boom"]);
    expect((await world.clock.run(next.partition.facts())).lastRecovery).toMatchObject({
      manifest: 1,
      replayedEvents: 3,
      fallbacks: 0,
    });
  });

  it("SNAP1: events go on while a snapshot is uploaded, and it holds exactly those up to its seq", async () => {
    const world = new World();
    const one = world.start(operator);
    await fill(world, one, 1, 3);
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    world.fates = ({ method }) => (method === "put" ? held : "ok");
    const taking = one.partition.snapshot();
    await world.clock.settle();
    await fill(world, one, 4, 6);
    release();
    await world.clock.run(taking);
    expect(current(world).seq).toBe(3);
    expect(await totals(world, world.start(operator))).toEqual(await totals(world, one));
  });

  it("LOG5: the log is cut up to the manifest before the current one, and every archive is kept", async () => {
    const world = new World();
    const one = world.start(operator);
    for (const [from, to] of [
      [1, 3],
      [4, 6],
      [7, 9],
      [10, 12],
    ] as const) {
      await fill(world, one, from, to);
      await snapshot(world, one);
    }
    expect(objects(world, "manifests"), "with the archive: kept for the retention time").toHaveLength(4);
    expect(world.db.segments.get(NAME)!.map((row) => row.seq)).toEqual([10, 11, 12]);
    expect(world.db.rows.get(NAME)).toMatchObject({ version: 4, snapshotSeq: 12 });
  });

  it("SNAP5: a snapshot is two writes to R2; nothing new, nothing written", async () => {
    const world = new World();
    const one = world.start(operator);
    await fill(world, one, 1, 3);
    await snapshot(world, one);
    expect(world.trace.filter((method) => method === "put")).toHaveLength(2);
    await snapshot(world, one);
    expect(world.trace.filter((method) => method === "put")).toHaveLength(2);
  });

  it.each<[string, Fate]>([
    ["promote", "after"],
    ["promote", "silent after"],
  ])(
    "SNAP2: a transaction of unknown outcome that took effect (%s %s) is found to be current",
    async (method, fate) => {
      const world = new World();
      const one = world.start(operator);
      await fill(world, one, 1, 3);
      world.fates = (call) => (call.method === method ? fate : "ok");
      expect(await snapshot(world, one)).toBe("current");
      world.fates = () => "ok";
      await fill(world, one, 4, 6);
      expect(await snapshot(world, one)).toBe("current");
      expect(await totals(world, world.start(operator))).toEqual(await totals(world, one));
    },
  );

  it.each<[string, Fate]>([
    ["put", "before"],
    ["put", "after"],
    ["put", "silent"],
    ["promote", "before"],
    ["promote", "silent"],
  ])("SNAP2: a snapshot that failed (%s %s) changes nothing; the next one holds everything", async (method, fate) => {
    const world = new World();
    const one = world.start(operator);
    await fill(world, one, 1, 3);
    world.fates = (call) => (call.method === method ? fate : "ok");
    expect(await snapshot(world, one)).toBe("failed");
    expect(world.db.rows.get(NAME)).toMatchObject({ version: 0, manifest: null });
    expect(one.armed, "SNAP6: it will be tried again").not.toBeNull();
    world.fates = () => "ok";
    await fill(world, one, 4, 5);
    expect(await snapshot(world, one)).toBe("current");
    expect(current(world).seq).toBe(5);
    expect(await totals(world, world.start(operator))).toEqual(await totals(world, one));
  });

  it("SNAP2, A3 of the models: a promotion that is executed late can't bring an older snapshot back", async () => {
    const world = new World();
    const one = world.start(operator);
    await fill(world, one, 1, 3);
    let release = (): void => undefined;
    const late = new Promise<void>((resolve) => (release = resolve));
    let first = true;
    world.fates = ({ method }) => (method === "promote" && first ? ((first = false), late) : "ok");
    expect(await snapshot(world, one)).toBe("failed");
    await fill(world, one, 4, 6);
    expect(await snapshot(world, one)).toBe("current");
    release();
    await world.clock.settle();
    expect(current(world).seq).toBe(6);
    expect(await totals(world, world.start(operator))).toEqual(await totals(world, one));
  });

  it("SNAP2, A4 of the models: a superseded instance makes nothing current and ends itself", async () => {
    const world = new World();
    const old = world.start(operator);
    await fill(world, old, 1, 3);
    const next = world.start(operator);
    await fill(world, next, 4, 4);
    expect(await snapshot(world, old)).toBe("failed");
    expect(old.ended).toMatch(/superseded/);
    expect(world.db.rows.get(NAME)!.manifest).toBeNull();
  });
});

describe("a snapshot that took effect unheard", () => {
  /** Two snapshots, and a third whose promotion D1 executes only after its sender has given up and looked. */
  async function unheard(): Promise<{ world: World; one: Incarnation; first: string }> {
    const world = new World();
    const one = world.start(operator);
    await fill(world, one, 1, 3);
    await snapshot(world, one);
    const first = current(world).snapshot.name;
    // Deltas that outweigh what they build on, so that the one after each is full and begins a generation.
    for (const [round, count] of [40, 120].entries()) {
      await world.send(
        one,
        ...Array.from({ length: count }, (_, i) => ({ id: `b${round}-${i}`, key: "bulk", data: 1 })),
      );
      await snapshot(world, one);
      if (round === 1) break;
      await fill(world, one, 4, 6);
      await snapshot(world, one);
    }
    let release = (): void => undefined;
    const late = new Promise<void>((resolve) => (release = resolve));
    const held = new Set<number>();
    world.fates = ({ method, number }) => {
      if (method !== "promote" || held.size > 0) return "ok";
      held.add(number);
      return late;
    };
    await fill(world, one, 7, 8);
    await snapshot(world, one);
    release();
    await world.clock.settle();
    expect(current(world)).toMatchObject({ kind: "full", seq: 168 });
    return { world, one, first };
  }

  it("SNAP2, SNAP10: what it displaced is a restore point, until garbage collection by a writer that learns of it", async () => {
    const { world, one, first } = await unheard();
    expect(await snapshot(world, one)).toBe("failed");
    await fill(world, one, 9, 9);
    expect(await snapshot(world, one)).toBe("current");
    expect(objects(world, "snapshots")).toContain(first);
    expect(world.db.kept.get(NAME)!.points.map(({ version }) => version)).toEqual([1, 2, 3, 4, 5]);
    await world.clock.advance(GARBAGE_MS);
    expect(await snapshot(world, one)).toBe("current");
    await world.clock.advance(1_000);
    expect(objects(world, "snapshots")).not.toContain(first);
  });

  it("SNAP6: the alarm after it finds nothing left to save, and comes to an end", async () => {
    const { world, one } = await unheard();
    expect(await snapshot(world, one)).toBe("failed");
    await world.clock.advance(25 * 3_600_000);
    await world.clock.run(one.partition.wake());
    expect(current(world).seq).toBe(168);
  });
});

describe("recovery", () => {
  const losses: readonly (readonly [string, (world: World, name: string) => void])[] = [
    ["damaged", (world, name) => world.store.damage(name)],
    ["missing", (world, name) => void world.store.objects.delete(name)],
    ["truncated", (world, name) => void world.store.objects.set(name, world.store.objects.get(name)!.slice(0, -5))],
  ];

  it.each(losses)(
    "SNAP4: a %s current snapshot costs a fallback, no event; the next snapshot comes at once",
    async (_, lose) => {
      const { world, expected } = await twoGenerations();
      lose(world, current(world).snapshot.name);
      const next = world.start(operator);
      expect(words(await world.send(next, { id: "a2", key: "k2", data: 2 }))).toEqual(["applied again"]);
      expect(await totals(world, next)).toEqual(expected);
      expect((await world.clock.run(next.partition.facts())).lastRecovery).toMatchObject({ manifest: 2, fallbacks: 1 });
      await world.clock.advance(1_000);
      const row = world.db.rows.get(NAME)!;
      expect(row).toMatchObject({ version: 4, snapshotSeq: 50 });
      expect(readManifest(row.previous!, brotli.crc32).number, "the damaged one doesn't count").toBe(2);
      expect(await totals(world, world.start(operator))).toEqual(expected);
    },
  );

  it("SNAP4: an older generation that was found to be damaged is replaced at once, by the current one", async () => {
    const { world, expected } = await twoGenerations();
    const older = readManifest(world.db.rows.get(NAME)!.previous!, brotli.crc32);
    world.cache.distrust(older.snapshot.name);
    const next = world.start(operator);
    expect(words(await world.send(next, { id: "a2", key: "k2", data: 2 }))).toEqual(["applied again"]);
    await world.clock.advance(1_000);
    expect(current(world)).toMatchObject({ kind: "full", number: 4, seq: 50 });
    expect(readManifest(world.db.rows.get(NAME)!.previous!, brotli.crc32).number).toBe(3);
    expect(await totals(world, world.start(operator))).toEqual(expected);
  });

  it("SNAP4: who recovered without a corrupt file builds on no manifest that has it, whoever made that current meanwhile", async () => {
    const world = new World();
    const one = world.start(operator);
    await fill(world, one, 1, 30);
    await snapshot(world, one);
    await world.send(one, { id: "b1", data: 1 });
    const [damaged] = objects(world, "snapshots") as [string];
    world.store.objects.set(damaged, new Uint8Array(5));
    const two = world.start(operator);
    await totals(world, two);
    expect(two.notes).toContain("recovered by fallback");
    // The one before has all in memory, and doesn't know.
    await snapshot(world, one);
    expect(current(world)).toMatchObject({ kind: "delta", chain: [{ name: damaged }] });
    await world.send(two, { id: "b2", data: 2 });
    expect(await snapshot(world, two)).toBe("failed");
    expect(two.ended).toMatch(/found corrupt before/);
    const three = world.start(operator);
    const expected = await totals(world, three);
    expect(await snapshot(world, three)).toBe("current");
    const { manifest, previous } = world.db.rows.get(NAME)!;
    expect([manifest, previous].filter((text) => text?.includes(damaged))).toEqual([]);
    expect(await totals(world, world.start(operator))).toEqual(expected);
  });

  it("SNAP4: without any snapshot that can be read, the archive and the log give the state back", async () => {
    const { world, expected } = await twoGenerations();
    for (const name of objects(world, "snapshots")) world.store.damage(name);
    const next = world.start(operator);
    expect(await totals(world, next)).toEqual(expected);
    expect((await world.clock.run(next.partition.facts())).lastRecovery).toMatchObject({
      manifest: null,
      fallbacks: 4,
    });
  });

  it("SNAP3: without those either it is a named error, never an empty state", async () => {
    const world = new World();
    const one = world.start(operator);
    for (const [from, to] of [
      [1, 3],
      [4, 6],
      [7, 9],
    ] as const) {
      await fill(world, one, from, to);
      await snapshot(world, one);
    }
    for (const name of [...objects(world, "snapshots"), objects(world, "manifests")[0]!]) world.store.damage(name);
    const next = world.start(operator);
    expect(words(await world.send(next, { id: "x", data: 1 }))).toBe("snapshot_unreadable");
    await expect(world.value(next)).rejects.toThrow(/checksum/);
    expect(world.db.segments.get(NAME)!.at(-1)!.last).toBe(9);
  });

  it("CODE2: objects in R2 without a row in D1 are an error by name, not a new partition", async () => {
    const { world } = await twoGenerations();
    world.db.rows.clear();
    world.db.segments.clear();
    const next = world.start(operator);
    expect(words(await world.send(next, { id: "x", data: 1 }))).toBe("catalogue_lost");
    await expect(world.value(next)).rejects.toThrow(/restore the database/);
    expect(world.db.rows.size).toBe(0);
  });

  it("LOG4: a hole in the log is a named error", async () => {
    const world = new World();
    const one = world.start(operator);
    await fill(world, one, 1, 5);
    world.db.segments.set(
      NAME,
      world.db.segments.get(NAME)!.filter((row) => row.seq !== 3),
    );
    expect(words(await world.send(world.start(operator), { id: "x", data: 1 }))).toBe("snapshot_unreadable");
  });

  it("an R2 that fails for a while is no damage: the call fails by name, the next one opens", async () => {
    const { world, expected } = await twoGenerations();
    world.fates = ({ method }) => (method === "range" ? "before" : "ok");
    const next = world.start(operator);
    await expect(world.value(next)).rejects.toThrow(/R2 failed/);
    world.fates = () => "ok";
    expect(await totals(world, next)).toEqual(expected);
    expect((await world.clock.run(next.partition.facts())).lastRecovery.fallbacks).toBe(0);
  });
});

describe("code that changes", () => {
  const v2 = (on = {}): Operator =>
    sum({
      version: 2,
      migrate: { 2: (old) => ({ ...old, total: Number(old["total"]) * 100 }) },
      on: { add: (state, event) => void ((state.total += Number(event.data) * 100), state.times++) },
      ...on,
    });

  it("CODE3: newer code migrates, older code goes back to the snapshot of its version and replays", async () => {
    const world = new World();
    const one = world.start(operator);
    await fill(world, one, 1, 6);
    await snapshot(world, one);
    await fill(world, one, 7, 7);

    const newer = world.start(v2(), "code-2");
    await fill(world, newer, 8, 8);
    expect(await world.value(newer, "k1")).toEqual({ total: 1_200, times: 3 });
    await world.clock.advance(1_000);
    expect(current(world), "CODE4: other code's segment was replayed, so a snapshot comes at once").toMatchObject({
      operatorVersion: 2,
      code: "code-2",
    });
    for (const [from, to] of [
      [9, 10],
      [11, 12],
    ] as const) {
      await fill(world, newer, from, to);
      await snapshot(world, newer);
    }

    const back = world.start(operator, "code-1");
    await fill(world, back, 13, 13);
    expect(await world.value(back, "k1")).toEqual({ total: 1 + 4 + 7 + 10 + 13, times: 5 });
    expect(await world.value(back, "k0")).toEqual({ total: 3 + 6 + 9 + 12, times: 4 });
    await world.clock.advance(1_000);
    expect(current(world).operatorVersion).toBe(1);
    expect(await totals(world, world.start(operator))).toEqual(await totals(world, back));
  });

  it("CODE3, LOG5: a rollback reads no archive from before the snapshot that it goes back to", async () => {
    const world = new World();
    const one = world.start(operator);
    for (const [from, to] of [
      [1, 2],
      [3, 4],
      [5, 6],
    ] as const) {
      await fill(world, one, from, to);
      await snapshot(world, one);
    }
    // From now on versions 4, 5, …: the third is the one that the rollback goes back to.
    const newer = world.start(v2(), "code-2");
    await fill(world, newer, 7, 8);
    // An attempt that was never made current: its archive shares its version with the one that was.
    world.fates = ({ method }) => (method === "promote" ? "before" : "ok");
    expect(await snapshot(world, newer)).toBe("failed");
    world.fates = () => "ok";
    await fill(world, newer, 9, 9);
    await snapshot(world, newer);
    await fill(world, newer, 10, 10);
    await snapshot(world, newer);
    // The next one's archive begins below the one before it, whose snapshot is lost.
    world.store.damage(current(world).snapshot.name);
    const again = world.start(v2(), "code-2");
    for (const n of [11, 12, 13]) {
      await fill(world, again, n, n);
      await snapshot(world, again);
    }
    const kept = objects(world, "manifests");
    const versions = kept.map((name) => Number(/\/manifests\/(\d+)-/.exec(name)![1]));
    expect(new Set(versions).size, "some share their version").toBeLessThan(versions.length);
    expect(versions.length).toBeGreaterThan(7);

    const read: string[] = [];
    const get = world.store.get.bind(world.store);
    world.store.get = (name) => {
      read.push(name);
      return get(name);
    };
    const back = world.start(operator, "code-1");
    expect(await totals(world, back)).toEqual([
      { total: 3 + 6 + 9 + 12, times: 4 },
      { total: 1 + 4 + 7 + 10 + 13, times: 5 },
      { total: 2 + 5 + 8 + 11, times: 4 },
    ]);
    expect((await world.clock.run(back.partition.facts())).lastRecovery).toMatchObject({ manifest: 3, fallbacks: 0 });
    const archives = read.filter((name) => name.includes("/manifests/"));
    expect(archives.length).toBeGreaterThan(3);
    expect(archives.filter((name) => kept.indexOf(name) < versions.lastIndexOf(3) + 1)).toEqual([]);
  });

  it("CODE3: the older version's snapshot is kept for the retention time from when newer code replaced it, however old it was then", async () => {
    const day = 24 * 3_600_000;
    const world = new World();
    const one = world.start(operator);
    await fill(world, one, 1, 3);
    await snapshot(world, one);
    await world.clock.advance(30 * day);
    const newer = world.start(v2(), "code-2");
    const pinned = () =>
      (JSON.parse(world.db.rows.get(NAME)!.pins) as string[]).flatMap(
        (text) => text.match(/"operatorVersion":1,/) ?? [],
      );
    const manyFull = async (): Promise<void> => {
      for (let n = 0; n < 20; n++) {
        await fill(world, newer, world.calls + 100, world.calls + 100);
        await snapshot(world, newer);
      }
    };
    await manyFull();
    await world.clock.advance(6.9 * day);
    await manyFull();
    expect(pinned()).toHaveLength(1);
    expect(words(await world.send(world.start(operator), { id: "z", key: "k1", data: 1 }))).toEqual(["applied"]);
  });

  it("CODE3: and no longer: then a rollback is refused, if the log doesn't reach back either", async () => {
    const day = 24 * 3_600_000;
    const world = new World();
    const one = world.start(operator);
    await fill(world, one, 1, 3);
    await snapshot(world, one);
    const newer = world.start(v2(), "code-2");
    for (let n = 0; n < 60; n++) {
      await fill(world, newer, 10 + n, 10 + n);
      await snapshot(world, newer);
      await world.clock.advance(day / 2);
    }
    expect(JSON.parse(world.db.rows.get(NAME)!.pins)).toHaveLength(1);
    expect(words(await world.send(world.start(operator), { id: "x", data: 1 }))).toBe("state_newer");
  });

  it("CODE3: a state newer than the code, with nothing older left, is refused by name", async () => {
    const world = new World();
    const newer = world.start(v2());
    for (const [from, to] of [
      [1, 3],
      [4, 6],
      [7, 9],
    ] as const) {
      await fill(world, newer, from, to);
      await snapshot(world, newer);
    }
    for (const name of objects(world, "manifests")) world.store.objects.delete(name);
    expect(words(await world.send(world.start(operator), { id: "x", data: 1 }))).toBe("state_newer");
  });

  describe("CODE3, SNAP3: a format of the future, after a rollback", () => {
    const row = (world: World) => world.db.rows.get(NAME)! as { manifest: string; previous: string; pins: string };
    const future = (text: string): string => text.replace('"v":1,', '"v":3,');
    const newer: Record<string, (world: World) => void> = {
      manifest: (world) => (row(world).manifest = future(row(world).manifest)),
      snapshot: (world) => world.store.objects.get(current(world).snapshot.name)!.set([9], 8),
    };
    const lastRecovery = async (world: World, one: Incarnation) =>
      (await world.clock.run(one.partition.facts())).lastRecovery;

    it.each(Object.keys(newer))(
      "of the current %s: recovery resumes from the older generation, at once saved anew",
      async (what) => {
        const { world, expected } = await twoGenerations();
        newer[what]!(world);
        const pin = future(row(world).previous);
        row(world).pins = JSON.stringify([pin]);
        const back = world.start(operator);
        expect(words(await world.send(back, { id: "a2", key: "k2", data: 2 }))).toEqual(["applied again"]);
        expect(await totals(world, back)).toEqual(expected);
        expect(await lastRecovery(world, back), "no damage").toMatchObject({ manifest: 2, fallbacks: 0 });
        await world.clock.advance(1_000);
        expect(world.db.rows.get(NAME)).toMatchObject({ version: 4, snapshotSeq: 50, previousSeq: 44 });
        expect(JSON.parse(row(world).pins), "for the code that knows it").toEqual([
          pin,
          '{"format":"keyframe.roots","since":{}}',
        ]);
        const next = world.start(operator);
        expect(await totals(world, next)).toEqual(expected);
        expect(await lastRecovery(world, next)).toMatchObject({ manifest: 4, fallbacks: 0, replayedEvents: 0 });
      },
    );

    it("of both generations: the archive and the log give the state back", async () => {
      const { world, expected } = await twoGenerations();
      for (const name of objects(world, "snapshots")) world.store.objects.get(name)!.set([9], 8);
      const back = world.start(operator);
      expect(await totals(world, back)).toEqual(expected);
      expect(await lastRecovery(world, back)).toMatchObject({ manifest: null, fallbacks: 0 });
    });

    it("of everything: a named error, never an empty state", async () => {
      const { world } = await twoGenerations();
      for (const name of objects(world, "snapshots")) world.store.objects.get(name)!.set([9], 8);
      const first = objects(world, "manifests")[0]!;
      world.store.objects.set(
        first,
        Buffer.from(future(Buffer.from(world.store.objects.get(first)!).toString("latin1")), "latin1"),
      );
      const rows = world.db.segments.get(NAME)!;
      const back = world.start(operator);
      expect(words(await world.send(back, { id: "x", data: 1 }))).toBe("unknown_format");
      await expect(world.value(back)).rejects.toThrow(
        /current: the snapshot has format 9.*previous: .*format 9.*whole log: manifest 1 has format 3.*deploy the code/,
      );
      expect(world.db.segments.get(NAME)).toEqual(rows);
    });

    it("of a segment: a named error, since what is in it was acknowledged", async () => {
      const { world } = await twoGenerations();
      const rows = world.db.segments.get(NAME)!;
      world.db.segments.set(NAME, [...rows.slice(0, -1), { ...rows.at(-1)!, format: 3 }]);
      const back = world.start(operator);
      expect(words(await world.send(back, { id: "x", data: 1 }))).toBe("unknown_format");
      await expect(world.value(back)).rejects.toThrow(/current: segment 50 has format 3/);
    });
  });

  it("SNAP4: an archive that can't be read, and whose rows another one has, stops nothing", async () => {
    const world = new World();
    const one = world.start(operator);
    await fill(world, one, 1, 3);
    world.fates = ({ method }) => (method === "promote" ? "before" : "ok");
    await snapshot(world, one);
    world.fates = () => "ok";
    for (const n of [4, 5, 6]) {
      await fill(world, one, n, n);
      await snapshot(world, one);
    }
    const expected = await totals(world, one);
    for (const name of [...objects(world, "snapshots"), objects(world, "manifests")[0]!]) world.store.damage(name);
    expect(await totals(world, world.start(operator))).toEqual(expected);
  });

  it("ONE6: what old code quarantined stays so under code that could handle it, until it is retried", async () => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, { id: "a", data: 1 }, { id: "q", data: "boom" });
    const fixed = sum({
      on: {
        add: (state, event) =>
          void ((state.total += event.data === "boom" ? 1_000 : Number(event.data)), state.times++),
      },
    });
    const next = world.start(fixed, "code-2");
    expect(await world.value(next)).toEqual({ total: 1, times: 1 });
    const retry = { id: "retry-1", type: "keyframe.quarantine.retry", data: { seq: 2 } };
    expect(words(await world.send(next, retry, { ...retry, id: "retry-2" })), "once").toEqual(["applied", "refused"]);
    expect(await world.value(next)).toEqual({ total: 1_001, times: 2 });
    const third = world.start(fixed, "code-2");
    expect(await world.value(third)).toEqual({ total: 1_001, times: 2 });
    expect(await quarantined(world, third)).toEqual([]);
  });

  it("IN4: what throws at replay under newer code is quarantined; the partition continues", async () => {
    const world = new World();
    const one = world.start(operator);
    await fill(world, one, 1, 3);
    const broken = sum({
      on: {
        add: (state, event) => {
          if (event.data === 2) throw new Error("new bug");
          state.total += Number(event.data);
          state.times++;
        },
      },
    });
    const next = world.start(broken, "code-2");
    expect(words(await world.send(next, { id: "x", key: "k0", data: 10 }))).toEqual(["applied"]);
    expect((await quarantined(world, next)).map((entry) => [entry.seq, entry.error])).toEqual([[2, "new bug"]]);
    expect(next.notes).toContain("replay quarantined events");
  });

  describe("IN4: what was applied and is refused at replay under newer code", () => {
    const limited = sum({
      on: {
        add: (state, event, ctx) => {
          if (state.times === 2) return ctx.refuse("limit", { most: 2 });
          state.total += Number(event.data);
          state.times++;
          return;
        },
      },
    });
    const REFUSED = "it was applied when it was logged, but the code that runs now refuses it: limit";
    const three = async (world: World): Promise<void> => {
      const sent = [1, 2, 4].map((data) => ({ id: `e${data}`, key: "k", data }));
      expect(words(await world.send(world.start(operator), ...sent))).toEqual(["applied", "applied", "applied"]);
    };

    it("is quarantined, said, and applied by a retry where the code allows it again", async () => {
      const world = new World();
      await three(world);
      const next = world.start(limited, "code-2");
      expect(await world.value(next, "k")).toEqual({ total: 3, times: 2 });
      expect((await quarantined(world, next)).map(({ seq, error }) => [seq, error])).toEqual([[3, REFUSED]]);
      expect(next.notes).toContain("replay quarantined events");
      expect(words(await world.send(next, { id: "e4", key: "k", data: 4 })), "a retry").toEqual(["applied again"]);
      await snapshot(world, next);
      const third = world.start(operator, "code-3");
      expect(await world.value(third, "k"), "a snapshot covers it").toEqual({ total: 3, times: 2 });
      const retry = { id: "retry-1", type: "keyframe.quarantine.retry", data: { seq: 3 } };
      expect(words(await world.send(third, retry))).toEqual(["applied"]);
      expect(await world.value(third, "k")).toEqual({ total: 7, times: 3 });
      expect(await quarantined(world, third)).toEqual([]);
    });

    it("is applied by the code before, as long as no snapshot covers it", async () => {
      const world = new World();
      await three(world);
      expect(await world.value(world.start(limited, "code-2"), "k")).toEqual({ total: 3, times: 2 });
      const back = world.start(operator, "code-1");
      expect(await world.value(back, "k")).toEqual({ total: 7, times: 3 });
      expect(await quarantined(world, back)).toEqual([]);
      expect(back.notes).toEqual([]);
    });

    it("stays in the quarantine where it was a retry that was applied", async () => {
      const world = new World();
      const boom = { id: "q", key: "k", data: "boom" };
      await world.send(world.start(operator), boom, { id: "a", key: "k", data: 1 }, { id: "b", key: "k", data: 2 });
      const fixed = sum({
        on: { add: (state, event) => void ((state.total += Number(event.data) || 100), state.times++) },
      });
      const retry = { id: "retry-1", type: "keyframe.quarantine.retry", data: { seq: 1 } };
      const next = world.start(fixed, "code-2");
      expect(words(await world.send(next, retry))).toEqual(["applied"]);
      expect(await world.value(next, "k")).toEqual({ total: 103, times: 3 });
      const third = world.start(limited, "code-3");
      expect(await world.value(third, "k")).toEqual({ total: 3, times: 2 });
      expect((await quarantined(world, third)).map(({ seq, error }) => [seq, error])).toEqual([[1, REFUSED]]);
    });
  });
});
