/** LOG6: a database that fills up is noticed before it is full, and what is cut makes room again (disk-space.ts). */
import { describe, expect, it } from "vitest";
import { readManifest } from "../../../src/engine/snapshot/manifest.ts";
import { brotli } from "../../../src/adapters/brotli.ts";
import { judgeSpace, type DiskFacts } from "../../../src/engine/partition/disk-space.ts";
import { sum } from "../fakes/sum.ts";
import { words, World, type Incarnation } from "../fakes/world.ts";

const operator = sum();
const NAME = "1/sum/0000";
const LIMIT = 20_000;

const start = (world: World): Incarnation => world.start(operator, "code-1", LIMIT);
const asked = (world: World): number => world.trace.filter((method) => method === "used").length;

let ids = 0;
/** One group of about this many bytes. */
const big = (world: World, one: Incarnation, bytes = 900) =>
  world.send(one, { id: `e${String(ids++)}-${"x".repeat(bytes)}`, data: 1 });

/** R2 is down, and events are sent until none is taken any more. */
async function filled(): Promise<{ world: World; one: Incarnation; taken: number }> {
  const world = new World();
  world.db.counted = true;
  const one = start(world);
  world.fates = ({ method }) => (method === "put" ? "before" : "ok");
  for (let taken = 0; taken < 100; taken++) {
    const answer = await big(world, one);
    if (answer.tag !== "busy") continue;
    expect(answer).toMatchObject({ code: "log_full", retryAfterMs: 30_000 });
    expect(answer.message).toMatch(/has \d+ bytes and grows, and its segments come to \d+ bytes; the limit is 20000/);
    return { world, one, taken };
  }
  throw new Error("it took all");
}

describe("the log's database", () => {
  it("takes no more events shortly above the limit, and continues with everything else", async () => {
    const { world, one, taken } = await filled();
    expect(world.db.size).toBeGreaterThan(LIMIT);
    expect(world.db.size).toBeLessThan(LIMIT + 2_000);
    expect(asked(world)).toBe(1);
    expect(await world.value(one)).toMatchObject({ times: taken });
    const next = start(world);
    expect(await world.value(next)).toMatchObject({ times: taken });
    expect(words(await big(world, next)), "a new instance looks before it takes any").toBe("log_full");
    expect((await world.clock.run(next.partition.snapshot())).tag).toBe("failed");
    expect((await world.clock.run(next.partition.facts())).appliedSeq).toBe(taken);
    expect(world.db.segments.get(NAME)).toHaveLength(taken);
  });

  it("is looked at twice a minute at most, however many ask", async () => {
    const { world, one } = await filled();
    for (let i = 0; i < 50; i++) await big(world, one);
    expect(asked(world)).toBe(1);
    await world.clock.advance(30_000);
    for (let i = 0; i < 50; i++) expect(words(await big(world, one))).toBe("log_full");
    expect(asked(world)).toBe(2);
  });

  it("F1, F4: when R2 is back, a snapshot cuts all of it, and events are taken again though the size is what it was", async () => {
    const { world, one, taken } = await filled();
    world.fates = () => "ok";
    expect((await world.clock.run(one.partition.snapshot())).tag).toBe("current");
    expect(world.db.segments.get(NAME)).toEqual([]);
    const { size } = world.db;
    expect(size).toBeGreaterThan(LIMIT);
    const before = asked(world);
    for (let i = 0; i < 15; i++) expect(words(await big(world, one))).toEqual(["applied"]);
    expect(asked(world)).toBe(before + 1);
    expect(world.db.size, "freed pages were used").toBe(size);
    // Over an eviction too, without another look.
    const next = start(world);
    await world.send(next, { id: "one", data: 1 });
    await world.send(start(world), { id: "two", data: 1 });
    expect(await world.value(start(world))).toMatchObject({ times: taken + 17 });
    expect(asked(world)).toBe(before + 1);
  });

  it("fills up a second time: it is noticed again", async () => {
    const { world, one } = await filled();
    world.fates = () => "ok";
    await world.clock.run(one.partition.snapshot());
    world.fates = ({ method }) => (method === "put" ? "before" : "ok");
    let taken = 0;
    while (taken < 100 && words(await big(world, one)) !== "log_full") taken += 1;
    expect(taken).toBeGreaterThan(10);
    expect(taken).toBeLessThan(30);
    expect(world.db.size).toBeLessThan(LIMIT * 1.05 + 2_000);
  });

  it("what others hold counts, and what they let go as well", async () => {
    const { world: source } = await filled();
    const world = new World();
    world.db.counted = true;
    world.db.segments.set("1/other/0000", source.db.segments.get(NAME)!);
    world.db.size = LIMIT + 1;
    const one = start(world);
    expect(words(await big(world, one))).toBe("log_full");
    world.db.segments.clear();
    await world.clock.advance(30_000);
    expect(words(await big(world, one))).toEqual(["applied"]);
  });

  it("F3: what can't be added up counts as full, until it can", async () => {
    const { world } = await filled();
    world.fates = ({ method }) => (method === "used" ? "before" : "ok");
    const one = start(world);
    await world.clock.run(one.partition.read(["k"]));
    world.db.segments.set("1/other/0000", []);
    const answer = await big(world, one);
    expect(answer.tag === "busy" && [answer.code, answer.message]).toEqual([
      "log_full",
      expect.stringMatching(/can't be added up in time/) as string,
    ]);
    world.fates = () => "ok";
    expect((await world.clock.run(one.partition.snapshot())).tag).toBe("current");
    expect(words(await big(world, one))).toEqual(["applied"]);
  });

  it("F4, LOG5: what was cut early stands in the archive: a fall-back and a verification find all of it", async () => {
    const { world, one, taken } = await filled();
    world.fates = () => "ok";
    await world.clock.run(one.partition.snapshot());
    for (let i = 0; i < 3; i++) await big(world, one, 10);
    await world.clock.run(one.partition.snapshot());
    await big(world, one, 10);
    expect(world.db.segments.get(NAME)).toHaveLength(1);
    expect(await world.clock.run(one.partition.verify())).toMatchObject({ tag: "equal" });
    const current = readManifest(world.db.rows.get(NAME)!.manifest!, brotli.crc32);
    for (const lost of [current.snapshot.name, ...(current.chain ?? []).map(({ name }) => name)].toReversed()) {
      world.store.objects.delete(lost);
      expect(await world.value(start(world))).toMatchObject({ times: taken + 4 });
    }
    const last = start(world);
    await big(world, last, 10);
    await world.clock.advance(60_000);
    expect(await world.value(start(world))).toMatchObject({ times: taken + 5 });
  });
});

describe("room", () => {
  const facts: DiskFacts = { limit: 1_000, size: 1_100, roomUpTo: 0, used: null };
  it.each<[string, Partial<DiskFacts>, object]>([
    ["below the limit", { size: 1_000 }, { tag: "room", roomUpTo: 0 }],
    ["F1: above it, but not above what had room", { roomUpTo: 1_100 }, { tag: "room", roomUpTo: 1_100 }],
    ["F2: grown, and not looked at", {}, { tag: "ask" }],
    ["grown, and some of it used", { size: 1_001, used: 510 }, { tag: "room", roomUpTo: 1_031 }],
    ["grown, and little of it used", { size: 1_001, used: 0 }, { tag: "room", roomUpTo: 1_050 }],
    ["grown far, and little of it used", { used: 350 }, { tag: "room", roomUpTo: 1_100 }],
    ["grown, and most of it used", { used: 750 }, { tag: "full" }],
    ["grown above what had room", { roomUpTo: 1_099, used: 900 }, { tag: "full" }],
  ])("%s", (_, more, verdict) => {
    expect(judgeSpace({ ...facts, ...more })).toEqual(verdict);
  });
});
