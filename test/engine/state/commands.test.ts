/**
 * Commands against what is pending: an edit, an erasure, a retry or a deletion meets the outcome of everything before
 * it, in the log or not yet (QUARANTINE3 of quarantine.ts). So the live partition and its replay agree (SNAP8), in
 * whatever order commits come.
 */
import { describe, expect, it } from "vitest";
import { ERASE, PUT, REMOVE } from "../../../src/engine/state/edit.ts";
import { seq } from "../../../src/engine/base/ids.ts";
import type { Operator } from "../../../src/engine/operator/operator.ts";
import { DELETE, RETRY } from "../../../src/engine/state/quarantine.ts";
import type { AppendResponse } from "../../../src/engine/partition/protocol.ts";
import { sum } from "../fakes/sum.ts";
import { words, World, type Incarnation, type Sent } from "../fakes/world.ts";

/** An account that is full takes nothing more. */
const full = sum({
  maxKeys: 1,
  on: {
    add(state, event) {
      if (state.total >= 10) throw new Error("full");
      state.total += event.data as number;
      state.times += 1;
      return { total: state.total };
    },
  },
});

/** A partition whose commits go through one by one, when they are let. */
class Gated {
  readonly world = new World();
  readonly one: Incarnation;
  readonly #operator: Operator;
  readonly #calls: Promise<AppendResponse>[] = [];
  #gates: (() => void)[] = [];

  constructor(operator: Operator) {
    this.#operator = operator;
    this.one = this.world.start(operator);
  }

  shut(): void {
    this.world.fates = ({ method }) => (method === "append" ? new Promise<void>((go) => this.#gates.push(go)) : "ok");
  }

  async call(event: Sent): Promise<void> {
    this.#calls.push(this.one.partition.append(this.world.slice([event])));
    await this.#settle();
  }

  /** Lets the commit that is under way through, and the next one begin. */
  async commit(): Promise<void> {
    this.#gates.shift()?.();
    await this.#settle();
    await this.world.clock.step();
    await this.#settle();
  }

  async #settle(): Promise<void> {
    for (let i = 0; i < 6; i++) await this.world.clock.settle();
  }

  /** Lets everything through. */
  async answers(): Promise<(string | string[])[]> {
    this.world.fates = () => "ok";
    for (const go of this.#gates) go();
    this.#gates = [];
    return (await this.world.clock.run(Promise.all(this.#calls))).map(words);
  }

  async shown(of: Incarnation): Promise<unknown> {
    const { items } = await this.world.clock.run(of.partition.quarantined(seq(0), 100, 1e6));
    return { ada: await this.world.value(of, "ada"), bob: await this.world.value(of, "bob"), items };
  }

  /** Live state equals what a replay gives, and what a snapshot and the tail give. */
  async expectAgreement(about: string): Promise<void> {
    const live = await this.shown(this.one);
    expect(await this.shown(this.world.start(this.#operator)), `${about}, after a replay`).toEqual(live);
    const two = this.world.start(this.#operator);
    expect((await this.world.clock.run(two.partition.snapshot())).tag).toBe("current");
    expect(await this.shown(this.world.start(this.#operator)), `${about}, after a snapshot`).toEqual(live);
  }
}

const ada = (type: string, data: unknown): Omit<Sent, "id"> => ({ key: "ada", type, data });
const EVENTS = {
  retry: ada(RETRY, { seq: 2 }),
  "retry the next": ada(RETRY, { seq: 3 }),
  delete: ada(DELETE, { seq: 2 }),
  erase: ada(ERASE, { if: "any", version: 1 }),
  /** There is room in the account again. */
  put: ada(PUT, { if: "any", version: 1, state: { total: 0, times: 0 } }),
  fill: ada(PUT, { if: "any", version: 1, state: { total: 10, times: 1 } }),
  event: ada("add", 7),
} satisfies Record<string, Omit<Sent, "id">>;
type Name = keyof typeof EVENTS;

async function play(names: readonly Name[], commits: number): Promise<Gated> {
  const gated = new Gated(full);
  await gated.world.send(gated.one, { id: "first", key: "ada", data: 10 });
  gated.shut();
  await gated.call({ id: "secret", key: "ada", data: 7 });
  for (const [i, name] of names.entries()) {
    if (commits & (1 << i)) await gated.commit();
    await gated.call({ id: `${i}`, ...EVENTS[name] });
  }
  await gated.answers();
  return gated;
}

const NAMES = Object.keys(EVENTS) as Name[];
const orders = (length: number): Name[][] =>
  length === 0 ? [[]] : orders(length - 1).flatMap((some) => NAMES.map((name) => [...some, name]));

describe("SNAP8: live and replay agree, the throwing event's commit under way,", () => {
  it.each(NAMES)("in every order of %s and two more, and of their commits", { timeout: 300_000 }, async (name) => {
    for (const rest of orders(2))
      for (let commits = 0; commits < 8; commits++) {
        const names = [name, ...rest];
        const gated = await play(names, commits);
        await gated.expectAgreement(`${names.join(", ")} with commits ${commits.toString(2)}`);
      }
  });

  it("in every order of four that steer one entry", { timeout: 300_000 }, async () => {
    const four: Name[] = ["retry", "erase", "put", "fill"];
    const permutations = (left: Name[]): Name[][] =>
      left.length === 0
        ? [[]]
        : left.flatMap((one) => permutations(left.filter((other) => other !== one)).map((some) => [one, ...some]));
    for (const names of permutations(four))
      for (let commits = 0; commits < 16; commits++) {
        const gated = await play([...names, "retry"], commits);
        await gated.expectAgreement(`${names.join(", ")}, retry with commits ${commits.toString(2)}`);
      }
  });
});

describe("ONE6: a command meets what those before it have decided", () => {
  it("an erasure takes an event out whose commit is under way", async () => {
    const gated = await play(["erase", "retry"], 0b10);
    expect(await gated.shown(gated.one)).toEqual({ ada: undefined, bob: undefined, items: [] });
  });

  it("a retry that throws again leaves the entry to the erasure behind it", async () => {
    const gated = await play(["retry", "erase", "retry"], 0b101);
    expect(await gated.answers()).toEqual([["quarantined"], ["quarantined"], ["applied"], ["refused"]]);
    expect(await gated.shown(gated.one)).toEqual({ ada: undefined, bob: undefined, items: [] });
  });

  it("of two at once the second one finds what the first one left", async () => {
    const again = await play(["retry", "retry"], 0);
    expect(await again.answers()).toEqual([["quarantined"], ["quarantined"], ["quarantined"]]);
    const done = await play(["put", "retry", "retry", "delete"], 0);
    expect((await done.answers()).slice(1)).toEqual([["applied"], ["applied"], ["refused"], ["refused"]]);
  });

  it("too_many_keys leaves the entry where it is, for the next one as well", async () => {
    const gated = new Gated(full);
    await gated.world.send(gated.one, { id: "a", key: "ada", data: 10 });
    await gated.world.send(gated.one, { id: "b", key: "ada", data: 7 });
    await gated.world.send(gated.one, { id: "erase", ...EVENTS.erase });
    await gated.world.send(gated.one, { id: "c", key: "ada", data: 10 });
    await gated.world.send(gated.one, { id: "d", key: "ada", data: 7 }); // seq 5, quarantined
    await gated.world.send(gated.one, { id: "remove", ...ada(REMOVE, { if: "any", version: 1 }) });
    await gated.world.send(gated.one, { id: "other", key: "bob", data: 1 });
    gated.shut();
    const retry = (id: string): Sent => ({ id, ...ada(RETRY, { seq: 5 }) });
    await gated.call(retry("r1"));
    await gated.call(retry("r2"));
    await gated.commit();
    await gated.call({ id: "gone", key: "bob", type: REMOVE, data: { if: "any", version: 1 } });
    await gated.call(retry("r3"));
    expect(await gated.answers()).toEqual([["refused"], ["refused"], ["applied"], ["applied"]]);
    expect(await gated.shown(gated.one)).toEqual({ ada: { total: 7, times: 1 }, bob: undefined, items: [] });
    await gated.expectAgreement("too_many_keys");
  });

  it("IN4: an event on which its handler writes the type of a command is none", async () => {
    const world = new World();
    const writing = sum({
      on: {
        add(_, event) {
          (event as { type: string }).type = event.data === "erase" ? ERASE : RETRY;
          if (event.data !== "fine") throw new Error("boom");
          return {};
        },
      },
    });
    const one = world.start(writing);
    const events = ["a", "erase", "fine"].map((data) => ({ id: data, data }));
    expect(words(await world.send(one, ...events))).toEqual(["quarantined", "quarantined", "applied"]);
    for (const of of [one, world.start(writing)]) {
      const { items } = await world.clock.run(of.partition.quarantined(seq(0), 10, 1e6));
      expect(items.map(({ seq: at }) => at)).toEqual([1, 2]);
    }
  });
});

describe("IN4: what is quarantined is quarantined as it was sent,", () => {
  /** Multiplies what it was given, and throws. */
  const writing = sum({
    on: {
      add(_state, event) {
        (event.data as { n: number }).n *= 100;
        throw new Error("a bug");
      },
    },
  });
  const sound = sum({
    on: {
      add(state, event) {
        state.total += (event.data as { n: number }).n;
        state.times += 1;
        return {};
      },
    },
  });
  const text = (world: World, of: Incarnation) =>
    world.clock.run(of.partition.quarantined(seq(0), 10, 1e6)).then(({ items }) => items.map(({ event }) => event));

  it("by a replay under other code", async () => {
    const world = new World();
    // Among others, with brackets and commas in their texts.
    await world.send(
      world.start(sound, "code-1"),
      { id: 'a,]}"', data: { n: 0, text: '"[{,' } },
      { id: "b", data: { n: 5 } },
    );
    const two = world.start(writing, "code-2");
    const sent = [
      '{"source":"test","type":"add","id":"a,]}\\"","data":{"n":0,"text":"\\"[{,"}}',
      '{"source":"test","type":"add","id":"b","data":{"n":5}}',
    ];
    expect(await text(world, two)).toEqual(sent);
    await world.clock.run(two.partition.snapshot());
    const three = world.start(sound, "code-3");
    expect(await text(world, three)).toEqual(sent);
    await world.send(three, { id: "r", type: RETRY, data: { seq: 2 } });
    expect(await world.value(three)).toEqual({ total: 5, times: 1 });
  });

  it("live, and by a retry that throws again", async () => {
    const world = new World();
    const one = world.start(writing);
    await world.send(one, { id: "a", data: { n: 5 } });
    const sent = ['{"source":"test","type":"add","id":"a","data":{"n":5}}'];
    expect(await text(world, one)).toEqual(sent);
    expect(words(await world.send(one, { id: "r", type: RETRY, data: { seq: 1 } }))).toEqual(["quarantined"]);
    expect(await text(world, one)).toEqual(sent);
    expect(await text(world, world.start(writing))).toEqual(sent);
  });

  it("minus zero included", async () => {
    const world = new World();
    const slice = world.slice([{ id: "a", data: { n: 7 } }]);
    const body = slice.body.replace(":7", ": -0");
    const one = world.start(writing);
    await world.clock.run(one.partition.append({ ...slice, body, bytes: body.length, lengths: [body.length] }));
    expect(await text(world, one)).toEqual([body]);
    expect(await text(world, world.start(writing))).toEqual([body]);
  });
});
