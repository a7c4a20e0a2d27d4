/** Partitions that start from one partition of another line, each with a share of its keys (SHARE1, SHARE2). */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { brotli } from "../../../src/adapters/brotli.ts";
import { seq, type Stamp, stamp } from "../../../src/engine/base/ids.ts";
import { partsIn } from "../../../src/engine/base/records.ts";
import { partitionAmong } from "../../../src/engine/operator/key-placement.ts";
import { differences } from "../../../src/engine/history/differences.ts";
import { history } from "../../../src/engine/history/history.ts";
import { pastRange } from "../../../src/engine/history/past.ts";
import { readManifest } from "../../../src/engine/snapshot/manifest.ts";
import type { Entries } from "../../../src/engine/state/keyed-state.ts";
import { sum } from "../fakes/sum.ts";
import { words, World, type Incarnation, type Sent } from "../fakes/world.ts";
import { PATIENCE_MS, runs } from "../hostile.ts";

const operator = sum();
const KEYS = Array.from({ length: 12 }, (_, i) => `key-${i}`);

type States = Readonly<Record<string, string>>;

async function states(world: World, one: Incarnation): Promise<States> {
  const { items } = await world.clock.run(one.partition.scan("", "", 1_000, 1_000_000));
  return Object.fromEntries(items.map(([key, { text }]) => [key, text]));
}

const past = (world: World, at: Stamp): Promise<States> => world.clock.run(pastOf(world, at));

async function pastOf(world: World, at: Stamp): Promise<States> {
  const read = await pastRange(world.reader(operator), at, "", "");
  if (read.tag === "gone") throw new Error("gone");
  const found: Record<string, string> = {};
  for await (const chunk of read.chunks as AsyncIterable<Entries>)
    for (const [key, entry] of chunk) if (entry !== null) found[key] = entry.text;
  return found;
}

async function differing(world: World, at: Stamp): Promise<string[]> {
  const env = world.reader(operator);
  const found = await differences({ env, at }, { env, at: LAST }, { prefix: "", only: null });
  if (found.tag === "gone") throw new Error("gone");
  const keys: string[] = [];
  for await (const { items } of found.pages) keys.push(...items.map(({ key }) => key));
  return keys.sort();
}

/** One partition as its senders see it, with the events that it was sent. */
class Line {
  readonly world: World;
  one: Incarnation;
  readonly sent: Sent[];
  readonly moments: { readonly at: Stamp; readonly states: States }[] = [];

  constructor(world: World, sent: readonly Sent[] = []) {
    this.world = world;
    this.one = world.start(operator);
    this.sent = sent.filter(({ key }) => this.has(key!));
  }

  has(key: string): boolean {
    const { seed, partition, partitions = 1 } = this.world.address;
    return partitionAmong(operator, key, seed, partitions) === partition;
  }

  async step(step: Step, n: number): Promise<void> {
    const { world } = this;
    if (step === "snapshot") await world.clock.run(this.one.partition.snapshot());
    else if (step === "restart") {
      this.one.crashed = true;
      this.one = world.start(operator);
    } else {
      const events = step
        .map(([key, data], i) => ({ id: `e${n}-${i}`, key, data: data === 5 ? "boom" : data }))
        .filter(({ key }) => this.has(key));
      this.sent.push(...events);
      if (events.length > 0) expect(await world.send(this.one, ...events)).toMatchObject({ tag: "decided" });
    }
    await world.clock.advance(200);
    const log = world.db.log(world.address);
    const at = (await log.row()) === null ? stamp(0) : (await log.explain(seq(0))).headStamp;
    this.moments.push({ at, states: await states(world, this.one) });
  }

  get now(): Promise<States> {
    return states(this.world, this.one);
  }

  async quarantined(): Promise<string[]> {
    const { items } = await this.world.clock.run(this.one.partition.quarantined(seq(0), 1_000, 1_000_000, {}));
    return items.map(({ key }) => key).sort();
  }
}

type Step = "snapshot" | "restart" | readonly (readonly [string, number])[];

const STEP: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.array(fc.tuple(fc.constantFrom(...KEYS), fc.integer({ min: 0, max: 5 })), {
      minLength: 1,
      maxLength: 5,
    }),
  },
  { weight: 2, arbitrary: fc.constant("snapshot" as const) },
  { weight: 1, arbitrary: fc.constant("restart" as const) },
);

/** Splits a partition at its end, and checks that every key is in one share with all that is known of it. */
async function splitUp(line: Line, parts: number): Promise<Line[]> {
  const { world } = line;
  const log = world.db.log(world.address);
  const at = (await log.row()) === null ? stamp(1) : stamp(Math.max(1, (await log.explain(seq(0))).headStamp));
  const [before, quarantine] = [await line.now, await line.quarantined()];
  const shares = world.split(operator, at, parts).map((share) => new Line(share, line.sent));
  const found = await Promise.all(shares.map((one) => one.now));
  expect(Object.assign({}, ...found)).toEqual(before);
  for (const [i, one] of shares.entries()) {
    expect(Object.keys(found[i]!).every((key) => one.has(key))).toBe(true);
    if (one.sent.length > 0) {
      const repeats = words(await one.world.send(one.one, ...one.sent)) as string[];
      expect(repeats.every((word) => word.endsWith(" again"))).toBe(true);
    }
  }
  const kept = (await Promise.all(shares.map((one) => one.quarantined()))).flat();
  expect(kept.sort()).toEqual(quarantine);
  return shares;
}

async function check(line: Line): Promise<void> {
  const { world } = line;
  const now = await line.now;
  line.one.crashed = true;
  line.one = world.start(operator);
  expect(await line.now).toEqual(now);
  for (const { at, states: then } of line.moments) expect(await past(world, at)).toEqual(then);
  await world.clock.run(line.one.partition.snapshot());
  expect(await world.clock.run(line.one.partition.verify())).not.toMatchObject({ tag: "differs" });
  const row = await world.db.log(world.address).row();
  if (row?.manifest != null)
    expect(readManifest(row.manifest, brotli.crc32).keys, "its own keys are counted").toBe(Object.keys(now).length);
  line.one.crashed = true;
  line.one = world.start(operator);
  expect(await line.now).toEqual(now);
}

describe("a share of a partition's keys", () => {
  it(
    "has the states, ids and quarantine of its keys, goes its own way, and is split again",
    () =>
      fc.assert(
        fc.asyncProperty(
          fc.array(STEP, { minLength: 1, maxLength: 8 }),
          fc.array(STEP, { minLength: 0, maxLength: 5 }),
          fc.array(STEP, { minLength: 0, maxLength: 4 }),
          fc.integer({ min: 2, max: 4 }),
          fc.integer({ min: 2, max: 3 }),
          async (first, second, third, parts, again) => {
            let n = 0;
            const main = new Line(new World());
            for (const step of first) await main.step(step, n++);
            const shares = await splitUp(main, parts);
            for (const step of second) {
              for (const one of shares) await one.step(step, n);
              n += 1;
            }
            const smaller = await splitUp(shares.at(-1)!, again);
            for (const step of third) {
              for (const one of smaller) await one.step(step, n);
              n += 1;
            }
            for (const one of [...shares, ...smaller]) await check(one);
            // A moment from before is read from each share, and together they have what was there.
            const all = [...shares.slice(0, -1), ...smaller];
            for (const { at, states: then } of main.moments) {
              const found = await Promise.all(all.map((one) => past(one.world, at)));
              expect(found.reduce((sum_, one) => sum_ + Object.keys(one).length, 0)).toBe(Object.keys(then).length);
              expect(Object.assign({}, ...found)).toEqual(then);
            }
            const [one] = smaller;
            for (const { at, states: then } of main.moments.slice(-2)) {
              const now = await one!.now;
              const changed = KEYS.filter((key) => one!.has(key) && then[key] !== now[key]);
              expect(await one!.world.clock.run(differing(one!.world, at))).toEqual(changed.sort());
            }
          },
        ),
        runs(60),
      ),
    PATIENCE_MS,
  );

  it("takes a key that has no group any more into the first share alone", async () => {
    const main = new Line(new World());
    await main.step(
      [
        ["key-0", 1],
        ["key-1", 2],
      ],
      0,
    );
    const log = main.world.db.log(main.world.address);
    const at = (await log.explain(seq(0))).headStamp;
    const without = sum({
      group(key) {
        if (key === "key-1") throw new Error("no group");
        return key;
      },
    });
    const shares = main.world.split(without, at, 3);
    const found = await Promise.all(
      shares.map(async (world) => Object.keys(await states(world, world.start(without)))),
    );
    expect(found.map((keys) => keys.includes("key-1"))).toEqual([true, false, false]);
    expect(found.flat().sort()).toEqual(["key-0", "key-1"]);
  });

  it("QUOTA4: counts its part of the events that the whole had taken on that day", async () => {
    const bounded = sum({ maxEventsPerDay: 24 });
    const world = new World();
    const one = world.start(bounded);
    const events = KEYS.slice(0, 8).map((key, i) => ({ id: `q-${i}`, key, data: 1 }));
    expect(await world.send(one, ...events)).toMatchObject({ tag: "decided" });
    const at = (await world.db.log(world.address).explain(seq(0))).headStamp;
    // Each of two parts may take 12 a day, and the 8 of the whole count as 4.
    for (const share of world.split(bounded, at, 2)) {
      const part = share.start(bounded);
      const { partition } = share.address;
      const own = Array.from({ length: 9 }, (_, i) => ({ id: `own-${i}`, key: `any-${partition}-${i}`, data: 1 }));
      expect(await share.send(part, ...own)).toMatchObject({ tag: "busy", code: "quota_exceeded" });
      expect(await share.send(part, ...own.slice(0, 8))).toMatchObject({ tag: "decided" });
      expect(await share.send(part, own[8]!)).toMatchObject({ tag: "busy", code: "quota_exceeded" });
    }
  });

  it("knows an id that another share's key has used", async () => {
    const main = new Line(new World());
    await main.step([["key-0", 1]], 0);
    const shares = await splitUp(main, 3);
    const other = shares.find((one) => !one.has("key-0"))!;
    const key = KEYS.find((one) => other.has(one))!;
    expect(words(await other.world.send(other.one, { id: "e0-0", key, data: 1 }))).toEqual(["reused"]);
  });

  it("continues the seqs, and a key's history goes down into the partition that it comes from", async () => {
    const main = new Line(new World());
    for (let i = 0; i < 3; i++)
      await main.step(
        KEYS.map((key) => [key, 1 + i] as const),
        i,
      );
    const shares = await splitUp(main, 2);
    const one = shares.find((share) => share.has("key-0"))!;
    await one.step([["key-0", 4]], 9);
    const page = await one.world.clock.run(history(one.world.reader(operator), "key-0", null, { items: 10 }));
    expect(page.items.length).toBe(4);
    const seqs = page.items.map((item) => item.seq);
    expect(seqs).toEqual([...seqs].sort((a, b) => b - a));
    expect(seqs[0]).toBe(37);
  });
});

it("an operator may be named as a member that each object has", () => {
  for (const split of [undefined, {}, { usage: 2 }]) expect(partsIn(split, "constructor")).toBe(1);
  expect(partsIn({ constructor: 3 }, "constructor")).toBe(3);
});

const LAST = stamp(Number.MAX_SAFE_INTEGER);
