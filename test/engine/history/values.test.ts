/** The value after each event of a key's history: what it was when it was live, or an honest word that this isn't known. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { history, type HistoryItem, type HistoryPage } from "../../../src/engine/history/history.ts";
import { partitionName, seq, type PartitionId, type Seq } from "../../../src/engine/base/ids.ts";
import type { Operator } from "../../../src/engine/operator/operator.ts";
import { ERASE, PUT, REMOVE } from "../../../src/engine/state/edit.ts";
import { DELETE, RETRY } from "../../../src/engine/state/quarantine.ts";
import { GARBAGE_MS } from "../../../src/engine/checkpoint/checkpointer.ts";
import { sum } from "../fakes/sum.ts";
import { words, World, type Incarnation, type Sent } from "../fakes/world.ts";
import { PATIENCE_MS, runs } from "../hostile.ts";

const ID: PartitionId = { line: 1, operator: "sum", partition: 0 };
const KEYS = ["k0", "k1", "é/2"];

/** Does what a handler may do. While `fuse.lit`, "boom" throws. Version 2 counts double, and has one member more. */
function book(version: number, fuse = { lit: true }): Operator {
  return sum({
    version,
    ...(version === 2 ? { migrate: { 2: (old) => ({ ...(old as object), two: true }) } } : {}),
    snapshot: { maxTailBytes: 256_000_000, retain: "1d" },
    on: {
      add(state, event, ctx) {
        const { data } = event;
        state.times += 1;
        if (data === 0) return ctx.refuse("zero", { total: state.total });
        if (data === "boom" && fuse.lit) throw new Error("boom");
        if (data === "gone") return ctx.remove();
        state.total += typeof data === "number" ? version * data : Math.floor(ctx.random() * 1e6);
        if (ctx.isNew) state.times = 0 - ctx.seq;
        return { total: state.total };
      },
    },
  });
}
const migrated = (value: unknown): unknown => (value === undefined ? undefined : { ...(value as object), two: true });

const page = (world: World, operator: Operator, key: string, before: Seq | null, items: number): Promise<HistoryPage> =>
  world.clock.run(history(world.reader(operator), key, before, { items }));

async function all(world: World, operator: Operator, key: string, limit = 1_000): Promise<HistoryItem[]> {
  const items: HistoryItem[] = [];
  for (let before: Seq | null = null; ;) {
    const one = await page(world, operator, key, before, limit);
    items.push(...one.items);
    if (one.before === null) return items;
    expect(one.before).toBeLessThan(before ?? Infinity);
    before = one.before;
  }
}

/** As text, so that a difference is seen at a glance. */
const said = ({ seq: at, outcome, value }: Pick<HistoryItem, "seq" | "outcome" | "value">): string =>
  `${at} ${outcome.tag} ${value.tag === "known" ? value.text : `unknown: ${value.why}`}`;

/** The events taken of a key, each with the value that was live right after it. */
interface Entry {
  readonly seq: number;
  readonly id: string;
  readonly key: string;
  readonly outcome: string;
  readonly version: number;
  readonly value: unknown;
}

/** A world with one partition, and the truth about it. */
class Book {
  readonly world = new World();
  readonly entries: Entry[] = [];
  readonly fuse = { lit: true };
  version = 1;
  operator: Operator;
  one: Incarnation;
  #sent = 0;

  constructor() {
    this.operator = book(1, this.fuse);
    this.one = this.world.start(this.operator);
  }

  /** Each key once in a group, so that what is live afterwards is the value after its event. */
  async send(...events: readonly Omit<Sent, "id">[]): Promise<void> {
    const sent = events.map((event) => {
      const id = `e${++this.#sent}`;
      // A handler's draws must not depend on whether the sender gave a time.
      return { id, ...(this.#sent % 2 === 0 ? { time: "2001-02-03T04:05:06Z" } : {}), ...event };
    });
    const result = await this.world.send(this.one, ...sent);
    if (result.tag !== "decided") throw new Error(result.message);
    const outcomes = words(result) as string[];
    for (const [i, { id, key }] of sent.entries()) {
      const value = await this.world.value(this.one, key);
      const [at, outcome] = [this.entries.length + 1, outcomes[i]!];
      this.entries.push({ seq: at, id, key: key!, outcome, version: this.version, value });
    }
  }

  async snapshot(fate: "ok" | "before" | "after" = "ok"): Promise<void> {
    if (this.entries.length === 0) return;
    this.world.fates = ({ method }) => (method === "promote" ? fate : "ok");
    await this.world.clock.run(this.one.partition.snapshot());
    await this.world.clock.advance(1_000);
    this.world.fates = () => "ok";
  }

  start(version = this.version): void {
    this.version = version;
    this.operator = book(version, this.fuse);
    this.one = this.world.start(this.operator, `code-${version}-${this.fuse.lit}`);
  }

  /** Events that wait in the quarantine. */
  async aside(): Promise<readonly { readonly seq: number; readonly key: string }[]> {
    return (await this.world.clock.run(this.one.partition.quarantined(seq(0), 1_000, 1e6))).items;
  }

  async command(type: string): Promise<void> {
    const [entry] = await this.aside();
    if (entry !== undefined) await this.send({ type, key: entry.key, data: { seq: entry.seq } });
  }

  /** Seq of the oldest snapshot that is kept. */
  oldestSnapshot(): number {
    const { snapshotSeq, previousSeq, previous } = this.world.db.rows.get(partitionName(ID))!;
    const points = this.world.db.kept.get(partitionName(ID))?.points ?? [];
    return Math.min(snapshotSeq, previous === null ? snapshotSeq : previousSeq, ...points.map(({ seq: at }) => at));
  }

  of(key: string): Entry[] {
    return this.entries.filter((entry) => entry.key === key).toReversed();
  }

  /** As a history that knows everything has it. */
  lines(key: string): string[] {
    return this.of(key).map(({ seq: at, outcome, value }) => `${at} ${outcome} ${JSON.stringify(value) ?? null}`);
  }
}

describe("the value after each event", () => {
  it("of edits is what they put, and resumes from there; also of one that is retried, and after an erasure", async () => {
    const it = new Book();
    const edit = (type: string, data: object): Omit<Sent, "id"> => ({
      type,
      key: "k0",
      data: { if: "any", version: 1, ...data },
    });
    await it.send({ key: "k0", data: 3 });
    await it.send(edit(PUT, { state: { total: 70, times: 9 } }));
    await it.send({ key: "k0", data: 2 });
    // No state that this code can use: it is quarantined, and fails again.
    await it.send(edit(PUT, { version: 2, state: { total: 1, times: 1 } }));
    await it.command(RETRY);
    await it.send(edit(REMOVE, {}));
    await it.send({ key: "k0", data: 1 });
    await it.send(edit(ERASE, {}));
    await it.send({ key: "k0", data: 5 });
    const items = await all(it.world, it.operator, "k0");
    expect(items.map(said)).toEqual(
      it.of("k0").map(({ seq: at, outcome, value }) => `${at} ${outcome} ${JSON.stringify(value) ?? null}`),
    );
    expect(items.length).toBe(9);
    // Under the code that knows that version, the retry takes effect; what was there before is known from a snapshot of it.
    await it.send(edit(PUT, { version: 2, state: { total: 11, times: 1, two: true } }));
    it.start(2);
    await it.snapshot();
    await it.command(RETRY);
    const [newest] = await all(it.world, it.operator, "k0");
    expect(said(newest!)).toBe('11 applied {"total":11,"times":1,"two":true}');
  });

  it("is given without any snapshot, with many events of a key in one group", async () => {
    const world = new World();
    const operator = sum();
    const one = world.start(operator);
    const data = [5, 0, "boom", 7, 7];
    await world.send(one, ...data.map((n, i) => ({ id: `e${i}`, key: "k", data: n })));
    expect((await all(world, operator, "k")).map(said)).toEqual([
      '5 applied {"total":19,"times":3}',
      '4 applied {"total":12,"times":2}',
      '3 quarantined {"total":5,"times":1}',
      '2 refused {"total":5,"times":1}',
      '1 applied {"total":5,"times":1}',
    ]);
  });

  it("begins from the snapshot below a page, and shows the event as it was logged", async () => {
    const it = new Book();
    for (let n = 0; n < 12; n++) {
      await it.send({ key: "k0", data: "dice" }, { key: "k1", data: n });
      if (n % 3 === 2) await it.snapshot();
    }
    it.world.trace.length = 0;
    let gets = 0;
    const objects = Object.assign(Object.create(it.world.store) as typeof it.world.store, {
      get: (name: string) => (gets++, it.world.store.get(name)),
    });
    const env = { ...it.world.reader(it.operator), objects };
    const two = await it.world.clock.run(history(env, "k0", seq(20), { items: 2 }));
    expect(two.items.map(said)).toEqual(it.lines("k0").slice(2, 4));
    expect(two.items[0]).toMatchObject({ event: { id: it.of("k0")[2]!.id, data: "dice" }, operatorVersion: 1 });
    expect(gets).toBeLessThan(6);
    expect(it.world.trace).toEqual([]);
  });

  it("ONE6: of a retried event is the value that the retry left, also where the event is far below", async () => {
    const it = new Book();
    await it.send({ key: "k0", data: "boom" });
    await it.send({ key: "k0", data: 4 });
    await it.command(RETRY);
    await it.snapshot();
    it.fuse.lit = false;
    it.start();
    await it.send({ key: "k0", data: 3 });
    await it.command(RETRY);
    await it.send({ key: "k0", data: "gone" });
    const items = await all(it.world, it.operator, "k0");
    expect(items.map(said)).toEqual(it.lines("k0"));
    expect(items.map(({ outcome }) => outcome.tag)).toEqual([
      "applied",
      "applied",
      "applied",
      "quarantined",
      "applied",
      "quarantined",
    ]);
  });

  it("shows each event as it came, whatever its handler made of it, also before a retry", async () => {
    const world = new World();
    const fuse = { lit: true };
    const operator = sum({
      on: {
        add(state, event) {
          const { data } = event as unknown as { data: { left: number[] } };
          state.total = data.left.length;
          data.left.pop();
          if (fuse.lit) throw new Error("lit");
        },
      },
    });
    const one = world.start(operator);
    await world.send(one, { id: "a", key: "k", data: { left: [1, 2] } });
    await world.send(one, { id: "r1", key: "k", type: RETRY, data: { seq: 1 } });
    fuse.lit = false;
    await world.send(one, { id: "r2", key: "k", type: RETRY, data: { seq: 1 } });
    await world.send(one, { id: "b", key: "k", data: { left: [1, 2, 3] } });
    const items = await all(world, operator, "k");
    expect(items.map(({ value }) => value)).toEqual(
      [3, 2, null, null].map((total) => ({
        tag: "known",
        text: total === null ? null : JSON.stringify({ total, times: 0 }),
      })),
    );
    expect([items[0]!.event.data, items[3]!.event.data]).toEqual([{ left: [1, 2, 3] }, { left: [1, 2] }]);
  });

  it("CODE4: of what another version applied isn't known, but where a snapshot of that version says it", async () => {
    const it = new Book();
    for (const n of [1, 2]) await it.send({ key: "k0", data: n });
    await it.snapshot();
    await it.send({ key: "k0", data: 3 });
    it.start(2);
    await it.send({ key: "k0", data: 4 });
    await it.snapshot();
    await it.send({ key: "k0", data: 5 });
    expect((await all(it.world, it.operator, "k0")).map(said)).toEqual([
      '5 applied {"total":27,"times":3,"two":true}',
      '4 applied {"total":17,"times":2,"two":true}',
      "3 applied unknown: version 1 applied seq 3, and this is version 2",
      '2 applied {"total":3,"times":0,"two":true}',
      "1 applied unknown: version 1 applied seq 1, and this is version 2",
    ]);
  });

  it("CODE3: after a rollback the newer version's snapshots are passed over", async () => {
    const it = new Book();
    await it.send({ key: "k0", data: 1 });
    await it.snapshot();
    it.start(2);
    await it.send({ key: "k0", data: 2 });
    await it.snapshot();
    it.start(1);
    await it.send({ key: "k0", data: 3 });
    await it.snapshot();
    await it.send({ key: "k0", data: 4 });
    const [four, three, two, one] = await all(it.world, it.operator, "k0");
    expect([four, three, one].map((item) => said(item!))).toEqual(
      [3, 2, 0].map((i) => `${i + 1} applied ${JSON.stringify(it.entries[i]!.value)}`),
    );
    expect(said(two!)).toBe("2 applied unknown: version 2 applied seq 2, and this is version 1");
  });

  it("V2: code that was changed without a new version, and that now says otherwise than the log", async () => {
    const world = new World();
    const one = world.start(sum());
    for (const n of [1, 2, 3]) await world.send(one, { id: `e${n}`, key: "k", data: n });
    const refuses = sum({ on: { add: (_, event, ctx) => (event.data === 2 ? ctx.refuse("two") : { total: 1 }) } });
    expect((await all(world, refuses, "k")).map(said)).toEqual([
      '3 applied unknown: the code has changed: the outcome of seq 2 is now "refused"',
      '2 applied unknown: the code has changed: the outcome of seq 2 is now "refused"',
      '1 applied {"total":0,"times":0}',
    ]);
    const replies = sum({ on: { add: (state) => ({ total: ++state.total * 10 }) } });
    expect((await all(world, replies, "k")).map(({ value }) => value.tag)).toEqual(["unknown", "unknown", "unknown"]);
  });

  it("LOG5, TIME3: ends where retention has given up the log, and says so; above it all is known", async () => {
    const it = new Book();
    for (let day = 0; day < 20; day++) {
      await it.send({ key: "k0", data: day + 1 }, { key: "k1", data: "dice" });
      await it.snapshot();
      await it.world.clock.advance(5 * GARBAGE_MS);
    }
    await it.snapshot();
    const { archiveFrom } = it.world.db.kept.get(partitionName(ID))!;
    expect(archiveFrom).toBeGreaterThan(3);
    for (const limit of [1, 3, 1_000]) {
      const items = await all(it.world, it.operator, "k1", limit);
      expect(items.length).toBeGreaterThan(3);
      expect(items.length).toBeLessThan(18);
      expect(items.slice(0, -1).map(said)).toEqual(it.lines("k1").slice(0, items.length - 1));
    }
    expect((await page(it.world, it.operator, "k1", null, 1_000)).bottom).toBe("given up");
    expect(await page(it.world, it.operator, "k1", seq(3), 10)).toEqual({
      items: [],
      before: null,
      bottom: "given up",
    });
  });

  it("LOG5: a pinned snapshot far below what is kept of the log is no beginning: what came between is gone", async () => {
    const it = new Book();
    await it.send({ key: "k0", data: 1 });
    await it.snapshot();
    expect(await it.world.db.log(ID).pin({ version: 1, name: "audit", createdMs: 1 })).toBe("pinned");
    for (let day = 0; day < 20; day++) {
      await it.send({ key: "k0", data: "dice" });
      await it.snapshot();
      await it.world.clock.advance(5 * GARBAGE_MS);
    }
    await it.snapshot();
    expect(it.oldestSnapshot()).toBe(1);
    const items = await all(it.world, it.operator, "k0");
    expect(items.slice(0, -1).map(said)).toEqual(it.lines("k0").slice(0, items.length - 1));
    // The last event that the base of all that is kept holds: the base itself says what it left.
    const oldest = items.at(-1)!;
    const alone = await page(it.world, it.operator, "k0", seq(oldest.seq + 1), 1);
    expect(alone.items.map(said)).toEqual([said(oldest)]);
    expect(said(oldest)).toBe(it.lines("k0")[items.length - 1]);
  });

  it.each([0, 2])("W5: an archive that is kept and lost is no end of the log: the %ith", async (lost) => {
    const it = new Book();
    for (let day = 0; day < 20; day++) {
      await it.send({ key: "k0", data: 1 });
      await it.snapshot();
      await it.world.clock.advance(5 * GARBAGE_MS);
    }
    await it.snapshot();
    const names = [...it.world.store.objects.keys()].filter((name) => name.endsWith(".kfm")).sort();
    it.world.store.objects.delete(names[lost]!);
    await expect(all(it.world, it.operator, "k0")).rejects.toMatchObject({ code: "log_broken" });
  });

  it("SNAP4: a snapshot that is lost is passed over for the one below, or for the beginning of the log", async () => {
    const it = new Book();
    for (let n = 0; n < 30; n++) {
      await it.send({ key: "k0", data: "dice" });
      if (n % 10 === 9) await it.snapshot();
    }
    for (const name of [...it.world.store.objects.keys()]
      .filter((one) => one.endsWith(".kfs"))
      .sort()
      .toReversed()) {
      it.world.store.objects.delete(name);
      expect((await page(it.world, it.operator, "k0", null, 3)).items.map(said)).toEqual(it.lines("k0").slice(0, 3));
    }
  });

  it("V4: values that a page has no room for come with the next one", async () => {
    const world = new World();
    const operator = sum({
      on: { add: (state, event) => void Object.assign(state, { text: "x".repeat(900_000), n: event.data }) },
    });
    const one = world.start(operator);
    for (let n = 1; n <= 12; n++) await world.send(one, { id: `e${n}`, key: "k", data: n });
    const first = await page(world, operator, "k", null, 1_000);
    expect(first.items.map(({ seq: at }) => at)).toEqual([12, 11, 10, 9]);
    expect(first.before).toBe(9);
    const items = await all(world, operator, "k");
    expect(
      items.map(({ value }) => (value.tag === "known" ? (JSON.parse(value.text!) as { n: number }).n : null)),
    ).toEqual(Array.from({ length: 12 }, (_, i) => 12 - i));
  });

  it(
    "is what was live, or not known, through any run of groups, commands, snapshots, evictions, versions and retention",
    async () => {
      const data = fc.oneof(fc.integer({ min: 0, max: 9 }), fc.constantFrom("dice", "gone", "boom"));
      const event = fc.record({ key: fc.constantFrom(...KEYS), data });
      const group = fc.uniqueArray(event, { minLength: 1, maxLength: 3, selector: ({ key }) => key });
      const step = fc.oneof(
        { weight: 8, arbitrary: fc.record({ do: fc.constant("send" as const), group }) },
        {
          weight: 2,
          arbitrary: fc.record({ do: fc.constant("command" as const), type: fc.constantFrom(RETRY, DELETE) }),
        },
        { weight: 4, arbitrary: fc.record({ do: fc.constantFrom("snapshot", "failed", "unheard", "evict", "wait") }) },
        { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("fix", "deploy") }) },
      );
      const seen = { known: 0, unknown: 0, givenUp: 0 };
      const run = fc.asyncProperty(
        fc.array(step, { minLength: 20, maxLength: 60, size: "max" }),
        fc.integer({ min: 1, max: 7 }),
        fc.boolean(),
        async (steps, limit, back) => {
          const it = new Book();
          for (const now of steps) {
            if (now.do === "send") await it.send(...now.group);
            else if (now.do === "command") await it.command(now.type);
            else if (now.do === "evict") it.start();
            else if (now.do === "fix") {
              it.fuse.lit = false;
              it.start();
            } else if (now.do === "deploy") it.start(2);
            else {
              if (now.do === "wait") await it.world.clock.advance(7 * GARBAGE_MS);
              await it.snapshot(now.do === "failed" ? "before" : now.do === "unheard" ? "after" : "ok");
            }
          }
          if (back && it.version === 2) it.start(1);
          const versions = new Set(it.entries.map(({ version }) => version)).add(it.version);
          for (const key of KEYS) {
            const items = await all(it.world, it.operator, key, limit);
            const truth = it.of(key).slice(0, items.length);
            expect(items.map(({ seq: at, event: { id }, outcome }) => `${at} ${id} ${outcome.tag}`)).toEqual(
              truth.map(({ seq: at, id, outcome }) => `${at} ${id} ${outcome}`),
            );
            if (items.length < it.of(key).length) seen.givenUp += 1;
            for (const [i, { version, value: live }] of truth.entries()) {
              const { value } = items[i]!;
              seen[value.tag] += 1;
              const was = version < it.version ? migrated(live) : live;
              if (value.tag === "known") expect(`${i} ${value.text}`).toBe(`${i} ${JSON.stringify(was) ?? null}`);
              // If the log doesn't go down to its beginning, no snapshot stands below the events that led to the oldest kept one.
              else if (versions.size === 1) {
                // Nor is an event known that was quarantined so long ago that the log has it no more.
                if (value.why.endsWith("retries is not in the log any more")) continue;
                expect(value.why).toMatch(/is not kept/);
                expect(truth[i]!.seq).toBeLessThanOrEqual(it.oldestSnapshot());
              }
            }
          }
        },
      );
      await fc.assert(run, runs(120));
      expect(seen.known).toBeGreaterThan(seen.unknown);
      expect(seen.unknown + seen.givenUp).toBeGreaterThan(0);
    },
    PATIENCE_MS,
  );
});
