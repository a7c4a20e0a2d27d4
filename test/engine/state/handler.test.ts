/** IN4, SNAP8, ONE5: what a handler may do to one key, and what is left of it when it fails. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EventContext, handle } from "../../../src/engine/state/handler.ts";
import { seq, stamp } from "../../../src/engine/base/ids.ts";
import { isNew, Overlay, textOf } from "../../../src/engine/state/overlay.ts";
import { REPLY_BYTES, STATE_BYTES, STATE_DEPTH } from "../../../src/engine/base/limits.ts";
import type { Context, Operator } from "../../../src/engine/operator/operator.ts";
import type { Event } from "../../../src/engine/event/event.ts";
import type { Outcome } from "../../../src/engine/log/outcome.ts";
import { KeyedState } from "../../../src/engine/state/keyed-state.ts";
import { sum } from "../fakes/sum.ts";

type State = Record<string, unknown>;
type Body = (state: State, ctx: Context<unknown>, event: Event) => unknown;

const EVENT: Event = { id: "i", source: "/", type: "do", time: "2026-01-31T12:00:00Z", data: null };
const PRINT = [1, 2, 3, 4, 5, 6];

/** One key, and handlers given on the spot. */
class Bench {
  readonly committed = new KeyedState();
  overlay = new Overlay(this.committed, null);
  /** The state that `initial` gives. */
  first: unknown = { n: 0 };
  #seq = 0;

  run(body: Body, more: { key?: string; type?: string; print?: readonly number[] } = {}): Outcome {
    const { key = "k", type = "do", print = PRINT } = more;
    const operator: Operator = {
      ...sum(),
      initial: () => this.first,
      handlers: new Map([["do", (state, event, ctx) => body(state as State, ctx, event)]]),
    };
    const dirtyKey = this.overlay.edit(key);
    const context = new EventContext(key, seq(++this.#seq), 1_000, isNew(dirtyKey), print, 0);
    return handle(operator, dirtyKey, { ...EVENT, type }, context);
  }

  text(key = "k"): string | null {
    return textOf(this.overlay.edit(key));
  }

  /** The row is in the log; the next event opens another. */
  settle(): void {
    this.overlay.settle(stamp(this.#seq));
    this.overlay = new Overlay(this.committed, null);
  }
}

/** States on both sides of what is copied before an event, and of what a row has in memory. */
const SIZES: readonly (readonly [what: string, state: State])[] = [
  ["a small state", { n: 1, list: [{ a: 1 }], at: { b: { c: 2 } } }],
  ["a large state", { n: 1, list: Array.from({ length: 200 }, (_, i) => ({ i })), at: { b: { c: 2 } } }],
];
const ROUNDS = [
  ["in the row that made it", false],
  ["read from its text", true],
] as const;
const CASES = SIZES.flatMap(([size, state]) =>
  ROUNDS.map(([round, settled]) => ({ name: `${size}, ${round}`, state, settled })),
);

function benchWith(state: State, settled: boolean): Bench {
  const bench = new Bench();
  expect(bench.run((_, ctx) => ctx.set(structuredClone(state))).tag).toBe("applied");
  // Handled once in place, so that its value is in memory.
  if (settled) bench.settle();
  expect(bench.run(() => undefined).tag).toBe("applied");
  return bench;
}

/** Leaves marks everywhere, at every depth. */
const vandalise: Body = (state) => {
  state["n"] = 99;
  delete state["at"];
  (state["list"] as State[])[0]!["a"] = "scribble";
  (state["list"] as unknown[]).push("scribble");
  state["more"] = {};
};

describe.each(CASES)("$name", ({ state, settled }) => {
  const text = JSON.stringify(state);

  it.each<[string, Body]>([
    [
      "throws",
      () => {
        throw new Error("boom");
      },
    ],
    ["refuses", (_, ctx) => ctx.refuse("no")],
    ["sets and refuses", (_, ctx) => (ctx.set({ other: 1 }), ctx.refuse("no"))],
    ["removes and refuses", (_, ctx) => (ctx.remove(), ctx.refuse("no"))],
    ["leaves no JSON", (inner) => void (inner["at"] = new Date(0))],
    ["sets no JSON", (_, ctx) => ctx.set({ n: NaN })],
    ["replies no JSON", () => 1n],
    ["removes and replies no JSON", (_, ctx) => (ctx.remove(), () => 1)],
    ["refuses with no JSON", (_, ctx) => ctx.refuse("no", new Map())],
    ["is asynchronous", () => Promise.resolve(1)],
  ])("IN4: an event that vandalises and then %s leaves no trace", (_, end) => {
    const bench = benchWith(state, settled);
    const outcome = bench.run((inner, ctx, event) => {
      vandalise(inner, ctx, event);
      return end(inner, ctx, event);
    });
    expect(outcome.tag).not.toBe("applied");
    expect(bench.text()).toBe(text);
    let seen: unknown;
    expect(bench.run((inner) => void (seen = structuredClone(inner))).tag).toBe("applied");
    expect(seen).toStrictEqual(state);
    expect(bench.text()).toBe(text);
    bench.settle();
    expect(bench.committed.find("k")!.text).toBe(text);
  });

  it("SNAP8: every event sees what the text says", () => {
    const bench = benchWith(state, settled);
    for (let i = 0; i < 5; i++) {
      const before = bench.text()!;
      let seen = "";
      bench.run((inner) => {
        seen = JSON.stringify(inner);
        inner["n"] = i;
        (inner["list"] as unknown[]).push({ i });
      });
      expect(seen).toBe(before);
    }
    expect(JSON.parse(bench.text()!)).toMatchObject({ n: 4 });
  });

  it("ONE5: an object in two places is two objects at the next event, whatever came in between", () => {
    const share: Body = (inner) => {
      inner["copy"] = inner["at"];
    };
    const change: Body = (inner) => {
      (inner["at"] as State)["b"] = "changed";
    };
    for (const between of [[], [(_: State, ctx: Context<unknown>) => ctx.refuse("no")]]) {
      const bench = benchWith(state, settled);
      for (const body of [share, ...between, change]) bench.run(body);
      expect(JSON.parse(bench.text()!)).toMatchObject({ at: { b: "changed" }, copy: { b: { c: 2 } } });
    }
  });
});

describe("a new key", () => {
  it("begins with `initial`, and is new until an event was applied", () => {
    const bench = new Bench();
    const seen: boolean[] = [];
    bench.run((_, ctx) => (seen.push(ctx.isNew), ctx.refuse("no")));
    bench.run((_, ctx) => void seen.push(ctx.isNew));
    bench.run((_, ctx) => void seen.push(ctx.isNew));
    expect(seen).toEqual([true, true, false]);
    expect(bench.text()).toBe('{"n":0}');
  });

  it("has no state after an event that failed", () => {
    const bench = new Bench();
    bench.run((_, ctx) => ctx.refuse("no"));
    expect(bench.text()).toBeNull();
    bench.settle();
    expect(bench.committed.keys).toBe(0);
  });

  it("is no other key's: an `initial` that shares an object can't link them", () => {
    const bench = new Bench();
    bench.first = { list: [] };
    for (const key of ["a", "b", "a"])
      bench.run((state, ctx) => void (state["list"] as unknown[]).push(ctx.key), { key });
    expect([bench.text("a"), bench.text("b")]).toEqual(['{"list":["a","a"]}', '{"list":["b"]}']);
    expect(bench.first).toEqual({ list: [] });
  });

  it("IN4: is quarantined where `initial` gives no JSON", () => {
    const bench = new Bench();
    bench.first = undefined;
    expect(bench.run(() => 1)).toMatchObject({
      tag: "quarantined",
      error: 'initial("k") isn\'t JSON, a value of type undefined is not JSON',
    });
  });
});

describe("ctx", () => {
  it("set replaces, remove removes, the last one counts", () => {
    const bench = new Bench();
    bench.run((_, ctx) => ctx.set({ a: 1 }));
    expect(bench.text()).toBe('{"a":1}');
    bench.run((_, ctx) => (ctx.remove(), ctx.set({ b: 1 })));
    expect(bench.text()).toBe('{"b":1}');
    bench.run((_, ctx) => (ctx.set({ c: 1 }), ctx.remove()));
    expect(bench.text()).toBeNull();
    let fresh: unknown;
    bench.run((state, ctx) => void (fresh = [structuredClone(state), ctx.isNew]));
    expect(fresh).toEqual([{ n: 0 }, true]);
  });

  it("remove takes a committed key away", () => {
    const bench = new Bench();
    bench.run(() => undefined);
    bench.settle();
    expect(bench.run((_, ctx) => (ctx.remove(), "gone"))).toEqual({ tag: "applied", reply: '"gone"' });
    bench.settle();
    expect(bench.committed.find("k")).toBeNull();
  });

  it("a state that was set is not the caller's any more", () => {
    const bench = new Bench();
    const mine = { list: [1] };
    bench.run((_, ctx) => ctx.set(mine));
    mine.list.push(2);
    bench.run(() => undefined);
    expect(bench.text()).toBe('{"list":[1]}');
  });

  it("a refusal counts even where the handler returns something else", () => {
    const bench = new Bench();
    expect(bench.run((_, ctx) => (ctx.refuse("no", { left: 1 }), "yes"))).toEqual({
      tag: "refused",
      code: "no",
      detail: '{"left":1}',
    });
    expect(bench.run((_, ctx) => ctx.refuse("no"))).toEqual({ tag: "refused", code: "no", detail: "null" });
  });

  it("ONE5: random numbers and ids come from the print alone", () => {
    const draw = (print: readonly number[]): unknown[] => {
      const drawn: unknown[] = [];
      new Bench().run((_, ctx) => void drawn.push(ctx.random(), ctx.uuid(), ctx.random(), ctx.uuid()), { print });
      return drawn;
    };
    expect(draw(PRINT)).toEqual(draw(PRINT));
    for (let word = 0; word < 4; word++) expect(draw(PRINT.with(word, 77))).not.toEqual(draw(PRINT));
    expect(new Set(draw(PRINT)).size).toBe(4);
  });

  it("random is even over [0, 1), uuid a version 4 UUID", () => {
    const words = fc.uint32Array({ minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(words, (print) => {
        const ctx = new EventContext("k", seq(1), 0, true, print, 0);
        const numbers = Array.from({ length: 1_000 }, () => ctx.random());
        expect(Math.min(...numbers)).toBeGreaterThanOrEqual(0);
        expect(Math.max(...numbers)).toBeLessThan(1);
        const mean = numbers.reduce((total, x) => total + x, 0) / numbers.length;
        // Six standard deviations.
        expect(Math.abs(mean - 0.5)).toBeLessThan(6 * Math.sqrt(1 / 12 / numbers.length));
        expect(ctx.uuid()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      }),
      { numRuns: 30 },
    );
  });
});

describe("SNAP8: a state that JSON can't carry", () => {
  const circle: State = {};
  circle["self"] = circle;
  const nested = (depth: number): unknown => JSON.parse("[".repeat(depth) + "]".repeat(depth));

  it.each<[string, unknown, string]>([
    ["NaN", NaN, "NaN is not JSON"],
    ["Infinity", -Infinity, "-Infinity is not JSON"],
    ["a date", new Date(0), "class Date"],
    ["a map", new Map(), "class Map"],
    ["a bigint", 1n, "type bigint"],
    ["a function", () => 1, "type function"],
    ["undefined in a list", [undefined], "type undefined"],
    ["a circle", circle, "in a circle"],
    ["more depth than allowed", nested(STATE_DEPTH), "nested deeper"],
  ])("%s quarantines the event, and says where it stood", (_, value, why) => {
    const bench = new Bench();
    bench.run(() => undefined);
    const outcome = bench.run((state) => void (state["bad"] = value));
    expect(outcome).toMatchObject({ tag: "quarantined" });
    expect(outcome.tag === "quarantined" && outcome.error).toMatch(/^the state isn't JSON, at \.bad/);
    expect(outcome.tag === "quarantined" && outcome.error).toContain(why);
    expect(bench.text()).toBe('{"n":0}');
  });

  it("what JSON says otherwise is read back before the next event", () => {
    const bench = new Bench();
    bench.run((state) => {
      state["zero"] = -0;
      state["nothing"] = undefined;
      state["bare"] = Object.assign(Object.create(null) as State, { a: 1 });
    });
    let seen: State = {};
    bench.run((state) => void (seen = state));
    expect(seen).toStrictEqual({ n: 0, zero: 0, bare: { a: 1 } });
    expect(Object.is(seen["zero"], 0)).toBe(true);
    expect("nothing" in seen).toBe(false);
  });

  it.each<[string, Body]>([
    ["one long text", (state) => void (state["x"] = "é".repeat(STATE_BYTES / 2))],
    ["many members", (state) => void (state["x"] = Array.from({ length: STATE_BYTES / 2 }, () => 0))],
    ["a long name", (state) => void (state["x".repeat(STATE_BYTES)] = 1)],
    ["set", (_, ctx) => ctx.set("x".repeat(STATE_BYTES))],
  ])("LOG6: a state that is too large is refused: %s", (_, body) => {
    const bench = new Bench();
    bench.run(() => undefined);
    expect(bench.run(body)).toMatchObject({
      tag: "quarantined",
      error: `the state would have more than ${STATE_BYTES} bytes`,
    });
    expect(bench.text()).toBe('{"n":0}');
  });

  it("a state of just the size is taken", () => {
    const bench = new Bench();
    expect(bench.run((_, ctx) => ctx.set("x".repeat(STATE_BYTES - 2))).tag).toBe("applied");
  });
});

describe("a number that is no longer exact", () => {
  const BEYOND = "numbers go to 2^53 - 1: bound what is added and multiplied, or keep a string";
  it.each<[string, number]>([
    ["the first one", 2 ** 53],
    ["the first below", -(2 ** 53)],
    ["a product", 2 ** 40 * 2 ** 40],
    ["a whole one that is written with an exponent", 1e300],
  ])("in a state: %s goes to the quarantine with its path, and the state stays", (_, n) => {
    const bench = new Bench();
    bench.run(() => undefined);
    expect(bench.run((state) => void (state["left"] = { by: [n] }))).toMatchObject({
      tag: "quarantined",
      error: `the state isn't exact, at .left.by[0]: ${n} is an unsafe_integer, ${BEYOND}`,
    });
    expect(bench.text()).toBe('{"n":0}');
  });

  it("in a state that is set, a reply, a refusal's detail and what `initial` gives", () => {
    const bench = new Bench();
    const error = (what: string) => ({
      tag: "quarantined",
      error: `${what} isn't exact, at .n: 9007199254740992 is an unsafe_integer, ${BEYOND}`,
    });
    expect(bench.run((_, ctx) => ctx.set({ n: 2 ** 53 }))).toMatchObject(error("the state"));
    expect(bench.run(() => ({ n: 2 ** 53 }))).toMatchObject(error("the reply"));
    expect(bench.run((_, ctx) => ctx.refuse("no", { n: 2 ** 53 }))).toMatchObject(error("the refusal's detail"));
    bench.first = { n: 2 ** 53 };
    expect(bench.run(() => 1, { key: "other" })).toMatchObject(error('initial("other")'));
  });

  it("credits end where counting does: no sum stays the same when 1 is added", () => {
    const bench = new Bench();
    const add =
      (n: number): Body =>
      (state) =>
        void (state["n"] = (state["n"] as number) + n);
    expect(bench.run(add(2 ** 53 - 1)).tag).toBe("applied");
    expect([bench.run(add(1)).tag, bench.text()]).toEqual(["quarantined", '{"n":9007199254740991}']);
    expect([bench.run(add(-1)).tag, bench.text()]).toEqual(["applied", '{"n":9007199254740990}']);
  });

  it.each([0.1 + 0.2, -1.5, 2 ** 52 - 0.5, 5e-324, 2 ** 53 - 1, -(2 ** 53 - 1)])("leaves %d alone", (n) => {
    const bench = new Bench();
    expect(bench.run((state) => ((state["n"] = n), { n }))).toEqual({ tag: "applied", reply: `{"n":${n}}` });
    expect(bench.text()).toBe(`{"n":${n}}`);
  });
});

describe("null is no state", () => {
  it("that a handler sets: the event goes to the quarantine", () => {
    const bench = new Bench();
    bench.run(() => undefined);
    const outcome = bench.run((_, ctx) => ctx.set(null));
    expect(outcome.tag === "quarantined" && outcome.error).toMatch(
      /^the state is null, .* call ctx\.remove\(\) in a handler$/,
    );
    expect(bench.text()).toBe('{"n":0}');
  });

  it("that `initial` gives", () => {
    const bench = new Bench();
    bench.first = null;
    const outcome = bench.run(() => 1);
    expect(outcome.tag === "quarantined" && outcome.error).toMatch(/^initial\("k"\) is null/);
  });
});

describe("replies", () => {
  it.each<[string, unknown, string]>([
    ["nothing", undefined, "null"],
    ["null", null, "null"],
    ["a value", { a: [1, -0] }, '{"a":[1,0]}'],
    ["just the size", "x".repeat(REPLY_BYTES - 2), JSON.stringify("x".repeat(REPLY_BYTES - 2))],
  ])("may be %s", (_, returned, reply) => {
    expect(new Bench().run(() => returned)).toEqual({ tag: "applied", reply });
  });

  it.each<[string, unknown, string]>([
    ["NaN", NaN, "the reply isn't JSON, NaN is not JSON"],
    // oxlint-disable-next-line unicorn/no-thenable -- what is refused here
    ["a thenable", { then: () => undefined }, "at .then: a value of type function"],
    ["too much", "x".repeat(REPLY_BYTES), `the reply has more than ${REPLY_BYTES} bytes`],
  ])("may not be %s", (_, returned, why) => {
    const outcome = new Bench().run(() => returned);
    expect(outcome.tag === "quarantined" && outcome.error).toContain(why);
  });

  it("the state that is returned is the state as it was then", () => {
    const bench = new Bench();
    expect(bench.run((state) => ((state["n"] = 1), state))).toEqual({ tag: "applied", reply: '{"n":1}' });
    bench.run((state) => void (state["n"] = 2));
    expect(bench.text()).toBe('{"n":2}');
  });
});

describe("IN4: a handler that fails", () => {
  it("is quarantined with its message, cut to size", () => {
    const throwing = (what: unknown): Outcome =>
      new Bench().run(() => {
        throw what;
      });
    expect(throwing(new Error("boom"))).toMatchObject({ tag: "quarantined", error: "boom" });
    expect(throwing("text")).toMatchObject({ tag: "quarantined", error: "text" });
    expect(throwing(undefined)).toMatchObject({ tag: "quarantined", error: "undefined" });
    expect(throwing(new Error("x".repeat(5_000)))).toMatchObject({ tag: "quarantined", error: "x".repeat(1_000) });
  });

  it("says so where it is asynchronous, and its rejection is nobody's", () => {
    const outcome = new Bench().run(() => Promise.reject(new Error("later")));
    expect(outcome).toMatchObject({
      tag: "quarantined",
      error: "the handler is asynchronous; handlers must be synchronous",
    });
  });

  it("ends where recursion does", () => {
    const forever = (): unknown => [forever()];
    expect(new Bench().run(forever).tag).toBe("quarantined");
  });

  it("names a type that this version doesn't handle", () => {
    const bench = new Bench();
    expect(bench.run(() => 1, { type: "old" })).toEqual({
      tag: "quarantined",
      error: 'version 1 of "sum" has no handler for "old"',
    });
    expect(bench.text()).toBeNull();
  });
});
