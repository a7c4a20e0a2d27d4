/** A key's history: every event of the log that touched it, once, newest first, wherever the log stands by now. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { partitionName, seq, type PartitionId, type Seq } from "../../../src/engine/base/ids.ts";
import { logBelow } from "../../../src/engine/history/log-reader.ts";
import { SIZES } from "../../../src/engine/base/limits.ts";
import { adopt } from "../../../src/engine/recovery/adopt.ts";
import { rebuild } from "../../../src/engine/recovery/rebuild.ts";
import { eventsOf, type KeyEvent, type KeyEvents } from "../../../src/engine/history/events.ts";
import type { MemoryDatabase } from "../../../src/testkit/memory-log.ts";
import { sum } from "../fakes/sum.ts";
import { World, type Incarnation, type Sent } from "../fakes/world.ts";
import { PATIENCE_MS, runs } from "../hostile.ts";

const operator = sum();
const ID: PartitionId = { line: 1, operator: "sum", partition: 0 };

const bounds = (items: number, chars?: number) => ({ items, ...(chars === undefined ? {} : { chars }) });
const page = (world: World, key: string, before: number | null, limit: number, maxChars?: number): Promise<KeyEvents> =>
  world.clock.run(eventsOf(world.reader(operator), key, before === null ? null : seq(before), bounds(limit, maxChars)));

/** All pages, one after the other. */
async function all(world: World, key: string, limit = 1_000, maxChars?: number): Promise<KeyEvent[]> {
  const items: KeyEvent[] = [];
  for (let before: Seq | null = null; ;) {
    const one = await page(world, key, before, limit, maxChars);
    items.push(...one.items);
    if (one.before === null) return items;
    expect(one.before).toBeLessThan(before ?? Infinity);
    before = one.before;
  }
}
const said = (items: readonly KeyEvent[]): string[] =>
  items.map(({ seq: at, event, outcome }) => `${at} ${event.id} ${outcome.tag}`);

/** Events that were sent and taken, in order. */
class Ledger {
  readonly entries: { readonly key: string; readonly id: string; readonly outcome: string }[] = [];
  #sent = 0;

  events(count: number): Sent[] {
    return Array.from({ length: count }, () => {
      const n = ++this.#sent;
      const data = n % 7 === 0 ? 0 : n % 11 === 0 ? "boom" : n;
      return { id: `e${n}`, key: `k${n % 3}`, data };
    });
  }

  took(events: readonly Sent[]): void {
    for (const { id, key, data } of events)
      this.entries.push({
        key: key!,
        id,
        outcome: data === 0 ? "refused" : data === "boom" ? "quarantined" : "applied",
      });
  }

  of(key: string): string[] {
    return this.entries
      .flatMap((one, i) => (one.key === key ? [`${i + 1} ${one.id} ${one.outcome}`] : []))
      .toReversed();
  }
}

async function send(world: World, one: Incarnation, ledger: Ledger, count: number): Promise<void> {
  const events = ledger.events(count);
  const result = await world.send(one, ...events);
  expect(result.tag).toBe("decided");
  ledger.took(events);
}

async function snapshot(world: World, one: Incarnation): Promise<string> {
  const taken = await world.clock.run(one.partition.snapshot());
  await world.clock.advance(100);
  return taken.tag;
}

const manifestNames = (world: World): string[] =>
  [...world.store.objects.keys()].filter((name) => name.endsWith(".kfm")).sort();

/** Archives in as many objects as there are pages of two rows. */
function inPieces(): World {
  const world = new World();
  Object.assign(world.db, { pageRows: 2 } satisfies Partial<MemoryDatabase>);
  world.sizes = { ...SIZES, archiveBytes: 1 };
  return world;
}

/** Ten events and a snapshot, so many times; then three events more. */
async function withSnapshots(
  count: number,
  make = (): World => new World(),
): Promise<{ world: World; one: Incarnation; ledger: Ledger }> {
  const world = make();
  const one = world.start(operator);
  const ledger = new Ledger();
  for (let i = 0; i < count; i++) {
    for (let n = 0; n < 5; n++) await send(world, one, ledger, 2);
    expect(await snapshot(world, one)).toBe("current");
  }
  await send(world, one, ledger, 3);
  return { world, one, ledger };
}

describe("the history of a key", () => {
  it("has each event as its handler saw it, with its outcome and time of receipt", async () => {
    const world = new World();
    const one = world.start(operator);
    const now = world.clock.now();
    await world.send(one, { id: "a", key: "k", data: 5 }, { id: "b", key: "other", data: 6 });
    await world.send(one, { id: "c", key: "k", data: 0 });
    const { items, before } = await page(world, "k", null, 10);
    expect(before).toBeNull();
    expect(items).toMatchObject([
      {
        seq: 3,
        event: { id: "c", partitionkey: "k", data: 0 },
        outcome: { tag: "refused", code: "zero", detail: '{"total":5}' },
      },
      { seq: 1, event: { id: "a", source: "test", data: 5 }, outcome: { tag: "applied", reply: '{"total":5}' } },
    ]);
    expect(items[1]).toMatchObject({ now, event: { time: new Date(now).toISOString() } });
  });

  it("of a partition that has no log is empty", async () => {
    expect(await page(new World(), "k", null, 10)).toEqual({ items: [], before: null, bottom: "beginning" });
  });

  it("of a key that never came is empty, after the whole log", async () => {
    const { world } = await withSnapshots(4);
    expect(await all(world, "nobody")).toEqual([]);
  });

  it.each([0, 1, 2, 3, 12, 40])("LOG5: continues through the archive, with %i snapshots", async (count) => {
    const { world, ledger } = await withSnapshots(count);
    for (const key of ["k0", "k1", "k2"]) {
      expect(said(await all(world, key))).toEqual(ledger.of(key));
      expect(said(await all(world, key, 1))).toEqual(ledger.of(key));
    }
  });

  it("begins at any seq, also within a row, and beyond the end", async () => {
    const { world, ledger } = await withSnapshots(5);
    for (let before = 1; before <= 60; before++) {
      const { items } = await page(world, "k1", before, 1_000);
      expect(said(items)).toEqual(ledger.of("k1").filter((entry) => Number.parseInt(entry) < before));
    }
  });

  it("H1: reads a bounded part of the log for a page, and says where to go on", async () => {
    const { world, ledger } = await withSnapshots(6);
    const first = await page(world, "k0", null, 1_000, 1);
    expect(first.items.length).toBeLessThan(3);
    expect(first.before).not.toBeNull();
    expect(said(await all(world, "k0", 1_000, 1))).toEqual(ledger.of("k0"));
  });

  it("W3: finds a seq far down with few looks", async () => {
    const { world, ledger } = await withSnapshots(100);
    let gets = 0;
    const objects = {
      ...world.reader(operator).objects,
      get: (name: string) => (gets++, world.store.get(name)),
      list: world.store.list.bind(world.store),
    };
    const { items } = await world.clock.run(
      eventsOf({ ...world.reader(operator), objects }, "k1", seq(120), { items: 2 }),
    );
    expect(said(items)).toEqual(
      ledger
        .of("k1")
        .filter((entry) => Number.parseInt(entry) < 120)
        .slice(0, 2),
    );
    expect(gets).toBeLessThan(15);
  });

  it("W4: continues through archives in several objects, one object after the other", async () => {
    const { world, ledger } = await withSnapshots(12, inPieces);
    expect(manifestNames(world).filter((name) => name.endsWith(".0001.kfm"))).toHaveLength(12);
    for (const key of ["k0", "k1", "k2"]) {
      expect(said(await all(world, key))).toEqual(ledger.of(key));
      expect(said(await all(world, key, 1))).toEqual(ledger.of(key));
    }
    const counts: number[] = [];
    const read = async (): Promise<void> => {
      for await (const { objects } of logBelow(world.reader(operator), null)) counts.push(objects);
    };
    await world.clock.run(read());
    // Three objects of each of twelve versions, and where they are is looked for once in each.
    expect(counts.at(-1)).toBeLessThan(2 * 3 * 12);
  });

  it("W1, SNAP3: a piece that is damaged or lost is an error by name, and what is above it is there", async () => {
    const { world, ledger } = await withSnapshots(6, inPieces);
    const name = manifestNames(world).filter((one) => one.includes("/0000000003-"))[1]!;
    expect(name).toMatch(/\.0002\.kfm$/);
    world.store.damage(name);
    const above = ledger.of("k0").filter((entry) => Number.parseInt(entry) > 30);
    expect(said((await page(world, "k0", null, above.length)).items)).toEqual(above);
    await expect(all(world, "k0")).rejects.toThrowError(/archive|seq|block/);
    world.store.objects.delete(name);
    await expect(all(world, "k0")).rejects.toMatchObject({ code: "log_broken" });
  });

  it("SNAP9: takes no epoch, wakes nothing and writes nothing", async () => {
    const { world } = await withSnapshots(3);
    const before = [structuredClone(world.db.rows), world.store.objects.size];
    world.trace.length = 0;
    await all(world, "k0");
    expect([world.db.rows, world.store.objects.size]).toEqual(before);
    expect(world.trace).toEqual([]);
  });

  it("W2: what is cut while it reads is found in the archive", async () => {
    const { world, one, ledger } = await withSnapshots(2);
    let cuts = 0;
    const log = world.db.log(ID);
    const all = log.below.bind(log);
    log.below = async (before) => {
      const rows = await all(before);
      // Two snapshots cut all that D1 has.
      if (cuts++ < 2) await one.partition.snapshot();
      return rows.slice(0, 2);
    };
    const env = { ...world.reader(operator), log };
    const { items } = await world.clock.run(eventsOf(env, "k1", null, { items: 1_000 }));
    expect(cuts).toBeGreaterThan(1);
    expect(said(items)).toEqual(ledger.of("k1"));
  });

  it("W1, SNAP3: an archive that is damaged is an error by name, and what is above it is there", async () => {
    const { world, ledger } = await withSnapshots(6);
    world.store.damage(manifestNames(world)[2]!);
    const above = ledger.of("k0").filter((entry) => Number.parseInt(entry) > 30);
    expect(said((await page(world, "k0", null, above.length)).items)).toEqual(above);
    await expect(all(world, "k0")).rejects.toThrowError(/archive|seq|block/);
    world.store.objects.delete(manifestNames(world)[2]!);
    await expect(all(world, "k0")).rejects.toMatchObject({ code: "log_broken" });
  });

  it("W1: a hole in D1 is an error by name", async () => {
    const { world } = await withSnapshots(1);
    const segments = world.db.segments.get(partitionName(ID))!;
    world.db.segments.set(partitionName(ID), segments.toSpliced(2, 1));
    await expect(all(world, "k0")).rejects.toMatchObject({ code: "log_broken" });
  });

  it("LOG5: after D1 was lost, what was given up is not in it, though R2 still holds it", async () => {
    const { world, ledger } = await withSnapshots(4);
    // The newest snapshot is corrupt too: with it goes what came after the third.
    const newest = JSON.parse(world.db.rows.get(partitionName(ID))!.manifest!) as { snapshot: { name: string } };
    world.store.damage(newest.snapshot.name);
    world.db.rows.clear();
    world.db.segments.clear();
    const found = await world.clock.run(rebuild(world.reader(operator), 42));
    if (found.tag !== "found") throw new Error(found.tag);
    world.db.rows.set(partitionName(ID), { ...found.row });
    ledger.entries.length = found.manifest.seq;
    expect(found.manifest.seq).toBe(30);
    for (const key of ["k0", "k1"]) expect(said(await all(world, key))).toEqual(ledger.of(key));

    const again = world.start(operator);
    for (let i = 0; i < 3; i++) {
      await send(world, again, ledger, 4);
      expect(await snapshot(world, again)).toBe("current");
      for (const key of ["k0", "k1", "k2"])
        for (const limit of [1, 1_000])
          expect(said(await all(world, key, limit)), `${key} after ${i}`).toEqual(ledger.of(key));
    }
  });

  it("INCARNATION1: after D1 was restored to an older point, events that only an attempt had archived, which never became current, are not in it", async () => {
    const { world, one, ledger } = await withSnapshots(2);
    const name = partitionName(ID);
    const [row, segments, kept] = [
      { ...world.db.rows.get(name)! },
      [...world.db.segments.get(name)!],
      [...ledger.entries],
    ];
    await send(world, one, ledger, 5);
    world.fates = ({ method }) => (method === "promote" ? "before" : "ok");
    expect(await snapshot(world, one)).toBe("failed");
    world.fates = () => "ok";
    // The object has left memory, and its last snapshot was before.
    world.db.rows.set(name, row);
    world.db.segments.set(name, segments);
    ledger.entries.splice(0, Infinity, ...kept);
    // Nobody decides anything unless the partition refuses.
    const refused = await world.value(world.start(operator)).then(
      () => false,
      () => true,
    );
    if (refused) {
      const opening = await world.db.log(ID).peek();
      const found = await world.clock.run(adopt(world.reader(operator), { opening, mark: world.mark }, "d1", 42));
      if (found.tag !== "row") throw new Error(found.tag);
      world.db.rows.set(name, { ...found.row });
    }
    const again = world.start(operator);
    for (let i = 0; i < 3; i++) {
      await send(world, again, ledger, 4);
      expect(await snapshot(world, again)).toBe("current");
      for (const key of ["k0", "k1", "k2"])
        expect(said(await all(world, key)), `${key} after ${i}`).toEqual(ledger.of(key));
    }
    expect(refused).toBe(true);
  });

  it("LOGREAD5: an attempt that broke off at the oldest kept version, and begins lower, doesn't hide where the log was given up", async () => {
    const { world, ledger } = await withSnapshots(2, inPieces);
    const name = partitionName(ID);
    const manifest = JSON.parse(world.db.rows.get(name)!.manifest!) as { snapshot: { name: string } };
    const file = world.store.objects.get(manifest.snapshot.name)!;
    // An instance that can't read the current snapshot begins its archive above the one before. Only its first piece
    // gets to R2.
    world.store.objects.delete(manifest.snapshot.name);
    let puts = 0;
    world.fates = ({ method }) => (method === "put" && ++puts > 2 ? "before" : "ok");
    expect(await snapshot(world, world.start(operator))).toBe("failed");
    world.fates = () => "ok";
    world.store.objects.set(manifest.snapshot.name, file);
    world.cache.doubts.clear();
    const one = world.start(operator);
    for (let i = 0; i < 3; i++) {
      await send(world, one, ledger, 4);
      expect(await snapshot(world, one)).toBe("current");
    }
    const third = manifestNames(world).filter((each) => each.includes("/0000000003-"));
    expect(third.map((each) => each.endsWith(".0001.kfm"))).toEqual([true, false]);
    // Retention gives up what is older.
    world.db.kept.get(name)!.archiveFrom = 3;
    for (const each of manifestNames(world)) if (/\/000000000[12]-/.test(each)) world.store.objects.delete(each);
    const reading = logBelow(world.reader(operator), null);
    const seqs: number[] = [];
    const read = async (): Promise<string> => {
      for (;;) {
        const { done, value } = await reading.next();
        if (done === true) return value;
        seqs.push(value.row.seq);
      }
    };
    expect(await world.clock.run(read())).toBe("given up");
    expect(seqs.at(-1)).toBe(21);
  });

  it(
    "W1: through any run of groups, snapshots, failed attempts, fall-backs and evictions",
    async () => {
      const step = fc.oneof(
        {
          weight: 6,
          arbitrary: fc.record({ do: fc.constant("send" as const), count: fc.integer({ min: 1, max: 6 }) }),
        },
        {
          weight: 4,
          arbitrary: fc.record({ do: fc.constantFrom("snapshot" as const, "failed" as const, "unheard" as const) }),
        },
        { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("evict" as const, "damage" as const) }) },
      );
      const run = fc.asyncProperty(
        fc.array(step, { minLength: 15, maxLength: 40, size: "max" }),
        fc.integer({ min: 1, max: 5 }),
        fc.constantFrom(1, 300, SIZES.archiveBytes),
        async (steps, limit, archiveBytes) => {
          const world = new World();
          world.sizes = { ...SIZES, archiveBytes };
          Object.assign(world.db, { pageRows: 3 } satisfies Partial<MemoryDatabase>);
          const ledger = new Ledger();
          let one = world.start(operator);
          for (const now of steps) {
            if (now.do === "send") await send(world, one, ledger, now.count);
            else if (now.do === "evict") one = world.start(operator);
            else if (now.do === "damage") {
              // The generation that is current: the next one resumes from the older one.
              const text = world.db.rows.get(partitionName(ID))?.manifest;
              const manifest =
                text === null || text === undefined
                  ? null
                  : (JSON.parse(text) as { kind: string; snapshot: { name: string } });
              if (manifest?.kind !== "delta") continue;
              world.store.damage(manifest.snapshot.name);
              one = world.start(operator);
            } else if (ledger.entries.length > 0) {
              const fate = now.do === "failed" ? "before" : now.do === "unheard" ? "after" : "ok";
              world.fates = ({ method }) => (method === "promote" ? fate : "ok");
              await snapshot(world, one);
              world.fates = () => "ok";
            }
          }
          for (const key of ["k0", "k2"]) expect(said(await all(world, key, limit))).toEqual(ledger.of(key));
        },
      );
      await fc.assert(run, runs(60));
    },
    PATIENCE_MS,
  );
});

describe("the log downwards", () => {
  it("LOG4: has every row once, as the log has them", async () => {
    const { world } = await withSnapshots(7);
    const read = async (before: number): Promise<number[]> => {
      const rows: number[] = [];
      for await (const { row } of logBelow(world.reader(operator), seq(before))) rows.push(row.seq);
      return rows;
    };
    const whole = await world.clock.run(read(1_000));
    expect(whole).toEqual([71, ...Array.from({ length: 35 }, (_, i) => 69 - 2 * i)]);
    for (const before of [72, 70, 69, 31, 2, 1])
      expect(await world.clock.run(read(before))).toEqual(whole.filter((first) => first < before));
  });
});
