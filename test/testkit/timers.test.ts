/** Timers and expiry in the test kit: time passes, what is due fires, and alarms change nothing. */
import { AssertionError } from "node:assert";
import { z } from "zod";
import { describe, expect, it } from "vitest";
import { operator } from "../../src/engine/operator/operator.ts";
import { deterministic, given, later, type EventFor } from "../../src/testkit/testkit.ts";

const carts = operator("carts", {
  version: 1,
  events: { changed: z.object({ cart: z.string(), items: z.int() }), paid: z.object({ cart: z.string() }) },
  key: (event) => event.data.cart,
  initial: () => ({ items: 0, log: [] as string[] }),
  on: {
    changed(cart, event, ctx) {
      cart.items = event.data.items;
      cart.log.push(`changed ${clock(ctx.now)}`);
      ctx.timers.set("abandon", { after: "30m" });
      ctx.timers.set("poll", { after: "10m" });
    },
    paid: (_cart, _event, ctx) => ctx.timers.clear("abandon"),
  },
  timers: {
    abandon: (cart, _timer, ctx) => void cart.log.push(`abandoned ${clock(ctx.now)}`),
    poll(cart, { due }, ctx) {
      if (cart.items === 13) throw new Error("unlucky");
      cart.log.push(`poll ${clock(due)}`);
      if (cart.log.length < 3) ctx.timers.set("poll", { after: "10m" });
    },
  },
  expire: "2h",
});

const clock = (ms: number): string => new Date(ms).toISOString().slice(11, 19);
const at = (time: string): string => `2026-01-01T${time}Z`;
const changed = (items: number, cart = "a"): EventFor<typeof carts> => ({ type: "changed", data: { cart, items } });
const paid: EventFor<typeof carts> = { type: "paid", data: { cart: "a" } };

async function failure(promise: Promise<unknown>): Promise<AssertionError> {
  const error = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(AssertionError);
  return error as AssertionError;
}

describe("clock", () => {
  const one = given(carts, [changed(1)]);

  it("lets fire what is due at that moment, and nothing later", async () => {
    const log = async (time: string): Promise<unknown> => (await one.clock(at(time)).at("a").state())?.log;
    expect(await log("00:09:59.999")).toEqual(["changed 00:00:00"]);
    expect(await log("00:10:00")).toEqual(["changed 00:00:00", "poll 00:10:00"]);
    const all = ["changed 00:00:00", "poll 00:10:00", "poll 00:20:00"];
    expect(await log("00:29:59.999")).toEqual(all);
    expect(await log("01:00:00")).toEqual([...all, "abandoned 00:30:00"]);
  });

  it("is when a further event comes, and time continues from there", async () => {
    const due = one.clock(at("00:05:00")).clock(at("00:10:00.500"));
    expect(await due.when(changed(2)).outcome()).toMatchObject({ tag: "applied" });
    const twice = given(carts, [changed(1), later("10m"), changed(2)]);
    await twice.at("a").expect({ items: 2, log: ["changed 00:00:00", "poll 00:10:00", "changed 00:10:00"] });
    await twice.expectTimer("poll", at("00:20:00"));
  });

  it("doesn't go back", async () => {
    await expect(one.clock("2025-12-31T23:00:00Z").states()).rejects.toThrow(/clock: 2025.* is before 2026-01-01T00/);
    await expect(
      given(carts, [later("1m")])
        .clock(at("00:00:59"))
        .states(),
    ).rejects.toThrow(RangeError);
    expect(() => one.clock("noon")).toThrow(/clock: "noon" isn't an RFC 3339 time/);
  });
});

describe("time that passes by later", () => {
  it("lets timers fire in between, and before the next event", async () => {
    const state = await given(carts, [changed(1), later("15m"), paid, later("30m")])
      .at("a")
      .state();
    expect(state?.log).toEqual(["changed 00:00:00", "poll 00:10:00", "poll 00:20:00"]);
  });

  it("is the second between two events as well", async () => {
    const soon = operator("soon", {
      version: 1,
      events: { go: z.object({}) },
      key: () => "k",
      initial: () => ({ log: [] as string[] }),
      on: { go: (state, event, ctx) => (state.log.push(event.id), ctx.timers.set("a", { after: 1_000 })) },
      timers: { a: (state) => void state.log.push("a") },
    });
    const go = { type: "go", data: {} } as const;
    await given(soon, [go, go])
      .at("k")
      .expect({ log: ["event-0", "a", "event-1"] });
    await deterministic(soon, [go, go, go]);
  });
});

describe("expectTimer and expectExpiry", () => {
  const two = given(carts, [changed(1), changed(1, "b")]);

  it("look at the last event's key, or at another", async () => {
    await two.expectTimer("abandon", at("00:30:01"));
    await two.expectTimer("abandon", "2026-01-01T01:30:01+01:00");
    await two.at("a").expectTimer("abandon", at("00:30:00"));
    await two.expectExpiry(at("02:00:01"));
    await two.at("a").expectExpiry(at("02:00:00"));
    await given(carts, [changed(1), paid]).expectTimer("abandon", null);
    await given(carts, [changed(1), paid]).expectTimer("poll", at("00:10:00"));
    await two.clock(at("00:30:00")).at("a").expectTimer("abandon", null);
    await two.clock(at("00:30:00")).expectTimer("abandon", at("00:30:01"));
    await two.at("nobody").expectTimer("abandon", null);
    await two.at("nobody").expectExpiry(null);
  });

  it("fail with both times", async () => {
    const { message } = await failure(two.expectTimer("abandon", at("00:30:00")));
    expect(message).toMatch(/the timer abandon of key "b" differs[^]*00:30:01.000Z[^]*00:30:00.000Z/);
    await failure(two.expectTimer("abandon", null));
    await failure(two.at("nobody").expectTimer("abandon", at("00:30:00")));
    expect((await failure(two.expectExpiry(null))).message).toContain('the expiry of key "b" differs');
  });

  it("ask for what there is", async () => {
    await expect(two.expectTimer("abandoned", null)).rejects.toThrow(
      /no timer "abandoned"; the operator's timers are abandon, poll/,
    );
    await expect(two.expectTimer("abandon", "soon")).rejects.toThrow(/"soon" isn't an RFC 3339 time/);
    await expect(given(carts, []).expectTimer("abandon", null)).rejects.toThrow(/ask at\(key\)/);
  });
});

describe("a key", () => {
  it("expires after its last event, not after its last timer", async () => {
    const kept = given(carts, [changed(1), later("1h"), paid]);
    await kept.clock(at("02:59:59")).expectExpiry(at("03:00:00"));
    await kept.clock(at("03:00:00")).at("a").expectNothing();
    await kept.clock(at("03:00:00")).expectTimer("abandon", null);
  });

  it("of an older version has no expiry before its next event", async () => {
    const next = operator("next", {
      version: 2,
      events: { go: z.object({}) },
      key: () => "k",
      initial: () => ({ n: 0 }),
      on: { go: (state) => void (state.n += 1) },
      migrate: { 2: (old) => ({ n: old["m"] as number }) },
      expire: "10m",
    });
    const from = { version: 1, states: { k: { m: 7 }, other: { m: 1 } } };
    const old = given(next, [later("1h"), { type: "go", data: {} }], { from });
    await old.at("k").expect({ n: 8 });
    await old.expectExpiry(at("01:10:00"));
    await old.at("other").expectExpiry(null);
    await old.clock(at("01:10:00")).at("k").expectNothing();
    await old.clock(at("09:00:00")).at("other").expect({ n: 1 });
  });
});

it("a timer that throws fails the test, with its key and error", async () => {
  const unlucky = given(carts, [changed(13)]);
  await unlucky
    .clock(at("00:09:00"))
    .at("a")
    .expect({ items: 13, log: ["changed 00:00:00"] });
  expect((await failure(unlucky.clock(at("00:10:00")).states())).message).toBe(
    'the timer poll of key "a" throws: unlucky',
  );
});

describe("deterministic", () => {
  it("passes operators with timers, whenever alarms and snapshots come", async () => {
    await deterministic(carts, [changed(1), later("12m"), changed(2, "b"), later("40m"), paid, later("3h")]);
    await deterministic(carts, [changed(13), changed(1, "b"), later("15m"), paid]);
  });

  it("finds a timer's clock, chance and counters", async () => {
    const timed = (fire: (state: { n: number }, seq: number) => void) =>
      operator("timed", {
        version: 1,
        events: { go: z.object({ key: z.string() }) },
        key: (event) => event.data.key,
        initial: () => ({ n: 0 }),
        on: { go: (_state, event, ctx) => ctx.timers.set("a", { after: event.data.key === "a" ? "7m" : "5m" }) },
        timers: { a: (state, _timer, ctx) => fire(state, ctx.seq) },
      });
    const go = (key: string) => ({ type: "go", data: { key } }) as const;
    const events = [go("a"), go("b"), later("9m")];
    await deterministic(
      timed((state) => void (state.n += 1)),
      events,
    );
    let calls = 0;
    for (const fire of [
      (state: { n: number }) => void (state.n = Math.random()),
      (state: { n: number }) => void (state.n = performance.now()),
      (state: { n: number }) => void (state.n = ++calls),
    ])
      expect((await failure(deterministic(timed(fire), events))).message).toContain("not deterministic");
  });

  it("finds what depends on when alarms come: the seq of what fired", async () => {
    const seqs = operator("seqs", {
      version: 1,
      events: { go: z.object({ key: z.string(), minutes: z.array(z.int()) }) },
      key: (event) => event.data.key,
      initial: () => ({ seq: 0 }),
      on: {
        go(_state, { data }, ctx) {
          ctx.timers.set("a", { after: data.minutes[0]! * 60_000 });
          ctx.timers.set("b", { after: data.minutes[1]! * 60_000 });
        },
      },
      timers: { a: () => undefined, b: (state, _timer, ctx) => void (state.seq = ctx.seq) },
    });
    const go = (key: string, ...minutes: number[]) => ({ type: "go", data: { key, minutes } }) as const;
    // In time, b of "k" fires after a of "other".
    const events = [go("k", 1, 9), go("other", 5, 60), later("10m")];
    expect((await failure(deterministic(seqs, events))).message).toContain(
      "not deterministic: a run with alarms in time, not lost ones gives other states",
    );
  });
});
