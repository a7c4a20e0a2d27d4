/** A partition as of a stamp, from R2 alone: exactly what was logged up to it, or how far it gets. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { GARBAGE_MS } from "../../../src/engine/checkpoint/checkpointer.ts";
import { partitionName, seq, stamp, type PartitionId, type Stamp } from "../../../src/engine/base/ids.ts";
import { rebuild } from "../../../src/engine/recovery/rebuild.ts";
import { rebuildAt, type RebuiltAt } from "../../../src/engine/recovery/rebuild-at.ts";
import type { Segment } from "../../../src/engine/base/records.ts";
import { sum } from "../fakes/sum.ts";
import { unreachable } from "../fakes/unreachable.ts";
import { World, type Incarnation } from "../fakes/world.ts";
import { PATIENCE_MS, runs } from "../hostile.ts";

const operator = sum();
const ID: PartitionId = { line: 1, operator: "sum", partition: 0 };
const NAME = partitionName(ID);
const SEED = 42;

/** The state that the partition had shown once, after one more event. */
interface Shown {
  readonly at: Stamp;
  readonly seq: number;
  readonly values: readonly unknown[];
}

const KEYS = ["a", "b", "c"];
const values = async (world: World, one: Incarnation): Promise<unknown[]> => {
  const found: unknown[] = [];
  for (const key of KEYS) found.push(await world.value(one, key));
  return found;
};

/** A partition to which events are sent one by one. It remembers what it showed after each. */
class Story {
  readonly world = new World();
  readonly shown: Shown[] = [];
  one: Incarnation;
  #sent = 0;
  readonly #of: typeof operator;

  constructor(of = operator) {
    this.#of = of;
    this.one = this.world.start(of);
  }

  async event(): Promise<Shown> {
    const n = (this.#sent += 1);
    await this.world.send(this.one, { id: `e${n}`, key: KEYS[n % 3]!, data: n });
    const { head, headStamp: at } = await this.world.db.log(ID).explain(seq(0));
    const now = { at, seq: head, values: await values(this.world, this.one) };
    this.shown.push(now);
    await this.world.clock.advance(5);
    return now;
  }

  async snapshot(): Promise<void> {
    await this.world.clock.run(this.one.partition.snapshot());
    await this.world.clock.advance(GARBAGE_MS);
  }

  restart(): void {
    this.one.crashed = true;
    this.one = this.world.start(this.#of);
  }

  loseD1(): void {
    this.one.crashed = true;
    this.world.db.rows.clear();
    this.world.db.kept.clear();
    this.world.db.segments.clear();
  }

  rebuilt(at: Stamp): ReturnType<typeof rebuildAt> {
    return this.world.clock.run(rebuildAt(this.world.reader(this.#of), SEED, at));
  }

  /** Writes what was rebuilt to D1, as the route does, and opens it. */
  async open(found: RebuiltAt): Promise<void> {
    const { world } = this;
    const rows: Segment[] = [];
    const copy = async (): Promise<void> => {
      for await (const portion of found.rows()) rows.push(...portion);
    };
    await world.clock.run(copy());
    expect(rows.length).toBe(found.log.rows);
    expect(rows.reduce((all, { checksum }) => all + checksum, 0)).toBe(found.log.checksums);
    world.db.rows.set(NAME, { ...found.row });
    world.db.segments.set(NAME, rows);
    this.one = world.start(this.#of);
  }
}

function assertFound(found: Awaited<ReturnType<typeof rebuildAt>>): asserts found is RebuiltAt {
  if (found.tag !== "found") throw new Error(JSON.stringify(found));
}

/** Snapshots after 3, 6, … events, and two events above the last one. */
async function lived(snapshots: number): Promise<Story> {
  const life = new Story();
  for (let n = 1; n <= 3 * snapshots + 2; n++) {
    await life.event();
    if (n % 3 === 0 && n <= 3 * snapshots) await life.snapshot();
  }
  return life;
}

describe("a partition as of a stamp", () => {
  it(
    "is what was logged up to it, whatever happened, and D1 alone may have had more only where it says so",
    () =>
      fc.assert(
        fc.asyncProperty(
          fc.array(fc.constantFrom("event", "event", "event", "snapshot", "restart"), { minLength: 4, maxLength: 30 }),
          fc.nat(),
          async (steps, pick) => {
            const life = new Story();
            for (const step of ["event", ...steps]) {
              if (step === "event") await life.event();
              if (step === "snapshot") await life.snapshot();
              if (step === "restart") life.restart();
            }
            const wanted = life.shown[pick % life.shown.length]!;
            const archived = (await life.world.db.log(ID).row())!.snapshotSeq;
            life.loseD1();
            const found = await life.rebuilt(wanted.at);
            if (archived === 0) {
              expect(found).toEqual({ tag: "nothing" });
              return;
            }
            assertFound(found);
            const reached = life.shown[Math.min(wanted.seq, archived) - 1]!;
            expect(found).toMatchObject({ seq: reached.seq, complete: wanted.seq <= archived, why: null });
            expect(found.givenUp).toBe(archived - reached.seq);
            await life.open(found);
            expect(await values(life.world, life.one)).toEqual(reached.values);
            // It resumes, and what was given up stays so when D1 is lost once more.
            await life.event();
            const after = await life.event();
            await life.snapshot();
            life.loseD1();
            const again = await life.rebuilt(after.at);
            assertFound(again);
            expect(again).toMatchObject({ seq: reached.seq + 2, complete: true });
            await life.open(again);
            expect(await values(life.world, life.one)).toEqual(after.values);
          },
        ),
        runs(60),
      ),
    PATIENCE_MS,
  );

  it("begins with the newest snapshot at or before it, and with nothing before the first event", async () => {
    const life = await lived(3);
    life.loseD1();
    const found = await life.rebuilt(life.shown[6]!.at);
    assertFound(found);
    expect([found.base?.number, found.row.snapshotSeq, found.log.rows, found.seq]).toEqual([2, 6, 1, 7]);
    const young = await life.rebuilt(life.shown[1]!.at);
    assertFound(young);
    expect(young).toMatchObject({ base: null, seq: 2, complete: true, row: { manifest: null, version: 3 } });
    const unborn = await life.rebuilt(stamp(life.shown[0]!.at - 1));
    expect(unborn).toMatchObject({ tag: "found", seq: 0, complete: true, givenUp: 9 });
  });

  it("a moment between two rows is complete up to the row before it", async () => {
    const life = await lived(2);
    life.loseD1();
    const found = await life.rebuilt(stamp(life.shown[3]!.at + 1));
    expect(found).toMatchObject({ tag: "found", seq: 4, complete: true, givenUp: 2 });
  });

  it("REBUILDAT1: takes an older snapshot if the newest is damaged, and says so", async () => {
    const life = await lived(3);
    const row = await life.world.db.log(ID).row();
    const { snapshot } = JSON.parse(row!.previous!) as { snapshot: { name: string } };
    life.world.store.damage(snapshot.name);
    life.loseD1();
    const at = life.shown[7]!;
    const found = await life.rebuilt(at.at);
    assertFound(found);
    expect(found.passedOver.length).toBeGreaterThan(0);
    expect(found).toMatchObject({ seq: 8, complete: true });
    await life.open(found);
    expect(await values(life.world, life.one)).toEqual(at.values);
  });

  it("REBUILDAT3: says how far it gets if an archive is damaged, and what may come back later is no damage", async () => {
    const life = await lived(3);
    const archive = [...life.world.store.objects.keys()].filter((name) => name.endsWith(".kfm")).sort()[2]!;
    life.loseD1();
    const end = unreachable(life.world.store, [archive]);
    await expect(life.rebuilt(life.shown[7]!.at)).rejects.toMatchObject({ code: "store_unavailable" });
    end();
    life.world.store.damage(archive);
    const found = await life.rebuilt(life.shown[7]!.at);
    expect(found).toMatchObject({ tag: "found", seq: 6, complete: false, why: expect.any(String) as string });
  });

  it("REBUILDAT4: never begins with an empty state because what came before is gone", async () => {
    const life = new Story(sum({ snapshot: { every: "1h", retain: { age: "1h", last: 1 } } }));
    for (let n = 0; n < 30; n++) {
      await life.event();
      await life.snapshot();
    }
    life.loseD1();
    expect(await life.rebuilt(life.shown[2]!.at)).toMatchObject({
      tag: "unreadable",
      passedOver: [expect.stringContaining("no snapshot is that old")],
    });
    expect(await life.rebuilt(life.shown[28]!.at)).toMatchObject({ tag: "found", seq: 29, complete: true });
  });

  it("REBUILDAT2: what an earlier recovery gave up doesn't come back", async () => {
    const life = await lived(3);
    life.loseD1();
    const found = await life.rebuilt(life.shown[4]!.at);
    assertFound(found);
    await life.open(found);
    await life.event();
    const second = await life.event();
    await life.snapshot();
    life.loseD1();
    // At this stamp the first life had shown event 8.
    const given = await life.rebuilt(life.shown[7]!.at);
    expect(given).toMatchObject({ tag: "found", seq: 5, complete: true, givenUp: 2 });
    const newest = await life.world.clock.run(rebuild(life.world.reader(operator), SEED));
    expect(newest).toMatchObject({ tag: "found", manifest: { seq: 7, stamp: second.at } });
  });

  it("finds a snapshot among many in few steps", async () => {
    const life = new Story(sum({ snapshot: { every: "1h", retain: "30d" } }));
    for (let n = 0; n < 200; n++) {
      await life.event();
      await life.world.clock.run(life.one.partition.snapshot());
    }
    life.loseD1();
    let gets = 0;
    const { world } = life;
    const objects = new Proxy(world.store, {
      get: (store, name) => {
        if (name === "get") gets += 1;
        const member = Reflect.get(store, name, store) as unknown;
        return typeof member === "function" ? (member.bind(store) as unknown) : member;
      },
    });
    const found = await world.clock.run(rebuildAt({ ...world.reader(operator), objects }, SEED, life.shown[49]!.at));
    expect(found).toMatchObject({ tag: "found", seq: 50, complete: true });
    expect(gets).toBeLessThan(25);
  });
});
