/**
 * State that isn't in memory (SNAP11): a partition with a budget of next to nothing must show what one with ample memory
 * shows, wherever its keys are, and fetch no more than it is asked for.
 */
import * as fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { GAP_BYTES, RUN_BYTES, SIZES, type Sizes } from "../../../src/engine/base/limits.ts";
import { readManifest, stateFiles, type Manifest } from "../../../src/engine/snapshot/manifest.ts";
import { Digest } from "../../../src/engine/base/digest.ts";
import { seq, stamp } from "../../../src/engine/base/ids.ts";
import type { RangeReader } from "../../../src/engine/snapshot/range-reader.ts";
import { SnapshotFile } from "../../../src/engine/snapshot/file-reader.ts";
import type { Footer } from "../../../src/engine/snapshot/file-footer.ts";
import { RETRY_MS } from "../../../src/engine/checkpoint/checkpointer.ts";
import { KeyedState, type KeyEntry } from "../../../src/engine/state/keyed-state.ts";
import { brotli } from "../../../src/adapters/brotli.ts";
import { sum } from "../fakes/sum.ts";
import { unreachable } from "../fakes/unreachable.ts";
import { words, World, type Fate, type Incarnation } from "../fakes/world.ts";

const NAME = "1/sum/0000";
const TINY: Sizes = { blockChars: 100, fileBytes: 400, archiveBytes: 300, wholeBytes: 1, idsBytes: 200 };
const tiny = sum({ memory: 1 });
/** Room for a handful of keys. */
const small = sum({ memory: 1_000 });

function worldOf(sizes: Sizes = TINY): World {
  const world = new World();
  world.sizes = sizes;
  return world;
}

const key = (n: number): string => `k${String(n).padStart(3, "0")}`;

/** One event for each of the keys from `from` to `to`. */
async function fill(world: World, to: Incarnation, tag: string, from: number, upTo: number): Promise<void> {
  const events = Array.from({ length: upTo - from + 1 }, (_, i) => ({
    id: `${tag}${from + i}`,
    key: key(from + i),
    data: from + i,
  }));
  const result = await world.send(to, ...events);
  expect(words(result)).toEqual(events.map(() => "applied"));
}

async function snapshot(world: World, of: Incarnation): Promise<Manifest> {
  const taken = await world.clock.run(of.partition.snapshot());
  if (taken.tag !== "current") throw new Error(JSON.stringify(taken));
  return taken.manifest;
}

const current = (world: World): Manifest => readManifest(world.db.rows.get(NAME)!.manifest!, brotli.crc32);
const total = (entry: KeyEntry | null): number | null =>
  entry === null ? null : (JSON.parse(entry.text) as { total: number }).total;

async function scan(
  world: World,
  of: Incarnation,
  prefix = "",
  after = "",
  limit = 1_000,
): Promise<[string, number][]> {
  const { items } = await world.clock.run(of.partition.scan(prefix, after, limit, 10_000_000));
  return items.map(([name, entry]) => [name, total(entry)!]);
}

const ordered = (model: ReadonlyMap<string, number>): [string, number][] =>
  [...model].sort(([a], [b]) => (a < b ? -1 : 1));

/** Calls to the store since the last look. */
function calls(world: World): string[] {
  return world.trace.splice(0).filter((method) => ["get", "range", "put", "list"].includes(method));
}

describe("a state larger than the memory", () => {
  it("goes into several files, and every key is found again", async () => {
    const world = worldOf();
    const one = world.start(tiny);
    await fill(world, one, "a", 1, 60);
    const manifest = await snapshot(world, one);
    expect(manifest).toMatchObject({ kind: "full", keys: 60 });
    expect(stateFiles(manifest).length).toBe(manifest.parts);
    expect(manifest.parts).toBeGreaterThan(2);
    const next = world.start(tiny);
    for (const n of [60, 1, 30, 31, 29]) expect(await world.value(next, key(n))).toEqual({ total: n, times: 1 });
    expect(await world.value(next, "k0305")).toBeUndefined();
    expect(await scan(world, next)).toEqual(Array.from({ length: 60 }, (_, i) => [key(i + 1), i + 1]));
    expect(await scan(world, next, "k02", key(25), 3)).toEqual([26, 27, 28].map((n) => [key(n), n]));
    expect(await world.clock.run(next.partition.facts())).toMatchObject({ keys: 60, stateBytes: manifest.stateBytes });
  });

  it("SNAP5: a delta holds what changed, and a key in it is found in it alone", async () => {
    const world = worldOf();
    const one = world.start(tiny);
    await fill(world, one, "a", 1, 60);
    await snapshot(world, one);
    await fill(world, one, "b", 7, 8);
    const delta = await snapshot(world, one);
    expect(delta).toMatchObject({ kind: "delta" });
    expect(delta.snapshot.bytes).toBeLessThan(stateFiles(delta)[0]!.bytes * 2);
    const next = world.start(tiny);
    await world.clock.run(next.partition.facts());
    calls(world);
    expect(await world.value(next, key(7))).toEqual({ total: 14, times: 2 });
    expect(calls(world)).toEqual(["range"]);
    expect(await world.value(next, key(50))).toEqual({ total: 50, times: 1 });
    expect(calls(world)).toEqual(["range"]);
  });

  it("compaction folds deltas and base, read block by block, into one generation", async () => {
    const world = worldOf();
    const one = world.start(tiny);
    await fill(world, one, "a", 1, 40);
    await snapshot(world, one);
    let taken = current(world);
    for (let round = 0; taken.kind === "delta" || round === 0; round++) {
      await fill(world, one, `b${round}-`, 5, 12);
      taken = await snapshot(world, one);
      expect(round).toBeLessThan(10);
    }
    expect(taken).toMatchObject({ kind: "full", keys: 40 });
    const next = world.start(tiny);
    const rounds = taken.number - 1;
    expect(await scan(world, next)).toEqual(
      Array.from({ length: 40 }, (_, i) => [key(i + 1), i >= 4 && i < 12 ? (i + 1) * (rounds + 1) : i + 1]),
    );
    expect(one.notes).not.toContain("the state differs from its counters");
  });

  it("what changed beyond the memory asks for a snapshot at once", async () => {
    const world = worldOf();
    const one = world.start(sum({ memory: 2_000 }));
    await fill(world, one, "a", 1, 5);
    await world.clock.advance(1_000);
    expect(world.db.rows.get(NAME)!.manifest).toBeNull();
    await fill(world, one, "b", 6, 20);
    await world.clock.advance(1_000);
    expect(current(world).seq).toBe(20);
  });

  it("LOG6: while no snapshot can be taken, what would not fit is refused by name, and taken afterwards", async () => {
    const world = worldOf();
    const one = world.start(sum({ memory: 2_000 }));
    world.fates = ({ method }) => (method === "put" ? "before" : "ok");
    let sent = 0;
    let last: string | string[] = [];
    while (last !== "snapshot_behind" && sent < 200) {
      sent += 1;
      last = words(await world.send(one, { id: `a${sent}`, key: key(sent), data: 1 }));
    }
    expect(sent).toBeGreaterThan(20);
    expect(last).toBe("snapshot_behind");
    world.fates = () => "ok";
    await world.clock.advance(60_000);
    expect(words(await world.send(one, { id: `a${sent}`, key: key(sent), data: 1 }))).toEqual(["applied"]);
  });

  it("LOG6: what fills the memory after many failures is saved soon, not when these have had their pause", async () => {
    const world = worldOf();
    const one = world.start(sum({ memory: 2_000 }));
    await fill(world, one, "a", 1, 3);
    world.fates = ({ method }) => (method === "put" ? "before" : "ok");
    for (let failures = 0; failures < 6; failures++) {
      await world.clock.advance(60_000);
      await world.clock.run(one.partition.snapshot());
    }
    world.fates = () => "ok";
    let sent = 3;
    let last: string | string[] = [];
    while (last !== "snapshot_behind" && sent < 200) {
      sent += 1;
      last = words(await world.send(one, { id: `a${sent}`, key: key(sent), data: 1 }));
    }
    expect(last).toBe("snapshot_behind");
    expect(one.armed! - world.clock.now()).toBeLessThanOrEqual(RETRY_MS);
    await world.clock.advance(RETRY_MS);
    await world.clock.run(one.partition.wake());
    expect(words(await world.send(one, { id: `a${sent}`, key: key(sent), data: 1 }))).toEqual(["applied"]);
  });
});

describe("an opening", () => {
  it("reads no state: so it takes as many calls for many keys as for few", async () => {
    const opened = async (keys: number): Promise<string[]> => {
      const world = worldOf({ ...SIZES, wholeBytes: 1 });
      const one = world.start(sum());
      await fill(world, one, "a", 1, keys);
      await snapshot(world, one);
      calls(world);
      await world.clock.run(world.start(sum()).partition.facts());
      return calls(world);
    };
    expect(await opened(500)).toEqual(await opened(5));
    expect(await opened(500)).toEqual(["range"]);
  });

  it("from the cache reads nothing of R2", async () => {
    const world = worldOf();
    world.cache.open = true;
    const one = world.start(tiny);
    await fill(world, one, "a", 1, 40);
    await snapshot(world, one);
    const first = world.start(tiny);
    expect(await world.value(first, key(20))).toEqual({ total: 20, times: 1 });
    await world.clock.advance(1_000);
    calls(world);
    const second = world.start(tiny);
    expect(await world.value(second, key(20))).toEqual({ total: 20, times: 1 });
    expect(calls(world)).toEqual([]);
  });

  it("SNAP3: what is wrong in the cache is fetched again, wherever it is wrong", async () => {
    const world = worldOf();
    world.cache.open = true;
    const one = world.start(tiny);
    await fill(world, one, "a", 1, 40);
    await snapshot(world, one);
    const expected = await scan(world, world.start(tiny));
    for (const ranges of world.cache.ranges.values())
      for (const bytes of ranges.values()) bytes[bytes.length >> 1]! ^= 1;
    expect(await scan(world, world.start(tiny))).toEqual(expected);
    for (const ranges of world.cache.ranges.values())
      for (const [at, bytes] of ranges) ranges.set(at, bytes.subarray(0, bytes.length - 1));
    expect(await scan(world, world.start(tiny))).toEqual(expected);
    expect(world.cache.doubts.size).toBe(0);
  });
});

describe("blocks that stand near each other", () => {
  const ONE_FILE: Sizes = { ...TINY, fileBytes: 1_000_000 };
  const keys = (...numbers: number[]): string[] => numbers.map(key);

  async function stored(count: number): Promise<World> {
    const world = worldOf(ONE_FILE);
    world.cache.open = true;
    const one = world.start(tiny);
    await fill(world, one, "a", 1, count);
    await snapshot(world, one);
    return world;
  }
  async function read(world: World, of: Incarnation, wanted: string[]): Promise<(number | null)[]> {
    const entries = await world.clock.run(of.partition.read(wanted));
    return entries.map(total);
  }

  it("are fetched together, for keys that are wanted together", async () => {
    const world = await stored(60);
    const one = world.start(tiny);
    await world.clock.run(one.partition.facts());
    calls(world);
    expect(await read(world, one, keys(9, 2, 5, 17, 30))).toEqual([9, 2, 5, 17, 30]);
    expect(calls(world)).toEqual(["range"]);
    // All but the last of these are in the cache, each block by itself.
    const next = world.start(tiny);
    await world.clock.run(next.partition.facts());
    calls(world);
    expect(await read(world, next, keys(2, 17, 30))).toEqual([2, 17, 30]);
    expect(calls(world)).toEqual([]);
    expect(await read(world, next, keys(2, 5, 60))).toEqual([2, 5, 60]);
    expect(calls(world)).toEqual(["range"]);
  });

  it("SNAP3: are right where the cache is wrong about one of them", async () => {
    const world = await stored(60);
    expect(await read(world, world.start(tiny), keys(2, 17, 30))).toEqual([2, 17, 30]);
    for (const ranges of world.cache.ranges.values()) [...ranges.values()][1]![5]! ^= 1;
    const next = world.start(tiny);
    expect(await read(world, next, keys(2, 17, 30))).toEqual([2, 17, 30]);
    expect(world.cache.doubts.size).toBe(0);
  });

  it("are one request up to a bound of blocks, of bytes, and of what lies between them", () => {
    const block = (at: number, length: number): [number, number, number, number, string] => [
      at,
      length,
      0,
      1,
      `k${at}`,
    ];
    const runsOf = (state: ReturnType<typeof block>[], numbers: number[]): number[][] =>
      new SnapshotFile({} as RangeReader, { state } as unknown as Footer, null, brotli).runsOf(numbers);
    const dense = Array.from({ length: 40 }, (_, i) => block(i * 10, 10));
    const all = dense.map((_, i) => i);
    expect(runsOf(dense, all).map((run) => run.length)).toEqual([16, 16, 8]);
    expect(runsOf(dense, [0, 39])).toEqual([[0, 39]]);
    const sparse = [
      block(0, 100),
      block(100, GAP_BYTES),
      block(100 + GAP_BYTES, 100),
      block(200 + 2 * GAP_BYTES + 1, 100),
    ];
    expect(runsOf(sparse, [0, 2, 3])).toEqual([[0, 2], [3]]);
    const large = [block(0, RUN_BYTES - 1), block(RUN_BYTES - 1, 1), block(RUN_BYTES, 1)];
    expect(runsOf(large, [0, 1, 2])).toEqual([[0, 1], [2]]);
    expect(runsOf(large, [])).toEqual([]);
  });

  it("Q3: what wants nearly all of a state that fits in memory brings all of it", async () => {
    const world = await stored(60);
    const roomy = sum({ memory: 1_000_000 });
    const one = world.start(roomy);
    await world.clock.run(one.partition.facts());
    await read(
      world,
      one,
      Array.from({ length: 30 }, (_, i) => key(2 * i + 1)),
    );
    calls(world);
    expect(await read(world, one, [key(2), "k0305", key(60)])).toEqual([2, null, 60]);
    expect(calls(world)).toEqual([]);
  });
});

describe("loads", () => {
  /** A partition with 40 keys in files, and a gate for the calls of one method. */
  async function gated(method: string) {
    const world = worldOf();
    const one = world.start(small);
    await fill(world, one, "a", 1, 40);
    await snapshot(world, one);
    const open: (() => void)[] = [];
    const shut = { on: false };
    world.fates = (call): Fate =>
      shut.on && call.method === method ? new Promise<void>((resolve) => open.push(resolve)) : "ok";
    return { world, one, shut, open };
  }

  it("LOG2: slices go in as they came, also where the later one's keys are there first", async () => {
    const { world, one, shut, open } = await gated("range");
    expect(words(await world.send(one, { id: "hot", key: "hot", data: 1 }))).toEqual(["applied"]);
    shut.on = true;
    const cold = one.partition.append(world.slice([{ id: "x", key: key(3), data: 1 }]));
    const hot = one.partition.append(world.slice([{ id: "y", key: "hot", data: 1 }]));
    await world.clock.advance(100);
    shut.on = false;
    for (const let_ of open) let_();
    const [first, second] = await world.clock.run(Promise.all([cold, hot]));
    const seqOf = (result: typeof first): number => (result.tag === "decided" ? result.details[0]![1] : -1);
    expect(seqOf(first)).toBeLessThan(seqOf(second));
  });

  it("one load brings a key, whoever waits for it", async () => {
    const { world, one, shut, open } = await gated("range");
    shut.on = true;
    calls(world);
    const reads = [1, 2, 3].map(() => one.partition.read([key(3)]));
    const write = one.partition.append(world.slice([{ id: "x", key: key(3), data: 1 }]));
    await world.clock.advance(100);
    expect(calls(world)).toEqual(["range"]);
    shut.on = false;
    for (const let_ of open) let_();
    await world.clock.run(Promise.all([...reads, write]));
    expect(await world.value(one, key(3))).toEqual({ total: 4, times: 2 });
  });

  it("A15: what a load brings is not taken where the key has changed, been saved and gone since it began", async () => {
    const world = worldOf();
    const one = world.start(small);
    await fill(world, one, "a", 1, 40);
    await snapshot(world, one);
    const appends: (() => void)[] = [];
    const ranges: (() => void)[] = [];
    const shut = { append: true, range: false };
    world.fates = ({ method }): Fate => {
      if (method === "append" && shut.append) return new Promise<void>((resolve) => appends.push(resolve));
      if (method === "range" && shut.range) return new Promise<void>((resolve) => ranges.push(resolve));
      return "ok";
    };
    // The event is in its group, and its key leaves the memory while the commit is on its way.
    const write = one.partition.append(world.slice([{ id: "x", key: key(3), data: 100 }]));
    await world.clock.advance(10);
    for (let n = 10; n <= 40; n++) expect(await world.value(one, key(n))).toEqual({ total: n, times: 1 });
    // A load of the old value begins, and ends after the key was changed, saved and dropped once more.
    shut.range = true;
    const read = one.partition.read([key(3)]);
    await world.clock.advance(10);
    expect(ranges.length).toBe(1);
    shut.range = shut.append = false;
    for (const let_ of appends) let_();
    await world.clock.run(write);
    await snapshot(world, one);
    for (let n = 10; n <= 40; n++) await world.value(one, key(n));
    ranges[0]!();
    const [entry] = await world.clock.run(read);
    expect(total(entry!)).toBe(103);
    expect(await world.value(one, key(3))).toEqual({ total: 103, times: 2 });
  });

  /** A state with two keys in files, `a` of which is being loaded. */
  function loading() {
    const state = new KeyedState(2_000);
    const digest = new Digest();
    digest.add("a", "1");
    digest.add("b", "1");
    state.begin({ keys: 2, size: 4, digest, exact: true, unmigrated: { keys: 0, some: [] } });
    const load = Symbol("load");
    state.pin(["a"]);
    expect(state.beginLoad(["a"], load)).toEqual(["a"]);
    return { state, load };
  }
  const entry = (text: string, at: number): KeyEntry => ({ text, seq: seq(at), stamp: stamp(at) });
  /** More than the budget passes through, and is saved. */
  const grow = (state: KeyedState, from: number): void => {
    for (let i = 0; i < 40; i++) state.apply(`x${i}`, entry("1".repeat(50), from + i), seq(from + i), { text: null });
    for (const _ of state.dropSaved(seq(from + 40)));
  };

  it("SNAP11: a key that was removed doesn't come back with a slow load, when the state was complete in between", () => {
    const { state, load } = loading();
    const all: [string, KeyEntry][] = [
      ["a", entry("1", 1)],
      ["b", entry("1", 2)],
    ];
    expect(state.installAll(all, state.drops)).toBe(true);
    state.apply("a", null, seq(3), { text: "1" });
    for (const _ of state.dropSaved(seq(3)));
    grow(state, 4);
    expect(state.complete).toBe(false);
    state.install("a", entry("1", 1), load);
    expect(state.find("a") ?? null).toBeNull();
  });

  it("Q2: that a pinned key isn't there is known still when the state is complete no more", () => {
    const state = new KeyedState(2_000);
    state.pin(["new"]);
    expect(state.missing(["new"])).toEqual([]);
    grow(state, 4);
    expect([state.complete, state.missing(["new"])]).toEqual([false, []]);
  });

  it("LOG6: a slice of many large states goes in by parts, in its order, and nothing is loaded for refused events at replay", async () => {
    const world = worldOf(SIZES);
    const large = sum({
      initial: () => ({ total: 0, times: 0, pad: "x".repeat(600_000) }),
      memory: 4_000_000,
    });
    const one = world.start(large);
    for (let n = 0; n < 30; n++) {
      const send = { id: `s${n}`, key: key(n), data: 1 };
      while (words(await world.send(one, send)) === "snapshot_behind") await world.clock.advance(11_000);
    }
    await snapshot(world, one);
    const next = world.start(large);
    await world.clock.run(next.partition.facts());
    const pins = vi.spyOn(KeyedState.prototype, "pin");
    const mostAtOnce = (): number => Math.max(...pins.mock.calls.map(([keys]) => keys.length));
    try {
      const events = Array.from({ length: 30 }, (_, n) => ({ id: `t${n}`, key: key(n), data: n % 2 }));
      let result = await world.send(next, ...events);
      while (result.tag === "busy") {
        await world.clock.advance(11_000);
        result = await world.send(next, ...events);
      }
      expect(result.tag === "decided" && result.details.map(([i]) => i)).toEqual(events.map((_, i) => i));
      expect(mostAtOnce()).toBeLessThan(15);
      for (const n of [0, 1, 28, 29])
        expect(total((await world.clock.run(next.partition.read([key(n)])))[0]!)).toBe(1 + (n % 2));
      pins.mockClear();
      await world.clock.run(world.start(large).partition.facts());
      expect(mostAtOnce()).toBeLessThan(15);
    } finally {
      pins.mockRestore();
    }
  });

  it("a slice whose keys can't be loaded is refused whole; those behind it go in", async () => {
    const { world, one } = await gated("none");
    world.fates = ({ method }) => (method === "range" ? "before" : "ok");
    const cold = one.partition.append(world.slice([{ id: "x", key: key(3), data: 1 }]));
    const fresh = one.partition.append(world.slice([{ id: "y", key: key(4), data: 1 }]));
    const [first, second] = await world.clock.run(Promise.all([cold, fresh]));
    expect([first.tag, second.tag]).toEqual(["busy", "busy"]);
    world.fates = () => "ok";
    expect(words(await world.send(one, { id: "x", key: key(3), data: 1 }, { id: "y", key: key(4), data: 1 }))).toEqual([
      "applied",
      "applied",
    ]);
    expect(await world.value(one, key(3))).toEqual({ total: 4, times: 2 });
  });
});

describe("damage that is found while reading", () => {
  it("SNAP4: ends the instance, and the next one recovers without that file", async () => {
    const world = worldOf();
    const one = world.start(small);
    await fill(world, one, "a", 1, 40);
    const full = await snapshot(world, one);
    await fill(world, one, "b", 20, 25);
    await snapshot(world, one);
    await fill(world, one, "c", 30, 32);
    const [first] = stateFiles(full);
    world.store.objects.get(first!.name)![20]! ^= 1;
    const next = world.start(small);
    await expect(world.clock.run(next.partition.read([key(1)]))).rejects.toThrow("is corrupt");
    expect(next.ended).toContain(first!.name);
    const third = world.start(small);
    expect(await scan(world, third)).toEqual(
      Array.from({ length: 40 }, (_, i) => [
        key(i + 1),
        (i + 1) * ((i >= 19 && i < 25) || (i >= 29 && i < 32) ? 2 : 1),
      ]),
    );
    // It has replayed more than its memory should hold: the snapshot comes first.
    const again = { id: "a1", key: key(1), data: 1 };
    expect(words(await world.send(third, again))).toBe("snapshot_behind");
    await world.clock.advance(5_000);
    expect(words(await world.send(third, again))).toEqual(["applied again"]);
    expect(current(world)).toMatchObject({ kind: "full", seq: 49 });
    expect(world.cache.doubts.size).toBe(0);
  });

  it("SNAP4: so does a file that can't be read any more while others can, and an outage of all files doesn't", async () => {
    const world = worldOf();
    const one = world.start(small);
    await fill(world, one, "a", 1, 40);
    const [first] = stateFiles(await snapshot(world, one));
    await fill(world, one, "b", 20, 25);
    const next = world.start(small);
    await world.clock.run(next.partition.facts());
    const end = unreachable(world.store, [...world.store.objects.keys()]);
    await expect(world.clock.run(next.partition.read([key(1)]))).rejects.toMatchObject({ code: "store_unavailable" });
    expect(next.ended).toBeNull();
    end();
    expect(await world.value(next, key(2))).toEqual({ total: 2, times: 1 });
    unreachable(world.store, [first!.name]);
    await expect(world.clock.run(next.partition.read([key(4)]))).rejects.toThrow(`${first!.name} can't be read, while`);
    expect(next.ended).toContain(first!.name);
    const third = world.start(small);
    expect(await scan(world, third)).toEqual(
      Array.from({ length: 40 }, (_, i) => [key(i + 1), (i + 1) * (i >= 19 && i < 25 ? 2 : 1)]),
    );
  });

  it("SNAP3: what was fetched between two blocks is looked at too, as far as it is known where it stands", async () => {
    const world = worldOf({ ...TINY, fileBytes: 1_000_000 });
    const one = world.start(small);
    await fill(world, one, "a", 1, 60);
    const { snapshot: file } = await snapshot(world, one);
    const next = world.start(small);
    await world.clock.run(next.partition.facts());
    // Somewhere in the middle: in no block of a key that is asked for.
    world.store.objects.get(file.name)![file.rest! >> 1]! ^= 1;
    await expect(world.clock.run(next.partition.read([key(1), key(60)]))).rejects.toThrow("is corrupt");
    expect(next.ended).toContain(file.name);
  });

  it("SNAP4: a file that is small enough to be fetched whole is looked at as a whole, when it is opened", async () => {
    const world = worldOf({ ...TINY, fileBytes: 1_000_000, wholeBytes: 1_000_000 });
    const one = world.start(small);
    await fill(world, one, "a", 1, 40);
    const { snapshot: file } = await snapshot(world, one);
    world.store.objects.get(file.name)![20]! ^= 1;
    const next = world.start(small);
    expect(await world.value(next, key(40))).toEqual({ total: 40, times: 1 });
    expect(next.notes).toContain("recovered by fallback");
    expect(next.ended).toBeNull();
  });

  it("SNAP4: a base that a recovery found damaged is none for the bases after it, though the cache could open it", async () => {
    const world = worldOf({ ...TINY, fileBytes: 1_000_000 });
    world.cache.open = true;
    const one = world.start(small);
    await fill(world, one, "a", 1, 40);
    const { snapshot: full } = await snapshot(world, one);
    await fill(world, one, "b", 41, 42);
    await snapshot(world, one);
    await fill(world, one, "c", 3, 3);
    // Of the first file the end alone is in the cache: enough to open it, not for the event of the tail, whose key
    // stands in it.
    await world.clock.run(world.start(small).partition.facts());
    await world.clock.advance(2_000);
    const kept = world.cache.ranges.get(full.name)!;
    for (const at of kept.keys()) if (at !== full.rest! + (full.ids ?? 0)) kept.delete(at);
    expect(kept.size).toBe(1);
    world.store.objects.delete(full.name);
    const next = world.start(small);
    expect(await world.value(next, key(3))).toEqual({ total: 6, times: 2 });
    expect(next.notes).toContain("recovered by fallback");
    expect(words(await world.send(next, { id: "d", key: key(5), data: 5 }))).toBe("snapshot_behind");
    await world.clock.advance(5_000);
    expect(current(world).kind).toBe("full");
    const { previous } = world.db.rows.get(NAME)!;
    const older = previous === null ? [] : stateFiles(readManifest(previous, brotli.crc32)).map(({ name }) => name);
    expect(older).not.toContain(full.name);
    expect(await world.value(next, key(40))).toEqual({ total: 40, times: 1 });
  });

  it("SNAP4: a writer that never heard of its own snapshot ends with a file of the one before, and doesn't fail for ever", async () => {
    const world = worldOf({ ...TINY, fileBytes: 1_000_000 });
    const one = world.start(small);
    await fill(world, one, "a", 1, 40);
    const { snapshot: file } = await snapshot(world, one);
    await fill(world, one, "b", 41, 42);
    // It takes effect, and nobody says so: neither the statement nor who is asked afterwards.
    world.fates = ({ method }): Fate => (method === "promote" ? "after" : method === "row" ? "before" : "ok");
    expect((await world.clock.run(one.partition.snapshot())).tag).toBe("failed");
    world.fates = () => "ok";
    expect([one.ended, world.db.rows.get(NAME)!.version]).toEqual([null, 2]);
    world.store.objects.delete(file.name);
    await expect(world.clock.run(one.partition.read([key(3)]))).rejects.toThrow();
    expect(one.ended).toContain(file.name);
    const next = world.start(small);
    expect(await world.value(next, key(3))).toEqual({ total: 3, times: 1 });
    expect(await world.value(next, key(42))).toEqual({ total: 42, times: 1 });
  });

  it("LOG4: a read that began two generations ago is no reason to end", async () => {
    const world = worldOf();
    const one = world.start(small);
    await fill(world, one, "a", 1, 40);
    await snapshot(world, one);
    const held: (() => void)[] = [];
    world.fates = ({ method }): Fate =>
      method === "range" && held.length === 0 ? new Promise<void>((resolve) => held.push(resolve)) : "ok";
    const read = one.partition.read([key(3)]);
    await world.clock.advance(10);
    for (let fulls = 0, round = 0; fulls < 2; round++) {
      while (
        words(await world.send(one, { id: `r${round}`, key: key(10 + (round % 30)), data: 1 })) === "snapshot_behind"
      )
        await world.clock.advance(11_000);
      fulls += (await snapshot(world, one)).kind === "full" ? 1 : 0;
    }
    for (const name of world.store.objects.keys())
      if (name.endsWith(".kfs") && !stateFiles(current(world)).some((file) => file.name === name))
        world.store.objects.delete(name);
    held[0]!();
    expect(total((await world.clock.run(read))[0]!)).toBe(3);
    expect([one.ended, world.cache.doubts.size]).toEqual([null, 0]);
  });

  it("LOG4: a reader whose files a later snapshot has replaced reads those", async () => {
    const world = worldOf();
    const one = world.start(tiny);
    await fill(world, one, "a", 1, 40);
    await snapshot(world, one);
    const reader = world.start(tiny);
    expect(await world.value(reader, key(1))).toEqual({ total: 1, times: 1 });
    for (let round = 0; round < 22; round++) {
      await fill(world, one, `b${round}-`, 1, 20);
      await snapshot(world, one);
    }
    expect(await world.value(reader, key(40))).toEqual({ total: 40, times: 1 });
    expect(reader.ended).toBeNull();
    expect(world.cache.doubts.size).toBe(0);
  });
});

describe("the digest", () => {
  it("SNAP8: in each manifest is that of all keys, however they came to be", async () => {
    const world = worldOf();
    const one = world.start(sum({ memory: 1_500 }));
    await fill(world, one, "a", 1, 30);
    await snapshot(world, one);
    await fill(world, one, "b", 10, 20);
    await snapshot(world, one);
    const other = worldOf(SIZES);
    const two = other.start(sum());
    await fill(other, two, "b", 10, 20);
    await fill(other, two, "a", 1, 30);
    const manifest = await snapshot(other, two);
    expect(current(world).digest).toMatch(/^[0-9a-f]{16}$/);
    expect(current(world).digest).toBe(manifest.digest);
    await fill(other, two, "c", 1, 1);
    expect((await snapshot(other, two)).digest).not.toBe(manifest.digest);
  });
});

it("SNAP8: whatever the memory, the sizes and the order of things, every partition shows the same", async () => {
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        does: fc.constant("send" as const),
        keys: fc.array(fc.nat(25), { minLength: 1, maxLength: 8 }),
      }),
    },
    { weight: 2, arbitrary: fc.record({ does: fc.constant("snapshot" as const) }) },
    { weight: 1, arbitrary: fc.record({ does: fc.constant("restart" as const) }) },
    { weight: 2, arbitrary: fc.record({ does: fc.constant("scan" as const), after: fc.nat(25) }) },
  );
  const removing = {
    on: {
      add(state: { total: number; times: number }, event: { data: unknown }, ctx: { remove(): void }) {
        if ((event.data as number) % 7 === 3) return ctx.remove();
        state.total += event.data as number;
        state.times += 1;
      },
    },
  };
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 40 }),
      fc.constantFrom(1, 300, 1_000, 3_000, 1_000_000),
      fc.record({
        blockChars: fc.constantFrom(1, 60, 10_000),
        fileBytes: fc.constantFrom(1, 300, 100_000),
        archiveBytes: fc.constantFrom(1, 300, 100_000),
        wholeBytes: fc.constantFrom(1, 500, 100_000),
        idsBytes: fc.constantFrom(1, 200, 100_000),
      }),
      async (steps, memory, sizes) => {
        const world = worldOf(sizes);
        const operator = sum({ memory, ...(removing as object) });
        let one = world.start(operator);
        const model = new Map<string, number>();
        let id = 0;
        for (const one_ of steps) {
          if (one_.does === "send") {
            const events = one_.keys.map((n) => ({ id: `e${id++}`, key: key(n), data: id }));
            // Where the memory is full of changes it takes another snapshot first.
            while (words(await world.send(one, ...events)) === "snapshot_behind") await world.clock.advance(1_000);
            for (const event of events)
              if (event.data % 7 === 3) model.delete(event.key);
              else model.set(event.key, (model.get(event.key) ?? 0) + event.data);
          } else if (one_.does === "snapshot") await world.clock.run(one.partition.snapshot());
          else if (one_.does === "restart") one = world.start(operator);
          else {
            const expected = ordered(model).filter(([name]) => name > key(one_.after));
            expect(await scan(world, one, "", key(one_.after))).toEqual(expected);
          }
        }
        expect(await scan(world, one)).toEqual(ordered(model));
        const entries = await world.clock.run(one.partition.read(Array.from({ length: 26 }, (_, n) => key(n))));
        expect(entries.map(total)).toEqual(Array.from({ length: 26 }, (_, n) => model.get(key(n)) ?? null));
        expect((await world.clock.run(one.partition.facts())).keys).toBe(model.size);
        expect(one.notes).not.toContain("the state differs from its counters");
      },
    ),
    { numRuns: 150 },
  );
});
