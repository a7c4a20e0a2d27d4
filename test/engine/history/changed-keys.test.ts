/** Counts of the keys that differ between two moments, in bounded time and memory (CHANGED1). */
import { describe, expect, it } from "vitest";
import { type Stamp, seq, stamp } from "../../../src/engine/base/ids.ts";
import { CHANGED_KEYS, CHANGED_NAMED } from "../../../src/engine/base/limits.ts";
import { changedKeys } from "../../../src/engine/history/changed-keys.ts";
import type { LogEnvironment } from "../../../src/engine/operator/environment.ts";
import { sum } from "../fakes/sum.ts";
import { type Incarnation, World } from "../fakes/world.ts";

const operator = sum();

async function told(keys: number): Promise<{ world: World; one: Incarnation; env: LogEnvironment; at: Stamp }> {
  const world = new World();
  const one = world.start(operator);
  for (let from = 0; from < keys; from += 500)
    await world.send(
      one,
      ...Array.from({ length: Math.min(500, keys - from) }, (_, n) => ({
        id: `e${from + n}`,
        key: `k${from + n}`,
        data: 1,
      })),
    );
  await world.clock.advance(200);
  const { headStamp } = await world.db.log(world.address).explain(seq(0));
  return { world, one, env: world.reader(operator), at: headStamp };
}

describe("changed keys", () => {
  it("are counted over all partitions, and the first are named", async () => {
    const { world, env, at } = await told(150);
    const pair = [
      { env, at: stamp(1) },
      { env, at },
    ] as const;
    const until = world.clock.now() + 5_000;
    const found = await world.clock.run(changedKeys(world.clock, [pair, [pair[1], pair[1]], pair], until));
    expect(found).toMatchObject({ count: 300, complete: true, flaws: [] });
    expect(found.first).toHaveLength(CHANGED_NAMED);
    expect(found.first.slice(0, 3)).toEqual(["k0", "k1", "k10"]);
  });

  it("are counted up to a bound", async () => {
    const { world, env, at } = await told(6_000);
    const pair = [
      { env, at: stamp(1) },
      { env, at },
    ] as const;
    const until = world.clock.now() + 5_000;
    const found = await world.clock.run(changedKeys(world.clock, [pair, pair, pair], until));
    expect(found).toMatchObject({ complete: false, flaws: [] });
    expect(found.count).toBeGreaterThanOrEqual(CHANGED_KEYS);
    expect(found.count).toBeLessThan(3 * 6_000);
  });

  it("are counted until a time, though D1 doesn't answer", async () => {
    const { world, env, at } = await told(10);
    const pair = [
      { env, at: stamp(1) },
      { env, at },
    ] as const;
    const silent = { ...env, log: { ...env.log, roots: () => new Promise<never>(() => undefined) } as typeof env.log };
    const deaf = [
      { env: silent, at: stamp(1) },
      { env: silent, at },
    ] as const;
    const found = await world.clock.run(changedKeys(world.clock, [pair, deaf], world.clock.now() + 5_000));
    expect(found).toMatchObject({ count: 10, complete: false });
  });

  it("say so if a partition can't be read, and count the others", async () => {
    const { world, env, at } = await told(10);
    const pair = [
      { env, at: stamp(1) },
      { env, at },
    ] as const;
    const broken = { ...env, log: { ...env.log, roots: () => Promise.reject(new Error("broken")) } as typeof env.log };
    const flawed = [
      { env: broken, at: stamp(1) },
      { env: broken, at },
    ] as const;
    const found = await world.clock.run(changedKeys(world.clock, [flawed, pair], world.clock.now() + 60_000));
    expect(found).toMatchObject({ count: 10, complete: false });
    expect(found.flaws).toHaveLength(1);
  });
});
