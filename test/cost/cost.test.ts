/** The estimated cost of a load, against what partitions count when they have it. */
import { MARK_MS } from "../../src/engine/base/limits.ts";
import { describe, expect, it } from "vitest";
import { brotli } from "../../src/adapters/brotli.ts";
import { countOf, laterOf, readCounters, type Counter, type CounterRow } from "../../src/engine/base/counters.ts";
import { billOf, MONTH_SECONDS, operationsFor, snapshotSeconds, stepsOf, type Load } from "../../src/cost/cost.ts";
import { readManifest } from "../../src/engine/snapshot/manifest.ts";
import { readRiding } from "../../src/engine/recovery/open-partition.ts";
import { sum } from "../engine/fakes/sum.ts";
import { World } from "../engine/fakes/world.ts";

const LOAD: Load = {
  eventsPerSecond: 10,
  batch: 10,
  partitions: 1,
  eventBytes: 100,
  commitMs: 20,
  snapshot: { everyMs: 300_000, maxTailBytes: 4_000_000, recoveryMs: 1_000 },
  retainMs: 7 * 86_400_000,
  stateBytes: 10_000,
  changedBytes: 10_000,
};
const NAME = "1/sum/0000";

function counted(world: World): CounterRow {
  const text = world.db.rows.get(NAME)?.manifest ?? null;
  const manifest = text === null ? null : readManifest(text, brotli.crc32);
  const stats = world.db.segments.get(NAME)?.at(-1)?.stats ?? null;
  return laterOf([readRiding(stats).counters, manifest?.counters].map(readCounters));
}

interface Run {
  readonly seconds: number;
  readonly gapSeconds: number;
  readonly batch: number;
  /** The object leaves the memory between two requests. */
  readonly sleeps: boolean;
}

/** A partition under that load, after an hour of warming up; alarms come when they are armed for. */
async function run({ seconds, gapSeconds, batch, sleeps }: Run): Promise<(name: Counter) => number> {
  const world = new World();
  const operator = sum();
  let one = world.start(operator);
  let armed: number | null = null;
  let id = 0;
  const pass = async (until: number): Promise<void> => {
    for (let woken = 0; (armed = one.armed ?? (sleeps ? armed : null)) !== null && armed <= until; woken++) {
      expect(woken, "alarms without end").toBeLessThan(20);
      await world.clock.advance(Math.max(0, armed - world.clock.now()));
      one.armed = armed = null;
      await world.clock.run(one.partition.wake());
    }
    await world.clock.advance(Math.max(0, until - world.clock.now()));
  };
  const feed = async (until: number): Promise<void> => {
    while (world.clock.now() < until) {
      await world.send(one, ...Array.from({ length: batch }, () => ({ id: `e${++id}`, key: `k${id % 50}`, data: 1 })));
      await pass(world.clock.now() + gapSeconds * 1_000);
      if (!sleeps) continue;
      one.crashed = true;
      armed = one.armed;
      one = world.start(operator);
      one.armed = armed;
    }
  };
  await feed(world.clock.now() + 3_600_000);
  const before = counted(world);
  await feed(world.clock.now() + seconds * 1_000);
  const after = counted(world);
  return (name) => countOf(after, name) - countOf(before, name);
}

describe("the cost of a load", () => {
  it.each<[string, Run]>([
    ["a steady one: snapshots every five minutes", { seconds: 7_200, gapSeconds: 2, batch: 20, sleeps: false }],
    ["small groups", { seconds: 3_600, gapSeconds: 0.5, batch: 2, sleeps: false }],
    ["large ones, seldom", { seconds: 7_200, gapSeconds: 9, batch: 200, sleeps: false }],
    ["one that finds the object asleep each time", { seconds: 10_800, gapSeconds: 30, batch: 50, sleeps: true }],
  ])("C2: the operations of %s are what a partition counts", async (_, load) => {
    const n = await run(load);
    const snapshots = n("fullSnapshots") + n("deltaSnapshots");
    const openings = load.sleeps ? n("recoveries") : 0;
    const steps = {
      events: n("applied"),
      requests: n("slices"),
      slices: n("slices"),
      groups: n("segments"),
      openings,
      marks: Math.min(openings, (load.seconds * 1_000) / MARK_MS),
      snapshots,
      fullSnapshots: n("fullSnapshots"),
      parts: 1,
    };
    const names = ["applied", "slices", "segments"] as const;
    expect(snapshots).toBeGreaterThan(3);
    expect(names.every((name) => n(name) > 0)).toBe(true);
    const said = operationsFor(steps);
    const ratio = (said: number | undefined, real: number): number => (said ?? 0) / real;
    const within = (what: string, value: number, least: number, most: number): void => {
      expect(value, what).toBeGreaterThan(least);
      expect(value, what).toBeLessThan(most);
    };
    within("D1 rows written", ratio(said.d1RowsWritten, n("d1RowsWritten")), 0.97, 1.08);
    within("R2 class A", ratio(said.r2ClassA, n("r2ClassA")), 0.85, 1.15);
    within("calls", ratio(said.objectRequests, n("slices") + n("wakes")), 0.94, 1.06);
    within("D1 rows read", ratio(said.d1RowsRead, n("d1RowsRead")), 0.7, 1.4);
    // The world's cache is shut, so an opening fetches and keeps what in an object would be there.
    if (!load.sleeps) within("own rows", ratio(said.objectRowsWritten, n("ownRowsWritten")), 0.7, 1.3);
    // And how often snapshots come is what the policy was asked.
    const rate = load.batch / load.gapSeconds;
    const seconds = snapshotSeconds({ ...LOAD, eventsPerSecond: rate, eventBytes: 60 });
    within("snapshots", load.seconds / seconds / snapshots, 0.75, 1.35);
  });

  it("groups come as fast as commits let them, and a sleeper is opened by each event", () => {
    const busy = stepsOf({ ...LOAD, eventsPerSecond: 1_000, batch: 1, commitMs: 20 });
    expect(busy.groups / MONTH_SECONDS).toBeCloseTo(50, 0);
    const idle = stepsOf({ ...LOAD, eventsPerSecond: 1 / 600, batch: 1 });
    expect(idle.groups / idle.events).toBeCloseTo(1, 2);
    expect(idle.openings / idle.events).toBeGreaterThan(0.98);
    expect(stepsOf({ ...LOAD, eventsPerSecond: 100, batch: 1 }).openings).toBeLessThan(1);
  });

  it("C1: the policy says when: every five minutes, after 1,000 events, once a day, at a full tail", () => {
    const every = (more: Partial<Load>): number => Math.round(snapshotSeconds({ ...LOAD, ...more }));
    expect(every({ eventsPerSecond: 10 })).toBe(300);
    expect(every({ eventsPerSecond: 1 })).toBe(1_000);
    expect(every({ eventsPerSecond: 0.001 })).toBe(86_400);
    expect(every({ eventsPerSecond: 400, eventBytes: 1_000 })).toBe(10);
  });

  it("adds up, takes off what is included, and warns of what doesn't fit", () => {
    const bill = billOf({ ...LOAD, eventsPerSecond: 10_000, batch: 1 });
    expect(bill.lines.reduce((total, line) => total + line.dollars, 0)).toBeCloseTo(bill.dollars, 6);
    expect(bill.beyond).toBeLessThan(bill.dollars);
    expect(bill.warnings.join()).toMatch(/10000 calls a second.*20 partitions/);
    expect(billOf({ ...LOAD, eventsPerSecond: 1, batch: 1 })).toMatchObject({ warnings: [] });
    expect(billOf({ ...LOAD, eventsPerSecond: 0 }).dollars).toBeCloseTo(0, 3);
  });
});
