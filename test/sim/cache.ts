/** The cache of a partition's object, in which ranges go wrong or missing: all in it can be fetched again. */
import type { Cache } from "../../src/engine/base/ports.ts";
import type { MemoryCache } from "../../src/testkit/memory-cache.ts";
import type { Instance } from "./instance.ts";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

export class WiredCache implements Cache {
  readonly #world: World;
  readonly #cache: MemoryCache;
  readonly #random: Random;
  readonly #by: Instance;

  constructor(world: World, by: Instance) {
    this.#world = world;
    this.#by = by;
    this.#cache = by.slot.cache;
    this.#random = world.stream(`cache ${by.name}`);
  }

  get(name: string, offset: number): Uint8Array | null {
    const { trace, config } = this.#world;
    const bytes = this.#cache.get(name, offset);
    if (bytes === null) return null;
    trace.count("ranges from the cache");
    if (!this.#random.chance(config.cacheFaults)) return bytes;
    trace.count("ranges wrong in the cache");
    const wrong = bytes.slice(0, this.#random.chance(0.3) ? this.#random.between(0, bytes.length) : bytes.length);
    if (wrong.length > 0) wrong[this.#random.between(0, wrong.length - 1)]! ^= 1 << this.#random.between(0, 7);
    this.#cache.ranges.get(name)!.set(offset, wrong);
    return wrong;
  }

  put(name: string, offset: number, bytes: Uint8Array): void {
    if (!this.#random.chance(this.#world.config.cacheFaults)) this.#cache.put(name, offset, bytes);
  }

  drop(name: string): void {
    this.#cache.drop(name);
  }

  keep(names: readonly string[]): void {
    this.#cache.keep(names);
  }

  distrust(name: string): void {
    if (this.#by.failedToRead.has(name)) this.#by.knowsDamaged.add(name);
    this.#cache.distrust(name);
  }

  distrusted(names: readonly string[]): string[] {
    return this.#cache.distrusted(names);
  }
}
