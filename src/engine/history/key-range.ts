/**
 * KeyRange: the keys of one pass over the log. A pass takes the keys in which it is interested as the log touches them.
 * If they become too many, the pass ends at a lower key, and another pass takes the rest (PAST3).
 */
import { compareUtf8 } from "../base/json.ts";
import type { Keys } from "../state/state-machine.ts";

/** Bounds of one pass over the log. */
export interface Pass {
  readonly keys: number;
  readonly bytes: number;
}

/** Compares two keys. */
export type Order = (a: string, b: string) => number;

export class KeyRange {
  readonly #within: Keys;
  readonly #pass: Pass;
  readonly #held: () => number;
  readonly #order: Order;
  readonly #touched = new Set<string>();
  #bytes = 0;
  #chars = 0;
  /** The last key that is complete. Null if no key behind it was left out. */
  end: string | null = null;

  /** `held`: bytes of the states of the touched keys. */
  constructor(within: Keys, pass: Pass, held: () => number, order: Order = compareUtf8) {
    this.#order = order;
    this.#within = within;
    this.#pass = pass;
    this.#held = held;
  }

  /** Takes a key that the log touches. Returns false if the pass leaves it out. */
  admits(key: string): boolean {
    if (this.#touched.has(key)) return true;
    if (!this.covers(key) || !this.#within(key)) return false;
    this.#touched.add(key);
    this.#chars += key.length;
    const bytes = this.#held() - this.#bytes + this.#chars;
    if (this.#touched.size > 1 && (this.#touched.size >= this.#pass.keys || bytes >= this.#pass.bytes)) this.#shorten();
    return this.#touched.has(key);
  }

  get size(): number {
    return this.#touched.size;
  }

  has(key: string): boolean {
    return this.#touched.has(key);
  }

  /** Returns true if the key isn't behind the end. */
  covers(key: string): boolean {
    return this.end === null || this.#order(key, this.end) <= 0;
  }

  get keys(): string[] {
    return [...this.#touched].sort(this.#order);
  }

  /** Leaves out the upper half of the keys. Their states stay in memory until the pass ends, so the bytes count anew. */
  #shorten(): void {
    const { keys } = this;
    const kept = Math.ceil(keys.length / 2);
    this.end = keys[kept - 1]!;
    for (const key of keys.slice(kept)) this.#touched.delete(key);
    this.#bytes = this.#held();
    this.#chars = 0;
  }
}
