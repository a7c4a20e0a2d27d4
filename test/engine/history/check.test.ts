/**
 * The check of code before a deploy: what other code would make of the same log, against a second world in which that
 * code took the same events.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HASH_NAME } from "../../../src/engine/base/hash.ts";
import { seq, stamp, type Stamp } from "../../../src/engine/base/ids.ts";
import { PASS } from "../../../src/engine/base/limits.ts";
import { CHECK_START, checkPartition, type CheckRequest } from "../../../src/engine/history/check.ts";
import {
  addCounts,
  type CheckCounts,
  type CheckGap,
  type CheckPlace,
  type Finding,
  NO_COUNTS,
} from "../../../src/engine/history/findings.ts";
import type { Pass } from "../../../src/engine/history/key-range.ts";
import type { Operator } from "../../../src/engine/operator/operator.ts";
import { keyOf, route } from "../../../src/engine/operator/routing.ts";
import { DELETE, RETRY } from "../../../src/engine/state/quarantine.ts";
import { PUT } from "../../../src/engine/state/edit.ts";
import { sum } from "../fakes/sum.ts";
import { World, type Incarnation, type Sent } from "../fakes/world.ts";
import { PATIENCE_MS, runs } from "../hostile.ts";

const BEGINNING = stamp(0);

/** A partition and the code that runs it. */
class Live {
  readonly world: World;
  readonly operator: Operator;
  one: Incarnation;
  readonly outcomes = new Map<string, string>();
  #n: number;

  constructor(operator: Operator = sum(), world = new World(), first = 0) {
    this.world = world;
    this.#n = first;
    this.operator = operator;
    this.one = this.world.start(operator);
  }

  async send(...events: readonly Omit<Sent, "id">[]): Promise<void> {
    const sent = events.map((event) => ({ id: `e${this.#n++}`, ...event }));
    const result = await this.world.send(this.one, ...sent);
    if (result.tag !== "decided") throw new Error(result.code);
    for (const [i, at, text] of result.details)
      // The check doesn't compare what an error says.
      this.outcomes.set(sent[i]!.id, `${at} ${text === null || text.startsWith('["q"') ? text?.slice(0, 4) : text}`);
    await this.world.clock.advance(100);
  }

  async snapshot(): Promise<void> {
    expect((await this.world.clock.run(this.one.partition.snapshot())).tag).toMatch(/current|nothing/);
  }

  restart(operator = this.operator, code = "code-1"): void {
    this.one.crashed = true;
    this.one = this.world.start(operator, code);
  }

  /** Another line that starts from this one where it ends. */
  async fork(): Promise<Live> {
    return new Live(this.operator, this.world.fork(this.operator, await this.head()), 100);
  }

  async head(): Promise<Stamp> {
    return (await this.world.db.log(this.world.address).explain(seq(0))).headStamp;
  }

  async states(): Promise<Map<string, string>> {
    const { items } = await this.world.clock.run(this.one.partition.scan("", "", 1_000, 1_000_000));
    return new Map(items.map(([key, { text }]) => [key, text]));
  }
}

interface Checked {
  readonly findings: Finding[];
  readonly counts: CheckCounts;
  readonly gaps: CheckGap[];
}

/** Runs a check to its end, in requests of one step each. */
async function check(
  { world }: Live,
  operator: Operator,
  given: Partial<Omit<CheckRequest, "env">> = {},
  pass: Pass = PASS,
): Promise<Checked> {
  const placed = { operator: "sum", partitions: 1, hash: HASH_NAME, seed: world.address.seed, databases: ["LOG_0"] };
  const env = world.reader(operator);
  const { origin } = env;
  const request: CheckRequest = {
    // The code at hand reads all lines.
    env: origin === undefined ? env : { ...env, origin: { ...origin, env: { ...origin.env, operator } } },
    keyOf: (event) => keyOf(route(world.address.line, operator, placed), event),
    from: BEGINNING,
    to: stamp(Number.MAX_SAFE_INTEGER),
    sample: null,
    ...given,
  };
  const all: Checked = { findings: [], counts: NO_COUNTS, gaps: [] };
  let counts = NO_COUNTS;
  for (let place: CheckPlace | null = CHECK_START; place !== null;) {
    const steps = checkPartition(request, place, pass);
    const step = await world.clock.run(steps.next());
    if (step.done === true) break;
    all.findings.push(...step.value.findings);
    all.gaps.push(...step.value.gaps);
    counts = addCounts(counts, step.value.counts);
    place = step.value.next;
  }
  return { ...all, counts };
}

const add = (key: string, data: unknown): Omit<Sent, "id"> => ({ key, data });
const found = ({ findings }: Checked): string[] =>
  findings.map((one) => `${one.finding} ${"key" in one ? one.key : ""}`.trim());

/** The changes of the code that the random logs are checked with. */
const CHANGES = {
  none: sum(),
  adds: sum({
    on: {
      add(state, event, ctx) {
        if (event.data === "boom") throw new Error("boom");
        if (event.data === 0) return ctx.refuse("zero", { total: state.total });
        state.total += event.data === 3 ? 4 : (event.data as number);
        state.times += 1;
        return { total: state.total };
      },
    },
  }),
  refuses: sum({
    on: {
      add(state, event, ctx) {
        if (event.data === "boom") throw new Error("another text");
        if (event.data === 0 || event.data === 2) return ctx.refuse("zero", { total: state.total });
        state.total += event.data as number;
        state.times += 1;
        return { total: state.total };
      },
    },
  }),
  fixed: sum({
    on: {
      add(state, event) {
        state.total += typeof event.data === "number" ? event.data : 100;
        state.times += 1;
        return { total: state.total };
      },
    },
  }),
};

const KEYS = ["a", "ab", "b", "c", "cd", "d"];

type Step =
  | { readonly send: readonly (readonly [string, number])[] }
  | { readonly command: string; readonly target: number }
  | { readonly put: string }
  | "snapshot"
  | "restart";

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc
        .array(fc.tuple(fc.constantFrom(...KEYS), fc.integer({ min: 0, max: 5 })), { minLength: 1, maxLength: 4 })
        .map((send) => ({ send })),
    },
    {
      weight: 2,
      arbitrary: fc.tuple(fc.constantFrom(RETRY, DELETE), fc.nat(12)).map(([command, target]) => ({ command, target })),
    },
    { weight: 1, arbitrary: fc.constantFrom(...KEYS).map((put) => ({ put })) },
    { weight: 2, arbitrary: fc.constant("snapshot" as const) },
    { weight: 1, arbitrary: fc.constant("restart" as const) },
  ),
  { minLength: 3, maxLength: 16 },
);

/** Events by seq, with the key that a command on them has. */
async function run(live: Live, todo: readonly Step[]): Promise<void> {
  const keys: string[] = [];
  for (const one of todo) {
    if (one === "snapshot") await live.snapshot();
    else if (one === "restart") live.restart();
    else if ("send" in one) {
      keys.push(...one.send.map(([key]) => key));
      await live.send(...one.send.map(([key, data]) => add(key, data === 5 ? "boom" : data)));
    } else if ("put" in one) {
      keys.push(one.put);
      const state = { total: 70, times: 9 };
      await live.send({ key: one.put, type: PUT, data: { if: "none", version: 1, state } });
    } else if (keys[one.target] !== undefined) {
      keys.push(keys[one.target]!);
      await live.send({ key: keys[one.target]!, type: one.command, data: { seq: one.target + 1 } });
    }
  }
}

describe("a check of the code that ran", () => {
  it(
    "finds nothing, from every moment, over restarts, snapshots, commands, edits and passes of any size",
    () =>
      fc.assert(
        fc.asyncProperty(steps, fc.integer({ min: 2, max: 4 }), async (todo, most) => {
          const live = new Live();
          const moments = [BEGINNING];
          for (const one of todo) {
            await run(live, [one]);
            moments.push((await live.world.db.log(live.world.address).row()) === null ? BEGINNING : await live.head());
          }
          for (const from of new Set(moments)) {
            const { findings, counts } = await check(live, sum(), { from }, { keys: most, bytes: 1_000_000 });
            expect(findings).toEqual([]);
            expect(counts).toMatchObject({ differing: 0, eventsDiffering: 0, statesDiffering: 0, unmigrated: 0 });
          }
        }),
        runs(40),
      ),
    PATIENCE_MS,
  );
});

describe("a check of changed code", () => {
  it(
    "finds the keys whose states and outcomes differ in a world where that code took the events",
    () =>
      fc.assert(
        fc.asyncProperty(
          steps,
          fc.constantFrom("adds", "refuses", "fixed"),
          fc.integer({ min: 2, max: 7 }),
          async (todo, change, most) => {
            // A condition that another state meets isn't decided anew, so this compares logs without edits.
            const plain = todo.filter((one) => typeof one === "string" || !("put" in one));
            const [live, other] = [new Live(), new Live(CHANGES[change as keyof typeof CHANGES])];
            await run(live, plain);
            await run(other, plain);
            const compared = await check(live, other.operator, {}, { keys: most, bytes: 1_000_000 });
            const differing = [...live.outcomes].filter(([id, text]) => other.outcomes.get(id) !== text);
            if (differing.length === 0) expect(compared.findings).toEqual([]);
            await live.snapshot();
            const { findings } = await check(live, other.operator, {}, { keys: most, bytes: 1_000_000 });
            const [ours, theirs] = [await live.states(), await other.states()];
            const states = KEYS.filter((key) => ours.get(key) !== theirs.get(key));
            const at = (kind: Finding["finding"][]): string[] =>
              findings.flatMap((one) => (kind.includes(one.finding) && "key" in one ? [one.key] : [])).sort();
            expect(at(["state"])).toEqual(states);
            if (states.length > 0) expect(at(["outcome", "reply"])).not.toEqual([]);
          },
        ),
        runs(60),
      ),
    PATIENCE_MS,
  );

  it("names the event, what was logged and what it would be now, and the first difference of the state", async () => {
    const live = new Live();
    await live.send(add("a", 1), add("b", 2), add("a", 3), add("a", 3));
    await live.snapshot();
    const all = await check(live, CHANGES.adds);
    expect(all.findings).toEqual([
      {
        finding: "reply",
        key: "a",
        seq: 3,
        id: "e2",
        source: "test",
        type: "add",
        time: expect.stringMatching(/Z$/) as string,
        logged: { status: "applied", reply: { total: 4 } },
        now: { status: "applied", reply: { total: 5 } },
        operatorVersion: 1,
        code: "code-1",
      },
      { finding: "state", key: "a", seq: 4, path: "/total", logged: 7, now: 9 },
    ]);
    expect(all.counts).toMatchObject({ keys: 2, differing: 1, events: 4, eventsDiffering: 2, replies: 4, states: 2 });
    expect(all.gaps).toEqual([]);
  });

  it("decides refusals and quarantined events anew, and honours those that no handler decided", async () => {
    const live = new Live();
    const keys = { ...sum(), maxKeys: 2 };
    live.restart(keys);
    await live.send(add("a", 0), add("a", 1), add("b", "boom"), add("b", 1), add("c", 1));
    await live.send({ key: "a", type: PUT, data: { if: "none", version: 1, state: { total: 9, times: 9 } } });
    await live.snapshot();
    const { findings } = await check(live, CHANGES.fixed);
    expect(findings).toEqual([
      expect.objectContaining({
        finding: "outcome",
        key: "a",
        seq: 1,
        logged: expect.objectContaining({ code: "zero" }) as object,
        now: { status: "applied", reply: { total: 0 } },
      }),
      expect.objectContaining({ finding: "state", key: "a" }),
      expect.objectContaining({
        finding: "outcome",
        key: "b",
        seq: 3,
        logged: { status: "quarantined", error: "boom" },
      }),
      expect.objectContaining({ finding: "state", key: "b" }),
    ]);
    expect((await check(live, sum())).findings).toEqual([]);
  });

  it("finds events that a stricter schema rejects, that another key function moves, and whose type is gone", async () => {
    const live = new Live();
    await live.send(add("a", 1), add("b", 2), add("a", 4));
    await live.snapshot();
    const below = (most: number) => ({
      "~standard": {
        version: 1 as const,
        vendor: "test",
        validate: (value: unknown) => ((value as number) < most ? { value } : { issues: [{ message: "too much" }] }),
      },
    });
    const strict = await check(live, sum({ events: { add: below(4) } }));
    expect(strict.findings).toMatchObject([
      {
        finding: "outcome",
        key: "a",
        seq: 3,
        now: { status: "rejected", code: "invalid_data", detail: "sum: data: too much" },
      },
      { finding: "state", key: "a", path: "/total", logged: 5, now: 1 },
    ]);
    const moved = await check(live, sum({ key: (event) => `${event.partitionkey}!` }));
    expect(moved.findings[0]).toMatchObject({ now: { status: "moved", key: "a!", partition: 0 } });
    expect(found(moved)).toEqual(["outcome a", "state a", "outcome b", "state b"]);
    // The state that a key never had isn't a value.
    expect(moved.findings[1]).toEqual({ finding: "state", key: "a", seq: 3, path: "", logged: { total: 5, times: 2 } });
  });

  it("finds events that another group puts into another partition", async () => {
    const live = new Live();
    await live.send(add("a", 1));
    const all = await check(live, sum(), { keyOf: () => ({ tag: "keyed", key: "a", partition: 1 }) });
    expect(all.findings).toMatchObject([{ finding: "outcome", now: { status: "moved", key: "a", partition: 1 } }]);
  });

  it("decides refused events of keys that only the snapshot holds", async () => {
    const live = new Live();
    await live.send(add("a", 1), add("b", 1));
    await live.snapshot();
    const from = await live.head();
    await live.send(add("a", 0), add("b", "boom"));
    const all = await check(live, CHANGES.fixed, { from });
    expect(found(all)).toEqual(["outcome a", "outcome b"]);
    expect(all.counts.events).toBe(2);
    expect(await check(live, sum(), { from })).toMatchObject({ findings: [], counts: { events: 2 } });
  });

  it("doesn't blame a retry whose event the code applied at once", async () => {
    const live = new Live();
    await live.send(add("a", "boom"));
    await live.send({ key: "a", type: RETRY, data: { seq: 1 } });
    const all = await check(live, CHANGES.fixed);
    expect(all.findings).toMatchObject([{ finding: "outcome", key: "a", seq: 1 }]);
    expect(all.counts).toMatchObject({ events: 1, eventsDiffering: 1 });
    expect((await check(live, sum())).counts).toMatchObject({ events: 2, eventsDiffering: 0 });
  });

  it("leaves a handler that writes on its event alone", async () => {
    const writes = sum({
      on: {
        add(state, event) {
          const data = event.data as { n: number[] };
          state.total += data.n.pop()!;
        },
      },
    });
    const live = new Live(writes);
    await live.send(add("a", { n: [1, 2] }), add("a", { n: [3] }));
    await live.snapshot();
    expect((await check(live, writes)).findings).toEqual([]);
  });
});

describe("migrations", () => {
  const version2 = (migrate: (old: object) => unknown): Operator => sum({ version: 2, migrate: { 2: migrate } });

  it("run on every state of the newest snapshot, and a key that fails is found by name, touched or not", async () => {
    const live = new Live();
    await live.send(add("a", 1), add("b", 2));
    await live.snapshot();
    const from = await live.head();
    await live.send(add("c", 3));
    await live.snapshot();
    const failing = version2((old) => {
      if ((old as { total: number }).total === 2) throw new Error("two");
      return old;
    });
    const all = await check(live, failing, { from });
    expect(all.findings).toMatchObject([{ finding: "migration", key: "b", seq: 2, version: 1 }]);
    expect(all.findings[0]).toMatchObject({ detail: expect.stringContaining("throws, two") as string });
    expect(all.counts).toMatchObject({ migrated: 3, unmigrated: 1, events: 1, states: 1 });
    expect(
      (
        await check(
          live,
          version2((old) => old),
          { from },
        )
      ).findings,
    ).toEqual([]);
  });

  it("run in steps, each key once", async () => {
    const live = new Live();
    await live.send(...KEYS.map((key) => add(key, 1)));
    await live.snapshot();
    const same = version2((old) => old);
    const all = await check(live, same, {}, { keys: 2, bytes: 1_000_000 });
    expect(all.counts).toMatchObject({ migrated: KEYS.length, unmigrated: 0 });
  });

  it("and handlers must agree: what a migration leaves out shows as a state that differs", async () => {
    const live = new Live();
    await live.send(add("a", 1));
    await live.snapshot();
    const forgets = version2((old) => ({ ...old, times: 0 }));
    const all = await check(live, forgets);
    expect(all.findings).toEqual([{ finding: "state", key: "a", seq: 1, path: "/times", logged: 0, now: 1 }]);
  });

  it("a key that can't be migrated takes no event in the check either", async () => {
    const live = new Live();
    await live.send(add("a", 1));
    await live.snapshot();
    const from = await live.head();
    await live.send(add("a", 2));
    const fails = version2(() => {
      throw new Error("no");
    });
    expect(found(await check(live, fails, { from }))).toEqual(["migration a", "outcome a"]);
    await live.snapshot();
    const all = await check(live, fails, { from });
    // States that can't be migrated aren't compared.
    expect(found(all)).toEqual(["migration a", "outcome a"]);
    expect(all.findings[1]).toMatchObject({ now: { status: "rejected", code: "migration_failed" } });
  });
});

describe("on a line that starts from another one", () => {
  it("decides its own events, from the state that it starts with, and says where it starts", async () => {
    const live = new Live();
    await live.send(add("a", 1), add("b", 3));
    await live.snapshot();
    await live.send(add("a", 3));
    const fork = await live.fork();
    const start = await live.head();
    expect(await check(fork, sum(), { from: start })).toMatchObject({ findings: [], gaps: ["no_events"] });
    await fork.send(add("a", 1), add("b", 3));
    await fork.snapshot();
    const own = await check(fork, sum(), { from: start });
    expect(own).toMatchObject({ findings: [], gaps: [], counts: { events: 2, differing: 0, states: 2 } });
    expect(found(await check(fork, CHANGES.adds, { from: start }))).toEqual(
      expect.arrayContaining(["reply b", "state b"]),
    );
    expect((await check(fork, sum(), { from: BEGINNING })).gaps).toEqual(["line_start"]);
  });

  it("migrates the states that it starts with, if it has no snapshot", async () => {
    const live = new Live();
    await live.send(add("a", 1));
    await live.snapshot();
    const fork = await live.fork();
    const fails = sum({
      version: 2,
      migrate: {
        2: () => {
          throw new Error("no");
        },
      },
    });
    const from = await live.head();
    // The other line's later states aren't this line's.
    await live.send(add("b", 1));
    await live.snapshot();
    expect(await check(fork, fails, { from })).toMatchObject({
      findings: [{ finding: "migration", key: "a" }],
      counts: { migrated: 1, unmigrated: 1 },
    });
  });
});

describe("what can't be compared is named", () => {
  it("an unused partition, one snapshot, no events since, and a moment that is gone", async () => {
    const live = new Live();
    expect((await check(live, sum())).gaps).toEqual(["unused"]);
    await live.send(add("a", 1));
    expect(await check(live, sum())).toMatchObject({
      gaps: ["one_snapshot"],
      counts: { events: 1, states: 0, open: 1 },
    });
    await live.snapshot();
    const from = await live.head();
    expect(await check(live, sum(), { from })).toMatchObject({ gaps: ["no_events"], counts: { events: 0 } });
    await live.send(add("a", 1));
    const since = await check(live, sum(), { from });
    expect(since).toMatchObject({ gaps: ["one_snapshot"], counts: { events: 1, states: 0, open: 1 } });
    live.world.db.kept.set("1/sum/0000", { points: [], pins: [], retainFrom: 9_000, archiveFrom: 0 });
    expect((await check(live, sum(), { from: stamp(8_999) })).gaps).toEqual(["moment_gone"]);
  });

  it("events above the last snapshot are decided, and their keys counted as open", async () => {
    const live = new Live();
    await live.send(add("a", 1), add("b", 1));
    await live.snapshot();
    await live.send(add("a", 3));
    const all = await check(live, CHANGES.adds);
    expect(found(all)).toEqual(["reply a"]);
    expect(all.counts).toMatchObject({ events: 3, states: 2, open: 1, statesDiffering: 0 });
    const to = await check(live, CHANGES.adds, { to: stamp((await live.head()) - 1) });
    expect(to).toMatchObject({ findings: [], counts: { events: 2, states: 2, open: 0 } });
  });

  it("a snapshot above the last moment", async () => {
    const live = new Live();
    await live.send(add("a", 1));
    const to = await live.head();
    await live.send(add("a", 3));
    await live.snapshot();
    const all = await check(live, sum(), { to });
    expect(all).toMatchObject({ findings: [], gaps: ["one_snapshot"], counts: { events: 1, states: 0, open: 1 } });
  });

  it("a savepoint whose log is given up", async () => {
    const live = new Live();
    await live.send(add("a", 1));
    await live.snapshot();
    const at = await live.head();
    const { db } = live.world;
    db.savepoints.set(1, { number: 1, name: "here", at, createdMs: 0, state: "held", line: 1 });
    db.kept.set("1/sum/0000", { points: [], pins: [], retainFrom: at + 1, archiveFrom: 0 });
    expect((await check(live, sum(), { from: at })).gaps).toEqual(["moment_gone"]);
  });

  it("a snapshot that is damaged: an older one is compared, or none", async () => {
    const live = new Live();
    await live.send(add("a", 1));
    await live.snapshot();
    await live.send(add("a", 3));
    await live.snapshot();
    const files = [...live.world.store.objects.keys()].filter((name) => name.endsWith(".kfs")).sort();
    live.world.store.objects.set(files.at(-1)!, new Uint8Array(7));
    const all = await check(live, CHANGES.adds);
    expect(found(all)).toEqual(["reply a"]);
    expect(all).toMatchObject({ gaps: [], counts: { states: 1, open: 1 } });
    for (const file of files) live.world.store.objects.set(file, new Uint8Array(7));
    expect((await check(live, CHANGES.adds)).gaps).toEqual(["snapshot_unreadable"]);
  });

  it("a dedup that forgets sooner is found with the events whose retries would count again", async () => {
    const live = new Live();
    await live.send(add("a", 1), add("b", 2), add("a", 3));
    await live.snapshot();
    const short = await check(live, sum({ dedup: { maxIds: 1 } }));
    expect(short.findings).toEqual([{ finding: "dedup", from: 1, to: 2 }]);
    expect((await check(live, sum({ dedup: { keep: "48h" } }))).findings).toEqual([]);
  });
});

describe("a sample", () => {
  it("is the same number of keys each time, whatever the passes", async () => {
    const live = new Live();
    const keys = Array.from({ length: 40 }, (_, n) => `key-${n}`);
    await live.send(...keys.map((key) => add(key, 3)));
    await live.snapshot();
    const ten = await check(live, CHANGES.adds, { sample: 10 });
    expect(ten.counts).toMatchObject({ keys: 10, differing: 10, events: 10, states: 10 });
    const again = await check(live, CHANGES.adds, { sample: 10 }, { keys: 4, bytes: 1_000_000 });
    expect(new Set(found(again))).toEqual(new Set(found(ten)));
    const five = await check(live, CHANGES.adds, { sample: 5 });
    expect(found(ten)).toEqual(expect.arrayContaining(found(five)));
    expect((await check(live, CHANGES.adds, { sample: 500 })).counts).toMatchObject({ keys: 40, differing: 40 });
  });
});

it("writes nothing, takes no epoch, and ends if this code would fill the quarantine", async () => {
  const live = new Live();
  await live.send(...Array.from({ length: 7 }, (_, n) => add(`k${n}`, 1)));
  await live.snapshot();
  const from = await live.head();
  for (let batch = 0; batch < 11; batch++)
    await live.send(...Array.from({ length: 1_000 }, (_, n) => add(`k${n % 7}`, 1)));
  const before = await live.world.db.log(live.world.address).row();
  const objects = live.world.store.objects.size;
  const throws = sum({
    on: {
      add() {
        throw new Error("always");
      },
    },
  });
  // Events of keys that can't be migrated aren't quarantined.
  const fails = sum({ version: 2, migrate: { 2: () => null } });
  expect(found(await check(live, fails, { from }))).not.toContain("quarantine_full");
  const all = await check(live, throws);
  expect(all.findings[0]).toMatchObject({ finding: "quarantine_full", events: 10_000 });
  expect(all.counts.events).toBeLessThanOrEqual(11_007);
  expect(await live.world.db.log(live.world.address).row()).toEqual(before);
  expect(live.world.store.objects.size).toBe(objects);
});
