/** The keys that differ between two moments: those that a comparison of everything at both moments finds, and no other. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { seq, stamp, type Stamp } from "../../../src/engine/base/ids.ts";
import { GARBAGE_MS } from "../../../src/engine/checkpoint/checkpointer.ts";
import { differences, type ComparedKeys } from "../../../src/engine/history/differences.ts";
import type { LogEnvironment } from "../../../src/engine/operator/environment.ts";
import { ERASE, PUT, REMOVE } from "../../../src/engine/state/edit.ts";
import { RETRY } from "../../../src/engine/state/quarantine.ts";
import type { Pass } from "../../../src/engine/history/key-range.ts";
import { sum } from "../fakes/sum.ts";
import { World, type Incarnation, type Sent } from "../fakes/world.ts";
import { PATIENCE_MS, runs } from "../hostile.ts";

const ID = { line: 1, operator: "sum", partition: 0 };
const KEYS = ["a", "ab", "b", "c", "cd", "cde", "d", "é"];
const ALL: ComparedKeys = { prefix: "", only: null };
const PASS = { keys: 20_000, bytes: 4_000_000 };

type States = ReadonlyMap<string, string>;
type Found = readonly (readonly [key: string, from: string | null, to: string | null])[];

/** The differences, and whether they are exact. Null if a moment is gone. */
const found = (env: LogEnvironment, world: World, from: Stamp, to: Stamp, keys = ALL, pass = PASS) =>
  foundBetween(env, from, env, to, world, keys, pass);

async function foundBetween(
  left: LogEnvironment,
  from: Stamp,
  right: LogEnvironment,
  to: Stamp,
  world: World,
  keys: ComparedKeys,
  pass: Pass,
): Promise<{ readonly items: Found; readonly exact: boolean } | null> {
  const compared = await world.clock.run(differences({ env: left, at: from }, { env: right, at: to }, keys, pass));
  if (compared.tag === "gone") return null;
  const items: [string, string | null, string | null][] = [];
  let exact = true;
  for (;;) {
    const step = await world.clock.run(compared.pages.next());
    if (step.done === true) return { items, exact };
    exact &&= step.value.exact;
    for (const { key, from: before, to: after } of step.value.items)
      items.push([key, before?.text ?? null, after?.text ?? null]);
  }
}

/** The result of a comparison of everything. */
const brute = (from: States, to: States, wanted: (key: string) => boolean = () => true): Found =>
  KEYS.filter(wanted)
    .map((key) => [key, from.get(key) ?? null, to.get(key) ?? null] as const)
    .filter(([, before, after]) => before !== after);

/** One partition, and the whole state after each step. */
class Told {
  readonly world: World;
  readonly fuse = { lit: true };
  readonly moments: { readonly at: Stamp; readonly states: States; readonly saved: boolean }[] = [];
  readonly operator = sum({
    snapshot: { maxTailBytes: 256_000_000, retain: "1d" },
    on: {
      add: (state, event, ctx) => {
        if (event.data === "boom" && this.fuse.lit) throw new Error("boom");
        if (event.data === 0) return ctx.refuse("zero");
        if (event.data === "gone") return ctx.remove();
        state.total += typeof event.data === "number" ? event.data : 100;
        state.times += 1;
      },
    },
  });
  one: Incarnation;
  readonly env: LogEnvironment;
  #sent = 0;

  constructor(world = new World()) {
    this.world = world;
    this.one = world.start(this.operator);
    this.env = world.reader(this.operator);
  }

  /** Another line, which starts from this one. */
  fork(at: Stamp, line: number): Told {
    return new Told(this.world.fork(this.operator, at, line));
  }

  async send(...events: readonly Omit<Sent, "id">[]): Promise<void> {
    await this.world.send(this.one, ...events.map((event) => ({ id: `e${this.#sent++}`, ...event })));
  }

  restart(): void {
    this.one.crashed = true;
    this.one = this.world.start(this.operator, `code-${this.fuse.lit}`);
  }

  /** Another attempt at the oldest event that is quarantined, by code that takes it. */
  async retry(): Promise<void> {
    const [entry] = (await this.world.clock.run(this.one.partition.quarantined(seq(0), 1, 1e6))).items;
    if (entry === undefined) return;
    this.fuse.lit = false;
    this.restart();
    await this.send({ type: RETRY, key: entry.key, data: { seq: entry.seq } });
    this.fuse.lit = true;
    this.restart();
  }

  async note(saved: boolean): Promise<void> {
    const { items } = await this.world.clock.run(this.one.partition.scan("", "", 1_000, 1_000_000));
    const log = this.world.db.log(this.env.id);
    const at = (await log.row()) === null ? (this.env.origin?.at ?? stamp(0)) : (await log.explain(seq(0))).headStamp;
    if (saved) {
      const store = this.world.db.savepointStore();
      const row = await store.add(`s${this.moments.length}`, at, 1);
      if (typeof row !== "string") await store.confirm(row.number);
    }
    this.moments.push({ at, states: new Map(items.map(([key, { text }]) => [key, text])), saved });
  }
}

const edit = (type: string, key: string, total: number): Omit<Sent, "id"> => ({
  type,
  key,
  data: { if: "any", version: 1, ...(type === PUT ? { state: { total, times: 1 } } : {}) },
});

const KEY = fc.constantFrom(...KEYS);
const DATA = fc.constantFrom<unknown>(1, 2, 3, 0, "boom", "gone");
const STEP = fc.oneof(
  { weight: 8, arbitrary: fc.array(fc.tuple(KEY, DATA), { minLength: 1, maxLength: 4 }) },
  { weight: 3, arbitrary: fc.tuple(fc.constantFrom(PUT, REMOVE, ERASE), KEY, fc.nat(9)) },
  { weight: 4, arbitrary: fc.constant("snapshot" as const) },
  { weight: 1, arbitrary: fc.constant("restart" as const) },
  { weight: 1, arbitrary: fc.constant("retry" as const) },
  { weight: 2, arbitrary: fc.constant("some days" as const) },
);

async function took(told: Told, step: typeof STEP extends fc.Arbitrary<infer S> ? S : never): Promise<void> {
  const { world } = told;
  if (step === "snapshot") await world.clock.run(told.one.partition.snapshot());
  else if (step === "restart") told.restart();
  else if (step === "retry") await told.retry();
  else if (step === "some days") await world.clock.advance(15 * GARBAGE_MS);
  else if (typeof step[0] === "string") await told.send(edit(...(step as [string, string, number])));
  else await told.send(...(step as [string, unknown][]).map(([key, data]) => ({ key, data })));
  await world.clock.advance(200);
}

describe("the differences between two moments", () => {
  it(
    "DIFF1: are those of everything at both moments, over edits, erasures, retries, snapshots, archives and retention",
    () =>
      fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(STEP, fc.boolean()), { minLength: 3, maxLength: 16 }),
          fc.array(fc.tuple(fc.nat(), fc.nat()), { minLength: 6, maxLength: 6 }),
          fc.record({ keys: fc.integer({ min: 2, max: 9 }), bytes: fc.constantFrom(200, 400, 700, 1_000_000) }),
          async (steps, pairs, pass) => {
            const told = new Told();
            for (const [step, saved] of steps) {
              await took(told, step);
              await told.note(saved && step === "snapshot");
            }
            const { world, env, moments } = told;
            const roots = await world.db.log(ID).roots();
            const kept = (at: Stamp): boolean =>
              roots === null || at >= roots.retainFrom || roots.savepoints.includes(at);
            for (const [i, j] of pairs) {
              const [from, to] = [moments[i % moments.length]!, moments[j % moments.length]!];
              const all = await found(env, world, from.at, to.at, ALL, pass);
              if (from.at !== to.at && !(kept(from.at) && kept(to.at))) {
                expect(all).toBeNull();
                continue;
              }
              expect(all).toEqual({ items: brute(from.states, to.states), exact: true });
              const some = await found(env, world, from.at, to.at, { prefix: "c", only: null }, pass);
              expect(some!.items).toEqual(brute(from.states, to.states, (key) => key.startsWith("c")));
              const one = await found(env, world, from.at, to.at, { prefix: "", only: "cd" }, pass);
              expect(one!.items).toEqual(brute(from.states, to.states, (key) => key === "cd"));
            }
          },
        ),
        runs(60),
      ),
    PATIENCE_MS,
  );

  /** Reads of R2 and of D1's log, by name. */
  function counted(env: LogEnvironment): { readonly env: LogEnvironment; readonly calls: string[] } {
    const calls: string[] = [];
    const watch = <Port extends object>(port: Port): Port =>
      new Proxy(port, {
        get: (target, name) => {
          const method = Reflect.get(target, name, target) as unknown;
          if (typeof method !== "function") return method;
          return (...args: unknown[]) => {
            calls.push(String(name));
            return Reflect.apply(method, target, args) as unknown;
          };
        },
      });
    return { env: { ...env, log: watch(env.log), objects: watch(env.objects) }, calls };
  }

  it("are read nowhere if both moments are equal, or if no row lies between them", async () => {
    const told = new Told();
    await told.send({ key: "a", data: 1 });
    await told.world.clock.run(told.one.partition.snapshot());
    await told.note(false);
    const { at } = told.moments[0]!;
    const { env, calls } = counted(told.env);
    expect(await found(env, told.world, at, at)).toEqual({ items: [], exact: true });
    expect(calls).toEqual([]);
    expect(await found(env, told.world, at, stamp(at + 5_000))).toEqual({ items: [], exact: true });
    expect(calls).toEqual(["roots", "explain"]);
    expect(await found(env, told.world, stamp(at + 5_000), at)).toEqual({ items: [], exact: true });
  });

  it("of a partition that was never used are none", async () => {
    const world = new World();
    expect(await found(world.reader(sum()), world, stamp(5), stamp(7))).toEqual({ items: [], exact: true });
  });

  it("between two old moments don't read the log above them", async () => {
    const told = new Told();
    for (let n = 0; n < 12; n++) {
      await told.send({ key: KEYS[n % 4]!, data: 1 });
      await told.world.clock.run(told.one.partition.snapshot());
      await told.world.clock.advance(1_000);
      await told.note(false);
    }
    const { env, calls } = counted(told.env);
    const [from, to] = [told.moments[2]!, told.moments[3]!];
    expect((await found(env, told.world, from.at, to.at))!.items).toEqual(brute(from.states, to.states));
    const near = calls.length;
    for (let n = 0; n < 30; n++) {
      await told.send({ key: "b", data: 1 });
      await told.world.clock.run(told.one.partition.snapshot());
      await told.world.clock.advance(1_000);
    }
    calls.length = 0;
    await found(env, told.world, from.at, to.at);
    // The search for the archive takes a few more steps, and no more.
    expect(calls.length).toBeLessThan(near + 12);
  });

  it("DIFF2: of a migration are none; a touched key shows both states as the present code has them", async () => {
    const world = new World();
    const one = world.start(sum());
    await world.send(one, { id: "1", key: "a", data: 1 }, { id: "2", key: "b", data: 2 });
    await world.clock.run(one.partition.snapshot());
    const first = (await world.db.log(ID).explain(seq(0))).headStamp;
    await world.clock.advance(1_000);
    await world.send(one, { id: "3", key: "a", data: 4 });
    const second = (await world.db.log(ID).explain(seq(0))).headStamp;
    const newer = sum({ version: 2, migrate: { 2: (old) => ({ ...(old as object), two: true }) } });
    expect(await found(world.reader(newer), world, first, second)).toEqual({
      items: [["a", '{"total":1,"times":1,"two":true}', '{"total":5,"times":2,"two":true}']],
      exact: false,
    });
  });

  it("of a state that can't be migrated show its text and version", async () => {
    const world = new World();
    const one = world.start(sum());
    await world.send(one, { id: "1", key: "a", data: 1 });
    await world.clock.run(one.partition.snapshot());
    const first = (await world.db.log(ID).explain(seq(0))).headStamp;
    await world.clock.advance(1_000);
    await world.send(one, { id: "2", key: "a", type: PUT, data: { if: "any", version: 1, state: { total: 7 } } });
    const second = (await world.db.log(ID).explain(seq(0))).headStamp;
    const migrate = (old: unknown): object => {
      if ((old as { total: number }).total === 1) throw new Error("one");
      return old as object;
    };
    const env = world.reader(sum({ version: 2, migrate: { 2: migrate } }));
    const compared = await world.clock.run(differences({ env, at: first }, { env, at: second }, ALL));
    if (compared.tag === "gone") throw new Error("gone");
    const page = await world.clock.run(compared.pages.next());
    expect(page.value).toMatchObject({
      items: [{ key: "a", from: { text: '{"total":1,"times":1}', version: 1 }, to: { text: '{"total":7}' } }],
    });
  });

  it("DIFF4: from an old savepoint compare all keys, since the log up to now isn't kept", async () => {
    const told = new Told();
    await told.send({ key: "a", data: 1 }, { key: "ab", data: 1 }, { key: "c", data: 1 });
    await told.world.clock.run(told.one.partition.snapshot());
    await told.note(true);
    for (let day = 0; day < 12; day++) {
      await told.send({ key: "b", data: 1 }, ...(day === 2 ? [{ key: "a", data: 5 }] : []));
      await told.world.clock.run(told.one.partition.snapshot());
      await told.world.clock.advance(5 * GARBAGE_MS);
    }
    await told.note(false);
    const [from, to] = [told.moments[0]!, told.moments[1]!];
    const { retainFrom } = (await told.world.db.log(ID).roots())!;
    expect(retainFrom).toBeGreaterThan(from.at);
    expect((await found(told.env, told.world, from.at, to.at))!.items).toEqual(brute(from.states, to.states));
    expect((await found(told.env, told.world, to.at, from.at, { prefix: "a", only: null }))!.items).toEqual([
      ["a", to.states.get("a"), from.states.get("a")],
    ]);
    expect(await found(told.env, told.world, stamp(from.at + 1), to.at)).toBeNull();
  });

  it("DIFF4: compare all keys too if retention gives up the log while it is read", async () => {
    const told = new Told();
    for (let n = 0; n < 6; n++) {
      await told.send({ key: KEYS[n]!, data: 1 });
      await told.world.clock.run(told.one.partition.snapshot());
      await told.world.clock.advance(1_000);
      await told.note(false);
    }
    const { env, world, moments } = told;
    const [from, to] = [moments[0]!, moments[5]!];
    const compared = await world.clock.run(differences({ env, at: from.at }, { env, at: to.at }, ALL));
    const kept = world.db.kept.get("1/sum/0000")!;
    kept.archiveFrom = world.db.rows.get("1/sum/0000")!.version - 1;
    if (compared.tag === "gone") throw new Error("gone");
    const page = await world.clock.run(compared.pages.next());
    expect((page.value as { readonly items: readonly unknown[] }).items).toHaveLength(5);
  });

  it(
    "DIFF1: of lines of history are those of everything on both, whatever line started from which, and when",
    () =>
      fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(fc.nat(3), fc.nat(), fc.array(fc.tuple(STEP, fc.constant(false)), { maxLength: 4 })), {
            minLength: 1,
            maxLength: 4,
          }),
          fc.array(fc.tuple(fc.nat(), fc.nat()), { minLength: 6, maxLength: 6 }),
          fc.record({ keys: fc.integer({ min: 2, max: 9 }), bytes: fc.constantFrom(200, 700, 1_000_000) }),
          async (drawn, pairs, pass) => {
            const lines = [new Told()];
            const states: { readonly told: Told; readonly at: Stamp; readonly states: States }[] = [];
            for (const [n, [which, when, steps]] of drawn.entries()) {
              // The first one continues, or another one starts from some line, at some moment of it.
              const parent = lines[which % lines.length]!;
              const from = parent.moments[when % Math.max(1, parent.moments.length)];
              const told = n === 0 || from === undefined ? lines[0]! : parent.fork(from.at, lines.length + 1);
              if (told !== lines[0]) lines.push(told);
              for (const [step] of steps) {
                // A retry needs another code, and days give moments up.
                if (step !== "retry" && step !== "some days") await took(told, step);
                await told.note(false);
                states.push({ told, ...told.moments.at(-1)! });
              }
              // Any moment of the past may be asked of a line that started later.
              if (told !== lines[0] && from !== undefined) states.push({ told, at: from.at, states: from.states });
            }
            if (states.length === 0) return;
            for (const [i, j] of pairs) {
              const [from, to] = [states[i % states.length]!, states[j % states.length]!];
              const all = await foundBetween(from.told.env, from.at, to.told.env, to.at, from.told.world, ALL, pass);
              expect(all).toEqual({ items: brute(from.states, to.states), exact: true });
            }
          },
        ),
        runs(60),
      ),
    PATIENCE_MS,
  );
});
