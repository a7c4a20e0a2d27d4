/**
 * The digest of a keyed state: 64 bits that say whether two states are the same, without holding both (SNAP8).
 *
 * DIGEST1. The digest is a sum over the keys, so it doesn't depend on their order. A changed key costs two hashes,
 *     whatever the size of the state.
 * DIGEST2. The digest finds mistakes of code, memory or storage. It is no defence against somebody who looks for
 *     collisions.
 */
import { finish } from "./hash.ts";

const C1 = 0xcc9e2d51;
const C2 = 0x1b873593;
const FORM = /^[0-9a-f]{16}$/;

export class Digest {
  #high = 0;
  #low = 0;

  add(key: string, text: string): void {
    this.#change(key, text, 1);
  }

  subtract(key: string, text: string): void {
    this.#change(key, text, -1);
  }

  /** Returns this digest plus the change from `from` to `to`. */
  moved(from: Digest, to: Digest): Digest {
    const moved = new Digest();
    moved.#high = (this.#high + to.#high - from.#high) | 0;
    moved.#low = (this.#low + to.#low - from.#low) | 0;
    return moved;
  }

  copy(): Digest {
    return this.moved(this, this);
  }

  /** Returns 16 hexadecimal digits. */
  toString(): string {
    return hex(this.#high) + hex(this.#low);
  }

  static isText(text: unknown): text is string {
    return typeof text === "string" && FORM.test(text);
  }

  static parse(text: string): Digest {
    const digest = new Digest();
    digest.#high = Number.parseInt(text.slice(0, 8), 16) | 0;
    digest.#low = Number.parseInt(text.slice(8), 16) | 0;
    return digest;
  }

  /** Mixes the code units of key and text in two lanes, with both lengths: "a" + "bc" is not "ab" + "c". */
  #change(key: string, text: string, sign: 1 | -1): void {
    let a = key.length ^ C2;
    let b = text.length ^ C1;
    for (let i = 0; i < key.length; i++) {
      const unit = key.charCodeAt(i);
      a = Math.imul(a ^ unit, C1);
      a = (a << 15) | (a >>> 17);
      b = Math.imul(b + unit, C2) ^ (b >>> 13);
    }
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      a = Math.imul(a ^ unit, C2);
      a = (a << 13) | (a >>> 19);
      b = Math.imul(b + unit, C1) ^ (b >>> 15);
    }
    this.#high = (this.#high + sign * finish(a ^ b)) | 0;
    this.#low = (this.#low + sign * finish(b ^ text.length)) | 0;
  }
}

const hex = (word: number): string => (word >>> 0).toString(16).padStart(8, "0");
