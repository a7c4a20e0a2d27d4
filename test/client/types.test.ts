/** The client's knowledge from the type of an operator alone. Wrong code doesn't compile. */
import { z } from "zod";
import { describe, expect, expectTypeOf, it } from "vitest";
import { client, type AskResult, type OperatorClient, type PastClient, type StateOf } from "../../src/client/client.ts";
import type { airportDelays } from "../../src/operators/airport-delays.ts";
import type { credits } from "../../src/operators/credits.ts";
import { operator } from "../../src/engine/operator/operator.ts";

const seats = operator("seats", {
  version: 1,
  events: { reserve: z.object({ seat: z.string() }), release: z.object({ seat: z.string() }) },
  key: (event) => event.data.seat,
  initial: () => ({ by: null as string | null }),
  on: {
    reserve(state, event, ctx) {
      if (state.by === "closed") return ctx.refuse("closed");
      if (state.by !== null) return ctx.refuse("taken", { by: state.by });
      state.by = event.id;
      return event.id;
    },
    release: (state) => void (state.by = null),
  },
});
type Seats = typeof seats;
type Credits = typeof credits;

// Only compiled: nobody answers.
const kf = client({ url: "http://app.test", fetch: () => Promise.reject(new Error("not called")) });

describe("the types of the client", () => {
  it("know replies and refusals, each code with its detail", () => {
    type Take = AskResult<Credits, "credits.take">;
    type Left = { readonly left: number };
    expectTypeOf<Extract<Take, { tag: "refused" }>["code"]>().toEqualTypeOf<"insufficient_credits">();
    expectTypeOf<Extract<Take, { tag: "refused" }>["detail"]>().toEqualTypeOf<{ left: number } | null>();
    expectTypeOf<Extract<Take, { duplicate: false; tag: "applied" }>["value"]>().toEqualTypeOf<Left>();
    expectTypeOf<Extract<Take, { duplicate: true; tag: "applied" }>["value"]>().toEqualTypeOf<Left | null>();

    // A handler that never refuses has no such case, and a handler that returns nothing replies null.
    type Closed = AskResult<Credits, "account.closed">;
    expectTypeOf<Closed["tag"]>().toEqualTypeOf<"applied" | "quarantined">();
    expectTypeOf<Extract<Closed, { tag: "applied" }>["value"]>().toEqualTypeOf<null>();

    type Reserve = AskResult<Seats, "reserve">;
    expectTypeOf<Extract<Reserve, { code: "taken" }>["detail"]>().toEqualTypeOf<{ by: string } | null>();
    expectTypeOf<Extract<Reserve, { code: "closed" }>["detail"]>().toEqualTypeOf<null>();
    expectTypeOf<Extract<Reserve, { duplicate: false; tag: "applied" }>["value"]>().toEqualTypeOf<string>();
  });

  it("know the state", () => {
    expectTypeOf<StateOf<Credits>>().toEqualTypeOf<{ left: number; taken: number }>();
    expectTypeOf<StateOf<typeof airportDelays>["delayMax"]>().toEqualTypeOf<number | null>();
    type Of = OperatorClient<Credits>;
    type State = { left: number; taken: number };
    expectTypeOf<NonNullable<Awaited<ReturnType<Of["get"]>>>["value"]>().toEqualTypeOf<State>();
    type Page = ReturnType<Of["scan"]> extends AsyncGenerator<infer P> ? P : never;
    expectTypeOf<Page>().toEqualTypeOf<readonly { readonly key: string; readonly value: State }[]>();
    type Many = Awaited<ReturnType<Of["getMany"]>> extends Map<string, infer E> ? E : never;
    expectTypeOf<Many>().toEqualTypeOf<{ readonly key: string; readonly value: State; readonly seq: number }>();
    type Past = ReturnType<Of["history"]> extends AsyncGenerator<infer E> ? E : never;
    expectTypeOf<Extract<Past, { unknown?: undefined }>["value"]>().toEqualTypeOf<State | null>();
    type Seen = ReturnType<Of["watch"]> extends AsyncGenerator<infer W> ? W : never;
    expectTypeOf<Seen["value" & keyof Seen]>().toEqualTypeOf<State | null>();
  });

  it("know that the past is only read, and that its entries name their stamp", () => {
    const past = kf.at("month-end").operator<Credits>("credits");
    type About = { readonly at: number; readonly exact: boolean };
    type Read = NonNullable<Awaited<ReturnType<typeof past.get>>>;
    expectTypeOf<Read["value"]>().toEqualTypeOf<{ left: number; taken: number }>();
    expectTypeOf<Pick<Read, keyof About>>().toEqualTypeOf<About>();
    type Page = ReturnType<typeof past.scan> extends AsyncGenerator<infer P> ? P : never;
    expectTypeOf<Page extends readonly (infer I extends About)[] ? I["exact"] : never>().toEqualTypeOf<boolean>();
    expectTypeOf<"ask" extends keyof typeof past ? true : false>().toEqualTypeOf<false>();
    expectTypeOf<"watch" extends keyof typeof past ? true : false>().toEqualTypeOf<false>();
    expectTypeOf<"send" extends keyof PastClient ? true : false>().toEqualTypeOf<false>();
    // The present names no stamp.
    type Now = NonNullable<Awaited<ReturnType<OperatorClient<Credits>["get"]>>>;
    expectTypeOf<"at" extends keyof Now ? true : false>().toEqualTypeOf<false>();
    expect(["ask" in past, "watch" in past]).toEqual([false, false]);
  });

  it("know the states of a diff, if it is of one operator", () => {
    type State = { left: number; taken: number };
    const one = kf.diff<Credits>({ from: "-1h", operator: "credits" });
    type Entry = typeof one extends AsyncGenerator<infer E> ? E : never;
    expectTypeOf<Entry["from"]>().toEqualTypeOf<State | null>();
    const byValue = kf.diff({ from: "-1h", operator: seats });
    type Seat = typeof byValue extends AsyncGenerator<infer E> ? E : never;
    expectTypeOf<Seat["to"]>().toEqualTypeOf<{ by: string | null } | null>();
    const all = kf.diff({ from: new Date(0), to: "now" });
    type Any = typeof all extends AsyncGenerator<infer E> ? E : never;
    expectTypeOf<Any["to"]>().toEqualTypeOf<unknown>();
    // @ts-expect-error -- the operator has another name
    expect(kf.diff<Credits>({ from: "-1h", operator: "credit" })).toBeDefined();
  });

  it("know nothing of an operator that is only a name, and say so", () => {
    const unknown = kf.operator("somebody");
    type Answer = Awaited<ReturnType<typeof unknown.ask>>;
    expectTypeOf<Extract<Answer, { tag: "refused" }>["code"]>().toEqualTypeOf<string>();
    expectTypeOf<Extract<Answer, { tag: "refused" }>["detail"]>().toEqualTypeOf<unknown>();
    expectTypeOf<Extract<Answer, { duplicate: false; tag: "applied" }>["value"]>().toEqualTypeOf<unknown>();
  });

  it("refuse what the app would", () => {
    const wrong = [
      // @ts-expect-error -- the operator has another name
      () => kf.operator<Credits>("credit"),
      // @ts-expect-error -- no such event
      () => kf.operator<Credits>("credits").ask("credits.give", { account: "ada", n: 1 }),
      // @ts-expect-error -- no such data
      () => kf.operator<Credits>("credits").ask("credits.take", { account: "ada" }),
      // @ts-expect-error -- the same by value
      () => kf.ask(seats, "reserve", { seat: 4 }),
      // @ts-expect-error -- an event has a type
      () => kf.send({ data: 1 }),
      // @ts-expect-error -- not the sender's to choose
      () => kf.operator<Credits>("credits").ask("credits.take", { account: "ada", n: 1 }, { type: "x" }),
    ];
    expect(wrong).toHaveLength(6);
    expect(kf.operator(seats).name).toBe("seats");
  });
});
