/** A line of history that starts from another one: its state, its own events, and what neither does to the other. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { seq, type Stamp, stamp } from "../../../src/engine/base/ids.ts";
import { brotli } from "../../../src/adapters/brotli.ts";
import type { Log } from "../../../src/engine/base/ports.ts";
import { differences } from "../../../src/engine/history/differences.ts";
import { history } from "../../../src/engine/history/history.ts";
import { pastKeys } from "../../../src/engine/history/past.ts";
import { DUPLICATE, STATUS } from "../../../src/engine/partition/protocol.ts";
import { MemoryLines } from "../../../src/testkit/memory-timelines.ts";
import { readManifest } from "../../../src/engine/snapshot/manifest.ts";
import { sum } from "../fakes/sum.ts";
import { words, World, type Incarnation, type Sent } from "../fakes/world.ts";
import { PATIENCE_MS, runs } from "../hostile.ts";

const operator = sum();
const KEYS = ["a", "b", "c", "d"];

type States = ReadonlyMap<string, string>;

async function states(world: World, one: Incarnation): Promise<States> {
  const { items } = await world.clock.run(one.partition.scan("", "", 1_000, 1_000_000));
  return new Map(items.map(([key, { text }]) => [key, text]));
}

async function past(world: World, at: Stamp, by = operator): Promise<States> {
  const read = await world.clock.run(pastKeys(world.reader(by), at, KEYS, 1_000_000));
  if (read.tag === "gone") throw new Error("gone");
  return new Map(read.entries.flatMap((entry, i) => (entry === null ? [] : [[KEYS[i]!, entry.text] as const])));
}

const headStamp = async (world: World): Promise<Stamp> => {
  const log = world.db.log(world.address);
  return (await log.row()) === null ? stamp(0) : (await log.explain(seq(0))).headStamp;
};

interface At {
  readonly world: World;
  readonly at: Stamp;
}

async function differing(from: At, to: At): Promise<string[]> {
  const [left, right] = [from, to].map(({ world, at }) => ({ env: world.reader(operator), at }));
  const { clock } = from.world;
  const found = await clock.run(differences(left!, right!, { prefix: "", only: null }));
  if (found.tag === "gone") throw new Error("gone");
  const keys: string[] = [];
  for (;;) {
    const page = await clock.run(found.pages.next());
    if (page.done === true) return keys;
    keys.push(...page.value.items.map(({ key }) => key));
  }
}

/** The events of one line, and its state at each moment. */
class Line {
  readonly world: World;
  one: Incarnation;
  readonly moments: { at: Stamp; states: States }[] = [];
  readonly sent: Sent[] = [];

  constructor(world: World, by = operator) {
    this.world = world;
    this.one = world.start(by);
  }

  async step(step: Step, n: number): Promise<void> {
    const { world } = this;
    if (step === "snapshot") await world.clock.run(this.one.partition.snapshot());
    else if (step === "restart") {
      this.one.crashed = true;
      this.one = world.start(operator);
    } else {
      const events = step.map(([key, data], i) => ({ id: `e${n}-${i}`, key, data: data === 5 ? "boom" : data }));
      this.sent.push(...events);
      expect(await world.send(this.one, ...events)).toMatchObject({ tag: "decided" });
    }
    await world.clock.advance(200);
    const now = await states(world, this.one);
    this.moments.push({ at: await headStamp(world), states: now });
  }
}

type Step = "snapshot" | "restart" | readonly (readonly [string, number])[];

const STEP: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.array(fc.tuple(fc.constantFrom(...KEYS), fc.integer({ min: 0, max: 5 })), {
      minLength: 1,
      maxLength: 3,
    }),
  },
  { weight: 2, arbitrary: fc.constant("snapshot" as const) },
  { weight: 1, arbitrary: fc.constant("restart" as const) },
);

describe("a line that starts from another one (ORIGIN1)", () => {
  it("knows its own ids after a restart if it starts where the other line had nothing", async () => {
    const main = new World();
    const fork = main.fork(operator, stamp(1));
    const event = { id: "once", key: "a", data: 1 };
    expect(words(await fork.send(fork.start(operator), event))).toEqual(["applied"]);
    expect(words(await fork.send(fork.start(operator), event))).toEqual(["applied again"]);
  });

  it(
    "begins with its state at any moment, goes its own way over snapshots and restarts, and a line starts from it too",
    () =>
      fc.assert(
        fc.asyncProperty(
          fc.array(STEP, { minLength: 1, maxLength: 8 }),
          fc.array(STEP, { minLength: 0, maxLength: 6 }),
          fc.array(STEP, { minLength: 0, maxLength: 4 }),
          fc.nat(),
          fc.nat(),
          async (first, second, third, pick, pickNext) => {
            let n = 0;
            const main = new Line(new World());
            for (const step of first) await main.step(step, n++);
            const start = main.moments[pick % main.moments.length]!;
            main.world.db.savepoints.set(1, hold(start.at, 1));
            const fork = new Line(main.world.fork(operator, start.at));
            expect(await states(fork.world, fork.one)).toEqual(start.states);
            for (const [i, step] of second.entries()) {
              await fork.step(step, n++);
              if (i % 2 === 0) await main.step(step, n++);
            }
            const next = [start, ...fork.moments][pickNext % (fork.moments.length + 1)]!;
            fork.world.db.savepoints.set(2, hold(next.at, 2));
            const child = new Line(fork.world.fork(operator, next.at));
            for (const step of third) {
              await child.step(step, n++);
              await main.step(step, n++);
            }
            for (const line of [main, fork, child]) {
              for (const { at, states: then } of line.moments) expect(await past(line.world, at)).toEqual(then);
              line.one.crashed = true;
              const again = line.world.start(operator);
              const last = line === main ? start : line === fork ? start : next;
              const now = line.moments.at(-1)?.states ?? last.states;
              expect(await states(line.world, again)).toEqual(now);
              await line.world.clock.run(again.partition.snapshot());
              expect(await line.world.clock.run(again.partition.verify())).not.toMatchObject({ tag: "differs" });
            }
            // Any two moments of any two lines differ by what their states say.
            const moments = [main, fork, child].flatMap(({ world, moments: all }) =>
              all.map((moment) => ({ ...moment, world })),
            );
            for (let i = 0; i < 8 && moments.length > 0; i++) {
              const [from, to] = [moments[(pick + 7 * i) % moments.length]!, moments[(pickNext + i) % moments.length]!];
              expect(await differing(from, to)).toEqual(
                KEYS.filter((key) => from.states.get(key) !== to.states.get(key)),
              );
            }
            // An event from before the start reads the same on the fork.
            for (const { at, states: then } of main.moments)
              if (at <= start.at) expect(await past(child.world, at)).toEqual(then);
          },
        ),
        runs(60),
      ),
    PATIENCE_MS,
  );

  it("knows the ids that were logged before its start, and no others", async () => {
    const main = new Line(new World());
    await main.step([["a", 1]], 1);
    const at = await headStamp(main.world);
    await main.step([["a", 2]], 2);
    const world = main.world.fork(operator, at);
    const one = world.start(operator);
    const [before, after] = main.sent;
    const answer = await world.send(one, before!, after!);
    expect(answer).toMatchObject({ tag: "decided" });
    expect([...("statuses" in answer ? answer.statuses : [])].map(Number)).toEqual([DUPLICATE, STATUS.applied]);
    expect(await states(world, one)).toEqual(await states(main.world, main.one));
  });

  it("has the history of both, with its own events on top", async () => {
    const main = new Line(new World());
    for (const n of [1, 2, 3]) await main.step([["a", n]], n);
    await main.world.clock.run(main.one.partition.snapshot());
    const at = await headStamp(main.world);
    await main.step([["a", 4]], 4);
    const world = main.world.fork(operator, at);
    const one = world.start(operator);
    const unwritten = await world.clock.run(history(world.reader(operator), "a", null, { items: 10 }));
    expect(unwritten.items.map(({ event }) => event.id)).toEqual(["e3-0", "e2-0", "e1-0"]);
    await world.send(one, { id: "own", key: "a", data: 1 });
    for (const snapshots of [0, 1, 2]) {
      const { items } = await world.clock.run(history(world.reader(operator), "a", null, { items: 10 }));
      expect(items.map(({ event, seq: n }) => [event.id, Number(n)])).toEqual([
        ["own", 4],
        ["e3-0", 3],
        ["e2-0", 2],
        ["e1-0", 1],
      ]);
      expect(
        items
          .map(({ value }) => (value.tag === "known" ? value.text : value.why))
          .every((text) => text !== null && text.includes("total")),
      ).toBe(true);
      if (snapshots < 2) {
        await world.send(one, { id: `other-${snapshots}`, key: "b", data: 1 });
        await world.clock.run(one.partition.snapshot());
      }
    }
  });

  it("asks for its origin while it asks for its own row, and no more once it has a snapshot of its own", async () => {
    const main = new Line(new World());
    await main.step([["a", 1]], 1);
    const world = main.world.fork(operator, await headStamp(main.world));
    const asked: string[] = [];
    const { origin } = world;
    Object.assign(world, { origin: { at: origin!.at, env: { ...origin!.env, log: told(origin!.env.log, asked) } } });
    await states(world, world.start(operator));
    for (const what of ["a read", "events"]) {
      asked.length = 0;
      let answer = (): void => undefined;
      const answered = new Promise<void>((resolve) => (answer = resolve));
      world.fates = ({ method }) => (method === "peek" || method === "open" ? { answered } : "ok");
      const next = world.start(operator);
      const done = what === "a read" ? states(world, next) : world.send(next, { id: "e", key: "b", data: 1 });
      await world.clock.advance(10);
      expect(asked, what).toEqual(["roots", "peek"]);
      answer();
      await done;
      expect(asked, what).toEqual(["roots", "peek"]);
      world.fates = () => "ok";
    }
    const last = world.start(operator);
    await world.send(last, { id: "f", key: "b", data: 1 });
    await world.clock.run(last.partition.snapshot());
    asked.length = 0;
    expect([...(await states(world, world.start(operator))).keys()]).toEqual(["a", "b"]);
    expect(asked).toEqual([]);
  });

  it("PAST5: a further base asks anew for the log above it", async () => {
    const main = new Line(new World());
    const { world } = main;
    for (const n of [1, 2]) {
      await main.step([["a", n]], n);
      await main.step("snapshot", n);
    }
    const asked: string[] = [];
    const reader = world.reader(operator);
    const env = { ...reader, log: told(reader.log, asked) };
    const { snapshot } = readManifest(world.db.rows.get("1/sum/0000")!.manifest!, brotli.crc32);
    world.store.objects.delete(snapshot.name);
    const read = await world.clock.run(pastKeys(env, await headStamp(world), ["a"], 1_000));
    expect(read).toMatchObject({ tag: "read", entries: [{ text: '{"total":3,"times":2}' }] });
    expect(asked.filter((method) => method === "peek")).toHaveLength(2);
  });

  it("takes no events while it is sealed, shows its state, and continues after the seal is gone", async () => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, { id: "1", key: "a", data: 1 });
    world.db.first.open = false;
    const next = world.start(operator);
    expect(await world.send(next, { id: "2", key: "a", data: 1 })).toMatchObject({ tag: "busy", code: "line_sealed" });
    expect(next.partition.sealed).toBe(true);
    expect(next.ended).toBeNull();
    expect((await states(world, next)).size).toBe(1);
    world.db.first.open = true;
    expect(await world.send(next, { id: "2", key: "a", data: 1 })).toMatchObject({ tag: "decided" });
    expect(next.partition.sealed).toBe(false);
  });

  it("LINE5: an object whose line was replaced answers no repeat: main may have given the event up", async () => {
    const world = new World();
    const one = world.start(operator);
    const event = { id: "1", key: "a", data: 1 };
    await world.send(one, event);
    expect(await world.send(one, event)).toMatchObject({ tag: "decided", statuses: new Uint8Array([DUPLICATE]) });
    world.db.first.open = false;
    expect(await world.send(one, event)).toMatchObject({ tag: "busy", code: "line_sealed" });
  });

  it("a writer whose line was sealed under it ends, and the next one refuses", async () => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, { id: "1", key: "a", data: 1 });
    world.db.first.open = false;
    expect(await world.send(one, { id: "2", key: "a", data: 1 })).toMatchObject({ tag: "busy" });
    expect(one.ended).toContain("not open");
    expect(await world.send(world.start(operator), { id: "2", key: "a", data: 1 })).toMatchObject({
      code: "line_sealed",
    });
  });
});

describe("a line whose origin was removed (ORIGIN3)", () => {
  const DAYS = 12;
  const retaining = sum({ snapshot: { maxTailBytes: 256_000_000, retain: "1d" } });

  /** A line that gave up all moments up to its start, after the line that it started from was removed. */
  async function alone() {
    const main = new Line(new World());
    for (const n of [1, 2]) await main.step([["a", n]], n);
    const before = main.moments[0]!;
    const at = await headStamp(main.world);
    const fork = new Line(main.world.fork(retaining, at), retaining);
    for (let day = 0; day < DAYS; day++) {
      await fork.step([["b", 1]], 10 + day);
      await fork.step("snapshot", day);
      await fork.world.clock.advance(5 * 60 * 60_000);
    }
    const { db, store } = main.world;
    const readers = { line: 2, at, past: [{ line: 1, at }] };
    expect(await new MemoryLines(db).readers(readers)).toEqual({ partitions: 0, first: null });
    await new MemoryLines(db).drop(1);
    for (const name of store.objects.keys()) if (name.startsWith("1/")) store.objects.delete(name);
    return { main, fork, before, at };
  }

  it("keeps its state over restarts, and has given up what was before", async () => {
    const { fork, before, at } = await alone();
    const { world } = fork;
    const now = await states(world, fork.one);
    expect([...now.keys()]).toEqual(["a", "b"]);
    const again = world.start(retaining);
    expect(await states(world, again)).toEqual(now);
    const env = world.reader(retaining);
    const { retainFrom } = (await env.log.roots())!;
    expect(retainFrom).toBeGreaterThan(at);
    for (const moment of [before.at, at])
      expect(await world.clock.run(pastKeys(env, moment, KEYS, 1_000))).toEqual({ tag: "gone", oldest: retainFrom });
    const head = await headStamp(world);
    expect(await past(world, head, retaining)).toEqual(now);
    for (const [from, to] of [
      [before.at, head],
      [head, before.at],
      [before.at, at],
    ] as const)
      expect(
        await world.clock.run(differences({ env, at: from }, { env, at: to }, { prefix: "", only: null })),
      ).toMatchObject({ tag: "gone" });
    const { items, bottom } = await world.clock.run(history(env, "a", null, { items: 10 }));
    expect([items, bottom]).toEqual([[], "given up"]);
    const page = await world.clock.run(history(env, "b", seq(3), { items: 10 }));
    expect([page.items, page.bottom]).toEqual([[], "given up"]);
  });

  it("differs from a line that started where it did by their keys, though the log between is given up", async () => {
    const { main, fork, at } = await alone();
    const other = { world: main.world.fork(retaining, at, 3), at: stamp(at + 1) };
    other.world.db.rows.set("3/sum/0000", structuredClone(main.world.db.rows.get("2/sum/0000")!));
    const { world } = fork;
    const env = world.reader(retaining);
    const head = await headStamp(world);
    const found = await world.clock.run(
      differences({ env, at: head }, { env: other.world.reader(retaining), at: head }, { prefix: "", only: null }),
    );
    expect(found.tag).toBe("differences");
  });

  it("a partition that was never used begins with nothing, and a row that was lost with an error", async () => {
    const { main, fork } = await alone();
    const { world } = fork;
    const unused = Object.assign(world.fork(retaining, stamp(1), 2), {
      address: { ...world.address, partition: 1 },
      origin: {
        at: world.origin!.at,
        env: { ...world.origin!.env, log: main.world.db.log({ line: 1, operator: "sum", partition: 1 }) },
      },
    });
    expect((await states(unused, unused.start(retaining))).size).toBe(0);
    expect((await past(unused, await headStamp(world), retaining)).size).toBe(0);
    // D1 was restored to the time before the first snapshot.
    const row = world.db.rows.get("2/sum/0000")!;
    Object.assign(row, {
      version: 0,
      manifest: null,
      previous: null,
      snapshotSeq: row.startSeq,
      snapshotStamp: stamp(1),
    });
    world.db.kept.delete("2/sum/0000");
    const env = world.reader(retaining);
    await expect(world.clock.run(pastKeys(env, stamp(world.origin!.at + 1), KEYS, 1_000))).rejects.toMatchObject({
      code: "moment_gone",
    });
  });
});

/** The log, which says what it was asked for. */
const told = (log: Log, asked: string[]): Log =>
  new Proxy(log, {
    get: (target, name) => {
      const method = Reflect.get(target, name, target) as (...args: unknown[]) => unknown;
      return (...args: unknown[]) => {
        asked.push(String(name));
        return Reflect.apply(method, target, args);
      };
    },
  });

const hold = (at: Stamp, line: number) =>
  ({ number: line, name: `hold-${line}`, at, createdMs: 0, state: "held", line }) as const;
