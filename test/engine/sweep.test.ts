/** SNAP10: what is swept, and above all what isn't. */
import { describe, expect, it } from "vitest";
import { brotli } from "../../src/adapters/brotli.ts";
import { attemptOf, epoch, snapshotPrefix } from "../../src/engine/ids.ts";
import { readManifest, stateFiles } from "../../src/engine/manifest.ts";
import { sum } from "./fakes/sum.ts";
import { World, type Incarnation } from "./fakes/world.ts";

const operator = sum();
const NAME = "main/sum/0000";
const PREFIX = snapshotPrefix({ timeline: "main", operator: "sum", partition: 0 });

const files = (world: World): string[] =>
  [...world.store.objects.keys()].filter((name) => name.startsWith(PREFIX)).sort();
const reached = (world: World): string[] => {
  const { manifest, previous } = world.db.rows.get(NAME)!;
  return [manifest, previous]
    .filter((text) => text !== null)
    .flatMap((text) => stateFiles(readManifest(text, brotli.crc32)).map(({ name }) => name))
    .sort();
};
/** A file that an attempt left behind. */
const leave = (world: World, by: number, attempt: number): string => {
  const name = `${PREFIX}${String(by).padStart(10, "0")}-${String(attempt).padStart(6, "0")}-left.kfs`;
  world.store.objects.set(name, new Uint8Array(3));
  return name;
};

/** Two openings, so that there is an epoch below ours; a full snapshot is current. */
async function partition(): Promise<{ world: World; one: Incarnation }> {
  const world = new World();
  await world.send(world.start(operator), { id: "a", data: 1 });
  const one = world.start(operator);
  await world.send(one, { id: "b", data: 1 });
  return { world, one };
}

async function full(world: World, one: Incarnation): Promise<void> {
  for (let n = 0; n < 20; n++) {
    await world.send(one, { id: `n${world.calls}`, data: 1 });
    const taken = await world.clock.run(one.partition.snapshot());
    if (taken.tag !== "current") throw new Error(JSON.stringify(taken));
    await world.clock.advance(100);
    if (taken.manifest.kind === "full") return;
  }
}

describe("the sweep", () => {
  it("takes the files of lower epochs and of our own earlier attempts, and nothing else", async () => {
    const { world, one } = await partition();
    await full(world, one);
    const gone = [leave(world, 1, 0), leave(world, 1, 7), leave(world, 2, 0)];
    const stay = [leave(world, 2, 900), leave(world, 3, 0), leave(world, 40, 2), `${PREFIX}somebody-elses.kfs`];
    world.store.objects.set(stay[3]!, new Uint8Array(3));
    await full(world, one);
    expect(files(world)).toEqual([...reached(world), ...stay].sort());
    expect(gone.some((name) => world.store.objects.has(name))).toBe(false);
  });

  it.each(["put", "promote"])("takes what a crash after %s left", async (method) => {
    const { world, one } = await partition();
    await full(world, one);
    world.fates = (call) => {
      if (call.method === method) call.by.crashed = true;
      return "ok";
    };
    await world.send(one, { id: "c", data: 1 });
    void one.partition.snapshot();
    await world.clock.advance(1_000);
    expect(one.crashed).toBe(true);
    world.fates = () => "ok";
    const next = world.start(operator);
    await full(world, next);
    await full(world, next);
    expect(files(world)).toEqual(reached(world));
    expect(await world.value(world.start(operator))).toEqual(await world.value(next));
  });

  it("takes nothing while a root can't be read", async () => {
    const { world, one } = await partition();
    await full(world, one);
    const left = leave(world, 1, 0);
    const row = world.db.rows.get(NAME)! as { pins: string };
    row.pins = JSON.stringify(['{"format":"keyframe.manifest","v":99}']);
    await full(world, one);
    // The partition's own row was read before: a new opening learns of the pin, and keeps it.
    const next = world.start(operator);
    (world.db.rows.get(NAME)! as { pins: string }).pins = JSON.stringify(['{"format":"keyframe.manifest","v":99}']);
    const again = leave(world, 1, 1);
    await full(world, next);
    expect(world.store.objects.has(again)).toBe(true);
    expect(next.notes).toContain("state files swept");
    expect(left).toMatch(/left/);
  });

  it("a superseded instance takes nothing", async () => {
    const { world, one } = await partition();
    await full(world, one);
    const left = leave(world, 1, 0);
    let opened = false;
    world.fates = ({ method, by }) => {
      // A rival opens just before the roots are read.
      if (method === "row" && by === one && !opened) {
        opened = true;
        world.db.rows.get(NAME)!.epoch = epoch(9);
      }
      return "ok";
    };
    await full(world, one).catch(() => undefined);
    expect(opened).toBe(true);
    expect(world.store.objects.has(left)).toBe(true);
  });

  it("fails by itself: the snapshot is current all the same", async () => {
    const { world, one } = await partition();
    world.fates = ({ method }) => (method === "list" || method === "delete" ? "before" : "ok");
    await full(world, one);
    await world.clock.advance(60_000);
    expect(one.notes).toContain("state files swept");
    expect(one.ended).toBeNull();
  });

  it.each([
    ["0000000002-000005-nonce-1", { epoch: 2, attempt: 5 }],
    [`${PREFIX}0000000002-000005-nonce`, { epoch: 2, attempt: 5 }],
    ["2-5-nonce", null],
    ["", null],
  ])("reads where %j comes from", (name, made) => expect(attemptOf(name)).toEqual(made));
});
