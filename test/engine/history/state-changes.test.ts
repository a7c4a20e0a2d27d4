/** The changes of an operator's states: each one once, in one order, whatever pages they are read in. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { operator as makeOperator } from "../../../src/engine/operator/operator.ts";
import { TIMER_TYPE } from "../../../src/engine/state/timers.ts";
import { seq, type Stamp, stamp } from "../../../src/engine/base/ids.ts";
import { SIZES } from "../../../src/engine/base/limits.ts";
import { partitionAmong } from "../../../src/engine/operator/key-placement.ts";
import { comparePlaces, type FeedPlace, placeAfter } from "../../../src/engine/history/feed-place.ts";
import type { Gone } from "../../../src/engine/recovery/past-state.ts";
import { pastRange } from "../../../src/engine/history/past.ts";
import {
  type ChangesAsked,
  type ChangesPage,
  type FeedBounds,
  type StateChange,
  nextChanges,
} from "../../../src/engine/history/state-changes.ts";
import { PUT, REMOVE } from "../../../src/engine/state/edit.ts";
import { DELETE, RETRY } from "../../../src/engine/state/quarantine.ts";
import type { Entries } from "../../../src/engine/state/keyed-state.ts";
import { sum } from "../fakes/sum.ts";
import { World, type Incarnation, type Sent } from "../fakes/world.ts";
import { PATIENCE_MS, runs } from "../hostile.ts";

const operator = sum({
  on: {
    add(state, event, ctx) {
      if (event.data === "boom") throw new Error("boom");
      if (event.data === 0) return ctx.refuse("zero");
      if (event.data === "gone") return ctx.remove();
      state.total += event.data as number;
      state.times += 1;
    },
  },
});

const anything: StandardSchemaV1<unknown, unknown> = {
  "~standard": { version: 1, vendor: "test", validate: (value) => ({ value }) },
};

/** Sets a timer for so many milliseconds later, and forgets keys after an hour. */
const timed = () =>
  makeOperator("sum", {
    version: 1,
    events: { add: anything },
    key: (event) => event.partitionkey ?? "k",
    initial: (): { seen: string[] } => ({ seen: [] }),
    on: {
      add(state, event, ctx) {
        state.seen.push("add");
        ctx.timers.set("later", { after: event.data as number });
      },
    },
    timers: { later: (state) => void state.seen.push("timer") },
    expire: "1h",
  });

const KEYS = ["a", "ab", "b", "c", "cd", "d", "é", "f"];
const BOUNDS: FeedBounds = { bytes: 4_000_000, chars: 1_000_000, scanned: 1_000_000 };
const LAST = stamp(Number.MAX_SAFE_INTEGER);
const START = placeAfter(stamp(0));

interface Told {
  readonly key: string;
  readonly text: string | null;
  readonly id: string;
}

const told = ({ key, text, event: { id } }: StateChange): Told => ({ key, text, id });

/** A plain fold of what was sent. */
class Fold {
  readonly states = new Map<string, { total: number; times: number }>();
  readonly changes: Told[] = [];

  take({ id, key = "k", data }: Sent): void {
    if (data === "boom" || data === 0) return;
    const { total, times } = this.states.get(key) ?? { total: 0, times: 0 };
    const next = data === "gone" ? null : { total: total + (data as number), times: times + 1 };
    if (next === null) this.states.delete(key);
    else this.states.set(key, next);
    this.changes.push({ key, text: next === null ? null : JSON.stringify(next), id });
  }
}

interface PageSize {
  readonly most: number;
  readonly bounds: FeedBounds;
}

/** Reads to the end in pages, from each partition as far as all of them go, as the route does. */
async function follow(
  worlds: readonly World[],
  after: FeedPlace,
  { most, bounds }: PageSize,
  wanted: (key: string) => boolean = () => true,
): Promise<StateChange[]> {
  const found: StateChange[] = [];
  for (let from = after; ;) {
    let end: FeedPlace | null = null;
    const items: StateChange[] = [];
    for (const world of worlds) {
      const asked = { after: from, upTo: LAST, most, bounds, wanted };
      const page = await world.clock.run(nextChanges(world.reader(operator), asked));
      if (page.tag === "gone") throw new Error("gone");
      const { changes, end: own } = page;
      expect(changes.length).toBeLessThanOrEqual(most);
      expect(changes.every((one) => own === null || comparePlaces(one, own) <= 0)).toBe(true);
      items.push(...page.changes);
      if (page.end !== null && (end === null || comparePlaces(page.end, end) < 0)) ({ end } = page);
    }
    const covered = items.filter((one) => end === null || comparePlaces(one, end) <= 0);
    found.push(...covered.sort(comparePlaces));
    if (end === null) return found;
    expect(comparePlaces(end, from), "each page ends further on").toBeGreaterThan(0);
    from = end;
  }
}

async function statesOf(worlds: readonly World[]): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const world of worlds) {
    const read = await world.clock.run(pastRange(world.reader(operator), LAST, "", ""));
    if (read.tag === "gone") throw new Error("gone");
    await world.clock.run(
      (async () => {
        for await (const chunk of read.chunks as AsyncIterable<Entries>)
          for (const [key, entry] of chunk) if (entry !== null) found[key] = entry.text;
      })(),
    );
  }
  return found;
}

/** The states that a reader has who takes in every line. */
function folded(changes: readonly StateChange[]): Record<string, string> {
  const states = new Map<string, string>();
  for (const { key, text } of changes)
    if (text === null) states.delete(key);
    else states.set(key, text);
  return Object.fromEntries(states);
}

/** One partition, as its senders see it. */
class Line {
  readonly world: World;
  one: Incarnation;

  constructor(world: World) {
    this.world = world;
    this.one = world.start(operator);
  }

  has(key: string): boolean {
    const { seed, partition, partitions = 1 } = this.world.address;
    return partitionAmong(operator, key, seed, partitions) === partition;
  }

  async step(step: Step, n: number, fold: Fold): Promise<void> {
    const { world } = this;
    if (step === "snapshot") await world.clock.run(this.one.partition.snapshot());
    else if (step === "restart") {
      this.one.crashed = true;
      this.one = world.start(operator);
    } else {
      const events = step.map(([key, data], i) => ({ id: `e${n}-${i}`, key, data })).filter(({ key }) => this.has(key));
      if (events.length > 0) expect(await world.send(this.one, ...events)).toMatchObject({ tag: "decided" });
      for (const event of events) fold.take(event);
    }
    await world.clock.advance(200);
  }

  async head(): Promise<Stamp> {
    const log = this.world.db.log(this.world.address);
    return (await log.row()) === null ? stamp(1) : stamp(Math.max(1, (await log.explain(seq(0))).headStamp));
  }
}

type Step = "snapshot" | "restart" | readonly (readonly [string, number | string])[];

const STEP: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.array(
      fc.tuple(fc.constantFrom(...KEYS), fc.constantFrom<number | string>(1, 2, 3, 0, "gone", "boom")),
      { minLength: 1, maxLength: 5 },
    ),
  },
  { weight: 2, arbitrary: fc.constant("snapshot" as const) },
  { weight: 1, arbitrary: fc.constant("restart" as const) },
);

const SIZE: fc.Arbitrary<PageSize> = fc
  .tuple(
    fc.integer({ min: 1, max: 30 }),
    fc.constantFrom(1, 100, 4_000_000),
    fc.constantFrom(1, 60, 1_000_000),
    fc.integer({ min: 1, max: 40 }),
  )
  .map(([most, bytes, chars, scanned]) => ({ most, bounds: { bytes, chars, scanned } }));

describe("the changes of a partition", () => {
  it(
    "are those of a plain fold, over snapshots, archives in pieces and restarts, in pages of any size and from any line on",
    () =>
      fc.assert(
        fc.asyncProperty(
          fc.array(STEP, { minLength: 1, maxLength: 14 }),
          SIZE,
          SIZE,
          fc.constantFrom(1, SIZES.archiveBytes),
          async (steps, first, second, archiveBytes) => {
            const line = new Line(Object.assign(new World(), { sizes: { ...SIZES, archiveBytes } }));
            const fold = new Fold();
            for (const [n, step] of steps.entries()) await line.step(step, n, fold);
            const all = await follow([line.world], START, first);
            expect(all.map(told)).toEqual(fold.changes);
            expect(folded(all)).toEqual(await statesOf([line.world]));
            for (const [i, from] of all.entries())
              expect((await follow([line.world], from, second)).map(told)).toEqual(fold.changes.slice(i + 1));
            const some = await follow([line.world], START, second, (key) => key.startsWith("c"));
            expect(some.map(told)).toEqual(fold.changes.filter(({ key }) => key.startsWith("c")));
          },
        ),
        runs(40),
      ),
    PATIENCE_MS,
  );

  it(
    "go on over a fork: its own and those of its past, and none of the line that was left",
    () =>
      fc.assert(
        fc.asyncProperty(
          fc.array(STEP, { minLength: 1, maxLength: 8 }),
          fc.array(STEP, { minLength: 0, maxLength: 4 }),
          fc.array(STEP, { minLength: 0, maxLength: 5 }),
          fc.array(STEP, { minLength: 0, maxLength: 5 }),
          SIZE,
          SIZE,
          async (first, left, second, third, size, other) => {
            let n = 0;
            const fold = new Fold();
            const main = new Line(new World());
            for (const step of first) await main.step(step, n++, fold);
            const fork = new Line(main.world.fork(operator, await main.head()));
            for (const step of left) await main.step(step, n++, new Fold());
            for (const step of second) await fork.step(step, n++, fold);
            const before = await follow([fork.world], START, size);
            expect(before.map(told)).toEqual(fold.changes);
            for (const step of third) await fork.step(step, n++, fold);
            const last = before.at(-1) ?? START;
            const rest = await follow([fork.world], last, other);
            expect([...before, ...rest].map(told)).toEqual(fold.changes);
            expect(folded([...before, ...rest])).toEqual(await statesOf([fork.world]));
          },
        ),
        runs(30),
      ),
    PATIENCE_MS,
  );

  it(
    "go on over a split: each key's changes in their order, from any line that was read before",
    () =>
      fc.assert(
        fc.asyncProperty(
          fc.array(STEP, { minLength: 1, maxLength: 8 }),
          fc.array(STEP, { minLength: 0, maxLength: 6 }),
          fc.integer({ min: 2, max: 3 }),
          SIZE,
          SIZE,
          async (first, second, parts, size, other) => {
            let n = 0;
            const fold = new Fold();
            const main = new Line(new World());
            for (const step of first) await main.step(step, n++, fold);
            const earlier = await follow([main.world], START, size);
            const shares = main.world.split(operator, await main.head(), parts).map((share) => new Line(share));
            for (const step of second) {
              for (const one of shares) await one.step(step, n, fold);
              n += 1;
            }
            const worlds = shares.map(({ world }) => world);
            const all = await follow(worlds, START, other);
            expect(all.map(told)).toHaveLength(fold.changes.length);
            for (const key of KEYS)
              expect(all.filter((one) => one.key === key).map(told)).toEqual(
                fold.changes.filter((one) => one.key === key),
              );
            for (const [i, from] of earlier.entries()) {
              expect(told(all[i]!), "a split changes nothing of what was before it").toEqual(told(from));
              expect((await follow(worlds, from, size)).map(told)).toEqual(all.slice(i + 1).map(told));
            }
            expect(folded(all)).toEqual(await statesOf(worlds));
          },
        ),
        runs(30),
      ),
    PATIENCE_MS,
  );

  it("are those of edits and of retries as well, and none of an event that was refused or quarantined", async () => {
    const fuse = { lit: true };
    const by = sum({
      on: {
        add(state, event, ctx) {
          if (event.data === "boom" && fuse.lit) throw new Error("boom");
          if (event.data === 0) return ctx.refuse("zero");
          state.times += 1;
        },
      },
    });
    const world = new World();
    const one = world.start(by);
    await world.send(one, { id: "1", key: "a", data: "boom" }, { id: "2", key: "a", data: 0 });
    await world.send(one, { id: "3", key: "a", data: 1 }, { id: "boom", key: "a", data: "boom" });
    await world.clock.run(one.partition.snapshot());
    fuse.lit = false;
    await world.send(one, { id: "4", key: "a", type: RETRY, data: { seq: 1 } });
    await world.send(one, {
      id: "5",
      key: "b",
      type: PUT,
      data: { if: "none", version: 1, state: { total: 7, times: 0 } },
    });
    await world.send(one, { id: "dropped", key: "a", type: DELETE, data: { seq: 4 } });
    await world.send(one, { id: "6", key: "a", type: REMOVE, data: { if: "any", version: 1 } });
    const asked = { after: START, upTo: LAST, most: 100, bounds: BOUNDS, wanted: () => true };
    const page = await world.clock.run(nextChanges(world.reader(by), asked));
    if (page.tag === "gone") throw new Error("gone");
    expect(page.changes.map(({ key, text, event: { type, id } }) => [id, key, type, text])).toEqual([
      ["3", "a", "add", '{"total":0,"times":1}'],
      ["4", "a", RETRY, '{"total":0,"times":2}'],
      ["5", "b", PUT, '{"total":7,"times":0}'],
      ["6", "a", REMOVE, null],
    ]);
  });

  it("are those of timers and of expiry, as the events that they are in the log", async () => {
    const by = timed();
    const world = new World();
    const one = world.start(by);
    await world.send(one, { id: "1", key: "a", data: 5_000 }, { id: "2", key: "b", data: 7_000 });
    await world.clock.advance(6_000);
    await world.send(one, { id: "3", key: "b", data: 2 });
    await world.clock.run(one.partition.snapshot());
    await world.clock.advance(4_000_000);
    await world.clock.run(one.partition.wake());
    for (const most of [1, 100]) {
      const found: string[] = [];
      for (let after: FeedPlace | null = START; after !== null;) {
        const asked: ChangesAsked = { after, upTo: LAST, most, bounds: BOUNDS, wanted: () => true };
        const page: ChangesPage | Gone = await world.clock.run(nextChanges(world.reader(by), asked));
        if (page.tag === "gone") throw new Error("gone");
        found.push(...page.changes.map(({ key, text, event: { type } }) => `${key} ${type} ${text}`));
        after = page.end;
      }
      expect(found).toEqual([
        'a add {"seen":["add"]}',
        'b add {"seen":["add"]}',
        `a ${TIMER_TYPE} {"seen":["add","timer"]}`,
        'b add {"seen":["add","add"]}',
        `b ${TIMER_TYPE} {"seen":["add","add","timer"]}`,
        expect.stringMatching(/^[ab] keyframe\.timer null$/),
        expect.stringMatching(/^[ab] keyframe\.timer null$/),
      ]);
    }
  });

  it("are gone below what retention keeps, with the oldest stamp that is left", async () => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, { id: "1", key: "a", data: 1 });
    world.db.kept.set("1/sum/0000", { points: [], pins: [], retainFrom: stamp(9_000), archiveFrom: 0 });
    const asked = { after: placeAfter(stamp(8_999)), upTo: LAST, most: 100, bounds: BOUNDS, wanted: () => true };
    expect(await world.clock.run(nextChanges(world.reader(operator), asked))).toEqual({ tag: "gone", oldest: 9_000 });
  });

  it("are gone behind a savepoint that keeps its moment alone", async () => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, { id: "1", key: "a", data: 1 });
    const { headStamp: at } = await world.db.log(world.address).explain(seq(0));
    world.db.kept.set("1/sum/0000", { points: [], pins: [], retainFrom: stamp(at + 1), archiveFrom: 0 });
    world.db.savepoints.set(1, { number: 1, name: "kept", at, createdMs: 0, state: "held", line: 1 });
    expect(await world.clock.run(pastRange(world.reader(operator), at, "", ""))).toMatchObject({ tag: "read" });
    const asked = { after: placeAfter(at), upTo: LAST, most: 100, bounds: BOUNDS, wanted: () => true };
    expect(await world.clock.run(nextChanges(world.reader(operator), asked))).toEqual({ tag: "gone", oldest: at + 1 });
  });

  it("are complete though snapshots cut the log meanwhile", async () => {
    const world = new World();
    const one = world.start(operator);
    const fold = new Fold();
    for (let n = 0; n < 6; n++) {
      const event = { id: `${n}`, key: KEYS[n % 3]!, data: 1 };
      await world.send(one, event);
      fold.take(event);
      if (n === 2) await world.clock.run(one.partition.snapshot());
      await world.clock.advance(1_000);
    }
    const { headStamp: upTo } = await world.db.log(world.address).explain(seq(0));
    const env = world.reader(operator);
    let cuts = 0;
    const cut = async (): Promise<void> => {
      const opening = await env.log.peek();
      // A snapshot cuts what the one before it holds.
      for (; cuts < 3; cuts++) {
        await one.partition.append(world.slice([{ id: `later-${cuts}`, key: "later", data: 1 }]));
        await one.partition.snapshot();
      }
      expect((await env.log.peek())!.row.snapshotSeq).toBeGreaterThan(opening!.head);
    };
    const log = new Proxy(env.log, {
      get: (target, name) => {
        const method = Reflect.get(target, name, target) as (...args: unknown[]) => unknown;
        if (name !== "peek") return method.bind(target);
        return async () => {
          const opening = await target.peek();
          if (cuts === 0) await cut();
          return opening;
        };
      },
    });
    const asked = { after: START, upTo, most: 100, bounds: BOUNDS, wanted: () => true };
    const page = await world.clock.run(nextChanges({ ...env, log }, asked));
    expect(page.tag === "page" && page.changes.map(told)).toEqual(fold.changes);
    expect(cuts).toBe(3);
  });

  it("say that they aren't exact where another version applied the events, and end at the stamp", async () => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, { id: "1", key: "a", data: 1 });
    const { headStamp } = await world.db.log(world.address).explain(seq(0));
    await world.clock.advance(1_000);
    await world.send(one, { id: "2", key: "a", data: 1 });
    const newer = sum({ version: 2, migrate: { 2: (old) => old } });
    const asked = { after: START, upTo: headStamp, most: 100, bounds: BOUNDS, wanted: () => true };
    const page = await world.clock.run(nextChanges(world.reader(newer), asked));
    expect(page).toMatchObject({ tag: "page", exact: false, end: null, changes: [{ key: "a", seq: 1 }] });
  });
});
