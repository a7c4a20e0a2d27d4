/**
 * The table of docs/guides/corruption.md, walked: every object of a partition with several generations, alone and in
 * pairs, damaged, truncated and missing; then D1's rows and the object's own storage. The answer is the true state or
 * an error by name. Only the public methods of a partition are used, so it holds however recovery works.
 */
import { MARK_MS } from "../../../src/engine/base/limits.ts";
import { beforeAll, describe, expect, it } from "vitest";
import { brotli } from "../../../src/adapters/brotli.ts";
import { manifestOf, partitionName, seq } from "../../../src/engine/base/ids.ts";
import { readManifest, stateFiles, type Manifest } from "../../../src/engine/snapshot/manifest.ts";
import type { PartitionRow } from "../../../src/engine/base/records.ts";
import type { HighWaterMark } from "../../../src/engine/base/records.ts";
import type { Segment } from "../../../src/engine/base/records.ts";
import { sum } from "../fakes/sum.ts";
import { unreachable } from "../fakes/unreachable.ts";
import { words, World, type Incarnation } from "../fakes/world.ts";

const operator = sum();
const NAME = partitionName({ line: 1, operator: "sum", partition: 0 });
const KEYS = 150;

/** Everything that stands anywhere, and what it should give. */
interface Stored {
  readonly objects: ReadonlyMap<string, Uint8Array>;
  readonly row: PartitionRow;
  readonly segments: readonly Segment[];
  readonly mark: HighWaterMark;
  readonly nowMs: number;
  readonly truth: string;
}
let stored: Stored;
/** Names of objects by what they are. */
let role: Record<
  | "current"
  | "delta"
  | "full"
  | "previousDelta"
  | "previousFull"
  | "currentManifest"
  | "verified"
  | "afterOlder"
  | "archive",
  string
>;

/**
 * Manifests 1 (full) and 2 (delta, outweighs it) are the older generation, 3 (full), 4 and 5 (deltas) the current one;
 * two commits above it in D1, the last by an instance of its own.
 */
beforeAll(async () => {
  const world = new World();
  const one = world.start(operator);
  const bulk = (round: number) =>
    Array.from({ length: KEYS }, (_, i) => ({ id: `${round}-${i}`, key: `key-${i}`, data: round * 1_000 + i }));
  const snapshot = async (by: Incarnation): Promise<void> => {
    expect((await world.clock.run(by.partition.snapshot())).tag).toBe("current");
    await world.clock.advance(100);
  };
  await world.send(one, { id: "first", data: 1 }, { id: "refused", data: 0 }, { id: "bad", data: "boom" });
  await snapshot(one);
  await world.send(one, ...bulk(1));
  await snapshot(one);
  await world.send(one, ...bulk(2));
  await snapshot(one);
  for (const n of [1, 2]) {
    await world.send(one, { id: `delta-${n}`, key: "key-7", data: n });
    await snapshot(one);
  }
  await world.send(one, { id: "tail-1", key: "key-8", data: 1 });
  await world.send(one, { id: "tail-2", key: "key-8", data: 1 });
  await world.clock.advance(MARK_MS);
  await world.send(world.start(operator), { id: "tail-3", key: "key-9", data: 1 });
  const row = world.db.rows.get(NAME)!;
  const [current, previous] = [manifest(row.manifest), manifest(row.previous)];
  expect([current.number, current.chain?.length, previous.number, previous.chain?.length]).toEqual([5, 2, 2, 1]);
  const archives = [...world.store.objects.keys()].filter((name) => manifestOf(name) !== null).sort();
  const [full, delta, newest] = stateFiles(current).map(({ name }) => name);
  const [previousFull, previousDelta] = stateFiles(previous).map(({ name }) => name);
  role = {
    current: newest!,
    delta: delta!,
    full: full!,
    previousDelta: previousDelta!,
    previousFull: previousFull!,
    currentManifest: archives[4]!,
    verified: archives[3]!,
    afterOlder: archives[2]!,
    archive: archives[0]!,
  };
  stored = {
    objects: new Map(world.store.objects),
    row: { ...row },
    segments: [...world.db.segments.get(NAME)!],
    mark: world.mark!,
    nowMs: world.clock.now(),
    truth: "",
  };
  stored = { ...stored, truth: await shown(await worldOf(), true) };
  expect(stored.truth).toContain('["key-8",');
});

const manifest = (text: string | null): Manifest => readManifest(text!, brotli.crc32);

async function worldOf(): Promise<World> {
  const world = new World();
  await world.clock.advance(stored.nowMs - world.clock.now());
  for (const [name, bytes] of stored.objects) world.store.objects.set(name, bytes.slice());
  world.db.rows.set(NAME, { ...stored.row });
  world.db.segments.set(NAME, [...stored.segments]);
  world.mark = stored.mark;
  return world;
}

/** The next caller finds a new instance, if one has ended itself. */
async function asked<T>(world: World, call: (one: Incarnation) => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    const one = world.start(operator);
    try {
      return await call(one);
    } catch (error) {
      if (one.ended === null || attempt === 5) throw error;
    }
  }
}

/** All of its state, as a text: every key, what is quarantined, and what becomes of old and new events. */
async function shown(world: World, write: boolean): Promise<string> {
  return asked(world, async (one) => {
    const entries: unknown[] = [];
    for (let after = ""; ;) {
      const { items, more } = await world.clock.run(one.partition.scan("", after, 40, 1_000_000));
      entries.push(...items);
      if (!more) break;
      after = items.at(-1)![0];
    }
    const keys = [...Array(KEYS).keys()].map((i) => `key-${i}`);
    const read = await world.clock.run(one.partition.read(keys));
    const aside = await world.clock.run(one.partition.quarantined(seq(0), 100, 1_000_000));
    const { appliedSeq } = await world.clock.run(one.partition.facts());
    if (!write) return JSON.stringify({ entries, read, aside, appliedSeq });
    // Only then is there a new writer: it is to say the same.
    const repeats = ["first", "refused", "bad", "1-3", "2-149", "delta-2", "tail-3"].map((id) => ({
      id,
      ...SENT[id]!,
    }));
    const result = await world.send(one, ...repeats, { id: "new", key: "key-0", data: 1 });
    if (result.tag !== "decided") throw Object.assign(new Error(result.tag), { code: words(result) });
    const [after] = await world.clock.run(one.partition.read(["key-0"]));
    return JSON.stringify({
      entries,
      read,
      aside,
      appliedSeq,
      repeats: words(result),
      last: result.details.at(-1),
      // Its stamp is of the moment of the call, and a call may have to wait for the store.
      after: [after?.text, after?.seq],
    });
  });
}

const SENT: Record<string, { readonly key?: string; readonly data: unknown }> = {
  first: { data: 1 },
  refused: { data: 0 },
  bad: { data: "boom" },
  "1-3": { key: "key-3", data: 1_003 },
  "2-149": { key: "key-149", data: 2_149 },
  "delta-2": { key: "key-7", data: 2 },
  "tail-3": { key: "key-9", data: 1 },
};

/** Errors that say what is wrong. */
const NAMED = ["snapshot_unreadable", "log_broken", "unknown_format", "catalogue_lost", "log_rewound"];

/** "true": all is as it should be; else the code of the error. @throws where it shows something else */
async function outcome(world: World, what: string): Promise<string> {
  let told: string;
  try {
    told = await shown(world, true);
  } catch (error) {
    const code = String((error as { code?: unknown }).code);
    if (!NAMED.includes(code)) throw new Error(`${what}: ${String(error)}`, { cause: error });
    return code;
  }
  if (told !== stored.truth) throw new Error(`${what}: wrong state\n${told}\n${stored.truth}`);
  return "true";
}

type Harm = readonly [what: string, harm: (bytes: Uint8Array) => Uint8Array | null];
const MISSING: Harm = ["missing", () => null];
const flipped = (share: number): Harm => [
  `a bit flipped at ${share}`,
  (bytes) => {
    const at = Math.min(bytes.length - 1, Math.floor(bytes.length * share));
    return bytes.with(at, bytes[at]! ^ (1 << (at % 8)));
  },
];
const cut = (length: (all: number) => number, what: string): Harm => [
  what,
  (bytes) => bytes.slice(0, Math.max(0, length(bytes.length))),
];
const HARMS: readonly Harm[] = [
  MISSING,
  ...Array.from({ length: 21 }, (_, i) => flipped(i / 20)),
  cut(() => 0, "empty"),
  cut((all) => all >> 1, "half of it"),
  cut((all) => all - 1, "all but a byte"),
  ["longer by a byte", (bytes) => new Uint8Array([...bytes, 0])],
  ["zeros", (bytes) => new Uint8Array(bytes.length)],
];

function apply(world: World, name: string, [, harm]: Harm): void {
  const bytes = harm(world.store.objects.get(name)!);
  if (bytes === null) world.store.objects.delete(name);
  else world.store.objects.set(name, bytes);
}

describe("one object in R2", () => {
  it("SNAP3, SNAP4: whichever it is, and however it is damaged, the true state comes back", async () => {
    for (const name of stored.objects.keys())
      for (const harm of HARMS) {
        const world = await worldOf();
        apply(world, name, harm);
        expect(await outcome(world, `${name} ${harm[0]}`)).toBe("true");
      }
  });

  it.each<[keyof typeof role, "opening" | "verify" | "need"]>([
    ["current", "opening"],
    ["delta", "opening"],
    ["full", "opening"],
    ["previousFull", "need"],
    ["previousDelta", "need"],
    ["currentManifest", "need"],
    ["verified", "verify"],
    ["afterOlder", "need"],
    ["archive", "need"],
  ])("%s: noticed at the %s", async (which, when) => {
    for (const harm of [MISSING, flipped(0.5), cut((all) => all >> 1, "half of it")]) {
      const world = await worldOf();
      apply(world, role[which], harm);
      await shown(world, false);
      const one = world.start(operator);
      await world.clock.run(one.partition.read(["key-7", "key-20"]));
      const fallbacks = (await world.clock.run(one.partition.facts())).lastRecovery.fallbacks;
      expect(fallbacks > 0, `${which} ${harm[0]}`).toBe(when === "opening");
      if (when === "opening") continue;
      const found = await world.clock.run(one.partition.verify());
      expect(found.tag, `${which} ${harm[0]}`).toBe(when === "verify" ? "not_rebuilt" : "equal");
    }
  });

  it("SNAP4: after it was noticed at an opening, the next snapshot is a full one and whole again", async () => {
    for (const which of ["current", "delta", "full"] as const) {
      const world = await worldOf();
      apply(world, role[which], MISSING);
      const one = world.start(operator);
      await world.send(one, { id: "new", key: "key-0", data: 1 });
      await world.clock.advance(60_000);
      expect(manifest(world.db.rows.get(NAME)!.manifest)).toMatchObject({ number: 6, kind: "full" });
      const next = world.start(operator);
      expect(await world.value(next, "key-8")).toEqual(await world.value(one, "key-8"));
      expect((await world.clock.run(next.partition.facts())).lastRecovery).toMatchObject({ fallbacks: 0, manifest: 6 });
    }
  });
});

describe("one object in R2 that can't be read though others can", () => {
  it("SNAP4: whichever it is, the true state comes back, and the note says which object it was", async () => {
    for (const name of stored.objects.keys()) {
      const world = await worldOf();
      unreachable(world.store, [name]);
      expect(await outcome(world, name)).toBe("true");
      const one = world.start(operator);
      await world.clock.run(one.partition.read(["key-7"]));
      const { fallbacks } = (await world.clock.run(one.partition.facts())).lastRecovery;
      expect(fallbacks > 0, name).toBe([role.current, role.delta, role.full].includes(name));
    }
  });

  it("the next snapshot doesn't need it", async () => {
    const world = await worldOf();
    unreachable(world.store, [role.full]);
    const one = world.start(operator);
    await world.send(one, { id: "new", key: "key-0", data: 1 });
    await world.clock.advance(60_000);
    const current = manifest(world.db.rows.get(NAME)!.manifest);
    expect(current).toMatchObject({ number: 6, kind: "full" });
    const next = world.start(operator);
    expect(await world.value(next, "key-8")).toEqual(await world.value(one, "key-8"));
    expect((await world.clock.run(next.partition.facts())).lastRecovery).toMatchObject({ fallbacks: 0, manifest: 6 });
  });

  it("a store that stays silent for it: calls hear 503 while it is tried, and then the true state", async () => {
    const world = await worldOf();
    unreachable(world.store, [role.current], "silence");
    const one = world.start(operator);
    const read = (): Promise<unknown> => world.clock.run(one.partition.read(["key-8"]));
    await expect(read()).rejects.toMatchObject({ code: "store_unavailable" });
    await world.clock.advance(60_000);
    const whole = await worldOf();
    expect(await read()).toEqual(await whole.clock.run(whole.start(operator).partition.read(["key-8"])));
    expect(one.notes).toContain("recovered by fallback");
  });

  it("a verification says which object it can't read, and the next snapshot is full", async () => {
    const world = await worldOf();
    const one = world.start(operator);
    await world.clock.run(one.partition.snapshot());
    unreachable(world.store, [role.currentManifest]);
    const found = await world.clock.run(one.partition.verify());
    expect(found).toMatchObject({ tag: "not_rebuilt", damaged: "older" });
    expect(found).toHaveProperty("why", expect.stringContaining(role.currentManifest));
    await world.clock.advance(60_000);
    expect(manifest(world.db.rows.get(NAME)!.manifest).kind).toBe("full");
  });

  it("an outage of the whole store makes nothing fall back, and afterwards all is as it was", async () => {
    const world = await worldOf();
    const end = unreachable(world.store, [...stored.objects.keys()]);
    const one = world.start(operator);
    await expect(world.clock.run(one.partition.read(["key-8"]))).rejects.toMatchObject({ code: "store_unavailable" });
    end();
    await world.clock.run(one.partition.read(["key-8"]));
    expect((await world.clock.run(one.partition.facts())).lastRecovery).toMatchObject({ fallbacks: 0, manifest: 5 });
    expect(await outcome(world, "after the outage")).toBe("true");
  });

  it("where no base does without it, the error says that the store may give it later, and nothing is given up", async () => {
    const world = await worldOf();
    const states = [...stored.objects.keys()].filter((name) => name.endsWith(".kfs"));
    for (const name of states) world.store.objects.delete(name);
    unreachable(world.store, [role.archive]);
    await expect(world.clock.run(world.start(operator).partition.read(["key-8"]))).rejects.toMatchObject({
      code: "store_unavailable",
      message: expect.stringContaining(role.archive) as string,
    });
  });
});

describe("two objects in R2", () => {
  it("SNAP3: the true state or an error by name, never another state", async () => {
    const names = [...stored.objects.keys()].sort();
    const lost = new Set<string>();
    for (const [i, a] of names.entries())
      for (const b of names.slice(i + 1))
        for (const [harmA, harmB] of [
          [MISSING, MISSING],
          [flipped(0.3), MISSING],
          [MISSING, cut((all) => all >> 1, "half of it")],
          [flipped(0.5), flipped(0.7)],
        ] as const) {
          const world = await worldOf();
          apply(world, a, harmA);
          apply(world, b, harmB);
          if ((await outcome(world, `${a} ${harmA[0]}, ${b} ${harmB[0]}`)) !== "true") lost.add(`${a} ${b}`);
        }
    // A row that D1 has cut stands in one archive alone: without that, and without a state file above it, it is gone.
    const { afterOlder, verified, full, delta, current } = role;
    expect(lost).toEqual(
      new Set(
        [
          [afterOlder, full],
          [afterOlder, delta],
          [verified, full],
          [verified, delta],
          [verified, current],
        ].map((pair) => pair.join(" ")),
      ),
    );
  });

  it("where all generations are gone: the archives give it back, and without one of them it is an error by name", async () => {
    const files = [...stored.objects.keys()].filter((name) => name.endsWith(".kfs"));
    const archives = [...stored.objects.keys()].filter((name) => name.endsWith(".kfm")).sort();
    const gone = async (more: readonly string[]): Promise<string> => {
      const world = await worldOf();
      for (const name of [...files, ...more]) world.store.objects.delete(name);
      return outcome(world, more.join(", "));
    };
    expect(await gone([])).toBe("true");
    const told = [];
    for (const name of archives) told.push(await gone([name]));
    // D1 still has the events that manifest 5 archived, and those after it (K4).
    expect(told).toEqual([...Array<string>(4).fill("snapshot_unreadable"), "true"]);
  });
});

describe("in D1", () => {
  const withRow = async (more: Partial<PartitionRow>): Promise<World> => {
    const world = await worldOf();
    world.db.rows.set(NAME, { ...stored.row, ...more });
    return world;
  };
  const damages = (text: string): (readonly [what: string, text: string])[] => [
    ...Array.from({ length: 60 }, (_, i) => {
      const at = Math.floor((text.length * i) / 60);
      const other = String.fromCharCode(text.charCodeAt(at) ^ 1);
      return [`character ${at}`, text.slice(0, at) + other + text.slice(at + 1)] as const;
    }),
    ["cut off", text.slice(0, text.length >> 1)],
    ["empty", ""],
    ["no object", "7"],
  ];

  it("the text of the current manifest: an older generation, or the archives, give the true state", async () => {
    for (const [what, text] of damages(stored.row.manifest!))
      expect(await outcome(await withRow({ manifest: text }), what), what).toBe("true");
    expect(await outcome(await withRow({ manifest: null }), "missing")).toBe("true");
    expect(await outcome(await withRow({ manifest: null, previous: null }), "both")).toBe("true");
  });

  it("the text of the older generation's manifest, and pins: not needed", async () => {
    for (const [what, text] of damages(stored.row.previous!))
      expect(await outcome(await withRow({ previous: text }), what), what).toBe("true");
    for (const pins of ["[]", '["{}"]', '["x"]']) expect(await outcome(await withRow({ pins }), pins)).toBe("true");
  });

  it("LOG4: a segment of the tail that is damaged, cut off or missing is an error by name: there is no other copy", async () => {
    const { snapshotSeq } = stored.row;
    const tail = stored.segments.filter(({ seq: first }) => first > snapshotSeq);
    expect(tail).toHaveLength(3);
    for (const row of tail) {
      for (const [what, payload] of damages(row.payload)) {
        const world = await worldOf();
        world.db.segments.set(
          NAME,
          stored.segments.map((one) => (one === row ? { ...row, payload } : one)),
        );
        expect(await outcome(world, what), what).toBe("snapshot_unreadable");
      }
      const world = await worldOf();
      world.db.segments.set(
        NAME,
        stored.segments.filter((one) => one !== row),
      );
      // The last one leaves no hole: that is a database that was restored to an older point.
      expect(await outcome(world, "missing")).toBe(row === tail.at(-1) ? "log_rewound" : "snapshot_unreadable");
    }
  });

  it("a segment that a snapshot covers isn't needed", async () => {
    const covered = stored.segments.filter(({ last }) => last <= stored.row.snapshotSeq);
    expect(covered.length).toBeGreaterThan(0);
    for (const row of covered) {
      const world = await worldOf();
      world.db.segments.set(
        NAME,
        stored.segments.filter((one) => one !== row),
      );
      expect(await outcome(world, "missing")).toBe("true");
    }
  });

  it("CODE2: the row is missing", async () => {
    const world = await worldOf();
    world.db.rows.delete(NAME);
    expect(await outcome(world, "missing")).toBe("catalogue_lost");
  });

  it("all of the row's numbers: the true state or an error by name", async () => {
    const { snapshotSeq, previousSeq, version, epoch: held } = stored.row;
    const told: string[] = [];
    for (const more of [
      ...[-200, -2, -1, 1, 2, 3, 4].map((by) => ({ snapshotSeq: seq(snapshotSeq + by) })),
      ...[-1, 1].map((by) => ({ previousSeq: seq(previousSeq + by) })),
      ...[-1, 1].map((by) => ({ version: version + by })),
      { epoch: (held - 1) as typeof held },
      { attempt: "x" },
    ])
      told.push(await outcome(await withRow(more), JSON.stringify(more)));
    expect(new Set(told)).toEqual(new Set(["true", "log_rewound"]));
  });
});

describe("in the object's own storage", () => {
  it("a mark that is missing, of an older moment or unreadable costs one look into R2, nothing else", async () => {
    for (const mark of [null, { ...stored.mark, head: seq(1), version: 1 }]) {
      const world = await worldOf();
      world.mark = mark;
      expect(await outcome(world, JSON.stringify(mark))).toBe("true");
    }
  });
});
