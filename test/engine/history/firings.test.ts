/** Firings in what is read of the past: a key's values, blame, diff and the changes feed over timers that fired. */
import { describe, expect, it } from "vitest";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { seq, type Seq, stamp } from "../../../src/engine/base/ids.ts";
import { blame } from "../../../src/engine/history/blame.ts";
import { differences } from "../../../src/engine/history/differences.ts";
import { placeAfter } from "../../../src/engine/history/feed-place.ts";
import { history, type HistoryPage } from "../../../src/engine/history/history.ts";
import { parsePointer } from "../../../src/engine/history/json-pointer.ts";
import { nextChanges } from "../../../src/engine/history/state-changes.ts";
import { operator } from "../../../src/engine/operator/operator.ts";
import { PUT } from "../../../src/engine/state/edit.ts";
import { RETRY } from "../../../src/engine/state/quarantine.ts";
import { type Incarnation, World } from "../fakes/world.ts";

const anything: StandardSchemaV1<unknown, unknown> = {
  "~standard": { version: 1, vendor: "test", validate: (value) => ({ value }) },
};

/** Each handler notes which timers it saw pending, so a value is wrong if its timers are. */
const noting = (boom = true) =>
  operator("sum", {
    version: 1,
    events: { add: anything },
    key: (event) => event.partitionkey ?? "k",
    initial: () => ({ seen: [] as string[] }),
    on: {
      add(state, event, ctx) {
        state.seen.push(pending(event.id, ctx.timers));
        for (const [name, ms] of Object.entries(event.data as Record<string, number>))
          if (ms < 0) ctx.timers.clear(name as "a");
          else ctx.timers.set(name as "a", { after: ms });
      },
    },
    timers: {
      a(state, { name }, ctx) {
        state.seen.push(pending(name, ctx.timers));
        if (state.seen.length < 6) ctx.timers.set("a", { after: 1_000 });
      },
      b(state, { name }, ctx) {
        if (boom) throw new Error("boom");
        state.seen.push(pending(name, ctx.timers));
      },
    },
    expire: "1h",
  });

const pending = (what: string, timers: { get(name: "a" | "b"): number | null }): string =>
  `${what} ${(["a", "b"] as const).filter((name) => timers.get(name) !== null).join("")}`;

/** Each event alone, with the value that was live after it and after what fired before it. */
class Firings {
  readonly world = new World();
  readonly operator = noting();
  readonly one: Incarnation;

  constructor() {
    this.one = this.world.start(this.operator);
  }

  async send(id: string, data: unknown, more: object = {}): Promise<void> {
    expect((await this.world.send(this.one, { id, key: "k", data, ...more })).tag).toBe("decided");
  }

  async wake(ms: number): Promise<void> {
    await this.world.clock.advance(ms);
    await this.world.clock.run(this.one.partition.wake());
  }

  async snapshot(): Promise<void> {
    expect((await this.world.clock.run(this.one.partition.snapshot())).tag).toBe("current");
    await this.world.clock.advance(100);
  }

  live(): Promise<unknown> {
    return this.world.value(this.one, "k");
  }

  /** Newest first, as texts. */
  async values(limit = 1_000): Promise<string[]> {
    const shown: string[] = [];
    for (let before: Seq | null = null; ;) {
      const reader = this.world.reader(this.operator);
      const page: HistoryPage = await this.world.clock.run(history(reader, "k", before, { items: limit }));
      for (const { event, outcome, value } of page.items) {
        const what = event.type === "keyframe.timer" ? `fired ${(event.data as { timer: string }).timer}` : event.id;
        shown.push(`${what} ${outcome.tag}: ${value.tag === "known" ? value.text : `unknown: ${value.why}`}`);
      }
      if (page.before === null) return shown;
      ({ before } = page);
    }
  }
}

const text = (...seen: string[]): string => JSON.stringify({ seen });

/** Timers that are set, fire, throw, and are set again by a timer. */
async function told(saved: (step: number) => boolean): Promise<Firings> {
  const told = new Firings();
  let step = 0;
  const maybe = async (): Promise<void> => (saved(step++) ? told.snapshot() : undefined);
  await told.send("e", { a: 5_000, b: 20_000 });
  await maybe();
  await told.wake(6_000);
  await maybe();
  await told.wake(2_000);
  await maybe();
  await told.send("f", {});
  await maybe();
  await told.wake(20_000);
  await maybe();
  await told.send("g", { b: 9_000_000 });
  await maybe();
  await told.send("h", {});
  return told;
}

const FIRED = ["e ", "a b", "a b", "a b", "a b"];
const EXPECTED = [
  `h applied: ${text(...FIRED, "f ab", "a b", "g ", "h b")}`,
  `g applied: ${text(...FIRED, "f ab", "a b", "g ")}`,
  `fired b quarantined: ${text(...FIRED, "f ab", "a b")}`,
  `fired a applied: ${text(...FIRED, "f ab", "a b")}`,
  `f applied: ${text(...FIRED, "f ab")}`,
  ...[5, 4, 3, 2].map((events) => `fired a applied: ${text(...FIRED.slice(0, events))}`),
  `e applied: ${text("e ")}`,
];

describe("a key's history", () => {
  it.each([
    ["without a snapshot", () => false],
    ["with a snapshot after each step", () => true],
    ["with a snapshot before a firing", (step: number) => step === 0],
    ["with a snapshot after a timer that threw", (step: number) => step === 4],
  ] as const)("has the values over firings, %s", async (_, saved) => {
    const one = await told(saved);
    expect(await one.values()).toEqual(EXPECTED);
    expect(await one.values(1)).toEqual(EXPECTED);
    expect(JSON.stringify(await one.live())).toBe(text(...FIRED, "f ab", "a b", "g ", "h b"));
  });

  it("has a retried timer, an edit that leaves timers, and the expiry that removes them", async () => {
    const one = new Firings();
    await one.send("e", { b: 5_000, a: 900_000 });
    await one.wake(6_000);
    const [held] = (await one.world.clock.run(one.one.partition.quarantined(seq(0), 1, 10_000))).items;
    await one.snapshot();
    const fixed = Object.assign(new Firings(), { world: one.world, operator: noting(false) });
    Object.assign(fixed, { one: one.world.start(fixed.operator) });
    await fixed.send("r", { seq: held!.seq }, { type: RETRY });
    await fixed.send("p", { if: "any", version: 1, state: { seen: ["put"] } }, { type: PUT });
    await fixed.send("f", { a: -1 });
    await fixed.wake(3_700_000);
    expect(await fixed.live()).toBeUndefined();
    await fixed.send("g", {});
    expect(await fixed.values()).toEqual([
      `g applied: ${text("g ")}`,
      "fired  applied: null",
      `f applied: ${text("put", "f a")}`,
      `p applied: ${text("put")}`,
      `r applied: ${text("e ", "b a")}`,
      `fired b quarantined: ${text("e ")}`,
      `e applied: ${text("e ")}`,
    ]);
  });

  it("shows a timer that was cleared as refused, and its value as it was", async () => {
    const one = new Firings();
    await one.send("e", { a: 5_000 });
    await one.snapshot();
    const two = Object.assign(new Firings(), { world: one.world, operator: one.operator });
    Object.assign(two, { one: one.world.start(one.operator) });
    await two.send("f", { a: -1 });
    await two.wake(6_000);
    expect(await two.values()).toEqual([
      `fired  refused: ${text("e ", "f a")}`,
      `f applied: ${text("e ", "f a")}`,
      `e applied: ${text("e ")}`,
    ]);
  });
});

describe("other reads of the past", () => {
  it("blame finds the firing that changed a member", async () => {
    const { world, operator } = await told((step) => step === 1);
    const found = await world.clock.run(blame(world.reader(operator), "k", parsePointer("/seen/4")!, null));
    expect(found).toMatchObject({
      tag: "changed",
      from: null,
      to: '"a b"',
      item: { event: { type: "keyframe.timer" } },
    });
  });

  it("diff and the changes feed have the states that firings left", async () => {
    const { world, operator } = await told((step) => step === 4);
    const env = world.reader(operator);
    const last = stamp(Number.MAX_SAFE_INTEGER);
    const asked = { after: placeAfter(stamp(0)), upTo: last, most: 100, wanted: () => true };
    const bounds = { bytes: 4_000_000, chars: 1_000_000, scanned: 1_000 };
    const page = await world.clock.run(nextChanges(env, { ...asked, bounds }));
    if (page.tag === "gone") throw new Error("gone");
    const states = EXPECTED.filter((one) => !one.includes("quarantined")).map((one) => one.slice(one.indexOf("{")));
    expect(page.changes.map((one) => one.text).toReversed()).toEqual(states);
    const fired = page.changes.filter(({ event }) => event.type === "keyframe.timer");
    expect(fired.map(({ event }) => event.source)).toEqual(Array.from({ length: 5 }, () => "keyframe:timer"));
    const [from, to] = [page.changes[0]!.stamp, fired.at(-1)!.stamp];
    const compared = await world.clock.run(differences({ env, at: from }, { env, at: to }, { prefix: "", only: null }));
    if (compared.tag === "gone") throw new Error("gone");
    const { value } = await world.clock.run(compared.pages.next());
    expect(value?.items).toMatchObject([{ key: "k", from: { text: text("e ") }, to: { text: fired.at(-1)!.text } }]);
  });
});
