/**
 * The contract of the directory and of the lines of a database (ports.ts), for the adapter and the fake. A promotion's
 * statements may be executed late or twice, so each case also calls them when their time is over.
 */
import { beforeEach, describe, expect, it } from "vitest";
import { epoch, seq, stamp } from "../../src/engine/base/ids.ts";
import { FORMER_MAIN_MS, TIMELINES } from "../../src/engine/base/limits.ts";
import type { Directory, LineStore, Log } from "../../src/engine/base/ports.ts";
import {
  type ChangedOutcome,
  LOG_BEGIN,
  type Main,
  type Point,
  type Segment,
  type Timeline,
} from "../../src/engine/base/records.ts";

export interface TimelinesUnderTest {
  readonly directory: Directory;
  readonly lines: LineStore;
  log(line: number, partition: number): Log;
  /** A savepoint of the line, in the database of `lines`. */
  save(line: number, name: string, at?: number): Promise<void>;
  /** Names of all savepoints of the line. */
  saved(line: number): Promise<readonly string[]>;
  /** True if the first line alone is there, open, and no promotion was tried. */
  clear(): Promise<void>;
}

const segment = (at: number): Segment => ({
  format: 1,
  seq: seq(1),
  last: seq(1),
  stamp: stamp(at),
  epoch: epoch(1),
  group: "g",
  operatorVersion: 1,
  code: "c",
  codec: "json",
  checksum: 1,
  bytes: 1,
  stats: "{}",
  payload: "{}",
});

export function timelinesContract(what: string, make: () => Promise<TimelinesUnderTest>): void {
  let under: TimelinesUnderTest;
  let directory: Directory;
  let lines: LineStore;
  beforeEach(async () => {
    under = await make();
    await under.clear();
    ({ directory, lines } = under);
  });

  const start = (name: string, parent = 1) => ({ name, parent, at: stamp(5_000), expiresMs: 9_000 });
  async function making(name: string, parent = 1): Promise<Timeline> {
    const row = await directory.add(start(name, parent), 1);
    if (typeof row === "string") throw new Error(row);
    return row;
  }
  async function ready(name: string, parent = 1): Promise<number> {
    const { line } = await making(name, parent);
    expect(await directory.ready(line)).toBe("ready");
    return line;
  }
  const row = async (line: number): Promise<Timeline | undefined> =>
    (await directory.all()).all.find((one) => one.line === line);
  /** Begins a promotion and takes it to that state. */
  async function promoting(target: number, promotion: number, to: Main["state"]): Promise<void> {
    expect(await directory.begin(promotion, target, 1)).toMatchObject({ state: "sealing", target, promotion });
    if (to === "aborting") await directory.abort(promotion);
    if (to === "opening") await directory.switch(promotion, `tag ${promotion}`, `done ${promotion}`);
    expect(await directory.main()).toMatchObject({ state: to, promotion });
  }

  describe(`the directory in ${what}`, () => {
    it("begins with the first line as main", async () => {
      const { main, all } = await directory.all();
      expect(main).toEqual({
        line: 1,
        switches: 0,
        state: "idle",
        promotion: 0,
        target: null,
        former: null,
        begunMs: 0,
        etag: null,
        done: null,
      });
      expect(await directory.main()).toEqual(main);
      expect(all).toEqual([
        { line: 1, name: null, parent: null, at: 0, createdMs: 0, expiresMs: null, state: "ready", replaced: 0 },
      ]);
    });

    it("LINE1: a name is one timeline, whoever adds it first", async () => {
      const first = await making("a");
      expect(first).toMatchObject({ name: "a", parent: 1, at: 5_000, createdMs: 1, expiresMs: 9_000 });
      expect(first).toMatchObject({ state: "making", replaced: 0 });
      expect(await directory.add({ ...start("a"), at: stamp(6_000) }, 2)).toEqual(first);
      await directory.ready(first.line);
      expect(await directory.add(start("a", first.line), 2)).toEqual({ ...first, state: "ready" });
      expect((await directory.all()).all).toHaveLength(2);
    });

    it("LINE1: numbers are never given again", async () => {
      const numbers: number[] = [];
      for (const name of ["a", "b", "a", "a"]) {
        const { line } = await making(name);
        numbers.push(line);
        await directory.withdraw(line);
        await directory.drop(line);
      }
      expect(numbers.toSorted((a, b) => a - b)).toEqual(numbers);
      expect(new Set([1, ...numbers]).size).toBe(5);
    });

    it("a timeline starts from a line that is ready", async () => {
      expect(await directory.add(start("a", 99), 1)).toBe("gone");
      const { line } = await making("a");
      expect(await directory.add(start("b", line), 1)).toBe("gone");
      await directory.ready(line);
      expect(await directory.add(start("b", line), 1)).toMatchObject({ parent: line });
      const other = await ready("c");
      await directory.withdraw(other);
      expect(await directory.add(start("d", other), 1)).toBe("gone");
      await directory.drop(other);
      expect(await directory.add(start("d", other), 1)).toBe("gone");
    });

    it("there are so many at most", async () => {
      for (let n = 1; n < TIMELINES; n++) await making(`t${n}`);
      expect(await directory.add(start("more"), 1)).toBe("full");
      expect(await directory.add(start("t1"), 1)).toMatchObject({ name: "t1" });
      const { line } = await making("t1");
      await directory.withdraw(line);
      await directory.drop(line);
      expect(await directory.add(start("more"), 1)).toMatchObject({ name: "more" });
    });

    it("LINE4: what is late brings no timeline back", async () => {
      const { line } = await making("a");
      expect(await directory.ready(line)).toBe("ready");
      expect(await directory.ready(line)).toBe("ready");
      await directory.drop(line);
      expect(await row(line), "only one that is being removed is forgotten").toMatchObject({ state: "ready" });
      expect(await directory.withdraw(line)).toBe("removing");
      expect(await directory.ready(line)).toBe("removing");
      expect(await directory.withdraw(line)).toBe("removing");
      await directory.drop(line);
      await directory.drop(line);
      expect(await directory.ready(line)).toBe("gone");
      expect(await directory.withdraw(line)).toBe("gone");
      expect(await row(line)).toBeUndefined();
    });

    it("LINE4: the start of a line is held while the line is being made, and by nobody who comes later", async () => {
      const { line } = await making("a");
      await under.save(1, `@${line}`);
      expect(await under.saved(1)).toEqual([`@${line}`]);
      const other = await ready("b");
      const gone = await making("c");
      await directory.withdraw(gone.line);
      for (const late of [other, gone.line, 99]) await under.save(1, `@${late}`);
      await directory.drop(gone.line);
      await under.save(1, `@${gone.line}`);
      expect(await under.saved(1)).toEqual([`@${line}`]);
    });

    it("LINE4: a line that replays keeps what it replays, and is promoted only while that is main", async () => {
      const replay = { source: 1, outcomes: "logged", code: "c" } as const;
      const added = await directory.add({ ...start("fix"), replay }, 1);
      if (typeof added === "string") throw new Error(added);
      const { line } = added;
      await directory.ready(line);
      expect(await row(line)).toMatchObject({ name: "fix", replay });
      const other = await ready("other");
      expect((await row(other))?.replay).toBeUndefined();
      await promoting(line, 1, "opening");
      await directory.idle(1);
      expect(await row(line)).toMatchObject({ name: null, replayed: 1 });
      expect((await row(line))?.replay).toBeUndefined();
      const late = await directory.add({ ...start("late"), replay }, 1);
      if (typeof late === "string") throw new Error(late);
      await directory.ready(late.line);
      expect(await directory.begin(2, late.line, 1), "it replays what is main no more").toMatchObject({
        state: "idle",
      });
    });

    it("REPLAY2: a replay's name is free again once it is replaced, unless it is being promoted", async () => {
      const replay = { source: 1, outcomes: "logged", code: "c" } as const;
      const add = async (code: string): Promise<Timeline> => {
        const found = await directory.add({ ...start("fix"), replay: { ...replay, code } }, 1);
        if (typeof found === "string") throw new Error(found);
        return found;
      };
      const { line } = await add("c");
      await directory.ready(line);
      await promoting(line, 1, "sealing");
      await directory.replace(line);
      expect(await add("d")).toMatchObject({ line });
      await directory.abort(1);
      await directory.idle(1);
      await directory.replace(line);
      await directory.replace(line);
      expect(await row(line)).toMatchObject({ name: null, state: "removing" });
      const next = await add("d");
      expect(next.line).not.toBe(line);
      const plain = await ready("plain");
      await directory.replace(plain);
      expect(await row(plain)).toMatchObject({ state: "ready" });
    });

    it("LINE3: main, a parent and a line that is being promoted stay", async () => {
      const parent = await ready("parent");
      const child = await making("child", parent);
      expect(await directory.withdraw(1)).toBe("main");
      expect(await directory.withdraw(parent)).toBe("parent");
      expect(await directory.withdraw(child.line)).toBe("removing");
      expect(await directory.withdraw(parent), "until the child is forgotten").toBe("parent");
      await directory.drop(child.line);
      for (const [n, state] of (["sealing", "aborting", "opening"] as const).entries()) {
        await promoting(parent, n + 1, state);
        expect(await directory.withdraw(parent)).toBe(state === "opening" ? "main" : "promotion");
        if (state === "sealing") await directory.abort(n + 1);
        await directory.idle(n + 1);
      }
      await promoting(await ready("next"), 4, "opening");
      expect([await directory.withdraw(parent), await directory.withdraw(1)]).toEqual(["promotion", "parent"]);
      await directory.idle(4);
      expect(await directory.withdraw(parent)).toBe("removing");
    });

    it("LINE6: a parent is removed once all lines that start from it are free of it, and with a savepoint only if asked", async () => {
      const parent = await ready("parent");
      const [a, b] = [await ready("a", parent), await ready("b", parent)];
      for (const free of [[], [a], [b, 99]]) expect(await directory.withdraw(parent, free)).toBe("parent");
      await under.save(parent, "mine");
      expect(await directory.withdraw(parent, [b, a], true)).toBe("saved");
      expect(await directory.withdraw(parent, [b], true)).toBe("parent");
      expect(await directory.withdraw(a, [], true), "another line's savepoint").toBe("removing");
      expect(await directory.withdraw(parent, [b, a])).toBe("removing");
      expect(await directory.add(start("late", parent), 1)).toBe("gone");
      await directory.drop(parent);
      expect(await row(b), "where it starts doesn't change").toMatchObject({ parent, at: 5_000, state: "ready" });
    });

    it("LINE3: the former main stays while the new one opens, and is removed later", async () => {
      const a = await ready("a");
      await promoting(a, 1, "opening");
      await directory.idle(1);
      const b = await ready("b", a);
      const other = await ready("other", a);
      await promoting(b, 2, "opening");
      for (const line of [other, b]) await directory.withdraw(line);
      await directory.drop(other);
      expect(await directory.withdraw(a)).toBe("parent");
      await directory.idle(2);
      expect((await directory.all()).all.map(({ line, replaced }) => [line, replaced])).toEqual([
        [1, 1],
        [a, 2],
        [b, 0],
      ]);
    });

    it("PROMOTION1: begins with the next number, where nothing else is under way", async () => {
      const [a, b] = [await ready("a"), await ready("b")];
      const before = await directory.main();
      for (const n of [0, 2, 3]) expect(await directory.begin(n, a, 1)).toEqual(before);
      expect(await directory.begin(1, 1, 1), "main itself").toEqual(before);
      const begun = await directory.begin(1, a, 7);
      expect(begun).toEqual({ ...before, state: "sealing", promotion: 1, target: a, begunMs: 7 });
      for (const [n, target] of [
        [1, a],
        [1, b],
        [2, b],
      ] as const)
        expect(await directory.begin(n, target, 8)).toEqual(begun);
      await directory.abort(1);
      expect(await directory.begin(2, b, 8)).toMatchObject({ state: "aborting", target: a });
      await directory.idle(1);
      expect(await directory.begin(1, a, 8), "late").toEqual({ ...(begun as Main), state: "idle" });
      await promoting(b, 2, "opening");
      expect(await directory.begin(3, a, 8)).toMatchObject({ state: "opening", promotion: 2 });
    });

    it("begins with a line that is ready and was never main", async () => {
      const { line } = await making("a");
      expect([await directory.begin(1, 99, 1), await directory.begin(1, line, 1)]).toEqual(["no_target", "no_target"]);
      await directory.ready(line);
      const other = await ready("b");
      await directory.withdraw(other);
      expect(await directory.begin(1, other, 1)).toBe("no_target");
      await promoting(line, 1, "opening");
      await directory.idle(1);
      expect(await directory.begin(2, 1, 1)).toMatchObject({ state: "idle", line, promotion: 1 });
    });

    it("PROMOTION1: switches if that promotion is sealing, once", async () => {
      const [a, b] = [await ready("a"), await ready("b")];
      expect(await directory.switch(0, "t", "d")).toMatchObject({ line: 1, state: "idle" });
      await promoting(a, 1, "aborting");
      expect(await directory.switch(1, "t", "d"), "aborted").toMatchObject({ line: 1, state: "aborting" });
      await directory.idle(1);
      expect(await directory.switch(1, "t", "d"), "over").toMatchObject({ line: 1, state: "idle", switches: 0 });
      await promoting(a, 2, "sealing");
      expect(await directory.switch(1, "t", "d"), "of an earlier one").toMatchObject({ line: 1, state: "sealing" });
      const now = await directory.switch(2, "tag", "done");
      expect(now).toMatchObject({ line: a, former: 1, switches: 1, state: "opening", etag: "tag", done: "done" });
      expect(await row(1)).toMatchObject({ name: null, replaced: 1, expiresMs: 1 + FORMER_MAIN_MS });
      expect(await row(a)).toMatchObject({ name: null, replaced: 0, expiresMs: null });
      expect(await row(b)).toMatchObject({ name: "b", replaced: 0, expiresMs: 9_000 });
      expect(await directory.switch(2, "other", "other"), "twice").toEqual(now);
      await directory.idle(2);
      expect(await directory.switch(2, "other", "other"), "late").toEqual({ ...now, state: "idle" });
      await promoting(b, 3, "sealing");
      expect(await directory.switch(2, "other", "other"), "later").toMatchObject({ line: a, state: "sealing" });
      await directory.switch(3, "tag 3", "done 3");
      expect([(await row(1))?.replaced, (await row(a))?.replaced, (await row(b))?.replaced]).toEqual([1, 2, 0]);
      expect(await directory.add(start("a"), 1), "its name is free").toMatchObject({ state: "making" });
    });

    it("PROMOTION8: a line that is unstarted starts from main, at the end that its switch says", async () => {
      const unstarted = { ...start("wide"), unstarted: true, split: { usage: 2 } } as const;
      const { line } = (await directory.add(unstarted, 1)) as Timeline;
      expect(await row(line)).toMatchObject({ unstarted: true, split: { usage: 2 }, at: 5_000, state: "making" });
      expect(await row(line)).not.toHaveProperty("replay");
      await directory.ready(line);
      const other = await ready("other");
      await promoting(other, 1, "opening");
      await directory.idle(1);
      expect(await directory.begin(2, line, 1), "it starts from another line").toMatchObject({ state: "idle" });
      const second = (await directory.add({ ...unstarted, name: "wider", parent: other }, 1)) as Timeline;
      await directory.ready(second.line);
      await promoting(second.line, 2, "aborting");
      expect(await directory.switch(2, "t", "d", stamp(7_000)), "aborted").toMatchObject({ state: "aborting" });
      expect(await row(second.line)).toMatchObject({ unstarted: true, at: 5_000 });
      await directory.idle(2);
      await promoting(second.line, 3, "sealing");
      for (const end of [7_000, 8_000]) await directory.switch(3, "tag", "done", stamp(end));
      const started = await row(second.line);
      expect(started).toMatchObject({ at: 7_000, replayed: other, split: { usage: 2 }, name: null, expiresMs: null });
      expect(started).not.toHaveProperty("unstarted");
      expect(await row(line)).toMatchObject({ unstarted: true, at: 5_000 });
    });

    it("PROMOTION1: aborts if that promotion is sealing", async () => {
      const a = await ready("a");
      expect(await directory.abort(0)).toMatchObject({ state: "idle" });
      await promoting(a, 1, "aborting");
      expect(await directory.abort(1)).toMatchObject({ state: "aborting" });
      await directory.idle(1);
      expect(await directory.abort(1)).toMatchObject({ state: "idle" });
      await promoting(a, 2, "sealing");
      expect(await directory.abort(1), "of an earlier one").toMatchObject({ state: "sealing" });
      await directory.switch(2, "tag", "done");
      expect(await directory.abort(2), "switched").toMatchObject({ state: "opening", line: a });
    });

    it("PROMOTION1: ends that promotion, if it is aborting or opening", async () => {
      const [a, b] = [await ready("a"), await ready("b")];
      await promoting(a, 1, "sealing");
      await directory.idle(1);
      expect(await directory.main()).toMatchObject({ state: "sealing" });
      await directory.abort(1);
      await directory.idle(0);
      await directory.idle(2);
      expect(await directory.main()).toMatchObject({ state: "aborting" });
      await directory.idle(1);
      await directory.idle(1);
      expect(await directory.main()).toMatchObject({ state: "idle", promotion: 1, line: 1, target: a });
      for (const [n, state] of (["sealing", "aborting", "opening"] as const).entries()) {
        await promoting(b, n + 2, state);
        for (const late of [1, n + 1]) await directory.idle(late);
        expect(await directory.main(), "late").toMatchObject({ state, promotion: n + 2 });
        if (state === "sealing") await directory.abort(n + 2);
        await directory.idle(n + 2);
        expect(await directory.main()).toMatchObject({ state: "idle", promotion: n + 2 });
      }
    });
  });

  describe(`the lines of a database in ${what}`, () => {
    async function stateOf(line: number): Promise<"none" | "open" | "sealed"> {
      const log = under.log(line, 0);
      await log.create(1, LOG_BEGIN);
      const opening = await log.peek();
      return opening === null ? "none" : opening.open ? "open" : "sealed";
    }
    const states = async (...of: readonly number[]): Promise<string[]> => {
      const found: string[] = [];
      for (const line of of) found.push(await stateOf(line));
      return found;
    };

    it("adds an open line once, with its floor", async () => {
      expect(await states(1, 2)).toEqual(["open", "none"]);
      await lines.add(2, stamp(50), "open");
      await lines.add(2, stamp(70), "open");
      expect(await states(2)).toEqual(["open"]);
      const log = under.log(2, 0);
      const by = (await log.open("w", "c"))!.row.epoch;
      expect(await log.append([{ ...segment(50), epoch: by }], by)).toBe("refused");
      expect(await log.append([{ ...segment(51), epoch: by }], by)).toBe("appended");
      await lines.seal([2], 1);
      await lines.add(2, stamp(70), "open");
      expect(await states(2)).toEqual(["sealed"]);
    });

    it("PROMOTION2: the append's own statement checks the seal", async () => {
      const log = under.log(1, 0);
      await log.create(1, LOG_BEGIN);
      const by = (await log.open("w", "c"))!.row.epoch;
      await lines.seal([1], 1);
      expect(await log.append([{ ...segment(10), epoch: by }], by)).toBe("refused");
      expect(await log.explain(seq(1))).toMatchObject({ open: false, head: 0 });
      await lines.unseal([1], 1);
      expect(await log.append([{ ...segment(10), epoch: by }], by)).toBe("appended");
    });

    it("PROMOTION1: a seal needs a lower number, and what opens writes its own", async () => {
      for (const line of [2, 3]) await lines.add(line, stamp(1), "open");
      await lines.seal([1, 2], 2);
      expect(await states(1, 2, 3)).toEqual(["sealed", "sealed", "open"]);
      await lines.unseal([1, 2], 1);
      expect(await states(1, 2), "opened by an earlier one").toEqual(["sealed", "sealed"]);
      await lines.unseal([1, 2, 3], 2);
      expect(await states(1, 2, 3)).toEqual(["open", "open", "open"]);
      for (const late of [1, 2]) await lines.seal([1, 2, 3], late);
      expect(await states(1, 2, 3), "late seals").toEqual(["open", "open", "open"]);
      await lines.seal([1, 2], 3);
      await lines.seal([1, 2], 3);
      for (const late of [1, 2]) {
        await lines.unseal([1, 2], late);
        await lines.open(2, late);
      }
      expect(await states(1, 2, 3), "late openings").toEqual(["sealed", "sealed", "open"]);
      await lines.open(2, 3);
      await lines.open(2, 3);
      await lines.seal([1, 2], 3);
      expect(await states(1, 2, 3)).toEqual(["sealed", "open", "open"]);
    });

    it("TAKEIN3: a line that replays takes in rows and no events, over seals, until it is opened", async () => {
      await lines.add(2, stamp(1), "replaying");
      const log = under.log(2, 0);
      await log.create(1, LOG_BEGIN);
      const by = (await log.open("w", "c"))!.row.epoch;
      const row = (n: number): Segment => ({ ...segment(9 + n), seq: seq(n), last: seq(n), epoch: by });
      expect(await log.append([row(1)], by)).toBe("refused");
      expect(await log.append([row(1)], by, "replaying")).toBe("appended");
      expect(await log.explain(seq(1))).toMatchObject({ open: false, replaying: true });
      await lines.seal([1, 2], 1);
      expect(await log.append([row(2)], by, "replaying")).toBe("appended");
      await lines.unseal([1, 2], 1);
      expect(await states(1)).toEqual(["open"]);
      expect(await log.append([row(3)], by)).toBe("refused");
      await lines.seal([1, 2], 2);
      await lines.open(2, 2);
      expect(await log.append([row(3)], by, "replaying")).toBe("refused");
      expect(await log.append([row(3)], by)).toBe("appended");
      expect(await log.explain(seq(1))).toMatchObject({ open: true, replaying: false });
      await lines.seal([2], 2);
      await lines.unseal([2], 2);
      expect(await states(2), "late statements of its promotion").toEqual(["open"]);
    });

    it("TAKEIN2: changed outcomes are noted once, listed in order, and gone with the line", async () => {
      await lines.add(2, stamp(1), "replaying");
      const one = (n: number, print = n): ChangedOutcome => ({
        seq: seq(n),
        key: `k${n}`,
        id: `"${n}`,
        was: "applied",
        now: "refused x",
        print,
      });
      for (const [partition, list] of [
        [0, [3, 1, 2]],
        [1, [7]],
      ] as const) {
        const log = under.log(2, partition);
        await log.create(1, LOG_BEGIN);
        for (let twice = 0; twice < 2; twice++) await log.noteChanged(list.map((n) => one(n)));
      }
      await under.log(2, 2).create(1, LOG_BEGIN);
      const log = under.log(2, 0);
      expect(await log.changed(seq(0), 10)).toEqual([one(1), one(2), one(3)]);
      expect(await log.changed(seq(1), 1)).toEqual([one(2)]);
      expect((await lines.changed(2)).map(({ count, sum }) => [count, sum])).toEqual([
        [3, 6],
        [1, 7],
      ]);
      expect(await lines.changed(1)).toEqual([]);
      while ((await lines.drop(2)) === "more");
      expect([await lines.changed(2), await log.changed(seq(0), 10)]).toEqual([[], []]);
    });

    it("a line that isn't there is neither sealed nor opened", async () => {
      await lines.seal([7, 1], 1);
      await lines.open(7, 1);
      await lines.unseal([7], 1);
      expect(await states(1, 7)).toEqual(["sealed", "none"]);
      await lines.add(7, stamp(1), "open");
      expect(await states(7)).toEqual(["open"]);
    });

    it("LINE7: a line that is unstarted has no partitions, and nothing opens it but its promotion", async () => {
      await lines.add(7, stamp(1), "unstarted");
      await under.log(7, 0).create(1, LOG_BEGIN);
      expect(await under.log(7, 0).peek()).toBeNull();
      await lines.seal([7], 1);
      await lines.unseal([7], 1);
      await under.log(7, 0).create(1, LOG_BEGIN);
      expect(await under.log(7, 0).peek()).toBeNull();
      await lines.open(7, 2);
      await under.log(7, 0).create(1, LOG_BEGIN);
      expect(await under.log(7, 0).peek()).toMatchObject({ open: true });
    });

    it("LINE7: each of the partitions that share another one's keys reads it until it has a row of its own", async () => {
      const past = [
        { line: 2, at: stamp(5_000), split: { contract: 3 } },
        { line: 1, at: stamp(5_000), split: { contract: 6, other: 2 } },
      ];
      const readers = () => lines.readers({ line: 3, at: stamp(5_000), past });
      for (const line of [2, 3]) await lines.add(line, stamp(1), "open");
      expect(await readers()).toEqual({ partitions: 0, first: null });
      await under.log(2, 4).create(1, LOG_BEGIN);
      expect(await readers()).toEqual({ partitions: 3, first: "contract/0012" });
      await under.log(3, 12).create(1, LOG_BEGIN);
      await under.log(3, 4).create(1, LOG_BEGIN);
      expect(await readers()).toEqual({ partitions: 2, first: "contract/0013" });
      // The partition before it on the first line is shared by six, of which those three are a half.
      await under.log(1, 2).create(1, LOG_BEGIN);
      expect(await readers()).toEqual({ partitions: 5, first: "contract/0013" });
    });

    it("LINE6: partitions read the lines of their past until they have given up all moments up to the start", async () => {
      const readers = () =>
        lines.readers({
          line: 3,
          at: stamp(5_000),
          past: [
            { line: 2, at: stamp(5_000) },
            { line: 1, at: stamp(5_000) },
          ],
        });
      for (const line of [2, 3, 4]) await lines.add(line, stamp(1), "open");
      expect(await readers()).toEqual({ partitions: 0, first: null });
      await under.log(4, 9).create(1, LOG_BEGIN);
      await under.log(1, 7).create(1, LOG_BEGIN);
      await under.log(2, 7).create(1, LOG_BEGIN);
      await under.log(2, 8).create(1, LOG_BEGIN);
      expect(await readers(), "no row").toEqual({ partitions: 2, first: "contract/0007" });
      await under.log(3, 7).create(1, LOG_BEGIN);
      const log = under.log(3, 8);
      await log.create(1, { seq: seq(3), stamp: stamp(5_000) });
      expect(await readers(), "one began with nothing").toEqual({ partitions: 1, first: "contract/0008" });
      const { epoch: by } = (await log.open("w", "c"))!.row;
      const logged = async (n: number, at: number): Promise<void> => {
        const own = { ...segment(at), seq: seq(n), last: seq(n), epoch: by };
        expect(await log.append([own], by)).toBe("appended");
      };
      const point = { version: 1, attempt: "a1", seq: seq(4), stamp: stamp(6_000), files: [], intact: true };
      const promoted = (version: number, n: number, at: number, replaced: readonly Point[]) =>
        log.promote({
          epoch: by,
          writer: "w",
          code: "c",
          version,
          attempt: `a${version + 1}`,
          manifest: "m",
          seq: seq(n),
          stamp: stamp(at),
          previous: null,
          previousSeq: seq(0),
          cutSeq: seq(0),
          pins: "[]",
          replaced,
        });
      const retain = (
        retainFrom: number,
        archiveFrom: number,
        drop: readonly number[],
        savepoints: readonly number[],
      ) =>
        log.retain({
          epoch: by,
          version: 2,
          drop,
          savepoints: savepoints.map(stamp),
          retainFrom: stamp(retainFrom),
          archiveFrom,
        });
      await logged(4, 6_000);
      expect(await promoted(0, 4, 6_000, [])).toBe("current");
      await logged(5, 8_000);
      expect(await promoted(1, 5, 8_000, [{ ...point, replacedMs: 1 }])).toBe("current");
      expect(await readers(), "nothing is given up").toMatchObject({ partitions: 1 });
      await retain(5_000, 2, [], []);
      expect(await readers(), "the start can be read").toMatchObject({ partitions: 1 });
      await under.save(3, "mine", 7_000);
      await retain(5_001, 2, [], [7_000]);
      expect(await readers(), "the savepoint has a restore point").toEqual({ partitions: 0, first: null });
      await retain(5_001, 2, [1], [7_000]);
      expect(await readers(), "the savepoint has none").toMatchObject({ partitions: 1 });
    });

    it("LINE6: partitions read the lines of their past while the whole log may be replayed", async () => {
      await lines.add(2, stamp(1), "open");
      const log = under.log(2, 0);
      await log.create(1, { seq: seq(3), stamp: stamp(5_000) });
      const { epoch: by, version } = (await log.open("w", "c"))!.row;
      const rest = { epoch: by, version, drop: [], savepoints: [], retainFrom: stamp(5_001) };
      for (const [archiveFrom, partitions] of [
        [0, 1],
        [1, 1],
        [2, 0],
      ] as const) {
        await log.retain({ ...rest, archiveFrom });
        expect(await lines.readers({ line: 2, at: stamp(5_000), past: [{ line: 1, at: stamp(5_000) }] })).toMatchObject(
          { partitions },
        );
      }
    });

    it("LINE4: a removed line takes nothing and never comes back, even if it was never there", async () => {
      await lines.add(2, stamp(1), "open");
      const log = under.log(2, 0);
      await log.create(1, LOG_BEGIN);
      const by = (await log.open("w", "c"))!.row.epoch;
      expect(await log.append([{ ...segment(10), epoch: by }], by)).toBe("appended");
      for (const line of [2, 3]) expect([await lines.drop(line), await lines.drop(line)]).toEqual(["done", "done"]);
      const late = { ...segment(11), seq: seq(2), last: seq(2), epoch: by };
      expect(await log.append([late], by)).toBe("refused");
      expect(await log.open("w", "c")).toBeNull();
      for (const line of [2, 3])
        await expect(under.log(line, 0).roots(), "not as one that was never used").rejects.toMatchObject({
          code: "line_gone",
        });
      for (const line of [2, 3]) await lines.add(line, stamp(1), "open");
      await lines.seal([2, 3], 1);
      await lines.unseal([2, 3], 2);
      for (const line of [2, 3]) await lines.open(line, 2);
      expect(await states(2, 3)).toEqual(["none", "none"]);
      expect(await log.append([late], by)).toBe("refused");
    });

    it("LINE4: its partitions and savepoints go, some at a time, and no other line's", async () => {
      await lines.add(2, stamp(1), "open");
      for (const [line, count] of [
        [1, 2],
        [2, 45],
      ] as const)
        for (let partition = 0; partition < count; partition++) {
          const log = under.log(line, partition);
          await log.create(1, LOG_BEGIN);
          const by = (await log.open("w", "c"))!.row.epoch;
          await log.append([{ ...segment(10), epoch: by }], by);
        }
      for (const line of [1, 2]) await under.save(line, "s");
      const answers: string[] = [];
      do answers.push(await lines.drop(2));
      while (answers.at(-1) === "more" && answers.length < 9);
      expect(answers.at(-1)).toBe("done");
      expect(answers.length).toBeGreaterThan(1);
      for (let partition = 0; partition < 45; partition++) {
        const log = under.log(2, partition);
        expect([await log.row(), await log.lastAt(stamp(99))]).toEqual([null, null]);
      }
      expect(await under.log(1, 1).lastAt(stamp(99))).toEqual({ seq: 1, stamp: 10 });
      expect([await under.saved(1), await under.saved(2)]).toEqual([["s"], []]);
    });
  });
}
