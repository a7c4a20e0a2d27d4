/** Take-in: a line that replays another one has its events, decided by the code at hand, whatever breaks in between. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Failure } from "../../../src/engine/base/errors.ts";
import { type Stamp, seq, stamp } from "../../../src/engine/base/ids.ts";
import type { Replay } from "../../../src/engine/base/records.ts";
import { pastKeys } from "../../../src/engine/history/past.ts";
import { DUPLICATE, STATUS } from "../../../src/engine/partition/protocol.ts";
import type { TakenIn } from "../../../src/engine/partition/take-in.ts";
import { sum } from "../fakes/sum.ts";
import { type Fate, type Incarnation, type Sent, World } from "../fakes/world.ts";
import { PATIENCE_MS, runs } from "../hostile.ts";

const KEYS = ["a", "b", "c"];
const wrong = sum();
/** The fixed code: what threw counts ten, fours throw, threes are refused, and everything else counts double. */
const fixed = sum({
  on: {
    add(state, event, ctx) {
      if (event.data === 4) throw new Error("four");
      if (event.data === 3) return ctx.refuse("three", {});
      state.total += event.data === "boom" ? 10 : 2 * (event.data as number);
      state.times += 1;
      return { total: state.total };
    },
  },
});

type Status = "applied" | "refused" | "quarantined";
interface Logged extends Sent {
  readonly key: string;
  readonly at: Stamp;
  readonly was: Status;
}

const wrongly = (data: unknown): Status => (data === "boom" ? "quarantined" : data === 0 ? "refused" : "applied");
const rightly = (data: unknown): Status => (data === 4 ? "quarantined" : data === 3 ? "refused" : "applied");

function decided({ data, was }: Logged, outcomes: Replay["outcomes"]): Status {
  if (outcomes === "decide") return rightly(data);
  // An event that was applied is never refused afterwards.
  return was !== "applied" ? was : rightly(data) === "applied" ? "applied" : "quarantined";
}

type Totals = Map<string, { total: number; times: number }>;

function count(totals: Totals, key: string, by: number): void {
  const { total, times } = totals.get(key) ?? { total: 0, times: 0 };
  totals.set(key, { total: total + by, times: times + 1 });
}

/** The states at a stamp: by the wrong code up to the start, by the fixed code above it. */
function expected(log: readonly Logged[], start: Stamp, upTo: Stamp, outcomes: Replay["outcomes"]): Totals {
  const totals: Totals = new Map();
  for (const event of log.filter(({ at }) => at <= upTo)) {
    const { data, key, at, was } = event;
    if (at <= start && was === "applied") count(totals, key, data as number);
    if (at > start && decided(event, outcomes) === "applied")
      count(totals, key, data === "boom" ? 10 : 2 * (data as number));
  }
  return totals;
}

async function states(world: World, one: Incarnation): Promise<Totals> {
  const { items } = await world.clock.run(one.partition.scan("", "", 1_000, 1_000_000));
  return new Map(items.map(([key, { text }]) => [key, JSON.parse(text) as { total: number; times: number }]));
}

/** The line that replays, over the stores of main. */
function replaying(main: World, at: Stamp): World {
  const world = main.fork(fixed, at);
  main.db.lines.set(2, { floor: at, open: false, replaying: true });
  main.db.savepoints.set(1, { number: 1, line: 1, name: "@2", at, createdMs: 0, state: "held" });
  return world;
}

const END = stamp(Number.MAX_SAFE_INTEGER);

function takeIn(main: World, world: World, one: Incarnation, outcomes: Replay["outcomes"]): Promise<TakenIn> {
  const source = [{ env: main.reader(fixed), upTo: END }];
  return world.clock.run(one.partition.takeIn({ source, outcomes, untilMs: Number.POSITIVE_INFINITY }));
}

const headStamp = async ({ db, address }: World): Promise<Stamp> =>
  (await db.log(address).row()) === null ? stamp(0) : (await db.log(address).explain(seq(0))).headStamp;

type Step =
  "snapshot" | "restart" | "take in" | "replay: snapshot" | "replay: restart" | readonly (readonly [string, number])[];

const STEP: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.array(fc.tuple(fc.constantFrom(...KEYS), fc.integer({ min: 0, max: 5 })), {
      minLength: 1,
      maxLength: 4,
    }),
  },
  {
    weight: 5,
    arbitrary: fc.constantFrom("snapshot", "restart", "take in", "replay: snapshot", "replay: restart"),
  },
);

describe("a line that replays (TAKEIN1)", () => {
  it(
    "has main's events, decided by the code at hand, at every moment, over snapshots, restarts and failing calls",
    () =>
      fc.assert(
        fc.asyncProperty(
          fc.array(STEP, { minLength: 1, maxLength: 8 }),
          fc.array(STEP, { minLength: 0, maxLength: 10 }),
          fc.nat(),
          fc.constantFrom<Replay["outcomes"]>("logged", "decide"),
          fc.array(fc.constantFrom<Fate>("ok", "ok", "ok", "before", "after", "silent after"), { maxLength: 30 }),
          async (before, after, pick, outcomes, fates) => {
            const main = new World();
            const log: Logged[] = [];
            const moments: Stamp[] = [stamp(0)];
            // Where a snapshot is, no event before is decided again.
            const starts: Stamp[] = [stamp(0)];
            let one = main.start(wrong);
            let n = 0;
            const step = async (what: Step): Promise<void> => {
              if (what === "snapshot") {
                await main.clock.run(one.partition.snapshot());
                starts.push(await headStamp(main));
              } else if (what === "restart") {
                one.crashed = true;
                one = main.start(wrong);
              } else if (typeof what !== "string") {
                const events = what.map(([key, data]) => ({ id: `e${n++}`, key, data: data === 5 ? "boom" : data }));
                await main.send(one, ...events);
                const at = await headStamp(main);
                log.push(...events.map((event) => ({ ...event, at, was: wrongly(event.data) })));
                moments.push(at);
              }
              await main.clock.advance(200);
            };
            for (const what of before) await step(what);
            const start = starts[pick % starts.length]!;
            const world = replaying(main, start);
            let two = world.start(fixed, "code-2");
            let calls = 0;
            world.fates = ({ method }) =>
              method === "append" || method === "noteChanged" ? (fates[calls++] ?? "ok") : "ok";
            /** An instance that fails has ended. The next one continues. */
            const taken = async (): Promise<Incarnation> => {
              for (;;) {
                try {
                  expect(await takeIn(main, world, two, outcomes)).toMatchObject({ more: false });
                  return two;
                } catch (error) {
                  if (!(error instanceof Failure) || two.ended === null) throw error;
                  two.crashed = true;
                  two = world.start(fixed, "code-2");
                }
              }
            };
            for (const what of after) {
              if (what === "take in") two = await taken();
              else if (what === "replay: snapshot") await world.clock.run(two.partition.snapshot());
              else if (what === "replay: restart") {
                two.crashed = true;
                two = world.start(fixed, "code-2");
              } else await step(what);
            }
            two = await taken();
            const whole = expected(log, start, END, outcomes);
            expect(await states(world, two)).toEqual(whole);
            two.crashed = true;
            two = world.start(fixed, "code-2");
            expect(await states(world, two), "each outcome is in its log").toEqual(whole);
            await world.clock.run(two.partition.snapshot());
            expect(await world.clock.run(two.partition.verify())).not.toMatchObject({ tag: "differs" });
            for (const at of moments.filter((one) => one >= start)) {
              const read = await world.clock.run(pastKeys(world.reader(fixed), at, KEYS, 1_000_000));
              if (read.tag === "gone") throw new Error("gone");
              const then = read.entries.flatMap((entry, i) =>
                entry === null ? [] : [[KEYS[i]!, JSON.parse(entry.text) as unknown] as const],
              );
              expect(new Map(then)).toEqual(expected(log, start, at, outcomes));
            }
            const noted = await main.db.log(world.address).changed(seq(0), 1_000);
            const differing = log.filter((event) => event.at > start && decided(event, outcomes) !== event.was);
            expect(noted.map(({ id, key, was, now }) => [id, key, was.split(" ")[0], now.split(" ")[0]])).toEqual(
              differing.map((event) => [event.id, event.key, event.was, decided(event, outcomes)]),
            );
            // Promoted, it knows the ids, and answers as it decided.
            main.db.lines.set(2, { floor: 0, open: true });
            world.fates = () => "ok";
            if (log.length === 0) return;
            const again = await world.send(two, ...log.map(({ id, key, data }) => ({ id, key, data })));
            if (again.tag !== "decided") throw new Error(JSON.stringify(again));
            expect([...again.statuses]).toEqual(
              log.map((event) => DUPLICATE + STATUS[event.at > start ? decided(event, outcomes) : event.was]),
            );
          },
        ),
        runs(60),
      ),
    PATIENCE_MS,
  );

  it("TAKEIN3: takes no events while it replays, and no rows once it is open", async () => {
    const main = new World();
    await main.send(main.start(wrong), { id: "1", key: "a", data: 1 });
    const world = replaying(main, stamp(0));
    const one = world.start(fixed, "code-2");
    await takeIn(main, world, one, "logged");
    expect(await world.send(one, { id: "x", key: "a", data: 1 })).toMatchObject({ tag: "busy", code: "line_sealed" });
    expect(one.ended).toBeNull();
    await main.send(main.start(wrong), { id: "2", key: "a", data: 1 });
    main.db.lines.set(2, { floor: 0, open: true });
    await expect(takeIn(main, world, one, "logged")).rejects.toMatchObject({ code: "fenced" });
    expect(await world.value(world.start(fixed), "a")).toEqual({ total: 2, times: 1 });
  });

  it("takes in nothing while the log's database is full, and continues once there is room", async () => {
    const main = new World();
    await main.send(main.start(wrong), { id: "1", key: "a", data: 1 });
    const world = replaying(main, stamp(0));
    main.db.size = 5_000;
    const one = world.start(fixed, "code-2", 10);
    await expect(takeIn(main, world, one, "logged")).rejects.toThrow(/the limit is 10/);
    expect([one.ended, await world.value(one, "a")]).toEqual([null, undefined]);
    expect(await takeIn(main, world, world.start(fixed, "code-2"), "logged")).toMatchObject({ more: false });
    expect(await world.value(world.start(fixed), "a")).toEqual({ total: 2, times: 1 });
  });

  it("stops with a named failure if the code that replays throws for ever more events", async () => {
    const main = new World();
    const one = main.start(wrong);
    for (let n = 0; n < 22; n++)
      await main.send(one, ...Array.from({ length: 1_000 }, (_, i) => ({ id: `${n}-${i}-${PAD}`, key: "a", data: 4 })));
    const world = replaying(main, stamp(0));
    await expect(takeInAll(main, world)).rejects.toMatchObject({ code: "quarantine_full" });
    const found = await main.db.log(world.address).changed(seq(0), 100_000);
    expect(found.length).toBeGreaterThan(15_000);
    expect(new Set(found.map(({ now }) => now))).toEqual(new Set(["quarantined four"]));
  });
});

const PAD = "x".repeat(300);

/** By one instance after the other, since each may take in some portions before it stops. */
async function takeInAll(main: World, world: World): Promise<void> {
  for (let n = 0; n < 40; n++) {
    const source = [{ env: main.reader(fixed), upTo: END }];
    const one = world.start(fixed, "code-2");
    const { more } = await world.clock.run(one.partition.takeIn({ source, outcomes: "logged", untilMs: 0 }));
    if (!more) return;
    one.crashed = true;
  }
}
