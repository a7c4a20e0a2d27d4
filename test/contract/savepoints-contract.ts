/** The contract of a database's savepoints (ports.ts), for the adapter and the fake. */
import { describe, expect, it } from "vitest";
import { epoch, seq, stamp, type Stamp } from "../../src/engine/base/ids.ts";
import { SAVEPOINTS } from "../../src/engine/base/limits.ts";
import type { Log, SavepointStore } from "../../src/engine/base/ports.ts";

export interface SavepointsUnderTest {
  readonly store: SavepointStore;
  /** A database that has no savepoint and no partition yet. */
  clear(): Promise<void>;
  fresh(): Promise<Log>;
}

/** Gives up everything below `from`, as retention does. */
async function giveUp(log: Log, from: Stamp, savepoints: readonly Stamp[]): Promise<boolean> {
  const { row } = (await log.roots())!;
  const change = { epoch: row.epoch, version: row.version, savepoints, drop: [], retainFrom: from, archiveFrom: 0 };
  return (await log.retain(change))?.retainFrom === from;
}

export function savepointsContract(what: string, make: () => Promise<SavepointsUnderTest>): void {
  describe(`savepoints in ${what}`, () => {
    const begin = async (): Promise<SavepointsUnderTest> => {
      const under = await make();
      await under.clear();
      return under;
    };

    it("a name is one savepoint, whoever adds it first", async () => {
      const { store } = await begin();
      const first = await store.add("a", stamp(5_000), 1);
      const again = await store.add("a", stamp(6_000), 2);
      expect(first).toMatchObject({ name: "a", at: 5_000, createdMs: 1, state: "taking" });
      expect(again).toEqual(first);
      expect(await store.all()).toEqual([first]);
    });

    it("numbers are never given again", async () => {
      const { store } = await begin();
      const numbers: number[] = [];
      for (const name of ["a", "b", "a"]) {
        const row = await store.add(name, stamp(5_000), 1);
        if (typeof row === "string") throw new Error(row);
        numbers.push(row.number);
        await store.drop(row.number);
      }
      expect(new Set(numbers).size).toBe(3);
      expect(await store.all()).toEqual([]);
    });

    it("states go from taking to held, and to removing for good", async () => {
      const { store } = await begin();
      const row = await store.add("a", stamp(5_000), 1);
      if (typeof row === "string") throw new Error(row);
      expect(await store.confirm(row.number)).toBe("held");
      expect(await store.confirm(row.number)).toBe("held");
      await store.withdraw(row.number);
      expect(await store.confirm(row.number)).toBe("removing");
      await store.drop(row.number);
      expect(await store.confirm(row.number)).toBe("gone");
    });

    it("another database holds what the first one added; a newer number of that name replaces an older one", async () => {
      const { store } = await begin();
      const row = { number: 7, name: "a", at: stamp(5_000), createdMs: 1, state: "taking" } as const;
      expect(await store.hold(row)).toBe("held");
      expect(await store.hold(row)).toBe("held");
      expect(await store.hold({ ...row, number: 9, at: stamp(6_000) })).toBe("held");
      // A call that comes late changes nothing.
      expect(await store.hold(row)).toBe("gone");
      expect((await store.all()).map(({ number, at }) => [number, at])).toEqual([[9, 6_000]]);
    });

    it("SAVEPOINT2: what retention has given up can't be saved, and retention passes no savepoint that it doesn't know", async () => {
      const under = await begin();
      const { store } = under;
      const log = await under.fresh();
      expect(await giveUp(log, stamp(5_000), [])).toBe(true);
      expect(await store.add("early", stamp(4_999), 1)).toBe("gone");
      expect(await store.hold({ number: 5, name: "early", at: stamp(4_999), createdMs: 1, state: "taking" })).toBe(
        "gone",
      );
      expect(await store.add("on-time", stamp(5_000), 1)).toMatchObject({ at: 5_000 });
      expect(await giveUp(log, stamp(6_000), [])).toBe(false);
      expect((await log.roots())!).toMatchObject({ retainFrom: 5_000, savepoints: [5_000] });
      expect(await giveUp(log, stamp(6_000), [stamp(5_000)])).toBe(true);
      expect(epoch(0)).toBe((await log.row())!.epoch);
    });

    it("SAVEPOINT5: says how far each partition had come, and since when it has what no snapshot covers", async () => {
      const under = await begin();
      const { store } = under;
      const log = await under.fresh();
      const by = (await log.open("w", "c"))!.row.epoch;
      const row = (first: number, last: number, at: number) => ({
        format: 1,
        seq: seq(first),
        last: seq(last),
        stamp: stamp(at),
        epoch: by,
        group: `g${first}`,
        operatorVersion: 1,
        code: "c",
        codec: "json",
        checksum: 1,
        bytes: 1,
        stats: "{}",
        payload: "{}",
      });
      const heads = async (at: number): Promise<unknown> => (await store.heads(stamp(at))).map(([, head]) => head);
      expect([await heads(5_000), await store.unarchived()]).toEqual([[0], []]);
      await log.append([row(1, 2, 5_000)], by);
      await log.append([row(3, 3, 6_000)], by);
      await log.append([row(4, 7, 7_000)], by);
      expect([await heads(4_999), await heads(5_000), await heads(6_999), await heads(9_000)]).toEqual([
        [0],
        [2],
        [3],
        [7],
      ]);
      expect(await store.unarchived()).toEqual([5_000]);
      const to = {
        epoch: by,
        version: 0,
        writer: "w",
        code: "c",
        attempt: "a",
        manifest: "m",
        pins: "[]",
        replaced: [],
      };
      const older = { previous: null, previousSeq: seq(0), cutSeq: seq(0) };
      await log.promote({ ...to, ...older, seq: seq(3), stamp: stamp(6_000) });
      // The snapshot says nothing of the events before its last one.
      expect([await heads(5_999), await heads(6_000), await heads(7_000)]).toEqual([[null], [3], [7]]);
      expect(await store.unarchived()).toEqual([7_000]);
      await log.promote({
        ...to,
        ...older,
        version: 1,
        attempt: "b",
        seq: seq(7),
        stamp: stamp(7_000),
        cutSeq: seq(3),
      });
      expect([await heads(6_999), await heads(7_000), await heads(9_000)]).toEqual([[null], [7], [7]]);
      expect(await store.unarchived()).toEqual([]);
    });

    it("LOG6: there are so many at most", async () => {
      const { store } = await begin();
      for (let n = 0; n < SAVEPOINTS; n++)
        expect(await store.add(`s${n}`, stamp(5_000), 1)).toMatchObject({ at: 5_000 });
      expect(await store.add("more", stamp(5_000), 1)).toBe("full");
      expect(await store.add("s1", stamp(5_000), 1)).toMatchObject({ name: "s1" });
    });
  });
}
