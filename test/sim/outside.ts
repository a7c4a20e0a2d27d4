/** Reading a partition from outside its object, with D1 and R2 alone. Each call takes time, while others continue. */
import type { Stamp } from "../../src/engine/base/ids.ts";
import type { Log, ObjectStore } from "../../src/engine/base/ports.ts";
import type { LogEnvironment } from "../../src/engine/operator/environment.ts";
import { NO_CACHE } from "../../src/engine/snapshot/range-reader.ts";
import type { Slot } from "./host.ts";
import type { Random } from "./random.ts";
import type { Truth } from "./truth.ts";
import type { World } from "./world.ts";

/** `log`: instead of the partition's own. */
export function outsideOf(world: World, random: Random, slot: Slot, log?: Log): LogEnvironment {
  const { clock, codec, config, store } = world;
  const { line, operator: name, partition, database } = slot.address;
  const slow = <Port extends object>(port: Port, ms: number): Port =>
    withCalls(port, async (call) => {
      await new Promise<void>((resolve) => void clock.after(random.wait(ms), resolve));
      return call();
    });
  return {
    id: { line, operator: name, partition },
    operator: world.operators(world.deployed).find((one) => one.name === name)!,
    log: slow<Log>(log ?? world.database(database).log(slot.address), config.logMs),
    objects: slow<ObjectStore>(store, config.storeMs),
    codec,
    clock,
    cache: NO_CACHE,
    sizes: config.sizes,
  };
}

/** The port, with each call carried out by `carry`. */
export const withCalls = <Port extends object>(
  port: Port,
  carry: (call: () => Promise<unknown>, method: string) => Promise<unknown>,
): Port =>
  new Proxy(port, {
    get: (target, name) => {
      const method = Reflect.get(target, name, target) as unknown;
      if (typeof method !== "function") return method;
      return (...args: unknown[]) => carry(() => Reflect.apply(method, target, args) as Promise<unknown>, String(name));
    },
  });

/** The last seq at or below a stamp. */
export const lastAt = (truth: Truth, at: Stamp): number => truth.rows.findLast((row) => row.stamp <= at)?.last ?? 0;
