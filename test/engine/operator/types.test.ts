/** Wrong code doesn't compile: each expected error is an error if it stops being one. */
import * as v from "valibot";
import { z } from "zod";
import { describe, expect, expectTypeOf, it } from "vitest";
import { operator, type Operator } from "../../../src/engine/operator/operator.ts";
import type { Event } from "../../../src/engine/event/event.ts";
import type { StateOf } from "../../../src/engine/operator/operator-types.ts";

const events = { tick: z.object({ n: z.int() }) };
const TRANSFORM = v.pipe(v.string(), v.transform(Number));
const DEFAULT = z.object({ n: z.int().default(1) });
const on = { tick: () => undefined };
type RepliesOf<O extends Operator> = NonNullable<O["types"]>["replies"];
const PROMISE = Promise.resolve(1);

describe("the types of an operator", () => {
  it("infer event data and state, for zod and for valibot", () => {
    const zod = operator("zod", {
      version: 1,
      events,
      initial: () => ({ sum: 0, names: [] as string[] }),
      on: {
        tick(state, event, ctx) {
          expectTypeOf(state).toEqualTypeOf<{ sum: number; names: string[] }>();
          expectTypeOf(event).toEqualTypeOf<Event<"tick", { n: number }>>();
          expectTypeOf(ctx.now).toEqualTypeOf<number>();
        },
      },
    });
    const valibot = operator("valibot", {
      version: 1,
      events: { tock: v.object({ at: v.string() }) },
      key: (event) => event.data.at,
      initial: () => ({ last: null as string | null }),
      on: { tock: (state, event) => void (state.last = event.data.at) },
    });
    expect([zod.name, valibot.name]).toEqual(["zod", "valibot"]);
  });

  it("let versions with their migrations through, and handlers that throw or return anything", () => {
    const anything = (): any => 1; // oxlint-disable-line typescript/no-explicit-any -- what is meant
    const three = operator("three", {
      version: 3,
      events: { ...events, throws: z.null(), any: z.null() },
      initial: () => ({ n: 1 }),
      on: {
        tick: (state) => ({ n: state.n }),
        throws: () => {
          throw new Error("always");
        },
        any: anything,
      },
      migrate: { 2: (old) => ({ n: old["m"]! }), 3: (old) => old },
    });
    // A value that isn't known as a literal is checked when it runs.
    const some = (version: number) => operator("some", { version, events, initial: () => ({ n: 1 }), on });
    expect([three.version, some(1).version]).toEqual([3, 1]);
  });

  it("infer timers, before and after the handlers of events, as methods and as arrow functions", () => {
    const before = operator("before", {
      version: 1,
      events,
      timers: {
        soon(state, timer, ctx) {
          expectTypeOf(state).toEqualTypeOf<{ sum: number }>();
          expectTypeOf(timer.name).toEqualTypeOf<"soon">();
          expectTypeOf(timer.due).toEqualTypeOf<number>();
          expectTypeOf<Parameters<typeof ctx.timers.set>[0]>().toEqualTypeOf<"soon" | "late">();
          ctx.timers.clear("soon");
        },
        late: (state, _timer, ctx) => void (state.sum = ctx.now),
      },
      initial: () => ({ sum: 0 }),
      on: {
        tick(state, event, ctx) {
          expectTypeOf(state).toEqualTypeOf<{ sum: number }>();
          expectTypeOf(event.data.n).toEqualTypeOf<number>();
          expectTypeOf<Parameters<typeof ctx.timers.get>[0]>().toEqualTypeOf<"soon" | "late">();
          ctx.timers.set("soon", { after: "30m" });
          return ctx.timers.get("late");
        },
      },
      expire: "30d",
    });
    const after = operator("after", {
      version: 1,
      events,
      key: (event) => String(event.data.n),
      initial: () => ({ sum: 0 }),
      on: { tick: (state, event, ctx) => (ctx.timers.set("late", { at: event.time }), { sum: state.sum }) },
      timers: {
        late: (state, { due }, ctx) => {
          expectTypeOf<Parameters<typeof ctx.timers.clear>[0]>().toEqualTypeOf<"late" | "soon">();
          state.sum = due;
          ctx.set({ sum: 1 });
        },
        soon(state, _timer, ctx) {
          if (state.sum > 1) ctx.remove();
          else ctx.timers.set("late", { at: new Date(ctx.now) });
        },
      },
      replies: { keep: "1h" },
    });
    expectTypeOf<RepliesOf<typeof before>["tick"]>().toEqualTypeOf<number | null>();
    expectTypeOf<RepliesOf<typeof after>["tick"]>().toEqualTypeOf<{ readonly sum: number }>();
    expectTypeOf<StateOf<typeof after>>().toEqualTypeOf<{ sum: number }>();
    const without = operator("without", {
      version: 1,
      events,
      initial: () => ({ sum: 0 }),
      on: {
        tick: (_state, _event, ctx) => expectTypeOf<Parameters<typeof ctx.timers.set>[0]>().toEqualTypeOf<never>(),
      },
    });
    expect([before, after, without].map(({ timers }) => timers.size)).toEqual([2, 2, 0]);
  });

  it("refuse timers that can't work", () => {
    const initial = () => ({ sum: 0 });
    const soon = () => undefined;
    const wrong = [
      () =>
        operator("name", {
          version: 1,
          events,
          initial,
          // @ts-expect-error -- there is no such timer
          on: { tick: (_state, _event, ctx) => ctx.timers.set("son", { after: "1m" }) },
          timers: { soon },
        }),
      () =>
        operator("name-before", {
          version: 1,
          events,
          timers: { soon },
          initial,
          on: {
            tick(_state, _event, ctx) {
              // @ts-expect-error -- nor to clear
              ctx.timers.clear("son");
            },
          },
        }),
      () =>
        operator("none", {
          version: 1,
          events,
          initial,
          // @ts-expect-error -- an operator without timers sets none
          on: { tick: (_state, _event, ctx) => ctx.timers.set("soon", { after: "1m" }) },
        }),
      () =>
        operator("other", {
          version: 1,
          events,
          initial,
          on: { tick: () => undefined },
          timers: {
            soon(_state, _timer, ctx) {
              // @ts-expect-error -- a timer sets those of its operator alone
              ctx.timers.set("late", { after: "1m" });
            },
          },
        }),
      () =>
        operator("refuse", {
          version: 1,
          events,
          initial,
          on: { tick: () => undefined },
          // @ts-expect-error -- a timer has no sender that could be refused
          timers: { soon: (_state, _timer, ctx) => ctx.refuse("no") },
        }),
      () =>
        operator("timer-state", {
          version: 1,
          events,
          initial,
          on: { tick: () => undefined },
          // @ts-expect-error -- there is no such field in the state
          timers: { soon: (state) => void (state.total = 1) },
        }),
      () =>
        operator("when", {
          version: 1,
          events,
          initial,
          // @ts-expect-error -- a duration has a unit
          on: { tick: (_state, _event, ctx) => ctx.timers.set("soon", { after: "30" }) },
          timers: { soon },
        }),
      () => {
        // @ts-expect-error -- a timer without a handler
        operator("handler", { version: 1, events, initial, on, timers: { soon: null } });
        // @ts-expect-error -- a list of names has no handlers
        operator("list", { version: 1, events, initial, on, timers: ["soon"] });
        // @ts-expect-error -- a duration has a unit
        operator("expire", { version: 1, events, initial, on, expire: "30" });
      },
    ];
    expect(wrong).toHaveLength(8);
  });

  it("refuse what can't work", () => {
    const wrong = [
      () =>
        operator("field", {
          version: 1,
          events,
          initial: () => ({ sum: 0 }),
          // @ts-expect-error -- there is no such field in the data
          on: { tick: (state, event) => void (state.sum += event.data.m) },
        }),
      () =>
        operator("valibot-field", {
          version: 1,
          events: { tock: v.object({ at: v.string() }) },
          initial: () => ({ last: "" }),
          // @ts-expect-error -- there is no such field in the data
          on: { tock: (state, event) => void (state.last = event.data.by) },
        }),
      () =>
        operator("key", {
          version: 1,
          events: { tock: v.object({ at: v.string() }) },
          // @ts-expect-error -- nor for the key
          key: (event) => event.data.by,
          initial: () => ({ last: "" }),
          on: { tock: () => undefined },
        }),
      () =>
        operator("state", {
          version: 1,
          events,
          initial: () => ({ sum: 0 }),
          // @ts-expect-error -- there is no such field in the state
          on: { tick: (state) => void (state.total = 1) },
        }),
      () =>
        operator("handler", {
          version: 1,
          events,
          initial: () => ({ sum: 0 }),
          // @ts-expect-error -- no handler for "tick"
          on: {},
        }),
      () => {
        // @ts-expect-error -- a Date isn't JSON
        operator("date", { version: 1, events, initial: () => ({ at: new Date(0) }), on });
        // @ts-expect-error -- a Map isn't JSON
        operator("map", { version: 1, events, initial: () => ({ all: new Map<string, number>() }), on });
        // @ts-expect-error -- a bigint isn't JSON
        operator("bigint", { version: 1, events, initial: () => ({ n: 1n }), on });
        // @ts-expect-error -- a schema that transforms would have the log say something else than the handler sees
        operator("transform", { version: 1, events: { tick: z.coerce.number() }, initial: () => ({ n: 1 }), on });
        // @ts-expect-error -- the same with valibot
        operator("digits", { version: 1, events: { tick: TRANSFORM }, initial: () => ({ n: 1 }), on });
        // @ts-expect-error -- a schema that fills something in changes the data as well
        operator("default", { version: 1, events: { tick: DEFAULT }, initial: () => ({ n: 1 }), on });
        // @ts-expect-error -- a schema is a Standard Schema
        operator("schema", { version: 1, events: { tick: { n: "number" } }, initial: () => ({ n: 1 }), on });
        // @ts-expect-error -- a promise isn't JSON
        operator("later", { version: 1, events, initial: () => Promise.resolve({ n: 1 }), on });
        // @ts-expect-error -- a state that may be null can't be told from none
        operator("nothing", { version: 1, events, initial: () => null as { n: number } | null, on });
        // @ts-expect-error -- version 2 without the migration from 1
        operator("two", { version: 2, events, initial: () => ({ n: 1 }), on });
        // @ts-expect-error -- version 3 without that from 2
        operator("three", { version: 3, events, initial: () => ({ n: 1 }), on, migrate: { 2: (old) => old } });
        // @ts-expect-error -- a handler that waits
        operator("async", { version: 1, events, initial: () => ({ n: 1 }), on: { tick: async () => undefined } });
        // @ts-expect-error -- or may wait
        operator("maybe", { version: 1, events, initial: () => ({ n: 1 }), on: { tick: (s) => (s.n ? PROMISE : 1) } });
        // @ts-expect-error -- a name that nobody reads
        operator("misspelt", { version: 1, events, initial: () => ({ n: 1 }), on, dedupe: { maxIds: 5 } });
        // @ts-expect-error -- a duration has a unit
        operator("duration", { version: 1, events, initial: () => ({ n: 1 }), on, dedup: { keep: "24" } });
      },
    ];
    expect(wrong).toHaveLength(6);
  });
});
