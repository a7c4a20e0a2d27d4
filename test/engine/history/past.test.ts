/** The state at any moment is what it was then, wherever the log and the snapshots stand by now. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { brotli } from "../../../src/adapters/brotli.ts";
import { seq, stamp, type Stamp } from "../../../src/engine/base/ids.ts";
import { SIZES } from "../../../src/engine/base/limits.ts";
import type { Pass } from "../../../src/engine/history/key-range.ts";
import { pastKeys, pastRange } from "../../../src/engine/history/past.ts";
import type { LogEnvironment } from "../../../src/engine/operator/environment.ts";
import { NO_CACHE } from "../../../src/engine/snapshot/range-reader.ts";
import { scan } from "../../../src/engine/snapshot/reads.ts";
import { sum } from "../fakes/sum.ts";
import { World, type Incarnation } from "../fakes/world.ts";
import { PATIENCE_MS, runs } from "../hostile.ts";

const operator = sum();
const ID = { line: 1, operator: "sum", partition: 0 };

function reader(world: World, by = operator): LogEnvironment {
  return {
    id: ID,
    operator: by,
    log: world.db.log(ID),
    objects: world.store,
    codec: brotli,
    clock: world.clock,
    cache: NO_CACHE,
    sizes: SIZES,
  };
}

type States = ReadonlyMap<string, string>;

/** All keys of a scan, page by page. */
async function scanned(
  env: LogEnvironment,
  world: World,
  at: Stamp,
  pass: Pass,
  prefix = "",
): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (let after = ""; ;) {
    const past = await world.clock.run(pastRange(env, at, prefix, after, pass));
    if (past.tag === "gone") throw new Error("gone");
    const page = await world.clock.run(scan(past.chunks, prefix, after, 3, 1_000_000));
    for (const [key, { text }] of page.items) {
      expect(found.has(key)).toBe(false);
      found.set(key, text);
    }
    if (!page.more) return found;
    after = page.items.at(-1)![0];
  }
}

async function read(env: LogEnvironment, world: World, at: Stamp, keys: readonly string[]): Promise<States> {
  const past = await world.clock.run(pastKeys(env, at, keys, 1_000_000));
  if (past.tag === "gone") throw new Error("gone");
  return new Map(past.entries.flatMap((entry, i) => (entry === null ? [] : [[keys[i]!, entry.text] as const])));
}

const KEYS = ["a", "ab", "b", "c", "cd", "cde", "d", "e"];

/** One history: what it did, and the whole state after each step. */
class Told {
  readonly moments: { readonly at: Stamp; readonly states: States }[] = [];

  async note(world: World, one: Incarnation): Promise<void> {
    const { items } = await world.clock.run(one.partition.scan("", "", 1_000, 1_000_000));
    const log = world.db.log(ID);
    const at = (await log.row()) === null ? stamp(0) : (await log.explain(seq(0))).headStamp;
    this.moments.push({ at, states: new Map(items.map(([key, { text }]) => [key, text])) });
  }
}

describe("the past of a partition", () => {
  it(
    "is what each key was at that stamp, by key and in order, over snapshots, restarts and passes of any size",
    () =>
      fc.assert(
        fc.asyncProperty(
          fc.array(
            fc.oneof(
              {
                weight: 6,
                arbitrary: fc.array(fc.tuple(fc.constantFrom(...KEYS), fc.integer({ min: 0, max: 5 })), {
                  minLength: 1,
                  maxLength: 4,
                }),
              },
              { weight: 2, arbitrary: fc.constant("snapshot" as const) },
              { weight: 1, arbitrary: fc.constant("restart" as const) },
            ),
            { minLength: 3, maxLength: 14 },
          ),
          fc.integer({ min: 2, max: 6 }),
          async (steps, most) => {
            const world = new World();
            let one = world.start(operator);
            const told = new Told();
            let n = 0;
            for (const step of steps) {
              if (step === "snapshot") await world.clock.run(one.partition.snapshot());
              else if (step === "restart") {
                one.crashed = true;
                one = world.start(operator);
              } else
                await world.send(
                  one,
                  ...step.map(([key, data]) => ({ id: `e${n++}`, key, data: data === 5 ? "boom" : data })),
                );
              await world.clock.advance(200);
              await told.note(world, one);
            }
            const env = reader(world);
            const pass = { keys: most, bytes: 1_000_000 };
            for (const { at, states } of told.moments) {
              expect(await read(env, world, at, KEYS)).toEqual(states);
              expect(await scanned(env, world, at, pass)).toEqual(states);
              const some = new Map([...states].filter(([key]) => key.startsWith("c")));
              expect(await scanned(env, world, at, pass, "c")).toEqual(some);
            }
          },
        ),
        runs(40),
      ),
    PATIENCE_MS,
  );

  it("takes no epoch, writes nothing and says which seq it shows", async () => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, { id: "1", key: "a", data: 1 }, { id: "2", key: "b", data: 2 });
    const { headStamp } = await world.db.log(ID).explain(seq(0));
    await world.clock.advance(1_000);
    await world.send(one, { id: "3", key: "a", data: 5 });
    const before = await world.db.log(ID).row();
    const writes = world.store.objects.size;
    const past = await world.clock.run(pastKeys(reader(world), headStamp, ["a", "none"], 1_000));
    expect(past).toMatchObject({ tag: "read", seq: 2, stamp: headStamp, exact: true });
    expect(past.tag === "read" && past.entries.map((entry) => entry?.text)).toEqual([
      '{"total":1,"times":1}',
      undefined,
    ]);
    expect(await world.db.log(ID).row()).toEqual(before);
    expect(world.store.objects.size).toBe(writes);
  });

  it("is empty before the first event, and where nothing was ever sent", async () => {
    const world = new World();
    const early = await world.clock.run(pastKeys(reader(world), stamp(5_000), ["a"], 1_000));
    expect(early).toMatchObject({ tag: "read", seq: 0, entries: [null] });
    const one = world.start(operator);
    await world.send(one, { id: "1", key: "a", data: 1 });
    expect(await world.clock.run(pastKeys(reader(world), stamp(5_000), ["a"], 1_000))).toMatchObject({
      tag: "read",
      seq: 0,
      entries: [null],
    });
  });

  it("falls back to an older snapshot where the nearest one is damaged", async () => {
    const world = new World();
    const one = world.start(operator);
    for (let n = 1; n <= 3; n++) {
      await world.send(one, { id: `${n}`, key: "a", data: n });
      expect(await world.clock.run(one.partition.snapshot())).toMatchObject({ tag: "current" });
      await world.clock.advance(1_000);
    }
    const { headStamp } = await world.db.log(ID).explain(seq(0));
    const newest = [...world.store.objects.keys()]
      .filter((name) => name.endsWith(".kfs"))
      .sort()
      .at(-1)!;
    world.store.objects.set(newest, new Uint8Array(7));
    expect(await read(reader(world), world, headStamp, ["a"])).toEqual(new Map([["a", '{"total":6,"times":3}']]));
  });

  it("says that it isn't exact where another version applied the events", async () => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, { id: "1", key: "a", data: 1 });
    const { headStamp } = await world.db.log(ID).explain(seq(0));
    const newer = sum({ version: 2, migrate: { 2: (old) => ({ ...(old as object), two: true }) } });
    const past = await world.clock.run(pastKeys(reader(world, newer), headStamp, ["a"], 1_000));
    expect(past).toMatchObject({ tag: "read", exact: false });
    for (const id of ["2", "3"]) {
      await world.send(one, { id, key: "a", data: 1 });
      await world.clock.run(one.partition.snapshot());
    }
    const later = await world.clock.run(pastKeys(reader(world, newer), headStamp, ["a"], 1_000));
    expect(later, "from the archive, without a snapshot").toMatchObject({ tag: "read", exact: false });
  });

  it("is gone below what retention keeps, with the oldest stamp that is left", async () => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, { id: "1", key: "a", data: 1 });
    world.db.kept.set("1/sum/0000", { points: [], pins: [], retainFrom: 9_000, archiveFrom: 0 });
    expect(await world.clock.run(pastKeys(reader(world), stamp(8_999), ["a"], 1_000))).toEqual({
      tag: "gone",
      oldest: 9_000,
    });
  });
});
