/** Texts by seq, in its order and bounded: beyond the bound the oldest go (D4 of dedup.ts). */
export class Kept {
  readonly #limit: number;
  readonly #texts = new Map<number, string>();
  /** Length of those that are committed. */
  #bytes = 0;
  /** Seqs of those that are not: they count when they are, as at replay (ONE3). */
  #pending: number[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  get(at: number): string | undefined {
    return this.#texts.get(at);
  }

  all(): Iterable<readonly [number, string]> {
    return this.#texts;
  }

  add(at: number, text: string): void {
    this.#texts.set(at, text);
    this.#pending.push(at);
  }

  /** Everything up to `last` is committed. */
  count(last: number): void {
    let counted = 0;
    for (; counted < this.#pending.length && this.#pending[counted]! <= last; counted++)
      this.#bytes += this.#texts.get(this.#pending[counted]!)!.length;
    if (counted > 0) this.#pending.splice(0, counted);
  }

  /** Those below `from` go, and the oldest beyond the bound. */
  expire(from: number): void {
    for (const [at, text] of this.#texts) {
      if (at >= from && this.#bytes <= this.#limit) break;
      this.#texts.delete(at);
      this.#bytes -= text.length;
    }
  }
}
