/*
 * Random numbers that a seed determines: sfc32 (Chris Doty-Humphrey), 128 bits of state.
 *
 * Each part of a run draws from a stream of its own, named by its purpose. So the draws of one client don't
 * depend on how fast another one is. The draws are the same for the same seed; the interleaving stays the machine's.
 */
import { createHash } from "node:crypto";

export class Random {
  readonly #seed: string;
  #a: number;
  #b: number;
  #c: number;
  #counter: number;

  constructor(seed: string) {
    this.#seed = seed;
    const hash = createHash("sha256").update(seed).digest();
    [this.#a, this.#b, this.#c, this.#counter] = [0, 4, 8, 12].map((at) => hash.readInt32LE(at)) as [
      number,
      number,
      number,
      number,
    ];
  }

  /** Another stream, of the same seed. */
  stream(name: string): Random {
    return new Random(`${this.#seed}/${name}`);
  }

  /** 0 <= n < 1. */
  next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    return (sum >>> 0) / 2 ** 32;
  }

  /** An integer, 0 <= n < limit. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  /** An integer, from <= n <= to. */
  between(from: number, to: number): number {
    return from + this.below(to - from + 1);
  }

  chance(share: number): boolean {
    return this.next() < share;
  }

  pick<T>(items: readonly [T, ...T[]]): T {
    return items[this.below(items.length)] ?? items[0];
  }

  shuffled<T>(items: readonly T[]): T[] {
    return items
      .map((item) => ({ item, order: this.next() }))
      .sort((a, b) => a.order - b.order)
      .map(({ item }) => item);
  }
}

/** For a run that nobody asked to repeat. */
export const freshSeed = (): string => String(crypto.getRandomValues(new Uint32Array(1))[0]);
