/** Ranges that are fetched while D1 is asked which files there are (prefetch.ts). */
import { describe, expect, it } from "vitest";
import { brotli } from "../../../src/adapters/brotli.ts";
import { readManifest, stateFiles, type Manifest } from "../../../src/engine/snapshot/manifest.ts";
import type { StateFile } from "../../../src/engine/base/records.ts";
import { readHighWaterMark } from "../../../src/engine/base/records.ts";
import { sum } from "../fakes/sum.ts";
import { words, World, type Incarnation } from "../fakes/world.ts";

const NAME = "1/sum/0000";
const operator = sum();
const current = (world: World): Manifest => readManifest(world.db.rows.get(NAME)!.manifest!, brotli.crc32);

async function begun(): Promise<{ world: World; one: Incarnation }> {
  const world = new World();
  world.sizes = { blockChars: 100, fileBytes: 1_000_000, archiveBytes: 1_000_000, wholeBytes: 1, idsBytes: 100 };
  world.cache.open = true;
  const one = world.start(operator);
  const events = Array.from({ length: 30 }, (_, i) => ({ id: `e${i}`, key: `k${i}`, data: i }));
  await world.send(one, ...events);
  await world.clock.run(one.partition.snapshot());
  world.cache.ranges.clear();
  world.trace.length = 0;
  return { world, one };
}

describe("parts of files that are fetched ahead", () => {
  it("come while D1 is asked, once, and are kept like what is fetched later", async () => {
    const { world } = await begun();
    let answer = (): void => undefined;
    const answered = new Promise<void>((resolve) => (answer = resolve));
    world.fates = ({ method }) => (method === "peek" ? { answered } : "ok");
    const next = world.start(operator);
    const read = next.partition.read(["k3"]);
    await world.clock.advance(10);
    expect(world.trace).toEqual(["peek", "range"]);
    answer();
    await world.clock.advance(10);
    expect((await read)[0]!.text).toBe('{"total":3,"times":1}');
    expect(world.trace, "the end ahead, then the block of the key").toEqual(["peek", "range", "range"]);
    await world.clock.advance(2_000);
    const [{ name, rest, ids }] = stateFiles(current(world)) as [Required<StateFile>];
    expect(world.cache.ranges.get(name)!.has(rest + ids)).toBe(true);
    world.fates = () => "ok";
    world.trace.length = 0;
    expect(await world.value(world.start(operator), "k3")).toEqual({ total: 3, times: 1 });
    expect(world.trace, "of what is here nothing is fetched").toEqual(["peek"]);
  });

  it("for events the ids come as well", async () => {
    const { world } = await begun();
    const next = world.start(operator);
    expect(words(await world.send(next, { id: "e3", key: "k3", data: 3 }))).toEqual(["applied again"]);
    expect(world.trace.filter((method) => method === "range")).toHaveLength(3);
  });

  it("a guess that is out of date costs a call and nothing else", async () => {
    const { world, one } = await begun();
    const { mark } = world;
    await world.send(one, { id: "more", key: "k1", data: 100 });
    one.partition.snapshot().catch(() => undefined);
    await world.clock.advance(100);
    world.mark = mark;
    expect(await world.value(world.start(operator), "k1")).toEqual({ total: 101, times: 2 });
    world.mark = { ...mark!, files: [{ name: "nowhere", bytes: 1_000, sha256: "", rest: 10, ids: 240 }] };
    const other = world.start(operator);
    expect(await world.value(other, "k1")).toEqual({ total: 101, times: 2 });
    expect([other.ended, other.notes]).toEqual([null, []]);
  });

  it("what the mark says of files that are none is no guess, and the mark holds", () => {
    const mark = { v: 1, epoch: 1, version: 2, head: 3 };
    const file = { name: "a", bytes: 100, sha256: "", rest: 10, ids: 20 };
    expect(readHighWaterMark({ ...mark, files: [file] })).toEqual({ ...mark, files: [file] });
    for (const files of [null, 7, [null], [{}], [{ ...file, rest: "x" }], [{ ...file, ids: 100 }]])
      expect(readHighWaterMark({ ...mark, files })).toEqual(mark);
  });

  it.each(["before", "silent"] as const)("what doesn't come (%s) is fetched again", async (fate) => {
    const { world } = await begun();
    let first = true;
    world.fates = ({ method }) => (method === "range" && first ? ((first = false), fate) : "ok");
    expect(await world.value(world.start(operator), "k3")).toEqual({ total: 3, times: 1 });
  });

  it("J1: what comes wrong is no damage until the store has said it again", async () => {
    const { world } = await begun();
    const [{ name }] = stateFiles(current(world)) as [StateFile];
    const bytes = world.store.objects.get(name)!;
    world.store.objects.set(
      name,
      bytes.map((byte, i) => (i > bytes.length - 40 ? byte ^ 1 : byte)),
    );
    let calls = 0;
    world.fates = ({ method }) => {
      if (method === "range" && ++calls === 2) world.store.objects.set(name, bytes);
      return "ok";
    };
    const next = world.start(operator);
    expect(await world.value(next, "k3")).toEqual({ total: 3, times: 1 });
    expect([calls, next.notes]).toEqual([3, []]);
  });
});
