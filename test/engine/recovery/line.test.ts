/** A line of history that starts from another one: its state, its own events, and what neither does to the other. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { seq, type Stamp, stamp } from "../../../src/engine/base/ids.ts";
import { differences } from "../../../src/engine/history/differences.ts";
import { history } from "../../../src/engine/history/history.ts";
import { pastKeys } from "../../../src/engine/history/past.ts";
import { DUPLICATE, STATUS } from "../../../src/engine/partition/protocol.ts";
import { sum } from "../fakes/sum.ts";
import { World, type Incarnation, type Sent } from "../fakes/world.ts";
import { PATIENCE_MS, runs } from "../hostile.ts";

const operator = sum();
const KEYS = ["a", "b", "c", "d"];

type States = ReadonlyMap<string, string>;

async function states(world: World, one: Incarnation): Promise<States> {
  const { items } = await world.clock.run(one.partition.scan("", "", 1_000, 1_000_000));
  return new Map(items.map(([key, { text }]) => [key, text]));
}

async function past(world: World, at: Stamp): Promise<States> {
  const read = await world.clock.run(pastKeys(world.reader(operator), at, KEYS, 1_000_000));
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

  constructor(world: World) {
    this.world = world;
    this.one = world.start(operator);
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

const hold = (at: Stamp, line: number) =>
  ({ number: line, name: `hold-${line}`, at, createdMs: 0, state: "held", line }) as const;
