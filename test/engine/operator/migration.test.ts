/** A migration that fails for a key: that key waits for fixed code, everything else continues, and nothing is lost. */
import { describe, expect, it } from "vitest";
import { brotli } from "../../../src/adapters/brotli.ts";
import { ERASE, PUT, REMOVE, tagOf } from "../../../src/engine/state/edit.ts";
import { history } from "../../../src/engine/history/history.ts";
import { seq } from "../../../src/engine/base/ids.ts";
import { SIZES, STATE_BYTES } from "../../../src/engine/base/limits.ts";
import { readManifest, type Manifest } from "../../../src/engine/snapshot/manifest.ts";
import { migrated } from "../../../src/engine/operator/migration.ts";
import type { Operator } from "../../../src/engine/operator/operator.ts";
import { RETRY } from "../../../src/engine/state/quarantine.ts";
import { rebuild } from "../../../src/engine/recovery/rebuild.ts";
import { sum } from "../fakes/sum.ts";
import { words, World, type Incarnation, type Sent } from "../fakes/world.ts";

const NAME = "1/sum/0000";
const v1 = sum();

/** Version 2 has hundredths. Its migration was written for totals below 1,000. */
function v2(fixed: boolean, more: Parameters<typeof sum>[0] = {}): Operator {
  return sum({
    version: 2,
    migrate: {
      2: (old) => {
        if (!fixed && Number(old["total"]) >= 1_000) throw new Error("a total above 999");
        return { ...old, total: Number(old["total"]) * 100 };
      },
    },
    on: { add: (state, event) => void ((state.total += Number(event.data) * 100), state.times++) },
    ...more,
  });
}
const broken = v2(false);
const fixed = v2(true);

const add = (id: string, key: string, data: number): Sent => ({ id, key, data });
const put = (id: string, key: string, state: unknown, version = 2, condition: unknown = "any"): Sent => ({
  id,
  key,
  type: PUT,
  data: { if: condition, version, state },
});

async function snapshot(world: World, of: Incarnation): Promise<Manifest> {
  const taken = await world.clock.run(of.partition.snapshot());
  if (taken.tag !== "current") throw new Error(JSON.stringify(taken));
  await world.clock.advance(100);
  return taken.manifest;
}

const current = (world: World): Manifest => readManifest(world.db.rows.get(NAME)!.manifest!, brotli.crc32);

/** Keys a, b and bad, of which the last one's total is too large for the broken migration; all in a snapshot of version 1. */
async function saved(sizes?: World["sizes"]): Promise<World> {
  const world = new World();
  if (sizes !== undefined) world.sizes = sizes;
  const one = world.start(v1);
  await world.send(one, add("1", "a", 1), add("2", "b", 2), add("3", "bad", 5_000));
  await snapshot(world, one);
  return world;
}

const entry = async (world: World, of: Incarnation, key: string) =>
  (await world.clock.run(of.partition.read([key])))[0] ?? null;

const BAD = '{"total":5000,"times":1}';

describe("a migration that throws for one key", () => {
  it("G1: other keys are served, also in the same request, and the event of the key is not in the log", async () => {
    const world = await saved();
    const one = world.start(broken, "code-2");
    expect(await world.value(one, "a")).toEqual({ total: 100, times: 1 });
    const result = await world.send(one, add("4", "a", 1), add("5", "bad", 1), add("6", "b", 1));
    expect(words(result)).toEqual(["applied", "unmigrated", "applied"]);
    expect(result).toMatchObject({ details: { 1: [1, 0, expect.stringContaining("a total above 999") as string] } });
    expect((await world.clock.run(one.partition.facts())).appliedSeq).toBe(5);
    expect(await world.value(one, "b")).toEqual({ total: 300, times: 2 });
    expect(await entry(world, one, "bad")).toMatchObject({ text: BAD, version: 1 });
    expect(one.ended).toBeNull();
  });

  it("G1: snapshots carry the state with its version, and fixed code resumes from it; the event that was sent again counts", async () => {
    const world = await saved();
    let one = world.start(broken, "code-2");
    await world.send(one, add("4", "a", 1), add("5", "bad", 1));
    expect(await snapshot(world, one)).toMatchObject({ unmigrated: { keys: 1, some: [["bad", 1]] } });
    // Deltas, and their merging; each opened anew by the same code.
    for (let round = 0; round < 12; round++) {
      await world.send(one, add(`r${round}`, round % 2 === 0 ? "a" : "b", 1));
      expect((await snapshot(world, one)).unmigrated).toEqual({ keys: 1, some: [["bad", 1]] });
      one = world.start(broken, "code-2");
      expect(await entry(world, one, "bad")).toMatchObject({ text: BAD, version: 1, seq: 3 });
      expect(words(await world.send(one, add("5", "bad", 1)))).toEqual(["unmigrated"]);
    }
    const next = world.start(fixed, "code-3");
    expect(await world.value(next, "bad")).toEqual({ total: 500_000, times: 1 });
    expect(words(await world.send(next, add("5", "bad", 1)))).toEqual(["applied"]);
    await world.clock.advance(1_000);
    expect(current(world)).toMatchObject({ kind: "full", code: "code-3" });
    expect(current(world).unmigrated).toBeUndefined();
    expect(await world.value(world.start(fixed, "code-3"), "bad")).toEqual({ total: 500_100, times: 2 });
  });

  it("a state that was read block by block is carried too, and counted once", async () => {
    const world = await saved({ ...SIZES, blockChars: 40, fileBytes: 200, wholeBytes: 1, idsBytes: 200 });
    const lazy = v2(false, { memory: 1 });
    const one = world.start(lazy, "code-2");
    await world.send(one, add("4", "a", 1));
    await world.clock.advance(5_000);
    expect(current(world)).toMatchObject({ operatorVersion: 2, unmigrated: { keys: 1, some: [["bad", 1]] } });
    const next = world.start(lazy, "code-2");
    expect(await entry(world, next, "bad")).toMatchObject({ text: BAD, version: 1 });
    const { items } = await world.clock.run(next.partition.scan("", "", 10, 10_000));
    expect(items.map(([key, { version }]) => [key, version])).toEqual([
      ["a", undefined],
      ["b", undefined],
      ["bad", 1],
    ]);
  });

  it("IN4: an event that was applied to the key, and is replayed, is quarantined, and a retry by fixed code applies it", async () => {
    const world = await saved();
    await world.send(world.start(v1), add("tail", "bad", 7), add("other", "a", 1));
    const one = world.start(broken, "code-2");
    expect(await world.value(one, "a")).toEqual({ total: 200, times: 2 });
    const aside = await world.clock.run(one.partition.quarantined(seq(0), 10, 100_000));
    expect(aside.items).toMatchObject([
      { seq: 4, key: "bad", error: expect.stringContaining("migration_failed") as string },
    ]);
    const retry = (id: string): Sent => ({ id, key: "bad", type: RETRY, data: { seq: 4 } });
    // By the same code it stays where it is, for every later retry.
    for (const id of ["r1", "r2"]) {
      expect(words(await world.send(one, retry(id)))).toEqual(["refused"]);
      expect((await world.clock.run(one.partition.quarantined(seq(0), 10, 100_000))).items).toHaveLength(1);
    }
    await snapshot(world, one);
    const next = world.start(fixed, "code-3");
    expect(words(await world.send(next, retry("r3")))).toEqual(["applied"]);
    expect(await world.value(next, "bad")).toEqual({ total: 500_700, times: 2 });
    expect((await world.clock.run(next.partition.quarantined(seq(0), 10, 100_000))).items).toEqual([]);
  });

  it.each([
    ["put", put("e", "bad", { total: 9, times: 1 }), { total: 9, times: 1 }],
    ["removed", { id: "e", key: "bad", type: REMOVE, data: { if: "any", version: 2 } }, undefined],
    ["erased", { id: "e", key: "bad", type: ERASE, data: { if: "any", version: 2 } }, undefined],
    [
      "put on its ETag",
      put("e", "bad", { total: 9, times: 1 }, 2, [tagOf({ seq: 3, text: BAD })]),
      { total: 9, times: 1 },
    ],
  ])("the state may be %s by hand, and then the key is like all others", async (_, edit, value) => {
    const world = await saved();
    const one = world.start(broken, "code-2");
    await world.send(one, add("4", "a", 1));
    await snapshot(world, one);
    expect(words(await world.send(one, edit, add("5", "bad", 1)))).toEqual(["applied", "applied"]);
    const after = { total: (value?.total ?? 0) + 100, times: (value?.times ?? 0) + 1 };
    expect(await world.value(one, "bad")).toEqual(after);
    expect((await world.clock.run(one.partition.facts())).unmigrated).toEqual({ keys: 0, some: [] });
    expect((await snapshot(world, one)).unmigrated).toBeUndefined();
    expect(await world.value(world.start(broken, "code-2"), "bad")).toEqual(after);
  });

  it("W2: a state of version 1 that was put, and can't be migrated at replay, is kept as it is", async () => {
    const world = await saved();
    await world.send(
      world.start(v1),
      put("p", "new", { total: 2_000, times: 3 }, 1, "none"),
      put("q", "bad", { total: 1, times: 1 }, 1),
    );
    const one = world.start(broken, "code-2");
    expect(await entry(world, one, "new")).toMatchObject({ text: '{"total":2000,"times":3}', version: 1, seq: 4 });
    expect(await world.value(one, "bad")).toEqual({ total: 100, times: 1 });
    expect((await world.clock.run(one.partition.quarantined(seq(0), 10, 100_000))).items).toEqual([]);
    await world.send(one, add("6", "a", 1));
    expect((await snapshot(world, one)).unmigrated).toEqual({ keys: 1, some: [["new", 1]] });
    expect(await world.value(world.start(fixed, "code-3"), "new")).toEqual({ total: 200_000, times: 3 });
  });

  it("CODE3: a rollback continues with the key too", async () => {
    const world = await saved();
    const one = world.start(broken, "code-2");
    await world.send(one, add("4", "a", 1));
    await snapshot(world, one);
    const back = world.start(v1, "code-1");
    expect(words(await world.send(back, add("5", "bad", 1)))).toEqual(["applied"]);
    expect(await world.value(back, "bad")).toEqual({ total: 5_001, times: 2 });
  });

  it("V4: the verification and the facts name it, and a recovery from R2 alone takes the snapshot, by either code", async () => {
    const world = await saved();
    const one = world.start(broken, "code-2");
    await world.send(one, add("4", "a", 1));
    const unmigrated = { keys: 1, some: [["bad", 1]] };
    // Before any snapshot of its own.
    expect(await world.clock.run(one.partition.verify())).toMatchObject({ tag: "not_comparable", unmigrated });
    await snapshot(world, one);
    expect((await world.clock.run(one.partition.facts())).unmigrated).toEqual(unmigrated);
    expect(one.notes).toContain("keys can't be migrated");
    await world.send(one, add("5", "a", 1));
    await snapshot(world, one);
    expect(await world.clock.run(one.partition.verify())).toMatchObject({ tag: "equal", keys: 3, unmigrated });
    expect((await world.clock.run(world.start(broken, "code-2").partition.facts())).unmigrated).toEqual(unmigrated);
    for (const operator of [broken, fixed]) {
      const { number } = current(world);
      expect(await world.clock.run(rebuild(world.reader(operator), 42))).toMatchObject({
        tag: "found",
        manifest: { number },
      });
    }
  });

  it("SNAP8: the digests of snapshots by fixed code of the same version hold", async () => {
    const world = await saved();
    const one = world.start(broken, "code-2");
    await world.send(one, add("4", "a", 1));
    await snapshot(world, one);
    // The same name of the code, as in local development.
    const next = world.start(fixed, "code-2");
    for (let round = 0; round < 3; round++) {
      await world.send(next, add(`m${round}`, round === 1 ? "bad" : "b", 1));
      await snapshot(world, next);
    }
    expect(await world.clock.run(rebuild(world.reader(fixed), 42))).toMatchObject({
      tag: "found",
      manifest: { number: current(world).number },
      passedOver: [],
    });
    expect(await world.value(world.start(fixed, "code-2"), "bad")).toEqual({ total: 500_100, times: 2 });
    expect(next.notes).not.toContain("the state differs from its counters");
  });

  it("history says that the value isn't known, and why", async () => {
    const world = await saved();
    const one = world.start(broken, "code-2");
    await world.send(one, put("e", "a", { total: 1, times: 1 }), add("4", "b", 1));
    await snapshot(world, one);
    const page = await world.clock.run(history(world.reader(broken), "bad", null, { items: 10 }));
    expect(page.items.map((item) => item.value)).toMatchObject([{ tag: "unknown" }]);
  });
});

describe("what a migration gives", () => {
  it("A migration that makes a state above the limit, or no JSON, has failed", () => {
    const to = (state: unknown): Operator => sum({ version: 2, migrate: { 2: () => state } });
    expect(migrated(to("x".repeat(STATE_BYTES)), 1, "{}")).toMatchObject({ tag: "failed" });
    expect(migrated(to("x".repeat(STATE_BYTES - 2)), 1, "{}")).toMatchObject({ tag: "migrated" });
    expect(migrated(to(undefined), 1, "{}")).toMatchObject({ tag: "failed" });
    expect(migrated(to({ n: Number.NaN }), 1, "{}")).toMatchObject({ tag: "failed" });
  });
});
