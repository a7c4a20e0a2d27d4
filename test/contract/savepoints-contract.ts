/** The contract of a database's savepoints (ports.ts), for the adapter and the fake. */
import { describe, expect, it } from "vitest";
import { epoch, stamp, type Stamp } from "../../src/engine/base/ids.ts";
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

    it("LOG6: there are so many at most", async () => {
      const { store } = await begin();
      for (let n = 0; n < SAVEPOINTS; n++)
        expect(await store.add(`s${n}`, stamp(5_000), 1)).toMatchObject({ at: 5_000 });
      expect(await store.add("more", stamp(5_000), 1)).toBe("full");
      expect(await store.add("s1", stamp(5_000), 1)).toMatchObject({ name: "s1" });
    });
  });
}
