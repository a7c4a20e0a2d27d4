/**
 * The contract of the log port (ports.ts), for every adapter and every fake: what the guards let through and what not.
 * The cases are those of the protocol's models: zombies, late and repeated requests, holes, cut rows.
 */
import { describe, expect, it } from "vitest";
import { epoch, seq, stamp, type Epoch } from "../../src/engine/base/ids.ts";
import { PINS, POINTS } from "../../src/engine/base/limits.ts";
import type { Floor, Log } from "../../src/engine/base/ports.ts";
import type { Point, Promotion } from "../../src/engine/base/records.ts";
import type { Segment } from "../../src/engine/base/records.ts";
import { LOG_BEGIN } from "../../src/engine/base/records.ts";

export interface LogUnderTest {
  /** The floor of the database of the fresh logs. */
  readonly floor: Floor;
  /** The log of a partition that no test has used before, with its row made. */
  fresh(): Promise<Log>;
  setFloor(floor: number): Promise<void>;
  setTimeline(open: boolean): Promise<void>;
}

const row = (first: number, last: number, at: number, by: Epoch, group = `g${first}`, bytes = 100): Segment => ({
  format: 1,
  seq: seq(first),
  last: seq(last),
  stamp: stamp(at),
  epoch: by,
  group,
  operatorVersion: 1,
  code: "c",
  codec: "json",
  checksum: 4_000_000_000,
  bytes,
  stats: JSON.stringify({ writer: `of segment ${first}` }),
  payload: `{"n":"${"é".repeat(3)}"}`,
});
const promotion = (by: Epoch, version: number, to: number, at: number, more: Partial<Promotion> = {}): Promotion => ({
  epoch: by,
  version,
  writer: `w${by}`,
  code: "c",
  attempt: `a${version}-${to}`,
  manifest: `m${to}`,
  seq: seq(to),
  stamp: stamp(at),
  previous: null,
  previousSeq: seq(0),
  cutSeq: seq(0),
  pins: "[]",
  replaced: [],
  ...more,
});
const point = (version: number, more: Partial<Point> = {}): Point => ({
  version,
  attempt: `a${version}`,
  seq: seq(version),
  stamp: stamp(version * 10),
  files: [`f/${version}`, "f/é"],
  intact: true,
  replacedMs: 1_000 + version,
  ...more,
});

const append = (log: Log, rows: readonly Segment[], held = rows[0]!.epoch): ReturnType<Log["append"]> =>
  log.append(rows, held);

export function logContract(name: string, make: () => Promise<LogUnderTest>): void {
  describe(`the log port on ${name}`, () => {
    const opened = async (): Promise<{ log: Log; by: Epoch }> => {
      const log = await (await make()).fresh();
      return { log, by: (await log.open("w", "c"))!.row.epoch };
    };

    it("LOG6: says what all segments of the database come to, and how large that is", async () => {
      const { log, by } = await opened();
      const before = await log.used();
      await append(log, [row(1, 1, 10, by, "one", 100)]);
      await append(log, [row(2, 3, 11, by, "two", 250)]);
      expect(await log.used()).toBe(before + 350);
      expect(log.size).toBeGreaterThan(0);
      await log.promote(promotion(by, 0, 3, 11, { cutSeq: seq(1) }));
      expect(await log.used()).toBe(before + 250);
    });

    it("LOG2: opening takes the next epoch and reads row and tail at one moment", async () => {
      const { log, by } = await opened();
      expect(by).toBe(1);
      await append(log, [row(1, 3, 10, by)]);
      const again = (await log.open("w2", "c2"))!;
      expect(again.row.epoch).toBe(2);
      expect(again.rows.map((one) => [one.seq, one.last])).toEqual([[1, 3]]);
      expect(again.head).toBe(3);
      expect((await log.peek())!.head).toBe(3);
      expect(again.rows[0]).toEqual(row(1, 3, 10, by));
      expect(again.more).toBe(false);
    });

    it("making a row twice changes nothing, and says what is there", async () => {
      const { log, by } = await opened();
      await append(log, [row(1, 2, 10, by)]);
      const there = await log.create(99, LOG_BEGIN);
      expect(there).toEqual(await log.peek());
      expect(there).toMatchObject({ head: 2, open: true, row: { epoch: by, seed: 1 } });
      expect(await log.row()).toMatchObject({ epoch: by, seed: 1 });
    });

    it("peek takes no epoch", async () => {
      const { log, by } = await opened();
      await append(log, [row(1, 1, 10, by)]);
      expect((await log.peek())!.row.epoch).toBe(by);
      expect((await log.peek())!.rows).toHaveLength(1);
    });

    it("LOG2: the head guards the append: no repeat, no hole, no overlap", async () => {
      const { log, by } = await opened();
      expect(await append(log, [row(1, 2, 10, by)])).toBe("appended");
      expect(await append(log, [row(1, 2, 10, by)]), "the same group again, after a time-out").toBe("refused");
      expect(await append(log, [row(2, 2, 11, by)]), "a seq that is taken").toBe("refused");
      expect(await append(log, [row(4, 4, 11, by)]), "a hole").toBe("refused");
      expect(await append(log, [row(3, 3, 11, by)])).toBe("appended");
    });

    it("TIME1: a stamp rises above the head's and the floor", async () => {
      const under = await make();
      const log = await under.fresh();
      const by = (await log.open("w", "c"))!.row.epoch;
      await append(log, [row(1, 1, 10, by)]);
      expect(await append(log, [row(2, 2, 10, by)])).toBe("refused");
      await under.setFloor(20);
      expect(await append(log, [row(2, 2, 20, by)])).toBe("refused");
      expect((await log.explain(seq(2))).floor).toBe(20);
      expect(await append(log, [row(2, 2, 21, by)])).toBe("appended");
      await under.setFloor(0);
    });

    it("TIME2: the floor rises, never falls, and the newest stamp of all partitions is known", async () => {
      const under = await make();
      const { floor } = under;
      await under.setFloor(0);
      const log = await under.fresh();
      const by = (await log.open("w", "c"))!.row.epoch;
      const before = await floor.newest();
      await append(log, [row(1, 1, before + 10, by)]);
      expect(await floor.newest()).toBe(before + 10);
      await floor.raise(stamp(before + 20));
      await floor.raise(stamp(before + 15));
      const facts = await floor.facts();
      expect(facts.floor).toBe(before + 20);
      expect(Math.abs(facts.nowMs - Date.now())).toBeLessThan(60_000);
      expect(await append(log, [row(2, 2, before + 20, by)])).toBe("refused");
      expect(await append(log, [row(2, 2, before + 21, by)])).toBe("appended");
      await under.setFloor(0);
    });

    it("a line that isn't open takes nothing", async () => {
      const under = await make();
      const log = await under.fresh();
      const by = (await log.open("w", "c"))!.row.epoch;
      await under.setTimeline(false);
      expect(await append(log, [row(1, 1, 10, by)])).toBe("refused");
      expect((await log.explain(seq(1))).open).toBe(false);
      await under.setTimeline(true);
    });

    it("LOG2: who lost the epoch appends nothing, also not in several rows", async () => {
      const { log, by } = await opened();
      await log.open("w2", "c");
      expect(await append(log, [row(1, 1, 10, by)])).toBe("refused");
      expect(await append(log, [row(1, 1, 10, by), row(2, 2, 11, by)])).toBe("refused");
      expect((await log.peek())!.rows).toEqual([]);
    });

    it("LOG2: the first append of a writer takes the next epoch, if the one before it holds", async () => {
      const { log, by } = await opened();
      await append(log, [row(1, 1, 10, by)]);
      const next = epoch(by + 1);
      expect(await append(log, [row(2, 2, 11, epoch(by + 2))], next), "one that nobody holds").toBe("refused");
      expect(await append(log, [row(2, 2, 11, next, "g"), row(3, 3, 12, next, "g")], by)).toBe("appended");
      expect((await log.peek())!.row.epoch).toBe(next);
      expect((await log.row())!.epoch).toBe(next);
      expect((await log.page(seq(0))).epoch).toBe(next);
      expect(await log.explain(seq(2))).toMatchObject({ epoch: next, writer: "of segment 3" });
      expect(await append(log, [row(4, 4, 13, by)]), "who held it before").toBe("refused");
      expect(await append(log, [row(4, 4, 13, next)], by), "the same claim once more").toBe("refused");
      expect(await append(log, [row(4, 4, 13, next)])).toBe("appended");
      expect((await log.open("w2", "c"))!.row.epoch, "an opening takes the one after it").toBe(next + 1);
      expect(await append(log, [row(5, 5, 14, next)])).toBe("refused");
    });

    it("LOG2: no further row of a group that takes the epoch gets in without the first", async () => {
      const { log, by } = await opened();
      await append(log, [row(1, 1, 10, by)]);
      const next = epoch(by + 1);
      expect(await append(log, [row(2, 3, 11, next, "ours")], by)).toBe("appended");
      const theirs = [row(2, 3, 11, next, "theirs"), row(4, 4, 12, next, "theirs")];
      expect(await append(log, theirs, by), "its second row would fit").toBe("refused");
      expect((await log.peek())!.rows.map(({ group }) => group)).toEqual(["g1", "ours"]);
      expect(await append(log, [row(4, 5, 12, next, "more"), row(6, 6, 13, next, "more")])).toBe("appended");
    });

    it("LOG2, SNAP2: the epoch of an append guards promotions and retention, and outlives the segment", async () => {
      const { log, by } = await opened();
      const next = epoch(by + 1);
      await append(log, [row(1, 1, 10, by)]);
      await append(log, [row(2, 2, 11, next)], by);
      expect(await log.promote(promotion(by, 0, 1, 10))).toBe("refused");
      expect(await log.retain({ epoch: by, version: 0, ...nothing })).toBeNull();
      const replaced = [point(1)];
      expect(await log.promote(promotion(next, 0, 2, 11, { cutSeq: seq(2), replaced }))).toBe("current");
      expect((await log.page(seq(0))).rows).toEqual([]);
      expect((await log.peek())!.row.epoch).toBe(next);
      expect(await log.explain(seq(3))).toMatchObject({ epoch: next, writer: `w${next}` });
      expect(await append(log, [row(3, 3, 12, next)], by), "a claim that was too late").toBe("refused");
      expect((await log.retain({ epoch: next, version: 1, ...nothing }))!.row.epoch).toBe(next);
    });

    it("LOG2: a group of several rows is in the log as a whole, or not at all", async () => {
      const { log, by } = await opened();
      expect(await append(log, [row(1, 5, 10, by, "g"), row(6, 9, 11, by, "g")])).toBe("appended");
      expect(await append(log, [row(1, 5, 10, by, "g"), row(6, 9, 11, by, "g")])).toBe("refused");
      expect((await log.peek())!.rows.map((one) => one.last)).toEqual([5, 9]);
    });

    /** Versions 1 to n were current, one after the other; the last one is. */
    const withPoints = async (n: number): Promise<{ log: Log; by: Epoch }> => {
      const { log, by } = await opened();
      for (let version = 0; version < n; version++) {
        await append(log, [row(version + 1, version + 1, 10 * (version + 1), by)]);
        const manifest = JSON.stringify({ number: version + 1 });
        const replaced = version === 0 ? [] : [point(version)];
        await log.promote(promotion(by, version, version + 1, 10 * (version + 1), { manifest, replaced }));
      }
      return { log, by };
    };
    const versions = async (log: Log): Promise<number[]> => (await log.roots())!.points.map(({ version }) => version);
    const nothing = { savepoints: [], drop: [], retainFrom: stamp(0), archiveFrom: 0 };

    it("SNAP10: what a promotion replaces becomes a restore point, with it or not at all", async () => {
      const { log, by } = await withPoints(3);
      const replaced = [point(3, { intact: false }), point(1, { replacedMs: 5_000, files: ["other"] })];
      expect(await log.promote(promotion(by, 2, 3, 30, { replaced })), "a version that is gone").toBe("refused");
      expect(await log.promote(promotion(epoch(by + 1), 3, 3, 30, { replaced })), "another epoch").toBe("refused");
      expect(await log.roots()).toEqual({
        row: await log.row().then((one) => expect.objectContaining({ epoch: one!.epoch, version: 3 }) as unknown),
        points: [point(1), point(2)],
        savepoints: [],
        pins: [],
        retainFrom: 0,
        archiveFrom: 0,
      });
      await append(log, [row(4, 4, 40, by)]);
      expect(await log.promote(promotion(by, 3, 4, 40, { replaced }))).toBe("current");
      expect((await log.roots())!.points, "of one that is there, only when").toEqual([
        point(1, { replacedMs: 5_000 }),
        point(2),
        replaced[0],
      ]);
      expect((await log.row())!.version).toBe(4);
    });

    it("SNAP10: retention gives up what it names, and raises what it says, never lowers it", async () => {
      const { log, by } = await withPoints(4);
      const roots = await log.retain({
        epoch: by,
        version: 4,
        savepoints: [],
        drop: [1, 3, 9],
        retainFrom: stamp(20),
        archiveFrom: 2,
      });
      expect(roots).toMatchObject({ points: [point(2)], retainFrom: 20, archiveFrom: 2, row: { version: 4 } });
      const again = await log.retain({ epoch: by, version: 4, ...nothing, retainFrom: stamp(10), archiveFrom: 1 });
      expect(again).toMatchObject({ retainFrom: 20, archiveFrom: 2 });
      expect(await log.roots()).toEqual(again);
    });

    it("SNAP10: who lost the epoch, or sees an older version, gives up nothing", async () => {
      const { log, by } = await withPoints(3);
      const late = { savepoints: [], drop: [1, 2], retainFrom: stamp(20), archiveFrom: 2 };
      expect(await log.retain({ epoch: by, version: 2, ...late })).toBeNull();
      await log.open("w2", "c");
      expect(await log.retain({ epoch: by, version: 3, ...late })).toBeNull();
      expect(await log.roots()).toMatchObject({ points: [point(1), point(2)], retainFrom: 0, archiveFrom: 0 });
    });

    it("SNAP10: retention doesn't pass a pin, and a pin is refused on what is given up", async () => {
      const { log, by } = await withPoints(4);
      expect(await log.pin({ version: 2, name: "a", createdMs: 7 })).toBe("pinned");
      expect(await log.pin({ version: 2, name: "b", createdMs: 8 })).toBe("pinned");
      expect(await log.pin({ version: 2, name: "b", createdMs: 9 }), "again").toBe("pinned");
      expect(await log.pin({ version: 4, name: "a", createdMs: 9 }), "the current one").toBe("pinned");
      expect(await log.pin({ version: 9, name: "a", createdMs: 9 }), "there never was one").toBe("gone");
      await log.retain({ epoch: by, version: 4, ...nothing, savepoints: [], drop: [1, 2, 3] });
      expect(await versions(log)).toEqual([2]);
      expect(await log.pin({ version: 1, name: "a", createdMs: 9 }), "given up").toBe("gone");
      await log.unpin(2, "a");
      await log.unpin(2, "nobody");
      await log.retain({ epoch: by, version: 4, ...nothing, savepoints: [], drop: [2] });
      expect(await versions(log), "the other one still holds it").toEqual([2]);
      expect((await log.roots())!.pins).toEqual([
        { version: 2, name: "b", createdMs: 8 },
        { version: 4, name: "a", createdMs: 9 },
      ]);
      await log.unpin(2, "b");
      await log.retain({ epoch: by, version: 4, ...nothing, savepoints: [], drop: [2] });
      expect(await versions(log)).toEqual([]);
    });

    it("LOG6: pins and restore points are bounded; what is pinned becomes one all the same", async () => {
      const { log, by } = await withPoints(1);
      for (let n = 0; n < PINS; n++) await log.pin({ version: 1, name: `n${n}`, createdMs: n });
      expect(await log.pin({ version: 1, name: "more", createdMs: 1 })).toBe("full");
      expect(await log.pin({ version: 1, name: "n0", createdMs: 1 }), "it is there").toBe("pinned");
      for (let version = 1; version <= POINTS + 1; version++)
        await log.promote(promotion(by, version, 1, 10, { attempt: `b${version}`, replaced: [point(version + 10)] }));
      expect(await versions(log)).toHaveLength(POINTS);
      await log.promote(promotion(by, POINTS + 2, 1, 10, { attempt: "c", replaced: [point(1)] }));
      expect((await versions(log))[0]).toBe(1);
    });

    it("LOG3: explain tells the group at a seq, the head and the epoch", async () => {
      const { log, by } = await opened();
      await append(log, [row(1, 2, 10, by, "mine")]);
      expect(await log.explain(seq(1))).toMatchObject({
        writer: "w",
        epoch: by,
        version: 0,
        head: 2,
        headStamp: 10,
        group: "mine",
        stamp: 10,
        open: true,
      });
      expect(await log.explain(seq(3))).toMatchObject({ head: 2, group: null, stamp: null });
    });

    it("SNAP2, LOG5: a snapshot becomes current and cuts only up to the older generation", async () => {
      const { log, by } = await opened();
      for (const n of [1, 2, 3]) await append(log, [row(n, n, 10 + n, by)]);
      expect(await log.promote(promotion(by, 0, 2, 12))).toBe("current");
      expect((await log.page(seq(0))).rows.map((one) => one.seq)).toEqual([1, 2, 3]);
      expect(
        (await log.open("w", "c"))!.rows.map((one) => one.seq),
        "the tail begins above the snapshot",
      ).toEqual([3]);
      expect(
        await log.promote(promotion(epoch(by + 1), 1, 3, 13, { previous: "m2", previousSeq: seq(2), cutSeq: seq(2) })),
      ).toBe("current");
      expect((await log.page(seq(0))).rows.map((one) => one.seq)).toEqual([3]);
      expect(await log.row()).toMatchObject({
        version: 2,
        manifest: "m3",
        previous: "m2",
        previousSeq: 2,
        snapshotSeq: 3,
      });
    });

    it("SNAP2: the late transaction of an older snapshot changes and cuts nothing", async () => {
      const { log, by } = await opened();
      for (const n of [1, 2, 3]) await append(log, [row(n, n, 10 + n, by)]);
      await log.promote(promotion(by, 0, 3, 13));
      expect(await log.promote(promotion(by, 0, 2, 12, { cutSeq: seq(2) }))).toBe("refused");
      expect((await log.row())!.manifest).toBe("m3");
      expect((await log.page(seq(0))).rows).toHaveLength(3);
    });

    it("SNAP1: a snapshot of more than the log has, since D1 was restored to an older point, changes nothing", async () => {
      const { log, by } = await opened();
      await append(log, [row(1, 1, 10, by)]);
      expect(await log.promote(promotion(by, 0, 2, 11, { replaced: [point(1)] }))).toBe("refused");
      expect((await log.row())!.version).toBe(0);
      expect((await log.roots())!.points).toEqual([]);
      expect(await log.promote(promotion(by, 0, 1, 10))).toBe("current");
      // With an empty tail the head is the snapshot's.
      expect(await log.promote(promotion(by, 1, 1, 10, { attempt: "b", cutSeq: seq(1) }))).toBe("current");
      expect(await log.promote(promotion(by, 2, 2, 11))).toBe("refused");
      expect(await log.promote(promotion(by, 2, 1, 10, { attempt: "c" }))).toBe("current");
    });

    it("SNAP2: a superseded writer's snapshot changes and cuts nothing (A4 of the models)", async () => {
      const { log, by } = await opened();
      await append(log, [row(1, 1, 10, by)]);
      await log.open("w2", "c");
      expect(await log.promote(promotion(by, 0, 1, 10, { cutSeq: seq(1) }))).toBe("refused");
      expect((await log.peek())!.rows).toHaveLength(1);
    });

    it("LOG2: what was cut can't come back; with an empty tail the head is the snapshot's", async () => {
      const { log, by } = await opened();
      await append(log, [row(1, 2, 10, by)]);
      await log.promote(promotion(by, 0, 2, 10));
      await log.promote(promotion(by, 1, 2, 10, { attempt: "b", cutSeq: seq(2) }));
      expect((await log.page(seq(0))).rows).toEqual([]);
      expect(await append(log, [row(1, 2, 10, by)])).toBe("refused");
      expect(await append(log, [row(3, 3, 10, by)]), "a stamp at the snapshot's").toBe("refused");
      expect(await append(log, [row(3, 3, 11, by)])).toBe("appended");
    });

    it("LOG4: pages are bounded in bytes, hold one row at least, and name the epoch", async () => {
      const { log, by } = await opened();
      for (const n of [1, 2, 3]) await append(log, [row(n, n, 10 + n, by, `g${n}`, 3_000_000)]);
      const first = (await log.open("w", "c"))!;
      expect([first.rows.length, first.more]).toEqual([1, true]);
      const second = await log.page(seq(1));
      expect([second.rows.length, second.more, second.epoch]).toEqual([1, true, 2]);
      expect((await log.page(seq(2))).more).toBe(false);
      expect((await log.page(seq(3))).rows).toEqual([]);
    });

    it("the rows below a seq come newest first, bounded like a page", async () => {
      const { log, by } = await opened();
      for (const one of [row(1, 3, 11, by), row(4, 4, 12, by), row(5, 9, 13, by)]) await append(log, [one]);
      const begins = async (before: number): Promise<number[]> => (await log.below(seq(before))).map((one) => one.seq);
      expect(await begins(Number.MAX_SAFE_INTEGER)).toEqual([5, 4, 1]);
      expect((await log.below(seq(10)))[0]).toEqual(row(5, 9, 13, by));
      expect(await begins(6), "a row that holds it").toEqual([5, 4, 1]);
      expect(await begins(5)).toEqual([4, 1]);
      expect(await begins(1)).toEqual([]);
      await append(log, [row(10, 10, 14, by, "g", 3_000_000), row(11, 11, 15, by, "g", 9_000_000)]);
      expect(await begins(20), "one row at least").toEqual([11]);
      expect(await begins(11)).toEqual([10, 5, 4, 1]);
      await log.promote(promotion(by, 0, 11, 15, { cutSeq: seq(4) }));
      expect(await begins(11)).toEqual([10, 5]);
      expect(await begins(5)).toEqual([]);
    });
  });
}
