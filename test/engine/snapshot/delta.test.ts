/** SNAP5, SNAP8: a chain of deltas gives back what a full snapshot does, at the cost of what changed. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { brotli } from "../../../src/adapters/brotli.ts";
import { Damage } from "../../../src/engine/base/errors.ts";
import { StateMachine } from "../../../src/engine/state/state-machine.ts";
import { seq, type Seq } from "../../../src/engine/base/ids.ts";
import { readManifest, stateFiles, type Manifest } from "../../../src/engine/snapshot/manifest.ts";
import { filesKept } from "../../../src/engine/checkpoint/policy.ts";
import { capture } from "../fakes/capture.ts";
import { readFooter } from "../../../src/engine/snapshot/file-footer.ts";
import { ID, rowOf, type Sent } from "../at-rest.ts";
import { readSegment } from "../../../src/engine/log/segment.ts";
import { sum } from "../fakes/sum.ts";
import { World, words, type Incarnation } from "../fakes/world.ts";
import { GARBAGE_MS } from "../../../src/engine/checkpoint/checkpointer.ts";
import { encodeSnapshot, readSnapshot } from "./whole-file.ts";

const operator = sum({
  dedup: { keep: "10m", maxIds: 12 },
  replies: { keep: "5m" },
  on: {
    add(state, event, ctx) {
      if (event.data === "boom") throw new Error("boom");
      if (event.data === "remove") return ctx.remove();
      if (event.data === 0) return ctx.refuse("zero", { total: state.total });
      state.total += event.data as number;
      state.times += 1;
      return { total: state.total };
    },
  },
});
const NAME = "1/sum/0000";

/** The file of what changed above `base`. */
const fileOf = (machine: StateMachine, base: Seq): Promise<Uint8Array> =>
  encodeSnapshot(ID, capture(machine, base), brotli, () => Promise.resolve());

/**
 * As recovery reads them: without the ids that the last file doesn't know any more; or with all of them, to forget them
 * then.
 */
function read(files: readonly Uint8Array[], skipping = true): StateMachine {
  const machine = new StateMachine(operator, 1);
  const idsFrom = skipping ? readFooter(files.at(-1)!, brotli).dedup.first : 0;
  for (const file of files) readSnapshot(file, machine, ID, brotli, idsFrom);
  return machine;
}

type Step =
  | { readonly tag: "event"; readonly key: string; readonly data: unknown; readonly minutes: number }
  | { readonly tag: "retry" | "delete"; readonly back: number }
  | { readonly tag: "numbered"; readonly number: number }
  | { readonly tag: "snapshot"; readonly full: boolean };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        tag: fc.constant("event" as const),
        key: fc.constantFrom("a", "b", "c", "😀", "￿"),
        data: fc.constantFrom<unknown>(1, 2, 0, "boom", "remove"),
        minutes: fc.constantFrom(0, 0, 1, 4),
      }),
    },
    { weight: 1, arbitrary: fc.record({ tag: fc.constantFrom("retry" as const, "delete" as const), back: fc.nat(6) }) },
    { weight: 1, arbitrary: fc.record({ tag: fc.constant("numbered" as const), number: fc.nat(9) }) },
    { weight: 3, arbitrary: fc.record({ tag: fc.constant("snapshot" as const), full: fc.boolean() }) },
  ),
  { maxLength: 60 },
);

/** A fold that is fed row by row, each of one event. */
class Story {
  readonly machine = new StateMachine(operator, 1);
  files: Uint8Array[] = [];
  #base = seq(0);
  #ms = 1_769_860_800_000;

  async run(step: Step): Promise<void> {
    switch (step.tag) {
      case "event":
        this.#ms += step.minutes * 60_000;
        return this.#log({ type: "add", data: step.data }, step.key);
      case "retry":
      case "delete":
        return this.#log({ type: `keyframe.quarantine.${step.tag}`, data: { seq: this.machine.seq - step.back } }, "a");
      case "numbered":
        return this.#log({ type: "add", data: 1 }, "a", { mark: ["p", 1, step.number, 0] });
      case "snapshot":
        return this.#snapshot(step.full);
    }
  }

  #log(event: Record<string, unknown>, key: string, more: Partial<Sent> = {}): void {
    const at = this.machine.seq + 1;
    const text = JSON.stringify({ id: `e${at}`, ...event });
    const row = rowOf(at, [{ text, key, ms: this.#ms, ...more }]);
    this.machine.replay({ row, events: readSegment(row, brotli) });
  }

  async #snapshot(full: boolean): Promise<void> {
    if (this.machine.seq === this.#base) return;
    const base = full ? seq(0) : this.#base;
    if (base === 0) this.files = [];
    this.files.push(await fileOf(this.machine, base));
    this.#base = this.machine.seq;
    for (const _ of this.machine.dropSaved(this.machine.seq, full));
  }
}

describe("a chain of deltas", () => {
  it("SNAP8, ONE2, ONE3: gives back state, repeats, quarantine and producers as the full snapshot does", async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (all) => {
        const story = new Story();
        for (const step of [...all, { tag: "snapshot", full: false } as const]) await story.run(step);
        if (story.machine.seq === 0) return;
        const back = read(story.files);
        expect(capture(back)).toEqual(capture(story.machine));
        expect(capture(read(story.files, false))).toEqual(capture(story.machine));
        expect(capture(back, back.seq).entries, "what was read is no change").toEqual([]);
      }),
      { numRuns: 150 },
    );
  });

  it("SNAP3: a delta is refused without its base, on another one, and twice", async () => {
    const story = new Story();
    for (let n = 0; n < 9; n++) {
      await story.run({ tag: "event", key: "a", data: 1, minutes: 0 });
      await story.run({ tag: "snapshot", full: false });
    }
    const [full, one, two] = story.files as [Uint8Array, Uint8Array, Uint8Array];
    for (const files of [[one], [full, two], [full, one, one], [full, full]]) expect(() => read(files)).toThrow(Damage);
    expect(read([full, one, two]).seq).toBe(3);
  });

  const ones = (count: number): number[] => Array<number>(count).fill(1);
  it.each<[string, number[], number, number]>([
    ["a full one alone", [100], 1, 1],
    ["deltas that weigh as much as their base", [100, 60, 40], 1, 3],
    ["more than that: the next one is full", [100, 60, 41], 1, 0],
    ["seven small ones", [100, ...ones(7)], 1, 8],
    ["eight of a size are merged into one", [100, ...ones(8)], 1, 1],
    ["a large one among them is left alone", [100, 20, ...ones(7)], 1, 2],
    ["four at least are merged", [300, 160, 60, 25, 10, 1, 1, 1, 1], 1, 5],
    ["a full one in parts", [50, 50, ...ones(7)], 2, 9],
    ["and many deltas on it", [50, 50, ...ones(8)], 2, 2],
  ])("SNAP5: %s: %o, of which %i are full, the next one builds on %i", (_, bytes, parts, kept) => {
    const files = bytes.map((size, i) => ({ name: `f${i}`, bytes: size, sha256: "" }));
    const manifest = { chain: files.slice(0, -1), snapshot: files.at(-1)!, parts } as unknown as Manifest;
    expect(filesKept(manifest)).toBe(kept);
  });
});

describe("a partition that takes deltas", () => {
  const KEYS = 400;
  const fillKeys = async (world: World, one: Incarnation): Promise<void> => {
    const events = Array.from({ length: KEYS }, (_, i) => ({ id: `k${i}`, key: `k${i}`, data: 1 }));
    expect(words(await world.send(one, ...events))).toHaveLength(KEYS);
  };
  const snapshot = async (world: World, one: Incarnation): Promise<Manifest> => {
    const taken = await world.clock.run(one.partition.snapshot());
    if (taken.tag !== "current") throw new Error(JSON.stringify(taken));
    return taken.manifest;
  };
  const touch = (world: World, one: Incarnation, n: number) => world.send(one, { id: `t${n}`, key: `k${n}`, data: n });
  const current = (world: World): Manifest => readManifest(world.db.rows.get(NAME)!.manifest!, brotli.crc32);
  const plain = sum();

  it("SNAP5: writes what changed, keeps the older generation and cuts the log up to the manifest before", async () => {
    const world = new World();
    const one = world.start(plain);
    await fillKeys(world, one);
    const first = await snapshot(world, one);
    await touch(world, one, 1);
    const second = await snapshot(world, one);
    expect([first.kind, second.kind]).toEqual(["full", "delta"]);
    expect(second.snapshot.bytes * 5).toBeLessThan(first.snapshot.bytes);
    expect(second.keys).toBe(KEYS);
    expect(stateFiles(second)).toEqual([first.snapshot, second.snapshot]);
    await touch(world, one, 2);
    const third = await snapshot(world, one);
    expect(third).toMatchObject({ kind: "delta", archive: { from: second.seq, to: third.seq } });
    expect(world.db.rows.get(NAME)).toMatchObject({ previous: null, snapshotSeq: third.seq });
    expect(world.db.segments.get(NAME)!.map(({ seq: at }) => at)).toEqual([third.seq]);
    const next = world.start(plain);
    expect(await world.value(next, "k2")).toEqual({ total: 3, times: 2 });
    expect(await world.value(next, "k3")).toEqual({ total: 1, times: 1 });
    expect(words(await world.send(next, { id: "k5", key: "k5", data: 1 }))).toEqual(["applied again"]);
  });

  it("SNAP4: the next full one makes the chain the older generation, and the one before that goes", async () => {
    const world = new World();
    const one = world.start(plain);
    await fillKeys(world, one);
    const kinds: string[] = [];
    for (let n = 1; kinds.filter((kind) => kind === "full").length < 3; n++) {
      await touch(world, one, n);
      kinds.push((await snapshot(world, one)).kind);
      expect(stateFiles(current(world)).length, "a chain stays short").toBeLessThan(10);
    }
    expect(kinds.length, "full ones are rare").toBeGreaterThan(20);
    const row = world.db.rows.get(NAME)!;
    const [now, before] = [current(world), readManifest(row.previous!, brotli.crc32)];
    const named = [...stateFiles(now), ...stateFiles(before)].map(({ name }) => name);
    expect(new Set(named).size, "they share nothing").toBe(named.length);
    await world.clock.advance(GARBAGE_MS);
    await snapshot(world, one);
    await world.clock.advance(1_000);
    const kept = [...world.store.objects.keys()].filter((name) => name.includes("/snapshots/"));
    expect(kept.sort()).toEqual([...named].sort());
  });

  it.each<[string, number, string]>([
    ["base", 0, "the older generation"],
    ["first delta", 1, "the full one"],
    ["newest delta", 2, "the delta before"],
  ])("SNAP4: with its %s damaged (file %d), recovery resumes from %s, and nothing is missing", async (_, at, from) => {
    const world = new World();
    const one = world.start(plain);
    await fillKeys(world, one);
    let n = 0;
    while (world.db.rows.get(NAME)!.previous === null || current(world).chain?.length !== 2) {
      await touch(world, one, ++n);
      await snapshot(world, one);
    }
    const files = stateFiles(current(world));
    world.store.damage(files[at]!.name);
    const { number: version } = current(world);
    const older = readManifest(world.db.rows.get(NAME)!.previous!, brotli.crc32).number;
    const base = { "the older generation": older, "the full one": version - 2, "the delta before": version - 1 }[from];
    const next = world.start(plain);
    expect(await world.value(next, `k${n}`)).toEqual({ total: n + 1, times: 2 });
    expect(await world.value(next, "k1")).toEqual({ total: 2, times: 2 });
    expect(words(await touch(world, next, n + 1))).toEqual(["applied"]);
    const { lastRecovery } = await world.clock.run(next.partition.facts());
    expect(lastRecovery).toMatchObject({ manifest: base, fallbacks: 3 - at });
    await world.clock.advance(1_000);
    expect(current(world), "the next one is full").toMatchObject({ kind: "full" });
    expect(await world.value(world.start(plain), `k${n + 1}`)).toEqual({ total: n + 2, times: 2 });
  });

  it("SNAP2, A11 of the models: after an attempt of unknown outcome a delta builds on what D1 calls current", async () => {
    const world = new World();
    const one = world.start(plain);
    await fillKeys(world, one);
    await snapshot(world, one);
    for (const fate of ["silent after", "silent", "after", "before"] as const) {
      const n = world.calls;
      await touch(world, one, n);
      world.fates = ({ method }) => (method === "promote" || method === "row" ? fate : "ok");
      await world.clock.run(one.partition.snapshot()).catch(() => undefined);
      world.fates = () => "ok";
      await touch(world, one, n + 1);
      // The first may be refused, and learn from that what is current.
      const taken = await world.clock.run(one.partition.snapshot());
      if (taken.tag === "failed") await snapshot(world, one);
      const next = world.start(plain);
      for (const key of [`k${n}`, `k${n + 1}`])
        expect(await world.value(next, key)).toEqual(await world.value(one, key));
      expect((await world.clock.run(next.partition.facts())).lastRecovery.fallbacks).toBe(0);
    }
  });
});
