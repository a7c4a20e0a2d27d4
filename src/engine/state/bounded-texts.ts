/**
 * Texts by seq, in the order of seq and bounded in bytes of memory. Beyond the bound, the oldest go (ANSWERS2 of
 * answers.ts).
 */
import { KEPT_TEXT_BYTES } from "../base/limits.ts";

// oxlint-disable-next-line no-control-regex -- the characters that take one byte in memory
const ONE_BYTE = /^[\u0000-\u00ff]*$/;

/** Returns the bytes that a text takes in memory, its place in the map included. */
const held = (text: string): number => KEPT_TEXT_BYTES + (ONE_BYTE.test(text) ? 1 : 2) * text.length;

export class BoundedTexts {
  readonly #limit: number;
  readonly #texts = new Map<number, string>();
  #bytes = 0;
  /** Seqs of texts that aren't committed yet. A text counts from its commit on, as at replay (ONE3). */
  #pending: number[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  get(at: number): string | undefined {
    return this.#texts.get(at);
  }

  add(at: number, text: string): void {
    this.#texts.set(at, text);
    this.#pending.push(at);
  }

  /** Everything up to `last` is committed, so its texts count. */
  count(last: number): void {
    let counted = 0;
    for (; counted < this.#pending.length && this.#pending[counted]! <= last; counted++)
      this.#bytes += held(this.#texts.get(this.#pending[counted]!)!);
    if (counted > 0) this.#pending.splice(0, counted);
  }

  /** Drops texts below `from`, and the oldest beyond the bound. */
  expire(from: number): void {
    for (const [at, text] of this.#texts) {
      if (at >= from && this.#bytes <= this.#limit) break;
      this.#texts.delete(at);
      this.#bytes -= held(text);
    }
  }

  /** Returns the texts from `from` to `to` as they are now. */
  image(from: number, to: number): KeptImage {
    const seqs: number[] = [];
    const texts: string[] = [];
    for (const [at, text] of this.#texts) {
      if (at < from || at > to) continue;
      seqs.push(at);
      texts.push(text);
    }
    return { seqs: Float64Array.from(seqs), texts };
  }
}

/** Rising seqs and their texts. */
export interface KeptImage {
  readonly seqs: Float64Array;
  readonly texts: readonly string[];
}
