/** Wrong code doesn't compile: each expected error is an error if it stops being one. */
import * as v from "valibot";
import { z } from "zod";
import { describe, expect, expectTypeOf, it } from "vitest";
import { operator } from "../../../src/engine/operator/operator.ts";
import type { Event } from "../../../src/engine/event/event.ts";

const events = { tick: z.object({ n: z.int() }) };
const TRANSFORM = v.pipe(v.string(), v.transform(Number));
const DEFAULT = z.object({ n: z.int().default(1) });
const on = { tick: () => undefined };
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
