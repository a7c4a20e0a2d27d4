/** Timelines that are made and removed while any call fails, and their names (history/timelines.ts). */
import { describe, expect, it } from "vitest";
import { brotli } from "../../../src/adapters/brotli.ts";
import { stamp } from "../../../src/engine/base/ids.ts";
import { FORMER_MAIN_MS } from "../../../src/engine/base/limits.ts";
import type { Directory } from "../../../src/engine/base/ports.ts";
import { LOG_BEGIN, type Main, type Timeline } from "../../../src/engine/base/records.ts";
import { listSavepoints, removeSavepoint, type Stores, takeSavepoint } from "../../../src/engine/history/savepoints.ts";
import {
  ancestorsOf,
  makeTimeline,
  nameOf,
  readersOf,
  removeTimeline,
  timelineOf,
  type Timelines,
  type TimelineStores,
} from "../../../src/engine/history/timelines.ts";
import { MemoryDatabase } from "../../../src/testkit/memory-log.ts";
import { MemoryStore } from "../../../src/testkit/memory-store.ts";
import { MemoryDirectory, MemoryLines } from "../../../src/testkit/memory-timelines.ts";
import { VirtualClock } from "../../../src/testkit/virtual-clock.ts";

/** Calls that are left before the caller dies, at that call or right after it acted. */
interface Life {
  calls: number;
  readonly acts: boolean;
}

const never = (): Promise<never> => new Promise(() => undefined);

function mortal<T extends object>(port: T, life: Life): T {
  return new Proxy(port, {
    get: (target, name) => {
      const method = Reflect.get(target, name, target) as unknown;
      if (typeof method !== "function") return method;
      return async (...args: unknown[]): Promise<unknown> => {
        const left = life.calls--;
        if (left > 0 || (left === 0 && life.acts)) {
          const result = (await Reflect.apply(method, target, args)) as unknown;
          return left > 0 ? result : never();
        }
        return never();
      };
    },
  });
}

class Databases {
  readonly clock = new VirtualClock();
  readonly all = [new MemoryDatabase(), new MemoryDatabase()];
  readonly directory = new MemoryDirectory(this.all[0]!);
  readonly objects = new MemoryStore();

  stores(life: Life = { calls: 1_000_000, acts: true }): TimelineStores {
    const { clock } = this;
    const objects = mortal(this.objects, life);
    return {
      directory: mortal<Directory>(this.directory, life),
      lines: this.all.map((db) => mortal(new MemoryLines(db), life)),
      savepoints: (line) => ({
        files: { line, clock, objects, codec: brotli },
        stores: this.all.map((db) => mortal(db.savepointStore(line), life)) as unknown as Stores,
      }),
    };
  }

  make(name: string, parent = 1, stores = this.stores(), at = stamp(5_000)): ReturnType<typeof makeTimeline> {
    return makeTimeline(this.clock, stores, { name, parent, at, exact: true, expiresMs: null });
  }

  async made(name: string, parent = 1): Promise<Timeline> {
    const made = await this.clock.run(this.make(name, parent));
    if (made.tag !== "made") throw new Error(made.tag);
    return made.timeline;
  }

  remove(one: Timeline, stores = this.stores()): ReturnType<typeof removeTimeline> {
    return removeTimeline(this.clock, stores, this.objects, one);
  }

  async promoted(line: number, promotion: number): Promise<void> {
    await this.directory.begin(promotion, line, 1);
    await this.directory.switch(promotion, "tag", "done");
    await this.directory.idle(promotion);
  }

  /** Holds, rows of lines that aren't removed, and objects. */
  left(): readonly number[] {
    const lines = this.all.map((db) => [...db.lines.values()].filter(({ removed }) => removed !== true).length);
    return [...this.all.map((db) => db.savepoints.size), ...lines, this.objects.objects.size];
  }
}

describe("a timeline", () => {
  it("LINE2: is made once, and starts where it was first asked for", async () => {
    const dbs = new Databases();
    const { clock } = dbs;
    expect(await clock.run(dbs.make("a"))).toMatchObject({ tag: "made", isNew: true, timeline: { line: 2 } });
    expect(await clock.run(dbs.make("a"))).toMatchObject({ tag: "made", isNew: false, timeline: { line: 2 } });
    expect(await clock.run(dbs.make("a", 1, dbs.stores(), stamp(6_000)))).toMatchObject({ tag: "conflict" });
    expect(await clock.run(dbs.make("a", 2))).toMatchObject({ tag: "conflict", timeline: { parent: 1 } });
    expect(await clock.run(dbs.make("b", 7))).toEqual({ tag: "gone" });
    expect(dbs.left()).toEqual([1, 1, 2, 2, 1]);
  });

  it("LINE2: nothing is left of one whose moment retention has given up", async () => {
    const dbs = new Databases();
    await dbs.all[1]!.log({ line: 1, operator: "sum", partition: 0 }).create(1, LOG_BEGIN);
    dbs.all[1]!.kept.set("1/sum/0000", { points: [], pins: [], retainFrom: 5_001, archiveFrom: 0 });
    expect(await dbs.clock.run(dbs.make("a"))).toEqual({ tag: "gone" });
    expect([dbs.directory.timelines.size, ...dbs.left()]).toEqual([1, 0, 0, 1, 1, 0]);
    expect(await dbs.clock.run(dbs.make("a", 1, dbs.stores(), stamp(5_001)))).toMatchObject({ tag: "made" });
  });

  it("LINE2, LINE4: whoever dies at any call, another one makes it or removes it whole", async () => {
    for (const what of ["make", "remove"] as const)
      for (const then of ["make", "remove"] as const)
        for (const acts of [false, true])
          for (let calls = 0, died = true; died; calls++) {
            const dbs = new Databases();
            const { clock } = dbs;
            const life: Life = { calls, acts };
            if (what === "remove") await dbs.made("a");
            const done: Promise<unknown> =
              what === "make"
                ? dbs.make("a", 1, dbs.stores(life))
                : dbs.remove(dbs.directory.timelines.get(2)!, dbs.stores(life));
            died =
              (await Promise.race([done.catch(() => "died"), clock.advance(90_000).then(() => "died")])) === "died";
            const why = `${what} dies after ${calls} calls, then ${then}`;
            const row = [...dbs.directory.timelines.values()].find(({ name }) => name === "a");
            if (then === "remove" && row !== undefined)
              expect(await clock.run(dbs.remove(row)), why).toEqual({ tag: "removed" });
            if (then === "make" && row?.state === "removing") {
              expect(await clock.run(dbs.make("a")), why).toMatchObject({ tag: "conflict" });
              await clock.run(dbs.remove(row));
            }
            if (then === "make") expect(await clock.run(dbs.make("a")), why).toMatchObject({ tag: "made" });
            expect(dbs.left(), why).toEqual(then === "make" ? [1, 1, 2, 2, 1] : [0, 0, 1, 1, 0]);
          }
  });

  it("LINE4: a making that finds its line half removed leaves nothing that nobody can remove", async () => {
    for (const acts of [false, true])
      for (let calls = 0; calls < 16; calls++) {
        const dbs = new Databases();
        const { clock } = dbs;
        const row = await dbs.directory.add({ name: "a", parent: 1, at: stamp(5_000), expiresMs: null }, 1);
        if (typeof row === "string") throw new Error(row);
        const { files, stores } = dbs.stores().savepoints(1);
        await clock.run(takeSavepoint(files, stores, "@2", row.at, true));
        dbs.remove(row, dbs.stores({ calls, acts })).catch(() => undefined);
        await clock.advance(90_000);
        // The row was read before the removal began.
        const slow = dbs.stores();
        const directory: Directory = Object.assign(Object.create(dbs.directory) as Directory, {
          add: async () => row,
          all: () => dbs.directory.all(),
          ready: (line: number) => dbs.directory.ready(line),
          withdraw: (line: number, free: readonly number[]) => dbs.directory.withdraw(line, free),
          drop: (line: number) => dbs.directory.drop(line),
        });
        const made = await clock.run(dbs.make("a", 1, { ...slow, directory }));
        expect(made.tag === "made", `${calls} calls`).toBe(dbs.directory.timelines.get(2)?.state === "ready");
        const left = dbs.directory.timelines.get(2);
        if (left !== undefined) await clock.run(dbs.remove(left));
        expect(dbs.left(), `${calls} calls`).toEqual([0, 0, 1, 1, 0]);
      }
  });

  it("LINE4: a start that is held late, after its line was removed, isn't held", async () => {
    const dbs = new Databases();
    const { clock } = dbs;
    const row = await dbs.directory.add({ name: "a", parent: 1, at: stamp(5_000), expiresMs: null }, 1);
    if (typeof row === "string") throw new Error(row);
    expect(await clock.run(dbs.remove(row))).toEqual({ tag: "removed" });
    const { files, stores } = dbs.stores().savepoints(1);
    expect(await clock.run(takeSavepoint(files, stores, `@${row.line}`, row.at, true))).toEqual({ tag: "gone" });
    await stores[1]!.hold({ number: 9, name: `@${row.line}`, at: row.at, createdMs: 1, state: "taking" });
    await clock.run(listSavepoints(files, stores));
    expect(dbs.left()).toEqual([0, 0, 1, 1, 0]);
  });

  it("LINE4: takes with it all its rows and objects, those of its savepoints too, in as many calls as it takes", async () => {
    const dbs = new Databases();
    const { clock } = dbs;
    const one = await dbs.made("a");
    for (let partition = 0; partition < 500; partition++)
      await dbs.all[1]!.log({ line: 2, operator: "sum", partition }).create(1, LOG_BEGIN);
    for (let n = 0; n < 2_500; n++) await dbs.objects.put(`2/sum/0000/snapshots/${n}`, new Uint8Array(0));
    await dbs.objects.put("21/sum/0000/snapshots/of-another", new Uint8Array(0));
    const { files, stores } = dbs.stores().savepoints(2);
    await clock.run(takeSavepoint(files, stores, "mine", stamp(6_000), true));
    expect(await clock.run(dbs.remove(one))).toEqual({ tag: "removing" });
    expect(timelineOf(await dbs.directory.all(), "a")).toBeNull();
    expect(await clock.run(dbs.remove(one))).toEqual({ tag: "removed" });
    expect(await clock.run(dbs.remove(one))).toEqual({ tag: "removed" });
    expect([...dbs.objects.objects.keys()]).toEqual(["21/sum/0000/snapshots/of-another"]);
    expect([dbs.all[1]!.rows.size, dbs.directory.timelines.size, ...dbs.left()]).toEqual([0, 1, 0, 0, 1, 1, 1]);
  });

  it("LINE3: isn't removed while it is main or a parent", async () => {
    const dbs = new Databases();
    const a = await dbs.made("a");
    const b = await dbs.made("b", a.line);
    await dbs.all[1]!.log({ line: a.line, operator: "sum", partition: 0 }).create(1, LOG_BEGIN);
    expect(await dbs.clock.run(dbs.remove(a))).toEqual({ tag: "refused", why: "parent" });
    await dbs.promoted(b.line, 1);
    expect(await dbs.clock.run(dbs.remove(b))).toEqual({ tag: "refused", why: "main" });
    expect(await dbs.clock.run(dbs.remove(a))).toEqual({ tag: "refused", why: "parent" });
    expect(dbs.left()).toEqual([2, 2, 3, 3, 2]);
  });

  it("LINE6: a line that others start from is removed once none of their partitions reads it, in any database", async () => {
    const dbs = new Databases();
    const { clock } = dbs;
    const a = await dbs.made("a");
    const [b, c] = [await dbs.made("b", a.line), await dbs.made("c", a.line)];
    const log = (line: number, db: number) => dbs.all[db]!.log({ line, operator: "sum", partition: db });
    await log(1, 0).create(1, LOG_BEGIN);
    await log(a.line, 1).create(1, LOG_BEGIN);
    for (const { line } of [b, c])
      for (const db of [0, 1]) {
        expect(await clock.run(dbs.remove(a)), `${line} ${db}`).toEqual({ tag: "refused", why: "parent" });
        await log(line, db).create(1, LOG_BEGIN);
      }
    expect(await clock.run(readersOf(clock, dbs.stores(), a.line))).toEqual(
      [b, c].map(({ line }) => ({ line, partitions: 0, first: null })),
    );
    expect(await clock.run(dbs.remove(a))).toEqual({ tag: "removed" });
    const timelines = await dbs.directory.all();
    expect(ancestorsOf(timelines, b.line)).toEqual([{ line: a.line, at: b.at }]);
    expect(await clock.run(dbs.make("late", a.line))).toEqual({ tag: "gone" });
    for (const one of [b, c]) expect(await clock.run(dbs.remove(one))).toEqual({ tag: "removed" });
    expect(dbs.left()).toEqual([0, 0, 1, 1, 0]);
  });

  it("LINE6: a line that is being made or removed counts as a reader", async () => {
    const dbs = new Databases();
    const { clock } = dbs;
    const a = await dbs.made("a");
    const row = await dbs.directory.add({ name: "b", parent: a.line, at: stamp(5_000), expiresMs: null }, 1);
    if (typeof row === "string") throw new Error(row);
    expect(await clock.run(dbs.remove(a))).toEqual({ tag: "refused", why: "parent" });
    await dbs.directory.withdraw(row.line);
    expect(await clock.run(dbs.remove(a))).toEqual({ tag: "refused", why: "parent" });
  });

  it("LINE6: a line that replays what was main keeps it, whatever it starts from", async () => {
    const dbs = new Databases();
    const { clock } = dbs;
    const a = await dbs.made("a");
    const replay = { source: 1, outcomes: "logged", code: "code-1" } as const;
    const row = await dbs.directory.add({ name: "r", parent: a.line, at: a.at, expiresMs: null, replay }, 1);
    if (typeof row === "string") throw new Error(row);
    await dbs.directory.ready(row.line);
    await dbs.promoted(a.line, 1);
    const former = dbs.directory.timelines.get(1)!;
    const expire = (): ReturnType<typeof removeTimeline> =>
      removeTimeline(clock, dbs.stores(), dbs.objects, former, true);
    expect(await clock.run(readersOf(clock, dbs.stores(), 1))).toContainEqual({
      line: row.line,
      partitions: 1,
      first: null,
    });
    expect(await clock.run(expire())).toEqual({ tag: "refused", why: "parent" });
    expect(dbs.directory.timelines.get(1)).toEqual(former);
    expect(await clock.run(dbs.remove(row))).toEqual({ tag: "removed" });
    expect(await clock.run(expire())).toEqual({ tag: "removed" });
  });

  it("LINE6: what was main expires, and a savepoint of it keeps it from that", async () => {
    const dbs = new Databases();
    const { clock } = dbs;
    const a = await dbs.made("a");
    await dbs.promoted(a.line, 1);
    const former = dbs.directory.timelines.get(1)!;
    expect(former).toMatchObject({ replaced: 1, expiresMs: 1 + FORMER_MAIN_MS });
    const { files, stores } = dbs.stores().savepoints(1);
    await clock.run(takeSavepoint(files, stores, "mine", stamp(6_000), true));
    const expire = (): ReturnType<typeof removeTimeline> =>
      removeTimeline(clock, dbs.stores(), dbs.objects, former, true);
    expect(await clock.run(expire())).toEqual({ tag: "refused", why: "saved" });
    await clock.run(removeSavepoint(files, stores, "mine"));
    expect(await clock.run(expire())).toEqual({ tag: "removed" });
    expect([dbs.directory.timelines.size, ...dbs.left()]).toEqual([1, 0, 0, 1, 1, 0]);
  });
});

describe("names of lines", () => {
  const idle: Main = {
    line: 1,
    switches: 0,
    state: "idle",
    promotion: 0,
    target: null,
    former: null,
    begunMs: 0,
    etag: null,
    done: null,
  };
  const row = (line: number, more: Partial<Timeline> = {}): Timeline => ({
    line,
    name: null,
    parent: line - 1,
    at: stamp(line * 100),
    createdMs: 0,
    expiresMs: null,
    state: "ready",
    replaced: 0,
    ...more,
  });
  const named = (timelines: Timelines): Record<string, number | undefined> =>
    Object.fromEntries(
      ["main", "main~1", "main~2", "main~3", "main~0", "main~01", "main~", "a", "b"].flatMap((name) => {
        const found = timelineOf(timelines, name);
        if (found !== null) expect(nameOf(timelines, found)).toBe(name);
        return found === null ? [] : [[name, found.line]];
      }),
    );

  it("main is what the directory says, and what was main counts backwards from it", () => {
    const first = row(1, { parent: null });
    expect(named({ main: idle, all: [first] })).toEqual({ main: 1 });
    const all = [row(1, { parent: null, replaced: 2 }), row(2, { replaced: 1 }), row(3), row(4, { name: "a" })];
    expect(named({ main: { ...idle, line: 3, switches: 2 }, all })).toEqual({
      main: 3,
      "main~1": 1,
      "main~2": 2,
      a: 4,
    });
    const later = [...all.slice(0, 2), row(3, { replaced: 3 }), row(5)];
    expect(named({ main: { ...idle, line: 5, switches: 3 }, all: later })).toEqual({
      main: 5,
      "main~1": 3,
      "main~2": 1,
      "main~3": 2,
    });
  });

  it("one that is being made or removed isn't to be found, and moves no other name", () => {
    const all = [
      row(1, { parent: null, replaced: 1 }),
      row(2, { replaced: 2, state: "removing" }),
      row(3),
      row(4, { name: "a", state: "making" }),
      row(5, { name: "b", state: "removing" }),
    ];
    const timelines = { main: { ...idle, line: 3, switches: 2 }, all };
    expect(named(timelines)).toEqual({ main: 3, "main~2": 1 });
    expect(all.map((one) => nameOf(timelines, one))).toEqual(["main~2", "main~1", "main", "a", "b"]);
  });

  it("ancestors go up to the first line, each with the stamp at which they part", () => {
    const all = [row(1, { parent: null }), row(2), row(3, { parent: 2 }), row(4, { parent: 1 })];
    const timelines = { main: idle, all };
    expect(ancestorsOf(timelines, 3)).toEqual([
      { line: 2, at: 300 },
      { line: 1, at: 200 },
    ]);
    expect(ancestorsOf(timelines, 4)).toEqual([{ line: 1, at: 400 }]);
    expect([ancestorsOf(timelines, 1), ancestorsOf(timelines, 9)]).toEqual([[], []]);
  });
});
