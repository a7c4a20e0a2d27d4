/**
 * Chance, from one root seed.
 *
 * RANDOM1. Every source of chance has a name and a generator of its own (sfc32, 128 bits of state, of the seed and the
 *     name). So a draw that is added in one place shifts nothing anywhere else.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d = 1;

  constructor(seed: number, name: string) {
    const [low, high] = hash(name);
    this.#a = seed | 0;
    this.#b = Math.floor(seed / 0x1_0000_0000) ^ low;
    this.#c = high;
    for (let i = 0; i < 12; i++) this.word();
  }

  /** A whole number, 0 <= x < 2^32. */
  word(): number {
    const sum = (this.#a + this.#b + this.#d) | 0;
    this.#d = (this.#d + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    return sum >>> 0;
  }

  /** 0 <= x < 1 */
  unit(): number {
    return this.word() / 0x1_0000_0000;
  }

  /** A whole number from `least` to `most`, both included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.unit() * (most - least + 1));
  }

  /** As `between`, with small ones more often: uniform in their logarithm. */
  skewed(least: number, most: number): number {
    return Math.min(most, Math.floor(Math.exp(Math.log(least) + this.unit() * Math.log((most + 1) / least))));
  }

  chance(probability: number): boolean {
    return this.unit() < probability;
  }

  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.unit() * list.length)]!;
  }

  /** One of the names, as often as its weight says. */
  weighted<Name extends string>(weights: Readonly<Record<Name, number>>): Name {
    const entries = Object.entries(weights) as [Name, number][];
    let left = this.unit() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [name, weight] of entries) {
      left -= weight;
      if (left < 0) return name;
    }
    return entries[0]![0];
  }

  /** A wait in milliseconds, exponential around its mean. */
  wait(meanMs: number): number {
    return Math.ceil(-Math.log(1 - this.unit()) * meanMs);
  }
}

/** 64 bits of a name. */
function hash(name: string): [number, number] {
  let a = 0x9e3779b9;
  let b = 0x85ebca6b;
  for (let i = 0; i < name.length; i++) {
    const unit = name.charCodeAt(i);
    a = Math.imul(a ^ unit, 0xcc9e2d51);
    a = (a << 15) | (a >>> 17);
    b = Math.imul(b + unit, 0x1b873593) ^ (b >>> 13);
  }
  return [a ^ name.length, b ^ (a >>> 16)];
}
