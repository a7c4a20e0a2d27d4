/** The test kit: what holds passes, and what doesn't is an AssertionError that says what differs. */
import { AssertionError } from "node:assert";
import { spawnSync } from "node:child_process";
import path from "node:path";
import { z } from "zod";
import { describe, expect, expectTypeOf, it } from "vitest";
import { operator } from "../../src/engine/operator/operator.ts";
import { credits } from "../../src/operators/credits.ts";
import { usage } from "../../src/operators/usage.ts";
import { deterministic, given, later, type EventFor } from "../../src/testkit/testkit.ts";

const bought = (n: number, id?: string): EventFor<typeof credits> => ({
  type: "credits.bought",
  data: { account: "ada", n },
  ...(id === undefined ? {} : { id }),
});
const take = (n: number): EventFor<typeof credits> => ({ type: "credits.take", data: { account: "ada", n } });
const closed: EventFor<typeof credits> = { type: "account.closed", data: { account: "ada" } };

async function failure(promise: Promise<unknown>): Promise<AssertionError> {
  const error = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(AssertionError);
  return error as AssertionError;
}

describe("the examples", () => {
  const recorded = (customer: string, meter: string, units = 1, unitMicroUsd = 7): EventFor<typeof usage> => ({
    type: "usage.recorded",
    time: "2026-01-05T00:00:00Z",
    data: { customer, meter, units, unitMicroUsd },
  });

  it("let no two customers share an invoice: a part of a key holds no separator", async () => {
    for (const event of [recorded("a/b", "c"), recorded("a", "b/c"), recorded("", "c"), recorded("a", "b\n")])
      await given(usage, []).when(event).expectRejection("invalid_data");
    expect(Object.keys(await given(usage, [recorded("a.b", "c"), recorded("a", "b@c")]).states())).toEqual([
      "a.b/c/2026-01",
      "a/b@c/2026-01",
    ]);
  });

  it("bound what they multiply and add", async () => {
    await given(usage, [])
      .when(recorded("a", "b", 2_000_000_000))
      .expectRejection("invalid_data");
    await given(usage, [])
      .when(recorded("a", "b", 1, 2_000_000))
      .expectRejection("invalid_data");
    await given(usage, [recorded("a", "b", 1e9, 1e6)])
      .at("a/b/2026-01")
      .expect({ units: 1e9, microUsd: 1e15, corrections: 0 });
    // Ten of the largest are more than can be counted: the tenth is quarantined, and the sum stays right.
    const nine = Array.from({ length: 9 }, () => recorded("a", "b", 1e9, 1e6));
    await given(usage, nine).when(nine[0]!).expectQuarantine("at .microUsd: 10000000000000000 is an unsafe_integer");
    await given(credits, [])
      .when(bought(1e9 + 1))
      .expectRejection("invalid_data");
    const full = Array.from({ length: 1_000 }, () => bought(1e9));
    await given(credits, full).when(bought(1)).expectRefusal("account_full", { left: 1e12 });
  });
});

describe("given", () => {
  const ada = given(credits, [bought(5), take(2)]);

  it("gives the state of a key", async () => {
    await ada.at("ada").expect({ left: 3, taken: 2 });
    expect(await ada.at("ada").state()).toEqual({ left: 3, taken: 2 });
    await ada.at("bob").expectNothing();
    await given(credits, [bought(5), closed])
      .at("ada")
      .expectNothing();
    expect(await ada.states()).toEqual({ ada: { left: 3, taken: 2 } });
  });

  it("fails with the difference where the state is another one", async () => {
    const error = await failure(ada.at("ada").expect({ left: 4, taken: 2 }));
    expect(error.message).toMatch(/the state of key "ada" differs[^]*- +left: 4/);
    expect(error.message).toMatch(/\+ +left: 3/);
    expect(error).toMatchObject({ actual: { left: 3, taken: 2 }, expected: { left: 4, taken: 2 } });
    await failure(ada.at("bob").expect({ left: 0, taken: 0 }));
    await failure(ada.at("ada").expectNothing());
  });

  it("gives replies and refusals, and each `when` begins at what was given", async () => {
    await ada.when(take(3)).expectReply({ left: 0 });
    await ada.when(take(3)).expectReply({ left: 0 });
    await ada.when(closed).expectReply(null);
    await ada.when(take(4)).expectRefusal("insufficient_credits");
    await ada.when(take(4)).expectRefusal("insufficient_credits", { left: 3 });
    expect(await ada.when(take(4)).outcome()).toMatchObject({ tag: "refused", key: "ada", duplicate: false });
  });

  it("fails where the reply or the refusal is another one", async () => {
    await failure(ada.when(take(3)).expectReply({ left: 1 }));
    await failure(ada.when(take(4)).expectReply({ left: 1 }));
    await failure(ada.when(take(3)).expectRefusal("insufficient_credits"));
    await failure(ada.when(take(4)).expectRefusal("other"));
    await failure(ada.when(take(4)).expectRefusal("insufficient_credits", { left: 4 }));
  });

  it("recognises a retry, and an id that belongs to another event", async () => {
    const once = given(credits, [bought(5, "order-1"), bought(5, "order-1")]);
    await once.at("ada").expect({ left: 5, taken: 0 });
    expect(await once.outcomes()).toEqual([
      { tag: "applied", key: "ada", reply: { left: 5 }, duplicate: false },
      { tag: "applied", key: "ada", reply: { left: 5 }, duplicate: true },
    ]);
    await once.when(bought(6, "order-1")).expectRejection("id_reused");
    await failure(once.when(bought(5, "order-2")).expectRejection("id_reused"));
  });

  it("rejects as the app does, and says so where that was given", async () => {
    await ada.when(bought(-1)).expectRejection("invalid_data");
    expect(
      (
        await failure(
          given(credits, [bought(-1)])
            .at("ada")
            .state(),
        )
      ).message,
    ).toMatch(/given event 0 \(credits.bought\) is rejected, invalid_data/);
  });

  it("gives what a handler throws", async () => {
    const fragile = operator("fragile", {
      version: 1,
      events: { go: z.object({}) },
      key: () => "k",
      initial: () => ({ n: 0 }),
      on: {
        go() {
          throw new Error("out of order");
        },
      },
    });
    const start = given(fragile, []);
    await start.when({ type: "go", data: {} }).expectQuarantine("out of");
    await failure(start.when({ type: "go", data: {} }).expectQuarantine("else"));
    expect((await failure(given(fragile, [{ type: "go", data: {} }]).outcomes())).message).toContain("out of order");
  });

  it("receives events when it is told to, a second apart", async () => {
    const clock = operator("clock", {
      version: 1,
      events: { tick: z.object({}) },
      key: () => "k",
      initial: () => ({ at: [] as string[] }),
      on: { tick: (state, event, ctx) => void state.at.push(event.time, new Date(ctx.now).toISOString()) },
    });
    const tick = { type: "tick", data: {} } as const;
    const late = { ...tick, time: "2026-05-01T10:00:00+02:00" };
    await given(clock, [tick, late], { now: "2026-05-02T00:00:00Z" })
      .at("k")
      .expect({
        at: ["2026-05-02T00:00:00.000Z", "2026-05-02T00:00:00.000Z", late.time, "2026-05-02T00:00:01.000Z"],
      });
    await expect(given(clock, [tick], { now: "now" }).at("k").state()).rejects.toThrow(RangeError);
  });

  it("has the types of the operator", () => {
    expectTypeOf(ada.at("ada").state()).resolves.toEqualTypeOf<{ left: number; taken: number } | undefined>();
    const wrong = [
      // @ts-expect-error -- no such type
      () => given(credits, [{ type: "credits.lost", data: { account: "ada", n: 1 } }]),
      // @ts-expect-error -- not its data
      () => given(credits, [{ type: "credits.take", data: { account: "ada", n: "1" } }]),
      // @ts-expect-error -- not its state
      () => ada.at("ada").expect({ left: 1 }),
    ];
    expect(wrong).toHaveLength(3);
  });
});

describe("time that passes", () => {
  const order = (id: string) => bought(5, id);

  it("stands between events, and adds up", async () => {
    const clock = operator("clock", {
      version: 1,
      events: { tick: z.object({}) },
      key: () => "k",
      initial: () => ({ at: [] as number[] }),
      on: { tick: (state, _event, ctx) => void state.at.push((ctx.now - Date.UTC(2026, 0, 1)) / 1_000) },
    });
    const tick = { type: "tick", data: {} } as const;
    await given(clock, [tick, tick, later("10m"), tick, later("1h"), later("1.5s"), tick, tick])
      .at("k")
      .expect({ at: [0, 1, 601, 4_202.5, 4_203.5] });
    await given(clock, [later("5s"), tick, later("1d")])
      .at("k")
      .expect({ at: [5] });
    await deterministic(clock, [later("5s"), tick, later("2d"), tick, later("1ms"), tick]);
    expect(
      await given(clock, [tick, later("1d")])
        .when(tick)
        .outcome(),
    ).toMatchObject({ tag: "applied" });
  });

  it("ends what is remembered: ids, and replies before them", async () => {
    const known = given(credits, [order("a"), later("23h"), order("b")]);
    expect(await known.when(order("a")).outcome()).toMatchObject({ duplicate: true, reply: { left: 5 } });
    const forgotten = given(credits, [order("a"), later("25h"), order("b")]);
    expect(await forgotten.when(order("a")).outcome()).toMatchObject({ duplicate: false, reply: { left: 15 } });
  });

  it("gives events their time, where they say none", async () => {
    const usages = await given(usage, [later("31d")])
      .when({ type: "usage.recorded", data: { customer: "a", meter: "b", units: 1, unitMicroUsd: 1 } })
      .outcome();
    expect(usages).toMatchObject({ key: "a/b/2026-02" });
  });

  it("is a duration", () => {
    expect(() => later("5" as never)).toThrow(/later: "5" isn't a duration/);
    expect(() => later("0s")).toThrow(/must be from 1ms/);
  });
});

describe("states of an older version", () => {
  const versions = (migrate: object) =>
    operator("seats", {
      version: 3,
      events: { booked: z.object({ show: z.string() }) },
      key: (event) => event.data.show,
      initial: () => ({ free: 9, names: [] as string[] }),
      on: { booked: (state, _event, ctx) => ((state.free -= 1), { free: state.free, isNew: ctx.isNew }) },
      migrate: { 2: (old) => ({ free: old["seats"]! }), 3: (old) => ({ ...old, names: [] }), ...migrate },
    });
  const seats = versions({});
  const booked = (show: string) => ({ type: "booked", data: { show } }) as const;
  const from = { version: 1, states: { hamlet: { seats: 5 }, lear: { seats: 0 } } };

  it("are migrated, and events go on from them", async () => {
    const show = given(seats, [booked("hamlet")], { from });
    await show.at("hamlet").expect({ free: 4, names: [] });
    await show.at("lear").expect({ free: 0, names: [] });
    await show.when(booked("lear")).expectReply({ free: -1, isNew: false });
    await show.when(booked("othello")).expectReply({ free: 8, isNew: true });
    await given(seats, [], { from: { version: 2, states: { lear: { free: 3 } } } })
      .at("lear")
      .expect({ free: 3, names: [] });
    await deterministic(seats, [booked("hamlet"), later("1h"), booked("lear")], { from });
  });

  it("begin before the first event, which has its time", async () => {
    const at = await given(seats, [], { from, now: "2026-03-01T00:00:00Z" }).when(booked("lear")).outcome();
    expect(at).toMatchObject({ tag: "applied", duplicate: false });
  });

  it.each<[string, (old: never) => unknown, RegExp]>([
    ["throws", () => { throw new Error("no seats"); }, /migrating key "hamlet" from version 1 fails: the step to version 3 throws, no seats/], // prettier-ignore
    ["gives no JSON", () => ({ at: new Date(0) }), /its result isn't JSON, at \.at: an object of class Date/],
    ["gives NaN", (old: { free: number; none: number }) => ({ free: old.free * old.none }), /its result isn't JSON, at \.free: NaN/], // prettier-ignore
    ["gives nothing", () => null, /its result is null/],
    ["gives too much", () => ({ x: "x".repeat(1024 * 1024) }), /its result would have more than 1048576 bytes/],
  ])("a migration that %s fails the test, and says for which key", async (_, step, why) => {
    const broken = versions({ 3: step });
    expect((await failure(given(broken, [], { from }).at("hamlet").expectNothing())).message).toMatch(why);
    expect((await failure(given(broken, [], { from }).at("other").state())).message).toMatch(why);
  });

  it("are of a version below the operator's", async () => {
    for (const version of [0, 3, 4, 1.5])
      await expect(given(seats, [], { from: { version, states: {} } }).states()).rejects.toThrow(
        /from: the version must/,
      );
  });
});

describe("deterministic", () => {
  const run = (on: (state: { n: number; list: number[] }, ctx: { now: number; random(): number }) => void) =>
    operator("run", {
      version: 1,
      events: { go: z.object({}) },
      key: () => "k",
      initial: () => ({ n: 0, list: [] as number[] }),
      on: { go: (state, _event, ctx) => on(state, ctx) },
    });
  const go = Array.from({ length: 5 }, () => ({ type: "go", data: {} }) as const);

  it("passes what is", async () => {
    await deterministic(credits, [bought(5), take(2), take(9), closed, bought(1, "event-0"), bought(7)]);
    const recorded = { customer: "acme", meter: "calls", units: 3, unitMicroUsd: 7 };
    await deterministic(usage, [
      { type: "usage.recorded", data: recorded, time: "2026-01-31T23:59:59Z" },
      { type: "usage.corrected", data: { customer: "acme", meter: "calls", units: -1, reason: "x" } },
    ]);
    await deterministic(
      run((state, ctx) => void state.list.push(ctx.random(), ctx.now)),
      go,
    );
    await deterministic(credits, []);
  });

  it("finds a counter outside of the state, a clock, and chance", async () => {
    let calls = 0;
    const counted = await failure(
      deterministic(
        run((state) => void (state.n = ++calls)),
        go,
      ),
    );
    expect(counted.message).toContain("not deterministic: a replay of the log gives other states");
    await failure(
      deterministic(
        run((state) => void (state.n = performance.now())),
        go,
      ),
    );
    await failure(
      deterministic(
        run((state) => void (state.n = Math.random())),
        go,
      ),
    );
  });

  it("finds what lives in memory between events, and is gone after a snapshot", async () => {
    // Remembers by the event's place in this run, and forgets when it sees a state that it hasn't written: a cache.
    const cache = new Map<number, number>();
    const cached = run((state, ctx) => {
      const second = ctx.now / 1_000;
      state.n = (cache.get(second - 1) ?? -100) + 1;
      cache.clear();
      cache.set(second, state.n);
    });
    const error = await failure(deterministic(cached, go));
    expect(error.message).toContain("not deterministic");
  });

  it("finds members in another order", async () => {
    let calls = 0;
    const ordered = operator("ordered", {
      version: 1,
      events: { go: z.object({}) },
      key: () => "k",
      initial: (): Record<string, number> => ({}),
      on: { go: (_state, _event, ctx) => ctx.set(calls++ % 2 === 0 ? { a: 1, b: 2 } : { b: 2, a: 1 }) },
    });
    expect((await failure(deterministic(ordered, go))).message).toContain("in another order");
  });

  it("is bounded", async () => {
    const many = Array.from({ length: 501 }, () => bought(1));
    await expect(deterministic(credits, many)).rejects.toThrow(RangeError);
  });
});

it("works with node:test too: a failure fails, and says what differs", () => {
  const file = path.join(import.meta.dirname, "with-node-test.mjs");
  const { status, stdout } = spawnSync(process.execPath, ["--no-warnings", "--test", "--test-reporter=tap", file], {
    encoding: "utf8",
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
  });
  expect(stdout).toMatch(/^ok 1 - what holds/m);
  expect(stdout).toMatch(/^not ok 2 - what doesn't/m);
  expect(stdout).toMatch(/left: 6/);
  expect(status).toBe(1);
});
