/**
 * D1 restored to an older point by its own time travel: noticed, refused by name, and resumed from by somebody's
 * decision alone (rewind-check.ts, adopt.ts).
 */
import { describe, expect, it } from "vitest";
import { adopt, type Adopted, type Truth } from "../../../src/engine/recovery/adopt.ts";
import { epoch, incarnationOf, partitionName, seq, type PartitionId } from "../../../src/engine/base/ids.ts";
import { behind } from "../../../src/engine/log/fence.ts";
import { markFromStore } from "../../../src/engine/recovery/rewind-check.ts";
import { readHighWaterMark, type HighWaterMark } from "../../../src/engine/base/records.ts";
import { MARK_MS } from "../../../src/engine/base/limits.ts";
import { rebuild } from "../../../src/engine/recovery/rebuild.ts";
import { sum } from "../fakes/sum.ts";
import { words, World, type Incarnation } from "../fakes/world.ts";

const operator = sum();
const ID: PartitionId = { line: 1, operator: "sum", partition: 0 };
const NAME = partitionName(ID);

/** The rows that D1's time travel keeps for every moment. */
type Moment = () => void;
function remember({ db }: World): Moment {
  const [row, segments] = [db.rows.get(NAME), db.segments.get(NAME)];
  const [keptRow, kept] = [row === undefined ? undefined : { ...row }, [...(segments ?? [])]];
  return () => {
    if (keptRow === undefined) db.rows.delete(NAME);
    else db.rows.set(NAME, { ...keptRow });
    db.segments.set(NAME, [...kept]);
  };
}

/** Events of one key that are worth 1 each, one at a time. */
async function fill(world: World, one: Incarnation, from: number, to: number): Promise<void> {
  for (let n = from; n <= to; n++) expect(words(await world.send(one, { id: `a${n}`, data: 1 }))).toEqual(["applied"]);
}
async function snapshot(world: World, one: Incarnation): Promise<void> {
  expect((await world.clock.run(one.partition.snapshot())).tag).toBe("current");
  await world.clock.advance(100);
}
const total = async (world: World, one: Incarnation): Promise<unknown> =>
  ((await world.value(one)) as { total: number } | undefined)?.total;
const refusal = async (world: World, one: Incarnation): Promise<unknown> =>
  world.value(one).then(
    (value) => value,
    (error: { code?: string }) => error.code,
  );

async function decide(world: World, truth: Truth): Promise<Adopted> {
  const opening = await world.db.log(ID).peek();
  const found = await world.clock.run(adopt(world.reader(operator), { opening, mark: world.mark }, truth, 42));
  if (found.tag !== "row") return found;
  world.db.rows.set(NAME, { ...found.row });
  if (truth === "r2") world.db.segments.delete(NAME);
  return found;
}

/** Refused by every new instance, however often it is asked, by reads too; and D1 stays as it is after the first of them. */
async function expectRefused(world: World): Promise<void> {
  expect(words(await world.send(world.start(operator), { id: "new", data: 1 }))).toBe("log_rewound");
  const now = JSON.stringify([world.db.rows.get(NAME), world.db.segments.get(NAME)]);
  for (let i = 0; i < 3; i++) {
    const one = world.start(operator);
    const answer = await world.send(one, { id: "new", data: 1 });
    expect(answer).toMatchObject({ tag: "busy", code: "log_rewound", retryAfterMs: 30_000 });
    expect(answer.tag === "busy" && answer.message).toMatch(
      /was restored to an older point: D1 .*(instead of|reached seq) \d+.*partitions\/0\/adopt/,
    );
    expect(await refusal(world, world.start(operator))).toBe("log_rewound");
  }
  expect(JSON.stringify([world.db.rows.get(NAME), world.db.segments.get(NAME)])).toBe(now);
}

describe("restore points and pins of a database that was restored to an older point", () => {
  it("SNAP10: those of the snapshot's own incarnation stay, with what it displaces; those from before a later incarnation began don't count", async () => {
    const world = new World();
    const one = world.start(operator);
    await fill(world, one, 1, 3);
    await snapshot(world, one);
    const back = remember(world);
    await fill(world, one, 4, 6);
    await snapshot(world, one);
    back();
    const same = await world.clock.run(
      adopt(world.reader(operator), { opening: await world.db.log(ID).peek(), mark: world.mark }, "r2", 42),
    );
    expect(same).toMatchObject({ tag: "row", seq: 6, roots: { upTo: 2, displaced: { version: 1, seq: 3 } } });
    await decide(world, "d1");
    const two = world.start(operator);
    await fill(world, two, 7, 8);
    await snapshot(world, two);
    back();
    const later = await world.clock.run(
      adopt(world.reader(operator), { opening: await world.db.log(ID).peek(), mark: world.mark }, "r2", 42),
    );
    expect(later).toMatchObject({ tag: "row", seq: 5, roots: { upTo: 0, displaced: null } });
  });
});

describe("a database that is restored to an older point", () => {
  it("under a living object: its next commit is refused, and so is every instance after it", async () => {
    const world = new World();
    const one = world.start(operator);
    await fill(world, one, 1, 3);
    const back = remember(world);
    await fill(world, one, 4, 6);
    back();
    expect(words(await world.send(one, { id: "new", data: 1 }))).toBe("log_rewound");
    expect(one.ended).toMatch(/seq 3 instead of 6/);
    await expectRefused(world);
  });

  it("under a living object: a read that asks D1 finds it too, and so does an alarm", async () => {
    for (const ask of [
      async (world: World, one: Incarnation) => expect(await refusal(world, one)).toBe("log_rewound"),
      (world: World, one: Incarnation) => world.clock.run(one.partition.wake()),
    ]) {
      const world = new World();
      const one = world.start(operator);
      await fill(world, one, 1, 3);
      const back = remember(world);
      await fill(world, one, 4, 6);
      back();
      await world.clock.advance(10_000);
      await ask(world, one);
      expect(one.ended).toMatch(/seq 3 instead of 6/);
      await expectRefused(world);
    }
  });

  it("under a living object that a read opened: the write that follows doesn't go on from what is gone", async () => {
    const world = new World();
    await fill(world, world.start(operator), 1, 1);
    const back = remember(world);
    await fill(world, world.start(operator), 2, 4);
    const reader = world.start(operator);
    expect(await total(world, reader)).toBe(4);
    // Its storage is lost as well: only what the reader holds in memory tells.
    world.mark = null;
    back();
    expect(words(await world.send(reader, { id: "new", data: 1 }))).toBe("log_rewound");
    await expectRefused(world);
  });

  it("under a living object that a read opened: opening for a snapshot finds it, before anything is shown or saved", async () => {
    const world = new World();
    await fill(world, world.start(operator), 1, 1);
    const back = remember(world);
    await fill(world, world.start(operator), 2, 4);
    const reader = world.start(operator);
    expect(await total(world, reader)).toBe(4);
    world.mark = null;
    back();
    await expect(world.clock.run(reader.partition.snapshot())).rejects.toMatchObject({ code: "log_rewound" });
    expect(world.store.objects.size).toBe(0);
  });

  it("under a living object that saves: no archive with a hole becomes current, and no file of the lost future is deleted", async () => {
    for (const between of [0, 1]) {
      const world = new World();
      const one = world.start(operator);
      await fill(world, one, 1, 3);
      await snapshot(world, one);
      const back = remember(world);
      if (between === 1) {
        await fill(world, one, 4, 4);
        await snapshot(world, one);
      }
      await fill(world, one, 5, 6);
      back();
      const [row, files] = [JSON.stringify(world.db.rows.get(NAME)), [...world.store.objects.keys()]];
      for (let i = 0; i < 2; i++) expect((await world.clock.run(one.partition.snapshot())).tag).toBe("failed");
      expect(JSON.stringify(world.db.rows.get(NAME))).toBe(row);
      expect([...world.store.objects.keys()]).toEqual(expect.arrayContaining(files));
      expect(words(await world.send(one, { id: "new", data: 1 }))).toBe("log_rewound");
      await expectRefused(world);
    }
  });

  it("under a living object, behind its snapshot but with all events: the next snapshot finds it", async () => {
    const world = new World();
    const one = world.start(operator);
    await fill(world, one, 1, 3);
    await snapshot(world, one);
    await fill(world, one, 4, 4);
    const back = remember(world);
    await snapshot(world, one);
    back();
    await fill(world, one, 5, 5);
    const files = [...world.store.objects.keys()];
    await expect(world.clock.run(one.partition.snapshot())).rejects.toThrow(/^the object has ended: D1 did not make/);
    expect(one.ended).toMatch(/manifest number 1 instead of 2/);
    expect([...world.store.objects.keys()]).toEqual(expect.arrayContaining(files));
    await expectRefused(world);
    // The attempt that was refused counts too: its name is taken.
    expect(await decide(world, "d1")).toMatchObject({ seq: 5, givenUp: { seqs: null, manifests: [2, 3] } });
    expect(await total(world, world.start(operator))).toBe(5);
  });

  it("under a zombie, with another writer after it: what it had acknowledged is proof for everybody", async () => {
    const world = new World();
    const one = world.start(operator);
    await fill(world, one, 1, 2);
    const back = remember(world);
    await fill(world, one, 3, 5);
    back();
    const other = world.start(operator);
    expect(words(await world.send(other, { id: "b", data: 1 })), "it can't know").toEqual(["applied"]);
    expect(words(await world.send(one, { id: "new", data: 1 }))).toBe("log_rewound");
    expect(world.mark).toMatchObject({ head: 5, refused: true });
    await expectRefused(world);
  });

  it.each<[string, (world: World) => Promise<Moment>]>([
    [
      "to before its last opening",
      async (world) => {
        await fill(world, world.start(operator), 1, 3);
        const back = remember(world);
        await world.clock.advance(MARK_MS);
        await fill(world, world.start(operator), 4, 4);
        return back;
      },
    ],
    [
      "to before a snapshot",
      async (world) => {
        const one = world.start(operator);
        await fill(world, one, 1, 3);
        const back = remember(world);
        await snapshot(world, one);
        return back;
      },
    ],
    [
      "to between events, with a snapshot since",
      async (world) => {
        const one = world.start(operator);
        await fill(world, one, 1, 3);
        await snapshot(world, one);
        await fill(world, one, 4, 5);
        const back = remember(world);
        await fill(world, one, 6, 6);
        await snapshot(world, one);
        return back;
      },
    ],
    [
      "to before events that only an attempt at a snapshot had in R2, which never became current",
      async (world) => {
        const one = world.start(operator);
        await fill(world, one, 1, 3);
        await snapshot(world, one);
        const back = remember(world);
        await fill(world, one, 4, 5);
        world.fates = ({ method }) => (method === "promote" ? "before" : "ok");
        expect((await world.clock.run(one.partition.snapshot())).tag).toBe("failed");
        world.fates = () => "ok";
        return back;
      },
    ],
    [
      "over two generations, whose files are gone",
      async (world) => {
        let back: Moment = () => undefined;
        for (let i = 0; i < 4; i++) {
          const one = world.start(sum({ version: i + 1, migrate: migrations(i + 1) }));
          await fill(world, one, 2 * i + 1, 2 * i + 2);
          await snapshot(world, one);
          if (i === 0) back = remember(world);
        }
        return back;
      },
    ],
    [
      "to before it was made",
      async (world) => {
        const back = remember(world);
        await fill(world, world.start(operator), 1, 3);
        return back;
      },
    ],
  ])("after its object has left memory, %s", async (_, happen) => {
    const world = new World();
    (await happen(world))();
    if (world.db.rows.has(NAME)) return expectRefused(world);
    expect(words(await world.send(world.start(operator), { id: "new", data: 1 }))).toBe("log_rewound");
    expect(await refusal(world, world.start(operator))).toBe("log_rewound");
    expect(world.db.rows.has(NAME)).toBe(false);
  });

  it("E3: where the object's storage is lost, R2 tells of a snapshot since", async () => {
    for (const snapshots of [1, 2, 3]) {
      const world = new World();
      const one = world.start(operator);
      await fill(world, one, 1, 3);
      await snapshot(world, one);
      const back = remember(world);
      for (let i = 0; i < snapshots; i++) {
        await fill(world, one, 4 + i, 4 + i);
        await snapshot(world, one);
      }
      back();
      world.mark = null;
      await expectRefused(world);
    }
  });

  it("E3: R2 is asked once, and an attempt that never became current is no proof", async () => {
    const world = new World();
    const one = world.start(operator);
    await fill(world, one, 1, 3);
    await snapshot(world, one);
    await fill(world, one, 4, 5);
    world.fates = ({ method }) => (method === "promote" ? "before" : "ok");
    expect((await world.clock.run(one.partition.snapshot())).tag).toBe("failed");
    world.fates = () => "ok";
    world.mark = null;
    world.trace.length = 0;
    expect(await total(world, world.start(operator))).toBe(5);
    expect(world.trace.filter((method) => method === "list")).toHaveLength(1);
    await fill(world, world.start(operator), 6, 6);
    expect(world.trace.filter((method) => method === "list")).toHaveLength(1);
  });

  it("E4: restored to a later point it continues as if nothing had happened", async () => {
    const world = new World();
    await fill(world, world.start(operator), 1, 3);
    const back = remember(world);
    const one = world.start(operator);
    await fill(world, one, 4, 6);
    await snapshot(world, one);
    const forth = remember(world);
    back();
    await expectRefused(world);
    forth();
    const next = world.start(operator);
    expect(await total(world, next)).toBe(6);
    await fill(world, next, 7, 8);
    expect(world.mark).not.toHaveProperty("refused");
  });

  it("what can't be told: events that came after an opening's first commit, without a snapshot since, and an object that left memory", async () => {
    const world = new World();
    const one = world.start(operator);
    await fill(world, one, 1, 2);
    const back = remember(world);
    await fill(world, one, 3, 4);
    back();
    // As docs/internals/design.md says: it resumes from there.
    expect(await total(world, world.start(operator))).toBe(2);
  });

  it("MARK3: R2 gets nothing of a snapshot until the object's own storage has confirmed the mark", async () => {
    const world = new World();
    const one = world.start(operator);
    await fill(world, one, 1, 3);
    world.confirms = false;
    expect(await world.clock.run(one.partition.snapshot())).toEqual({
      tag: "failed",
      why: "the snapshot failed: the object's own storage did not answer within 10000 ms",
    });
    expect([...world.store.objects.keys()]).toEqual([]);
    world.confirms = true;
    await snapshot(world, one);
    expect(world.mark).toMatchObject({ head: 3, version: 1 });
  });

  it("E2: the mark is written twice for a snapshot, and for an opening where it is old, never for a commit, and costs no call to a store", async () => {
    const world = new World();
    const one = world.start(operator);
    await fill(world, one, 1, 20);
    expect(world.marks).toBe(1);
    await snapshot(world, one);
    expect(world.marks, "before R2 has any of it, and when it is current").toBe(3);
    await fill(world, one, 21, 40);
    expect(world.marks).toBe(3);
    const next = world.start(operator);
    world.trace.length = 0;
    expect(await total(world, next)).toBe(40);
    expect(
      world.trace.filter((method) => method !== "get" && method !== "range"),
      "a read opens with one call to D1",
    ).toEqual(["peek"]);
    await fill(world, next, 41, 41);
    expect(world.trace.filter((method) => method !== "get" && method !== "range")).toEqual(["peek", "append"]);
    expect(world.marks, "it is young").toBe(3);
    await fill(world, next, 42, 60);
    await world.clock.advance(MARK_MS);
    await fill(world, next, 61, 62);
    expect(world.marks, "one opening, one mark").toBe(3);
    await fill(world, world.start(operator), 63, 64);
    expect(world.marks).toBe(4);
    expect(world.mark).toMatchObject({ head: 63, version: 1, atMs: world.clock.now() });
  });
});

const migrations = (version: number) =>
  Object.fromEntries(Array.from({ length: version - 1 }, (_, i) => [i + 2, (old: unknown) => old]));

describe("adopting", () => {
  /** Snapshot at 3, two events, back to there; then two more and a snapshot at 7, and one more. */
  async function setBack(): Promise<World> {
    const world = new World();
    const one = world.start(operator);
    await fill(world, one, 1, 3);
    await snapshot(world, one);
    await fill(world, one, 4, 5);
    const back = remember(world);
    await fill(world, one, 6, 7);
    await snapshot(world, one);
    await fill(world, one, 8, 8);
    back();
    expect(words(await world.send(one, { id: "new", data: 1 }))).toBe("log_rewound");
    return world;
  }

  it("d1: it resumes from D1's present, and the answer names what is given up", async () => {
    const world = await setBack();
    const found = await decide(world, "d1");
    expect(found).toMatchObject({ seq: 5, manifest: 1, givenUp: { seqs: [6, 8], manifests: [2, 2] } });
    const one = world.start(operator);
    expect(await total(world, one)).toBe(5);
    const again = await world.send(one, { id: "a5", data: 1 }, { id: "a6", data: 100 });
    expect(words(again)).toEqual(["applied again", "applied"]);
    expect(await decide(world, "d1"), "A3: once").toEqual({ tag: "not_rewound" });
    await snapshot(world, one);
    expect(await total(world, world.start(operator))).toBe(105);
    expect(await world.clock.run(one.partition.verify())).toMatchObject({ tag: "equal" });
  });

  it("r2: it resumes from the newest snapshot, and the answer names what is given up", async () => {
    const world = await setBack();
    const found = await decide(world, "r2");
    expect(found).toMatchObject({ seq: 7, manifest: 2, givenUp: { seqs: [8, 8], manifests: null } });
    const one = world.start(operator);
    expect(await total(world, one)).toBe(7);
    const again = await world.send(one, { id: "a7", data: 1 }, { id: "a8", data: 100 });
    expect(words(again)).toEqual(["applied again", "applied"]);
    await snapshot(world, one);
    expect(await total(world, world.start(operator))).toBe(107);
    expect(await decide(world, "d1")).toEqual({ tag: "not_rewound" });
  });

  it("r2 gives up what D1 alone held, where no snapshot came in between", async () => {
    const world = new World();
    const one = world.start(operator);
    await fill(world, one, 1, 3);
    await snapshot(world, one);
    await fill(world, one, 4, 5);
    const back = remember(world);
    await fill(world, one, 6, 7);
    back();
    expect(words(await world.send(one, { id: "new", data: 1 }))).toBe("log_rewound");
    expect(await decide(world, "r2")).toMatchObject({
      seq: 3,
      manifest: 1,
      givenUp: { seqs: [4, 7], manifests: null },
    });
    const next = world.start(operator);
    expect(await total(world, next)).toBe(3);
    await fill(world, next, 4, 4);
  });

  it("A2: what was given up never comes back, whatever recovery has to begin from", async () => {
    for (const truth of ["d1", "r2"] as const) {
      const world = await setBack();
      await decide(world, truth);
      const one = world.start(operator);
      const before = truth === "d1" ? 5 : 7;
      for (let i = 0; i < 6; i++) {
        expect(words(await world.send(one, { id: `b${i}`, data: 1_000 }))).toEqual(["applied"]);
        if (i % 2 === 1) await snapshot(world, one);
      }
      expect(incarnationOf(world.db.rows.get(NAME)!.epoch)).toBe(2);
      // Every state file goes, from the newest on: fall-backs read more and more of the archive.
      const files = [...world.store.objects.keys()].filter((name) => name.endsWith(".kfs")).sort();
      for (const file of files.toReversed()) {
        world.store.objects.delete(file);
        expect(await total(world, world.start(operator)), file).toBe(before + 6_000);
      }
    }
  });

  it("A2, Z1: what is recovered from R2 later is the new incarnation, however many snapshots were given up", async () => {
    const world = new World();
    const one = world.start(operator);
    await fill(world, one, 1, 1);
    const back = remember(world);
    for (let i = 2; i <= 4; i++) {
      await fill(world, one, i, i);
      await snapshot(world, one);
    }
    back();
    expect(words(await world.send(one, { id: "new", data: 1 }))).toBe("log_rewound");
    expect(await decide(world, "d1")).toMatchObject({ seq: 1, givenUp: { seqs: [2, 4], manifests: [1, 3] } });
    const next = world.start(operator);
    expect(words(await world.send(next, { id: "b", data: 100 }))).toEqual(["applied"]);
    await snapshot(world, next);
    world.db.rows.clear();
    world.db.segments.clear();
    const found = await world.clock.run(rebuild(world.reader(operator), 42));
    expect(found).toMatchObject({ tag: "found", manifest: { number: 4, seq: 2 } });
    if (found.tag === "found") world.db.rows.set(NAME, { ...found.row });
    expect(await total(world, world.start(operator))).toBe(101);
  });

  it("A2: a second rewind, to before the decision, is refused likewise", async () => {
    const world = await setBack();
    const back = remember(world);
    await decide(world, "d1");
    await fill(world, world.start(operator), 100, 101);
    back();
    await expectRefused(world);
    const found = await decide(world, "d1");
    expect(found.tag === "row" && incarnationOf(found.row.epoch)).toBe(4);
    expect(await total(world, world.start(operator))).toBe(5);
  });

  it("a partition that D1 has lost without a snapshot begins anew only by decision", async () => {
    const world = new World();
    await fill(world, world.start(operator), 1, 3);
    world.db.rows.clear();
    world.db.segments.clear();
    expect(words(await world.send(world.start(operator), { id: "new", data: 1 }))).toBe("log_rewound");
    expect(await decide(world, "r2")).toEqual({ tag: "nothing" });
    expect(await decide(world, "d1")).toMatchObject({
      seq: 0,
      manifest: null,
      givenUp: { seqs: [1, 1], manifests: null },
    });
    const one = world.start(operator);
    await fill(world, one, 1, 1);
    expect(await total(world, one)).toBe(1);
  });

  it("LOG2: a writer from before the decision can do nothing", async () => {
    const world = new World();
    const one = world.start(operator);
    await fill(world, one, 1, 3);
    const back = remember(world);
    await fill(world, one, 4, 5);
    back();
    world.mark = { ...world.mark!, head: seq(5) };
    await decide(world, "d1");
    expect(words(await world.send(one, { id: "late", data: 1 }))).toBe("fenced");
    expect(await total(world, world.start(operator))).toBe(3);
  });

  it("A3: what isn't restored to an older point is left alone", async () => {
    const world = new World();
    await fill(world, world.start(operator), 1, 3);
    const before = JSON.stringify(world.db.rows.get(NAME));
    for (const truth of ["d1", "r2"] as const) expect(await decide(world, truth)).toEqual({ tag: "not_rewound" });
    expect(JSON.stringify(world.db.rows.get(NAME))).toBe(before);
  });
});

describe("the facts", () => {
  const mark: HighWaterMark = { v: 1, epoch: epoch(5), version: 3, head: seq(40) };
  it.each<[string, Partial<HighWaterMark>, RegExp | null]>([
    ["the same", {}, null],
    ["more of all", { epoch: epoch(9), version: 4, head: seq(41) }, null],
    ["a lower epoch", { epoch: epoch(4) }, /^epoch 4 instead of 5$/],
    ["a lower version", { version: 2 }, /^manifest number 2 instead of 3$/],
    ["a lower head", { epoch: epoch(6), head: seq(39) }, /^seq 39 instead of 40$/],
    ["less of all, in a later incarnation", { epoch: epoch(2_000_000), version: 0, head: seq(0) }, null],
    ["an earlier incarnation", { epoch: epoch(1) }, /epoch 1/],
  ])("E1: %s", (_, now, why) => {
    const told = behind(mark, { ...mark, ...now });
    if (why === null) expect(told).toBeNull();
    else expect(told).toMatch(why);
  });

  it("E3: names in R2 that prove nothing, and manifests that can't be read", async () => {
    const world = new World();
    const one = world.start(operator);
    await fill(world, one, 1, 3);
    await snapshot(world, one);
    const row = world.db.rows.get(NAME)!;
    expect(await world.clock.run(markFromStore(world.reader(operator), row))).toBeNull();
    const put = (version: number, by: number) =>
      world.store.objects.set(
        `${NAME}/manifests/${String(version).padStart(10, "0")}-${String(by).padStart(10, "0")}-000001-n.kfm`,
        new Uint8Array(1),
      );
    put(2, 1);
    expect(await world.clock.run(markFromStore(world.reader(operator), row))).toEqual({
      v: 1,
      epoch: 1,
      version: 1,
      head: 0,
    });
    put(9, 2);
    expect(await world.clock.run(markFromStore(world.reader(operator), row))).toMatchObject({ epoch: 2, version: 8 });
    const later = { ...row, epoch: epoch(2_000_001) };
    expect(await world.clock.run(markFromStore(world.reader(operator), later)), "of an earlier incarnation").toBeNull();
  });

  it("a mark of another format, or that makes no sense, counts as none", () => {
    expect(readHighWaterMark({ ...mark })).toEqual(mark);
    for (const other of [undefined, null, 7, "x", { ...mark, v: 2 }, { ...mark, head: -1 }, { v: 1, epoch: 1 }])
      expect(readHighWaterMark(other)).toBeNull();
  });
});
