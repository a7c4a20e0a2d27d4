/* Numbers drawn from a seed, the number of an event and a salt: the same at every run. */

/** Mixes all 32 bits of a number with each other. */
function mix(number: number): number {
  let mixed = Math.imul(number ^ (number >>> 16), 0x7feb352d);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x846ca68b);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

const TWO_32 = 2 ** 32;
/** The step of a Weyl sequence, which comes back to its start only after 2^32 steps. */
const STEP = 0x9e3779b9;
const LETTERS = 26;

export class Draw {
  #state: number;

  constructor(seed: number, number: number, salt: number) {
    const high = (Math.floor(number / TWO_32) + Math.imul(salt, STEP)) >>> 0;
    this.#state = mix(mix(mix(seed >>> 0) ^ (number >>> 0)) ^ mix(high));
  }

  /** Returns a number from 0 up to, but not including, 1. */
  float(): number {
    this.#state = (this.#state + STEP) >>> 0;
    return mix(this.#state) / TWO_32;
  }

  /** Returns a whole number from 0 up to, but not including, `end`. */
  below(end: number): number {
    return Math.floor(this.float() * end);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  word(length: number): string {
    return Array.from({ length }, () => String.fromCharCode(97 + this.below(LETTERS))).join("");
  }

  digits(length: number): string {
    return Array.from({ length }, () => String(this.below(10))).join("");
  }

  /** Words of two to nine letters, cut off at the length. */
  text(length: number): string {
    let text = "";
    while (text.length < length) text += `${this.word(2 + this.below(8))} `;
    return text.slice(0, length);
  }

  /** Cents from 100 to 100,000,000, log-uniform. */
  price(): number {
    return Math.round(10 ** (this.float() * 6) * 100);
  }
}
