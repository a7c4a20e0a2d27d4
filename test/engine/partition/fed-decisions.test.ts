/**
 * The facts that feed a pure decision are tested as well as the decision: each of these is a line whose loss no other
 * test noticed, since what it feeds was tested with facts made by hand.
 */
import { describe, expect, it } from "vitest";
import { brotli } from "../../../src/adapters/brotli.ts";
import { judgeDamage } from "../../../src/engine/partition/freshness.ts";
import { incarnationOf } from "../../../src/engine/base/ids.ts";
import { readManifest, stateFiles, type Manifest } from "../../../src/engine/snapshot/manifest.ts";
import type { OpenPartition } from "../../../src/engine/recovery/open-partition.ts";
import { rebuild } from "../../../src/engine/recovery/rebuild.ts";
import { RETRY_MS } from "../../../src/engine/checkpoint/checkpointer.ts";
import { sum } from "../fakes/sum.ts";
import { words, World, type Fate, type Incarnation } from "../fakes/world.ts";

const NAME = "1/sum/0000";
const ID = { line: 1, operator: "sum", partition: 0 };
const operator = sum();

async function snapshot(world: World, of: Incarnation): Promise<Manifest> {
  const taken = await world.clock.run(of.partition.snapshot());
  if (taken.tag !== "current") throw new Error(JSON.stringify(taken));
  await world.clock.advance(100);
  return taken.manifest;
}

const bulk = (name: string) => Array.from({ length: 150 }, (_, i) => ({ id: `${name}${i}`, key: `key-${i}`, data: 1 }));
const current = (world: World): Manifest => readManifest(world.db.rows.get(NAME)!.manifest!, brotli.crc32);

/** A promise, and what settles it. */
function gate(): { readonly closed: Promise<void>; readonly open: () => void } {
  let open = (): void => undefined;
  const closed = new Promise<void>((resolve) => (open = resolve));
  return { closed, open: () => open() };
}

describe("SNAP6: an alarm", () => {
  it("that fails is armed again", async () => {
    const world = new World();
    await world.send(world.start(operator), { id: "a", data: 1 });
    const one = world.start(operator);
    world.fates = () => "before";
    await world.clock.run(one.partition.wake());
    expect(one.notes).toContain("alarm failed");
    expect(one.armed).toBe(world.clock.now() + RETRY_MS);
  });

  it("is armed for a snapshot that is due, where the epoch for it can't be taken", async () => {
    const eager = sum({ snapshot: { maxTailBytes: 1 } });
    const world = new World();
    const writer = world.start(eager);
    world.fates = ({ method }) => (method === "put" ? "before" : "ok");
    await world.send(writer, { id: "a", data: 1 });
    const one = world.start(eager);
    world.fates = ({ method }) => (method === "put" || method === "open" ? "before" : "ok");
    await world.clock.run(one.partition.append(world.slice([{ id: "a", data: 1 }])));
    await world.clock.advance(60_000);
    expect(one.armed).not.toBeNull();
    expect(one.armed! - world.clock.now()).toBeLessThanOrEqual(RETRY_MS);
  });

  it("after a snapshot that succeeded a failure is tried again as soon as the first one", async () => {
    const world = new World();
    const one = world.start(sum({ snapshot: { maxTailBytes: 1 } }));
    world.fates = ({ method }) => (method === "put" ? "before" : "ok");
    await world.send(one, { id: "a", data: 1 });
    for (let round = 0; round < 4; round++) {
      await world.clock.advance(Math.max(0, one.armed! - world.clock.now()));
      await world.clock.run(one.partition.wake());
    }
    expect(one.armed! - world.clock.now()).toBeGreaterThan(4 * RETRY_MS);
    world.fates = () => "ok";
    await snapshot(world, one);
    world.fates = ({ method }) => (method === "put" ? "before" : "ok");
    await world.send(one, { id: "b", data: 1 });
    await world.clock.advance(1_000);
    expect(one.notes.filter((note) => note === "snapshot failed").length).toBeGreaterThan(5);
    expect(one.armed! - world.clock.now()).toBeLessThanOrEqual(RETRY_MS);
  });
});

describe("what D1 says of the time before this instance took its epoch", () => {
  /** An instance that has only read, and then heard nothing for a while. */
  async function reader(): Promise<{ readonly world: World; readonly one: Incarnation }> {
    const world = new World();
    await world.send(world.start(operator), { id: "a", data: 1 });
    const one = world.start(operator);
    await world.value(one);
    await world.clock.advance(6_000);
    return { world, one };
  }

  it("says nothing of what is open by now: no opening follows", async () => {
    const { world, one } = await reader();
    const { closed, open } = gate();
    world.fates = ({ method }): Fate => (method === "explain" ? closed : "ok");
    const read = one.partition.read(["k"]);
    expect(words(await world.send(one, { id: "b", data: 1 }))).toEqual(["applied"]);
    world.trace.length = 0;
    open();
    await world.clock.run(read);
    expect([world.trace.includes("peek"), one.ended]).toEqual([false, null]);
  });

  it("isn't taken for a database that was restored to an older point, by an opening that was under way", async () => {
    const world = new World();
    const zero = world.start(operator);
    await world.send(zero, { id: "a", data: 1 });
    const late = gate();
    world.fates = ({ method, by }): Fate => (method === "promote" && by === zero ? late.closed : "ok");
    const saving = zero.partition.snapshot().catch(() => undefined);
    await world.clock.advance(1_000);
    const one = world.start(operator);
    await world.value(one);
    await world.clock.advance(6_000);
    late.open();
    await world.clock.run(saving);
    const peek = gate();
    world.fates = ({ method, by }): Fate => (method === "peek" && by === one ? { answered: peek.closed } : "ok");
    const read = one.partition.read(["k"]);
    await world.clock.advance(100);
    expect(words(await world.send(one, { id: "b", data: 1 }))).toEqual(["applied"]);
    peek.open();
    await world.clock.run(read);
    expect([one.ended, world.mark?.refused]).toEqual([null, undefined]);
    expect(words(await world.send(one, { id: "c", data: 1 }))).toEqual(["applied"]);
  });
});

describe("LOG4: damage counts only while nobody has gone on", () => {
  it("a recovery whose files another snapshot has replaced meanwhile is fenced, not unreadable", async () => {
    const world = new World();
    const one = world.start(operator);
    await world.send(one, ...bulk("a"));
    await snapshot(world, one);
    await world.send(one, ...bulk("b"));
    await snapshot(world, one);
    const next = world.start(operator);
    let replaced = false;
    world.fates = ({ method, by }): Fate => {
      if (!replaced && by === next && (method === "range" || method === "get")) {
        replaced = true;
        const row = world.db.rows.get(NAME)!;
        world.db.rows.set(NAME, { ...row, version: row.version + 1 });
        world.store.objects.clear();
      }
      return "ok";
    };
    await expect(world.clock.run(next.partition.read(["key-1"]))).rejects.toMatchObject({ code: "fenced" });
    expect(replaced).toBe(true);
  });

  it.each<[string, object | null, number | null, { readonly file?: string; readonly anew?: boolean }, string]>([
    ["no row", null, null, {}, "replaced"],
    ["as it was", { version: 3, epoch: 5 }, 5, {}, "damaged"],
    ["another epoch", { version: 3, epoch: 6 }, 5, {}, "fenced"],
    ["a later snapshot, and it only reads", { version: 4, epoch: 6 }, null, {}, "replaced"],
    ["a later snapshot, which it didn't hear of", { version: 4, epoch: 5 }, 5, {}, "damaged"],
    ["an earlier snapshot", { version: 2, epoch: 5 }, 5, {}, "rewound"],
    ["another file", { version: 3, epoch: 5 }, 5, { file: "other" }, "replaced"],
    ["opened anew since", { version: 3, epoch: 5 }, null, { anew: true }, "replaced"],
  ])("a file that can't be read, where D1 says: %s", (_, row, ours, { file = "mine", anew = false }, tag) => {
    const files = [{ name: "mine" }];
    const opened = (): OpenPartition => ({ row: { version: 3 }, loader: { stored: { files } } }) as never;
    const open = opened();
    expect(judgeDamage(row as never, ours as never, open, anew ? opened() : open, file).tag).toBe(tag);
  });
});

it("Z4: the incarnation of a rebuilt row is above that of the highest name, whichever manifest it resumes from", async () => {
  const world = new World();
  const recover = async () => {
    world.db.rows.clear();
    world.db.kept.clear();
    world.db.segments.clear();
    const found = await world.clock.run(rebuild(world.reader(operator), 42));
    if (found.tag !== "found") throw new Error(found.tag);
    world.db.rows.set(NAME, { ...found.row });
    world.mark = null;
    return found;
  };
  const one = world.start(operator);
  await world.send(one, { id: "a", data: 1 });
  await snapshot(world, one);
  await recover();
  const two = world.start(operator);
  await world.send(two, { id: "b", data: 1 });
  const lost = await snapshot(world, two);
  world.store.damage(lost.snapshot.name);
  const { manifest, row } = await recover();
  expect(incarnationOf(manifest.epoch)).toBeLessThan(incarnationOf(lost.epoch));
  expect(incarnationOf(row.epoch)).toBeGreaterThan(incarnationOf(lost.epoch));
});

it("SNAP4: a snapshot that wasn't known to be whole when it was displaced is no restore point that counts", async () => {
  const world = new World();
  const one = world.start(operator);
  await world.send(one, ...bulk("a"));
  const first = await snapshot(world, one);
  await world.send(one, ...bulk("b"));
  const second = await snapshot(world, one);
  world.store.objects.delete(stateFiles(second).at(-1)!.name);
  const next = world.start(operator);
  await world.send(next, { id: "c", data: 1 });
  await world.clock.advance(60_000);
  expect(current(world)).toMatchObject({ kind: "full", number: second.number + 1 });
  const { points } = (await world.db.log(ID).roots())!;
  const wholeOf = (number: number) => points.find(({ version }) => version === number)?.intact;
  expect([wholeOf(first.number), wholeOf(second.number)]).toEqual([true, false]);
});

it("a full snapshot counts anew: those after it have a digest again, though the state came from another version", async () => {
  const world = new World();
  const one = world.start(operator);
  await world.send(one, ...bulk("a"));
  await snapshot(world, one);
  const next = world.start(sum({ version: 2, migrate: { 2: (old) => ({ ...old, two: true }) } }), "code-2");
  await world.send(next, { id: "b", key: "key-1", data: 1 });
  await world.clock.advance(60_000);
  expect(current(world)).toMatchObject({ kind: "full", operatorVersion: 2 });
  await world.send(next, { id: "c", key: "key-1", data: 1 });
  const delta = await snapshot(world, next);
  expect([delta.kind, typeof delta.digest, delta.keys]).toEqual(["delta", "string", 150]);
  expect(next.notes).not.toContain("the state differs from its counters");
});

it("ONE3: a reply that has expired doesn't come back with the files that still hold it", async () => {
  const forgetful = sum({ replies: { keep: "1m" } });
  const world = new World();
  const one = world.start(forgetful);
  await world.send(one, { id: "a", data: 1 }, ...bulk("a"));
  await snapshot(world, one);
  await world.clock.advance(300_000);
  await world.send(one, { id: "b", data: 1 });
  const heard = async (of: Incarnation): Promise<unknown> => {
    const result = await world.send(of, { id: "a", data: 1 });
    return result.tag === "decided" ? result.details[0]![2] : result.code;
  };
  expect(await heard(one)).toBeNull();
  expect((await snapshot(world, one)).kind).toBe("delta");
  expect(await heard(world.start(forgetful))).toBeNull();
});
