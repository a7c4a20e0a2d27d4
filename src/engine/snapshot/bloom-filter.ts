/**
 * A filter says which keys a snapshot file surely doesn't hold, so that a lookup touches few files (Bloom 1970).
 *
 * BLOOM1. "no" is certain; "perhaps" is wrong about once in a hundred.
 * BLOOM2. The filter's bytes are stored in the file (docs/reference/formats.md). A filter has ten bits a key. Each key
 *     sets six bits, at places from two hashes (Kirsch and Mitzenmacher 2006).
 */
import { hashGroup } from "../base/hash.ts";

const BITS = 10;
const PROBES = 6;
const SEED_A = 0x2545f491;
const SEED_B = 0x4f6cdd1d;

export class BloomFilter {
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** Returns false if the file surely doesn't hold the key. */
  mayHold(key: string): boolean {
    const bits = this.bytes.length * 8;
    const step = stepOf(key);
    let place = placeOf(key);
    for (let i = 0; i < PROBES; i++) {
      const bit = place % bits;
      if ((this.bytes[bit >>> 3]! & (1 << (bit & 7))) === 0) return false;
      place = (place + step) >>> 0;
    }
    return true;
  }
}

/**
 * Collects keys one by one, since their number isn't known before the last one. Texts would take ten times the memory.
 */
export class BloomFilterBuilder {
  readonly #places: number[] = [];
  readonly #steps: number[] = [];

  add(key: string): void {
    this.#places.push(placeOf(key));
    this.#steps.push(stepOf(key));
  }

  build(): BloomFilter {
    const bytes = new Uint8Array(Math.max(8, Math.ceil((this.#places.length * BITS) / 8)));
    const bits = bytes.length * 8;
    for (let key = 0; key < this.#places.length; key++) {
      const step = this.#steps[key]!;
      let place = this.#places[key]!;
      for (let i = 0; i < PROBES; i++) {
        const bit = place % bits;
        bytes[bit >>> 3]! |= 1 << (bit & 7);
        place = (place + step) >>> 0;
      }
    }
    return new BloomFilter(bytes);
  }
}

const placeOf = (key: string): number => hashGroup(key, SEED_A);
const stepOf = (key: string): number => (hashGroup(key, SEED_B) | 1) >>> 0;
