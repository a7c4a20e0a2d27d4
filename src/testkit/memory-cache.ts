/** The cache port in memory. Passes cache-contract.ts. */
import type { Cache } from "../engine/base/ports.ts";

export class MemoryCache implements Cache {
  readonly ranges = new Map<string, Map<number, Uint8Array>>();
  readonly doubts = new Set<string>();
  /** True if the cache stores ranges. Otherwise everything comes from the store, as after the loss of the cache. */
  open: boolean;

  constructor(open = true) {
    this.open = open;
  }

  get(name: string, offset: number): Uint8Array | null {
    return this.ranges.get(name)?.get(offset) ?? null;
  }

  put(name: string, offset: number, bytes: Uint8Array): void {
    if (!this.open) return;
    const held = this.ranges.get(name) ?? new Map<number, Uint8Array>();
    this.ranges.set(name, held.set(offset, bytes.slice()));
  }

  drop(name: string): void {
    this.ranges.delete(name);
  }

  keep(names: readonly string[]): void {
    for (const name of [...this.ranges.keys(), ...this.doubts]) {
      if (names.includes(name)) continue;
      this.ranges.delete(name);
      this.doubts.delete(name);
    }
  }

  distrust(name: string): void {
    this.ranges.delete(name);
    this.doubts.add(name);
  }

  distrusted(names: readonly string[]): string[] {
    return names.filter((name) => this.doubts.has(name));
  }
}
