/** Savepoints: held in every database or in none, whatever breaks off, and kept by retention as long as they are there. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { brotli } from "../../../src/adapters/brotli.ts";
import { seq, stamp, type Stamp } from "../../../src/engine/base/ids.ts";
import { SIZES } from "../../../src/engine/base/limits.ts";
import { pastKeys } from "../../../src/engine/history/past.ts";
import {
  listSavepoints,
  removeSavepoint,
  takeSavepoint,
  unarchivedSince,
  type Stores,
} from "../../../src/engine/history/savepoints.ts";
import { readRecord, storedSavepoints, type SavepointFiles } from "../../../src/engine/history/savepoint-object.ts";
import type { LogEnvironment } from "../../../src/engine/operator/environment.ts";
import { NO_CACHE } from "../../../src/engine/snapshot/range-reader.ts";
import { GARBAGE_MS } from "../../../src/engine/checkpoint/checkpointer.ts";
import { MemoryDatabase } from "../../../src/testkit/memory-log.ts";
import { MemoryStore } from "../../../src/testkit/memory-store.ts";
import { VirtualClock } from "../../../src/testkit/virtual-clock.ts";
import { sum } from "../fakes/sum.ts";
import { World } from "../fakes/world.ts";
import { PATIENCE_MS, runs } from "../hostile.ts";

const ID = { line: 1, operator: "sum", partition: 0 };

const filesOf = (clock: VirtualClock, objects = new MemoryStore()) => ({
  line: 1,
  clock,
  objects,
  codec: brotli,
});

/** Calls that break off for good from some call on, before or after they acted. */
function faulty<Port extends object>(store: Port, left: { calls: number }, acts: boolean): Port {
  return new Proxy(store, {
    get: (target, name) => {
      const method = Reflect.get(target, name, target) as (...args: unknown[]) => Promise<unknown>;
      return async (...args: unknown[]) => {
        if (left.calls-- > 0) return Reflect.apply(method, target, args);
        if (acts && left.calls === -1) await Reflect.apply(method, target, args);
        throw new Error("no answer");
      };
    },
  });
}

describe("a savepoint", () => {
  it("is the same again, and another moment under its name is a conflict", async () => {
    const clock = new VirtualClock();
    const files = filesOf(clock);
    const dbs = [new MemoryDatabase(), new MemoryDatabase()];
    const stores = dbs.map((db) => db.savepointStore()) as unknown as Stores;
    const take = (at: number, exact: boolean) => clock.run(takeSavepoint(files, stores, "a", stamp(at), exact));
    expect(await take(5_000, true)).toMatchObject({ tag: "taken", isNew: true });
    expect(await take(5_000, true)).toMatchObject({ tag: "taken", isNew: false });
    expect(await take(9_000, false)).toMatchObject({ tag: "taken", isNew: false, savepoint: { at: 5_000 } });
    expect(await take(9_000, true)).toMatchObject({ tag: "conflict", savepoint: { at: 5_000 } });
    expect(dbs.map((db) => [...db.savepoints.values()].map(({ at }) => at))).toEqual([[5_000], [5_000]]);
  });

  it("is taken nowhere if one database has given up the moment", async () => {
    const clock = new VirtualClock();
    const dbs = [new MemoryDatabase(), new MemoryDatabase()];
    dbs[1]!.kept.set("1/sum/0001", { points: [], pins: [], retainFrom: 6_000, archiveFrom: 0 });
    const stores = dbs.map((db) => db.savepointStore()) as unknown as Stores;
    const files = filesOf(clock);
    expect(await clock.run(takeSavepoint(files, stores, "a", stamp(5_000), true))).toEqual({ tag: "gone" });
    expect(dbs.map((db) => db.savepoints.size)).toEqual([0, 0]);
    expect(files.objects.objects.size).toBe(0);
  });

  it("SAVEPOINT4: a call that breaks off anywhere is finished by the same call, and what is late is removed", async () => {
    for (const acts of [false, true])
      for (let calls = 0; calls < 12; calls++)
        for (const what of ["take", "remove"] as const) {
          const clock = new VirtualClock();
          const dbs = [new MemoryDatabase(), new MemoryDatabase()];
          const sound = dbs.map((db) => db.savepointStore()) as unknown as Stores;
          const files = filesOf(clock);
          const left = { calls };
          const broken = sound.map((store) => faulty(store, left, acts)) as unknown as Stores;
          const breaking = { ...files, objects: faulty(files.objects, left, acts) };
          const take = (by: SavepointFiles, stores: Stores) => takeSavepoint(by, stores, "a", stamp(5_000), true);
          const remove = (by: SavepointFiles, stores: Stores) => removeSavepoint(by, stores, "a");
          if (what === "remove") await clock.run(take(files, sound));
          const broke: Promise<unknown> = what === "take" ? take(breaking, broken) : remove(breaking, broken);
          await clock.run(broke.catch(() => undefined));
          const all = () => [...dbs.map((db) => db.savepoints.size), files.objects.objects.size];
          // It counts only where every database holds it, and R2 has its object.
          const counted = await clock.run(listSavepoints(files, sound));
          if (counted.length > 0) expect(all()).toEqual([1, 1, 1]);
          if (what === "take") expect(await clock.run(take(files, sound))).toMatchObject({ tag: "taken" });
          else await clock.run(remove(files, sound));
          expect(all()).toEqual(what === "take" ? [1, 1, 1] : [0, 0, 0]);
        }
  });

  it("removes from another database what a late call left there", async () => {
    const clock = new VirtualClock();
    const dbs = [new MemoryDatabase(), new MemoryDatabase()];
    const stores = dbs.map((db) => db.savepointStore()) as unknown as Stores;
    await stores[1]!.hold({ number: 3, name: "gone", at: stamp(5_000), createdMs: 1, state: "taking" });
    expect(await clock.run(listSavepoints(filesOf(clock), stores))).toEqual([]);
    expect(dbs[1]!.savepoints.size).toBe(0);
  });

  it("SAVEPOINT4: leaves no object if it was removed while it was taken; the next removal of the name removes late ones", async () => {
    const clock = new VirtualClock();
    const stores: Stores = [new MemoryDatabase().savepointStore()];
    const files = filesOf(clock);
    const racing: Stores = [
      {
        ...stores[0],
        confirm: async (number) => {
          await removeSavepoint({ ...files, objects: new MemoryStore() }, stores, "a");
          return stores[0].confirm(number);
        },
      },
    ];
    expect(await clock.run(takeSavepoint(files, racing, "a", stamp(5_000), true))).toMatchObject({ tag: "conflict" });
    expect(files.objects.objects.size).toBe(0);

    await files.objects.put("savepoints/1/a/0000000001-5000.kfp", new Uint8Array(1));
    await files.objects.put("savepoints/1/ab/0000000009-5000.kfp", new Uint8Array(1));
    await clock.run(removeSavepoint(files, stores, "a"));
    expect([...files.objects.objects.keys()]).toEqual(["savepoints/1/ab/0000000009-5000.kfp"]);
  });

  it("SAVEPOINT5: says in R2 how far each partition had come, in every database", async () => {
    const world = new World();
    const one = world.start(sum());
    for (let n = 1; n <= 3; n++) await world.send(one, { id: `e${n}`, key: "a", data: 1 });
    const files = filesOf(world.clock, world.store);
    const stores: Stores = [world.db.savepointStore(), new MemoryDatabase().savepointStore()];
    const at = (await world.db.log(ID).explain(seq(0))).headStamp;
    expect(await world.clock.run(takeSavepoint(files, stores, "a", at, true))).toMatchObject({ tag: "taken" });
    const [stored] = await world.clock.run(storedSavepoints(files));
    expect(stored).toMatchObject({ name: "a", at });
    const record = await world.clock.run(readRecord(files, stored!.object));
    expect(record).toMatchObject({ name: "a", at, number: 1, heads: [["1/sum/0000", 3]] });

    expect((await world.clock.run(unarchivedSince(files, stores))).every((since) => since > at)).toBe(false);
    await world.clock.run(one.partition.snapshot());
    expect(await world.clock.run(unarchivedSince(files, stores))).toEqual([]);
  });

  it.each([
    ["a bit", (bytes: Uint8Array) => void (bytes[brotli.decode(bytes).indexOf("5000")]! ^= 1), "checksum"],
    ["its end", (bytes: Uint8Array) => void bytes.fill(32, -20), "JSON"],
    ["no text", (bytes: Uint8Array) => void (bytes[0] = 0xff), "UTF-8"],
  ])("whose object is corrupt (%s) is damage by name", async (_, damage, said) => {
    const clock = new VirtualClock();
    const files = filesOf(clock);
    await clock.run(takeSavepoint(files, [new MemoryDatabase().savepointStore()], "a", stamp(5_000), true));
    const [[object, bytes]] = [...files.objects.objects] as [[string, Uint8Array]];
    damage(bytes);
    await expect(clock.run(readRecord(files, object))).rejects.toThrow(said);
  });

  it("whose object is of a newer format is refused by name", async () => {
    const clock = new VirtualClock();
    const files = filesOf(clock);
    await files.objects.put("x", brotli.encode('{"format":"keyframe.savepoint","v":2,"checksum":0}'));
    await expect(clock.run(readRecord(files, "x"))).rejects.toMatchObject({ code: "unknown_format" });
  });
});

describe("retention and a savepoint", () => {
  it(
    "RETENTION6: its state can be read for as long as it is held, and the log since goes all the same",
    () =>
      fc.assert(
        fc.asyncProperty(
          fc.array(fc.constantFrom("event", "event", "snapshot", "save", "restart"), { minLength: 6, maxLength: 24 }),
          async (steps) => {
            const world = new World();
            const operator = sum({ snapshot: { every: "1h", retain: { age: "1h", last: 1 } } });
            let one = world.start(operator);
            const store = world.db.savepointStore();
            const saved: { readonly at: Stamp; readonly text: string | null }[] = [];
            let n = 0;
            for (const step of [...steps, ...Array.from({ length: 12 }, () => ["event", "snapshot"]).flat()]) {
              if (step === "event") await world.send(one, { id: `e${n++}`, key: "a", data: 1 });
              if (step === "snapshot") await world.clock.run(one.partition.snapshot());
              if (step === "restart") {
                one.crashed = true;
                one = world.start(operator);
              }
              if (step === "save" && (await world.db.log(ID).row()) !== null) {
                const at = (await world.db.log(ID).explain(seq(0))).headStamp;
                const entry = (await world.clock.run(one.partition.read(["a"])))[0];
                const row = await store.add(`s${n++}`, at, 1);
                if (typeof row !== "string") saved.push({ at, text: entry?.text ?? null });
              }
              await world.clock.advance(GARBAGE_MS);
            }
            const env: LogEnvironment = {
              id: ID,
              operator,
              log: world.db.log(ID),
              objects: world.store,
              codec: brotli,
              clock: world.clock,
              cache: NO_CACHE,
              sizes: SIZES,
            };
            for (const { at, text } of saved) {
              const past = await world.clock.run(pastKeys(env, at, ["a"], 1_000));
              expect(past.tag === "read" ? (past.entries[0]?.text ?? null) : past).toEqual(text);
            }
            // A few snapshots and archives are left beside those of the savepoints, not those of the whole time.
            const archives = [...world.store.objects.keys()].filter((name) => name.endsWith(".kfm")).length;
            expect(archives).toBeLessThan(12 + 4 * saved.length);
          },
        ),
        runs(25),
      ),
    PATIENCE_MS,
  );
});
