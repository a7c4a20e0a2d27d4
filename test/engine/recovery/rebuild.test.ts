/**
 * A partition from R2 alone (SNAP2): which snapshot is taken, what it resumes with, and what was given up never comes
 * back.
 */
import { describe, expect, it } from "vitest";
import { brotli } from "../../../src/adapters/brotli.ts";
import {
  incarnationOf,
  manifestName,
  manifestOf,
  partitionName,
  type PartitionId,
} from "../../../src/engine/base/ids.ts";
import { readManifest, type Manifest } from "../../../src/engine/snapshot/manifest.ts";
import type { Operator } from "../../../src/engine/operator/operator.ts";
import { SIZES } from "../../../src/engine/base/limits.ts";
import { newestManifest, partitionsInStore, rebuild, type Rebuilt } from "../../../src/engine/recovery/rebuild.ts";
import { logBelow } from "../../../src/engine/history/log-reader.ts";
import { sum } from "../fakes/sum.ts";
import { unreachable } from "../fakes/unreachable.ts";
import { words, World, type Incarnation } from "../fakes/world.ts";

const operator = sum();
const ID: PartitionId = { line: 1, operator: "sum", partition: 0 };
const NAME = partitionName(ID);

/** Sends events of this name, one at a time, and takes a snapshot of them. */
async function fill(world: World, one: Incarnation, name: string, from: number, to: number): Promise<void> {
  for (let n = from; n <= to; n++) await world.send(one, { id: `${name}${n}`, key: `k${n % 3}`, data: n });
}

async function snapshot(world: World, one: Incarnation): Promise<Manifest> {
  const taken = await world.clock.run(one.partition.snapshot());
  if (taken.tag !== "current") throw new Error(JSON.stringify(taken));
  await world.clock.advance(100);
  return taken.manifest;
}

/** Snapshots at 3, 6, …, 3 · `count`, and two events above the last one. */
async function withSnapshots(count: number): Promise<{ world: World; manifests: Manifest[] }> {
  const world = new World();
  const one = world.start(operator);
  const manifests: Manifest[] = [];
  for (let i = 0; i < count; i++) {
    await fill(world, one, "a", 3 * i + 1, 3 * i + 3);
    manifests.push(await snapshot(world, one));
  }
  await fill(world, one, "a", 3 * count + 1, 3 * count + 2);
  return { world, manifests };
}

/** D1 is gone: only R2 is left. */
function loseD1(world: World): void {
  world.db.rows.clear();
  world.db.kept.clear();
  world.db.segments.clear();
}

async function recover(world: World, of: Operator = operator): Promise<Rebuilt & { readonly tag: "found" }> {
  loseD1(world);
  const found = await world.clock.run(rebuild(world.reader(of), 42));
  if (found.tag !== "found") throw new Error(found.tag);
  world.db.rows.set(NAME, { ...found.row });
  return found;
}

async function totals(world: World, one: Incarnation): Promise<unknown[]> {
  const values: unknown[] = [];
  for (const key of ["k0", "k1", "k2"]) values.push(await world.value(one, key));
  return values;
}

/** The state of a partition that was sent these numbers and no others. */
function expected(...numbers: readonly number[]): unknown[] {
  return [0, 1, 2].map((rest) => {
    const of = numbers.filter((n) => n % 3 === rest);
    return of.length === 0 ? undefined : { total: of.reduce((a, b) => a + b, 0), times: of.length };
  });
}
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);

describe("salvage", () => {
  it("SNAP2: everything up to the last snapshot comes back, and the partition continues", async () => {
    const { world, manifests } = await withSnapshots(3);
    const found = await recover(world);
    expect(found.manifest).toEqual(manifests[2]);
    expect(found.passedOver).toEqual([]);
    const one = world.start(operator);
    expect(await totals(world, one)).toEqual(expected(...upTo(9)));
    const again = await world.send(one, { id: "a9", key: "k0", data: 9 }, { id: "a10", key: "k1", data: 10 });
    expect(words(again), "ONE1: what is in the snapshot is known, what came after it isn't").toEqual([
      "applied again",
      "applied",
    ]);
    const next = await snapshot(world, one);
    expect(next).toMatchObject({
      number: 4,
      seq: 10,
      history: [[3, found.manifest.attempt], expect.anything(), expect.anything()],
    });
    expect(await totals(world, world.start(operator))).toEqual(expected(...upTo(10)));
    expect(await world.clock.run(one.partition.verify())).toMatchObject({ tag: "equal" });
  });

  it("an archive that broke off before its last piece is no snapshot: there is nothing, rather than something unreadable", async () => {
    const world = new World();
    world.store.objects.set(manifestName(ID, 1, "0000000001-000000-nonce", 1), new Uint8Array(10));
    expect(await world.clock.run(rebuild(world.reader(operator), 42))).toEqual({ tag: "nothing" });
  });

  it("the verification works on a partition that was just rebuilt, with no event since", async () => {
    const { world } = await withSnapshots(3);
    await recover(world);
    const one = world.start(operator);
    expect(await totals(world, one)).toEqual(expected(...upTo(9)));
    expect(await world.clock.run(one.partition.verify())).toMatchObject({ tag: "equal", seq: 9, manifest: 2 });
  });

  it("LOG2: a writer of the old incarnation can do nothing, and ends itself", async () => {
    const { world } = await withSnapshots(2);
    const old = world.start(operator);
    await world.send(old, { id: "old1", data: 1 });
    const { row } = await recover(world);
    expect(incarnationOf(row.epoch)).toBeGreaterThan(1);
    expect(words(await world.send(old, { id: "old2", data: 1 }))).toBe("fenced");
    expect(old.ended).toMatch(/superseded/);
    expect(await totals(world, world.start(operator))).toEqual(expected(...upTo(6)));
  });

  it("an attempt that never became current will do: all of it was committed", async () => {
    const { world } = await withSnapshots(2);
    const one = world.start(operator);
    world.fates = ({ method }) => (method === "promote" ? "before" : "ok");
    expect(await world.clock.run(one.partition.snapshot())).toMatchObject({ tag: "failed" });
    world.fates = () => "ok";
    const found = await recover(world);
    expect(found.manifest).toMatchObject({ number: 3, seq: 8 });
    expect(await totals(world, world.start(operator))).toEqual(expected(...upTo(8)));
  });

  it.each<[string, (world: World, last: Manifest) => void]>([
    ["its state is damaged", (world, last) => world.store.damage(last.snapshot.name)],
    ["its state is missing", (world, last) => void world.store.objects.delete(last.snapshot.name)],
    ["it is damaged itself", (world, last) => void world.store.objects.set(last.archive.name, new Uint8Array([1, 10]))],
  ])("SNAP3: the newest is passed over where %s, and the answer says so", async (_, harm) => {
    const { world, manifests } = await withSnapshots(3);
    harm(world, manifests[2]!);
    const found = await recover(world);
    expect(found.manifest.number).toBe(2);
    expect(found.passedOver).toEqual([expect.stringMatching(/^manifest 3: /)]);
    expect(found.row.version, "Z4: versions never go back").toBe(3);
    expect(await totals(world, world.start(operator))).toEqual(expected(...upTo(6)));
  });

  /** Archives in as many objects as there are pages of two rows. */
  function inPieces(): World {
    const world = new World();
    Object.assign(world.db, { pageRows: 2 });
    world.sizes = { ...SIZES, archiveBytes: 1 };
    return world;
  }

  it("SNAP2: with archives in several objects, from the whole log too", async () => {
    const world = inPieces();
    const one = world.start(operator);
    for (const [from, to] of [
      [1, 5],
      [6, 9],
    ] as const) {
      await fill(world, one, "a", from, to);
      const { archive, seq: at } = await snapshot(world, one);
      expect(archive).toMatchObject({ piece: to === 5 ? 3 : 2, to, from: from - 1 });
      expect(archive.earlierBytes).toBeGreaterThan(0);
      expect(at).toBe(to);
    }
    const numbers = Array.from({ length: 9 }, (_, i) => i + 1);
    const found = await recover(world);
    expect([found.manifest.number, found.manifest.seq]).toEqual([2, 9]);
    const again = world.start(operator);
    expect(await totals(world, again)).toEqual(expected(...numbers));
    await fill(world, again, "b", 10, 14);
    await snapshot(world, again);
    // Every state file is lost: the log is replayed from both lives' archives, piece by piece.
    for (const name of world.store.objects.keys()) if (name.endsWith(".kfs")) world.store.objects.delete(name);
    const from = world.start(operator);
    expect(await totals(world, from)).toEqual(expected(...numbers, 10, 11, 12, 13, 14));
  });

  it("Z2: pieces of an archive whose last one is missing are no attempt, and their rows count once", async () => {
    const world = inPieces();
    const one = world.start(operator);
    await fill(world, one, "a", 1, 3);
    await snapshot(world, one);
    await fill(world, one, "a", 4, 9);
    let puts = 0;
    world.fates = ({ method }) => (method === "put" && ++puts === 4 ? "before" : "ok");
    expect((await world.clock.run(one.partition.snapshot())).tag).toBe("failed");
    world.fates = () => "ok";
    const left = [...world.store.objects.keys()].filter((name) => (manifestOf(name)?.version ?? 0) === 2);
    expect(left.map((name) => manifestOf(name)!.piece)).toEqual([1, 2]);
    expect((await newestManifest(world.reader(operator)))!.number).toBe(1);
    const numbers = Array.from({ length: 9 }, (_, i) => i + 1);
    await snapshot(world, one);
    for (const name of world.store.objects.keys()) if (name.endsWith(".kfs")) world.store.objects.delete(name);
    expect(await totals(world, world.start(operator)), "from the archives of both attempts").toEqual(
      expected(...numbers),
    );
  });

  it("nothing that can be read gives no row, and nothing at all neither", async () => {
    const { world } = await withSnapshots(3);
    for (const name of world.store.objects.keys()) if (name.endsWith(".kfs")) world.store.damage(name);
    loseD1(world);
    expect(await world.clock.run(rebuild(world.reader(operator), 42))).toMatchObject({
      tag: "unreadable",
      passedOver: [expect.stringMatching(/^manifest 3/), expect.anything(), expect.anything()],
    });
    const empty = new World();
    expect(await empty.clock.run(rebuild(empty.reader(operator), 42))).toEqual({ tag: "nothing" });
    expect(await empty.clock.run(newestManifest(empty.reader(operator)))).toBeNull();
  });

  it("CODE3: state of newer code is no reason to go on from an older one", async () => {
    const { world } = await withSnapshots(1);
    const newer = sum({ version: 2, migrate: { 2: (old) => old } });
    const one = world.start(newer);
    await world.send(one, { id: "b1", data: 1 });
    await snapshot(world, one);
    loseD1(world);
    await expect(world.clock.run(rebuild(world.reader(operator), 42))).rejects.toMatchObject({ code: "state_newer" });
    expect((await world.clock.run(rebuild(world.reader(newer), 42))).tag).toBe("found");
  });

  it("Z3: nor is a snapshot that the store may give later", async () => {
    const { world, manifests } = await withSnapshots(3);
    loseD1(world);
    for (const name of [manifests[2]!.snapshot.name, manifests[2]!.archive.name]) {
      const end = unreachable(world.store, [name]);
      await expect(world.clock.run(rebuild(world.reader(operator), 42))).rejects.toMatchObject({
        code: "store_unavailable",
        message: expect.stringContaining(name) as string,
      });
      end();
    }
    expect(await world.clock.run(rebuild(world.reader(operator), 42))).toMatchObject({
      tag: "found",
      manifest: { number: 3 },
    });
  });

  it("finds the newest of many by search, not by listing all", async () => {
    const world = new World();
    for (let version = 1; version <= 50_000; version++)
      world.store.objects.set(
        `${NAME}/manifests/${String(version).padStart(10, "0")}-0000000007-000001-n.kfm`,
        new Uint8Array(1),
      );
    let lists = 0;
    const objects = new Proxy(world.store, {
      get: (store, name) => {
        if (name === "list") lists += 1;
        const member = Reflect.get(store, name, store) as unknown;
        return typeof member === "function" ? (member.bind(store) as unknown) : member;
      },
    });
    const found = await world.clock.run(rebuild({ ...world.reader(operator), objects }, 42));
    expect(found.tag === "unreadable" && found.passedOver[0]).toMatch(/^manifest 50000: /);
    expect(lists).toBeLessThan(20);
  });

  it("a version far above all others is stepped over in few calls", async () => {
    const { world } = await withSnapshots(2);
    world.store.objects.set(`${NAME}/manifests/9000000000-0000000007-000001-n.kfm`, new Uint8Array(1));
    const before = world.clock.now();
    const { manifest, row } = await recover(world);
    expect([manifest.number, row.version]).toEqual([2, 9_000_000_000]);
    expect(world.clock.now(), "without a wait").toBe(before);
    const one = world.start(operator);
    await fill(world, one, "b", 1, 1);
    expect((await snapshot(world, one)).number).toBe(9_000_000_001);
    expect(await totals(world, world.start(operator))).toEqual(expected(...upTo(6), 1));
  });

  it("finds the operator's partitions, whatever stands in them", async () => {
    const world = new World();
    for (const name of [
      "1/sum/0000/manifests/a",
      "1/sum/0000/snapshots/b",
      "1/sum/0012/snapshots/c",
      "1/summer/0001/x",
    ])
      world.store.objects.set(name, new Uint8Array(1));
    expect(await world.clock.run(partitionsInStore(world.reader(operator), 1, "sum"))).toEqual([0, 12]);
  });
});

/** Events above the snapshot that could be read, archived by one that couldn't: R2 still holds them. */
describe("what was given up", () => {
  /**
   * Incarnation 0 archived 1..12; its manifests 3 and 4 can't be read, so incarnation 2 resumes from seq 6, with other
   * events.
   */
  async function secondLife(): Promise<{ world: World; one: Incarnation; manifests: Manifest[] }> {
    const { world, manifests } = await withSnapshots(4);
    for (const lost of manifests.slice(2)) world.store.damage(lost.snapshot.name);
    expect((await recover(world)).manifest.number).toBe(2);
    const one = world.start(operator);
    await fill(world, one, "b", 100, 102);
    expect(await snapshot(world, one)).toMatchObject({ number: 5, seq: 9 });
    await fill(world, one, "b", 103, 105);
    expect(await snapshot(world, one)).toMatchObject({ number: 6, seq: 12 });
    await fill(world, one, "b", 106, 106);
    return { world, one, manifests };
  }
  const wanted = expected(...upTo(6), 100, 101, 102, 103, 104, 105, 106);

  it.each([
    ["the last snapshot before the loss", 2],
    ["the first event", null],
  ])("R6: never comes back, also where recovery has to begin at %s", async (_, base) => {
    const { world, manifests } = await secondLife();
    const kept = base === null ? [] : manifests.slice(0, base).map(({ snapshot }) => snapshot.name);
    for (const name of world.store.objects.keys())
      if (name.endsWith(".kfs") && !kept.includes(name)) world.store.objects.delete(name);
    const next = world.start(operator);
    expect(await totals(world, next)).toEqual(wanted);
    expect((await world.clock.run(next.partition.facts())).lastRecovery.manifest).toBe(base);
  });

  it("R6: never comes back before the first snapshot of the new incarnation either", async () => {
    const { world, manifests } = await withSnapshots(4);
    for (const lost of manifests.slice(2)) world.store.damage(lost.snapshot.name);
    await recover(world);
    await fill(world, world.start(operator), "b", 100, 101);
    world.store.damage(manifests[1]!.snapshot.name);
    expect(await totals(world, world.start(operator))).toEqual(expected(...upTo(6), 100, 101));
  });

  it("R6, SNAP3: where it isn't known any more what was given up, that is damage by name, never a guess", async () => {
    const { world } = await secondLife();
    const first = [...world.store.objects.keys()].find((name) => manifestOf(name)?.version === 5)!;
    world.store.objects.set(first, new Uint8Array([1, 10]));
    for (const name of world.store.objects.keys()) if (name.endsWith(".kfs")) world.store.objects.delete(name);
    await expect(world.value(world.start(operator))).rejects.toThrow(/incarnation 2 began/);
  });

  it("R6, TIME3: nor where retention gave up the archive that said it, though older ones are kept", async () => {
    const { world } = await secondLife();
    const names = [...world.store.objects.keys()];
    for (const name of names) if (manifestOf(name)?.version === 5) world.store.objects.delete(name);
    for (const name of names) if (name.endsWith(".kfs")) world.store.objects.delete(name);
    await expect(world.value(world.start(operator))).rejects.toThrow(
      /archives of manifests 5 to 5 are given up or lost/,
    );
  });

  it("INCARNATION1: an incarnation that was given up says nothing of the archives that the chosen one builds on", async () => {
    // Of the first incarnation there are two snapshots, at 3 and at 6.
    const { world, manifests } = await withSnapshots(2);
    const { name } = manifests[1]!.snapshot;
    const kept = world.store.objects.get(name)!;
    world.store.objects.delete(name);
    // So the second incarnation resumes from 3, and archives from there on.
    expect((await recover(world)).manifest).toEqual(manifests[0]);
    const second = world.start(operator);
    await fill(world, second, "b", 4, 6);
    const given = await snapshot(world, second);
    world.store.objects.set(name, kept);
    world.store.objects.delete(given.snapshot.name);
    // The third resumes from 6, of the first incarnation again.
    expect((await recover(world)).manifest).toEqual(manifests[1]);
    const third = world.start(operator);
    const shown = async (): Promise<unknown[]> => {
      const log: unknown[] = [];
      for await (const { events } of logBelow({ ...world.reader(operator), log: world.db.log(ID) }, null))
        log.unshift(...events.events.map((event) => event["id"]));
      return log;
    };
    const all = upTo(6).map((n) => `a${n}`);
    expect(await world.clock.run(shown())).toEqual(all);
    await fill(world, third, "c", 7, 9);
    const last = await snapshot(world, third);
    expect(last.resumed).toBe(0);
    expect(await world.clock.run(shown())).toEqual([...all, "c7", "c8", "c9"]);
    // From the snapshot at 3 on, by archives alone.
    for (const one of [last, manifests[1]!]) world.store.objects.delete(one.snapshot.name);
    expect(await totals(world, world.start(operator))).toEqual(expected(...upTo(9)));
  });

  it("Z1: a second loss resumes from the second incarnation, though the first had reached a higher seq", async () => {
    const { world } = await secondLife();
    const found = await recover(world);
    expect(found.manifest).toMatchObject({ number: 6, seq: 12 });
    expect(incarnationOf(found.row.epoch)).toBe(4);
    expect(await totals(world, world.start(operator))).toEqual(expected(...upTo(6), 100, 101, 102, 103, 104, 105));
  });

  it("the row of a rebuilt partition is what its manifest says", async () => {
    const { world } = await withSnapshots(2);
    const { row, manifest } = await recover(world);
    expect(readManifest(row.manifest!, brotli.crc32)).toEqual(manifest);
    expect(row).toMatchObject({ snapshotSeq: manifest.seq, snapshotStamp: manifest.stamp, previous: null, pins: "[]" });
  });
});
