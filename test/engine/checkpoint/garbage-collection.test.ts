/** SNAP10: what is deleted and given up, and above all what isn't. */
import { describe, expect, it } from "vitest";
import { brotli } from "../../../src/adapters/brotli.ts";
import { attemptOf, epoch, manifestOf, snapshotPrefix, stamp } from "../../../src/engine/base/ids.ts";
import { readManifest, stateFiles } from "../../../src/engine/snapshot/manifest.ts";
import type { Point } from "../../../src/engine/base/records.ts";
import { GRACE_MS } from "../../../src/engine/checkpoint/retention.ts";
import { GARBAGE_MS } from "../../../src/engine/checkpoint/checkpointer.ts";
import { stampMs } from "../../../src/engine/base/hybrid-clock.ts";
import { sum } from "../fakes/sum.ts";
import { World, type Incarnation } from "../fakes/world.ts";

const operator = sum();
const NAME = "1/sum/0000";
const PREFIX = snapshotPrefix({ line: 1, operator: "sum", partition: 0 });

const files = (world: World): string[] =>
  [...world.store.objects.keys()].filter((name) => name.startsWith(PREFIX)).sort();
const points = (world: World): readonly Point[] => world.db.kept.get(NAME)?.points ?? [];
/** The files that both generations and the restore points read. */
const reached = (world: World): string[] => {
  const { manifest, previous } = world.db.rows.get(NAME)!;
  const generations = [manifest, previous]
    .filter((text) => text !== null)
    .flatMap((text) => stateFiles(readManifest(text, brotli.crc32)).map(({ name }) => name));
  return [...new Set([...generations, ...points(world).flatMap((point) => point.files)])].sort();
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

/** An hour later, when all grace is over, the next look at it collects garbage. */
async function hourLater(world: World, one: Incarnation): Promise<void> {
  await world.clock.advance(GARBAGE_MS);
  await world.clock.run(one.partition.snapshot());
  await world.clock.advance(1_000);
}

describe("garbage collection", () => {
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
    void one.partition.snapshot().catch(() => undefined);
    await world.clock.advance(1_000);
    expect(one.crashed).toBe(true);
    world.fates = () => "ok";
    const next = world.start(operator);
    await full(world, next);
    await hourLater(world, next);
    expect(files(world)).toEqual(reached(world));
    expect(await world.value(world.start(operator))).toEqual(await world.value(next));
  });

  it("takes nothing while a root can't be read", async () => {
    const { world, one } = await partition();
    await full(world, one);
    const left = leave(world, 1, 0);
    const next = world.start(operator);
    // Its opening learns of the pin, and keeps it.
    world.db.rows.get(NAME)!.pins = JSON.stringify(['{"format":"keyframe.manifest","v":99}']);
    await full(world, next);
    await hourLater(world, next);
    expect(world.store.objects.has(left)).toBe(true);
    expect(next.notes).toContain("garbage collection skipped");
    expect(next.notes).not.toContain("garbage collected");
  });

  it("takes nothing while a pin holds what is no root: older code, which knows no restore points, may have been at it", async () => {
    const { world, one } = await partition();
    await full(world, one);
    const left = leave(world, 1, 0);
    world.db.kept.get(NAME)!.pins = [{ version: 77, name: "audit", createdMs: 1 }];
    await hourLater(world, one);
    expect(world.store.objects.has(left)).toBe(true);
    expect(one.notes).toContain("garbage collection skipped");
    world.db.kept.get(NAME)!.pins = [];
    await hourLater(world, one);
    expect(world.store.objects.has(left)).toBe(false);
  });

  it.each(["roots", "retain"])("a superseded instance takes nothing (at %s)", async (call) => {
    const { world, one } = await partition();
    await full(world, one);
    const left = leave(world, 1, 0);
    let opened = false;
    world.fates = ({ method, by }) => {
      // A rival opens just before this one gives up and deletes.
      if (method === call && by === one && !opened) {
        opened = true;
        world.db.rows.get(NAME)!.epoch = epoch(9);
      }
      return "ok";
    };
    await full(world, one).catch(() => undefined);
    expect(opened).toBe(true);
    expect(world.store.objects.has(left)).toBe(true);
  });

  it("LOG2: an instance whose garbage collection finds another writer ends, so that the next one collects", async () => {
    const { world, one } = await partition();
    await full(world, one);
    const left = leave(world, 1, 0);
    // The opening of an instance that is gone, which acted late.
    world.db.rows.get(NAME)!.epoch = epoch(9);
    await hourLater(world, one).catch(() => undefined);
    expect(one.ended).toMatch(/was superseded by epoch 9/);
    const next = world.start(operator);
    await full(world, next);
    await hourLater(world, next);
    expect(world.store.objects.has(left)).toBe(false);
  });

  it("fails by itself: the snapshot is current all the same", async () => {
    const { world, one } = await partition();
    world.fates = ({ method }) => (method === "list" || method === "delete" ? "before" : "ok");
    await full(world, one);
    await world.clock.advance(60_000);
    expect(one.notes).toContain("garbage collection skipped");
    expect(one.ended).toBeNull();
  });

  it.each(["roots", "retain", "list", "delete"])("never delays a snapshot: %s stays silent", async (silent) => {
    const { world, one } = await partition();
    await full(world, one);
    leave(world, 1, 0);
    world.fates = ({ method }) => (method === silent ? "silent" : "ok");
    await hourLater(world, one);
    for (let n = 0; n < 3; n++) {
      const begun = world.clock.now();
      await world.send(one, { id: `s${n}`, data: 1 });
      expect(await world.clock.run(one.partition.snapshot())).toMatchObject({ tag: "current" });
      expect(world.clock.now() - begun).toBeLessThan(1_000);
    }
  });

  it("what a promotion displaced stays for the grace: who opened on it may still be reading", async () => {
    const { world, one } = await partition();
    await full(world, one);
    const [first] = files(world);
    await full(world, one);
    await full(world, one);
    expect(reached(world)).toContain(first);
    await world.clock.advance(GRACE_MS);
    await full(world, one);
    expect(files(world)).not.toContain(first);
  });

  it("goes through more names than one listing gives, run by run", async () => {
    const { world, one } = await partition();
    await full(world, one);
    for (let n = 0; n < 5_000; n++) leave(world, 1, n);
    await hourLater(world, one);
    expect(files(world).length).toBeLessThan(1_100);
    await hourLater(world, one);
    expect(files(world)).toEqual(reached(world));
  });

  it("SNAP10: tells code that knows no restore points that there are more roots", async () => {
    const { world, one } = await partition();
    await full(world, one);
    const [roots, ...more] = JSON.parse(world.db.rows.get(NAME)!.pins) as string[];
    expect(more).toEqual([]);
    expect(() => readManifest(roots!, brotli.crc32), "as that code reads every pin").toThrow("format");
  });

  it("keeps what the policy asks for, with all that it reads, and gives up the rest", async () => {
    const keeps = sum({
      snapshot: { every: "1d", maxTailBytes: 256_000_000, retain: { age: "1d", last: 3, hourly: 4 } },
    });
    const world = new World();
    const one = world.start(keeps);
    const current = (): number => readManifest(world.db.rows.get(NAME)!.manifest!, brotli.crc32).number;
    /** The last version of each hour. */
    const ends: number[] = [];
    for (let hour = 0; hour < 60; hour++) {
      await full(world, one);
      await full(world, one);
      ends.push(current());
      await world.clock.advance(GARBAGE_MS);
    }
    await hourLater(world, one);
    // Kept are a point that is a day old, the newest of the day before, three hours before, and the last three.
    const hours = [59 - 36, 59 - 12, 56, 57, 58].map((hour) => ends[hour]!);
    const older = readManifest(world.db.rows.get(NAME)!.previous!, brotli.crc32).number;
    const kept = new Set([...hours, current() - 2, current() - 1, older]);
    expect(points(world).map(({ version }) => version)).toEqual([...kept].sort((a, b) => a - b));
    expect(files(world)).toEqual(reached(world));
  });

  it.each([
    ["0000000002-000005-nonce-1", { epoch: 2, attempt: 5 }],
    [`${PREFIX}0000000002-000005-nonce`, { epoch: 2, attempt: 5 }],
    ["2-5-nonce", null],
    ["", null],
  ])("reads where %j comes from", (name, made) => expect(attemptOf(name)).toEqual(made));
});

describe("the archive", () => {
  const day = sum({ snapshot: { maxTailBytes: 256_000_000, retain: "1d" } });
  const archives = (world: World): number[] =>
    [...world.store.objects.keys()].flatMap((name) => manifestOf(name)?.version ?? []).sort((a, b) => a - b);
  const versionOf = (text: string | null): number => readManifest(text!, brotli.crc32).number;

  /** Three days, in which the beginning of the log is given up; what the key should be. */
  async function threeDays(): Promise<{ world: World; one: Incarnation; total: number }> {
    const world = new World();
    const one = world.start(day);
    for (let hour = 0; hour < 72; hour += 4) {
      await full(world, one);
      await world.clock.advance(4 * GARBAGE_MS);
    }
    await hourLater(world, one);
    const { total } = (await world.value(one)) as { total: number };
    return { world, one, total };
  }

  it("TIME3, LOG5: goes as far as nothing needs it: the base of the retention time and all above it stays", async () => {
    const { world } = await threeDays();
    const { retainFrom, archiveFrom } = world.db.kept.get(NAME)!;
    const { snapshotStamp, manifest } = world.db.rows.get(NAME)!;
    const [base] = points(world);
    expect(stampMs(snapshotStamp) - stampMs(stamp(retainFrom))).toBeGreaterThanOrEqual(24 * GARBAGE_MS);
    expect(base).toMatchObject({ stamp: retainFrom, version: archiveFrom });
    const current = versionOf(manifest);
    expect(archiveFrom).toBeGreaterThan(20);
    expect(archives(world)).toEqual(Array.from({ length: current - archiveFrom + 1 }, (_, i) => archiveFrom + i));
  });

  it("SNAP4: without both generations it is a restore point that recovery begins from, and loses nothing", async () => {
    const { world, total } = await threeDays();
    const { manifest, previous } = world.db.rows.get(NAME)!;
    for (const text of [manifest, previous])
      for (const { name } of stateFiles(readManifest(text!, brotli.crc32))) world.store.objects.delete(name);
    const next = world.start(day);
    expect(await world.value(next)).toMatchObject({ total });
    const { lastRecovery } = await world.clock.run(next.partition.facts());
    expect(points(world).map(({ version }) => version)).toContain(lastRecovery.manifest);
    // From now on it counts as the older generation.
    await world.send(next, { id: "after", data: 1 });
    await world.clock.advance(1_000);
    expect(versionOf(world.db.rows.get(NAME)!.previous)).toBe(lastRecovery.manifest);
    await hourLater(world, next);
    expect(await world.value(world.start(day))).toMatchObject({ total: total + 1 });
  });

  it("without any snapshot there is nothing to begin from, and that is said", async () => {
    const { world } = await threeDays();
    for (const name of files(world)) world.store.objects.delete(name);
    await expect(world.clock.run(world.start(day).partition.read(["k"]))).rejects.toThrow(
      /the whole log: retention has given up what was logged before manifest \d+/,
    );
  });

  it("the verification still has what it needs", async () => {
    const { world, one } = await threeDays();
    expect(await world.clock.run(one.partition.verify())).toMatchObject({ tag: "equal" });
  });

  it("a pinned snapshot outlives its time: its files, and the manifest that says what it is", async () => {
    const world = new World();
    const one = world.start(day);
    await full(world, one);
    const log = world.db.log({ line: 1, operator: "sum", partition: 0 });
    expect(await log.pin({ version: 1, name: "audit", createdMs: 1 })).toBe("pinned");
    const [pinned] = files(world);
    for (let n = 0; n < 20; n++) {
      await full(world, one);
      await world.clock.advance(4 * GARBAGE_MS);
    }
    await hourLater(world, one);
    expect(files(world)).toContain(pinned);
    expect(archives(world).slice(0, 2)).toEqual([1, world.db.kept.get(NAME)!.archiveFrom]);
    await log.unpin(1, "audit");
    await hourLater(world, one);
    expect(files(world)).not.toContain(pinned);
    expect(archives(world)[0]).toBe(world.db.kept.get(NAME)!.archiveFrom);
  });
});
