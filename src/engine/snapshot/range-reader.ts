/**
 * Reading one object of R2 by ranges, through the cache.
 *
 * RANGE1. A range counts only with its checksum (SNAP3). What the cache holds is checked like all else, and fetched again where it
 *     is wrong: only what the store itself gives can be damage.
 * RANGE2. What is kept in the cache is what will be asked for again: single blocks, and the part of a file that opening needs. That
 *     part may be large, and the platform holds answers back until what was written before them is safe: so it is kept later.
 */
import { readBlock } from "../base/block.ts";
import { Damage } from "../base/errors.ts";
import type { Cache } from "../base/ports.ts";
import { type Library, readObject } from "./object-reader.ts";

/** The first answer is given by then, and an object that nobody calls again is not gone yet. */
const KEPT_AFTER_MS = 1_000;

/** Where a block stands, and its checksum. */
export type ByteRange = readonly [offset: number, length: number, crc: number, ...more: unknown[]];

/** In the cache runs stand above all offsets of blocks. */
const RUNS = 2 ** 40;

export class RangeReader {
  readonly name: string;
  readonly bytes: number;
  readonly #library: Library;
  /** The whole object, where it is small. */
  #whole: Uint8Array | null = null;

  constructor(library: Library, name: string, bytes: number, whole: Uint8Array | null = null) {
    this.#library = library;
    this.name = name;
    this.bytes = bytes;
    this.#whole = whole;
  }

  /**
   * Blocks that stand near each other, in their order, and may be asked for again: what the cache lacks of them is fetched
   * together, with what lies in between. `all`: the same and those in between, which are looked at too, once they are here.
   *
   * @throws Damage
   */
  async some(places: readonly ByteRange[], what: string, all: readonly ByteRange[] = places): Promise<Uint8Array[]> {
    const kept = places.map((place) => this.#kept(place));
    const missing = places.filter((_, i) => kept[i] === null);
    if (missing.length === 0) return kept as Uint8Array[];
    const [from] = missing[0]!;
    const [last, length] = missing.at(-1)!;
    const bytes = await this.#from(from, last + length - from);
    for (const place of all)
      if (place[0] >= from && place[0] <= last) this.#assertWhole(place, what, cut(bytes, from, place));
    const { cache } = this.#library;
    return places.map((place, i) => {
      const found = kept[i];
      if (found != null) return found;
      const block = cut(bytes, from, place);
      cache.put(this.name, place[0], block);
      return block;
    });
  }

  /** What is here already of a block. */
  #kept([offset, length, crc]: ByteRange): Uint8Array | null {
    const { cache, codec } = this.#library;
    const kept = this.#whole?.subarray(offset, offset + length) ?? cache.get(this.name, offset);
    if (kept === null || (kept.length === length && codec.crc32(kept) === crc)) return kept;
    this.#whole = null;
    cache.drop(this.name);
    return null;
  }

  /** A block as the store gave it. @throws Damage */
  #assertWhole([offset, , crc]: ByteRange, what: string, bytes: Uint8Array): void {
    if (this.#library.codec.crc32(bytes) !== crc)
      throw new Damage(`the checksum of ${what} at ${offset} of ${this.name} is wrong`);
  }

  /** Blocks that stand one after the other, fetched together. `keep`: they may be asked for again. @throws Damage */
  async run(places: readonly ByteRange[], what: string, keep: boolean): Promise<Uint8Array[]> {
    const [from] = places[0]!;
    const length = places.reduce((sum, place) => sum + place[1], 0);
    const cut = (run: Uint8Array): Uint8Array[] =>
      places.map(([offset, size, crc]) =>
        readBlock(run, offset - from, size, crc, this.#library.codec, `${what} of ${this.name}`),
      );
    if (this.#whole !== null || (keep && places.length === 1)) return this.some(places, what);
    const { cache } = this.#library;
    const kept = keep ? cache.get(this.name, RUNS + from) : null;
    if (kept !== null) {
      try {
        return cut(kept);
      } catch {
        cache.drop(this.name);
      }
    }
    const bytes = await this.#from(from, length);
    const blocks = cut(bytes);
    if (keep) cache.put(this.name, RUNS + from, bytes);
    return blocks;
  }

  /** The object from `offset` on, if `check` takes it. @throws Damage, or what `check` throws of what the store gave */
  end<T>(offset: number, check: (bytes: Uint8Array) => T): Promise<T> {
    return this.part(offset, this.bytes - offset, (bytes) => {
      const checked = check(bytes);
      if (offset === 0) this.#whole = bytes;
      return checked;
    });
  }

  /** A part of the object that opening needs, if `check` takes it. @throws as `end` does */
  async part<T>(offset: number, length: number, check: (bytes: Uint8Array) => T | Promise<T>): Promise<T> {
    const { cache, clock, ahead } = this.#library;
    const keep = (bytes: Uint8Array): void =>
      void clock.after(KEPT_AFTER_MS, () => cache.put(this.name, offset, bytes));
    const early = (await ahead?.take(this.name, offset)) ?? null;
    const kept = early?.bytes ?? cache.get(this.name, offset);
    if (kept !== null) {
      try {
        if (kept.length === length) {
          const checked = await check(kept);
          if (early?.fetched === true) keep(kept);
          return checked;
        }
      } catch (error) {
        // Other code's format is no flaw of the cache, and comes again from the store.
        if (!(error instanceof Error)) throw error;
      }
      cache.drop(this.name);
    }
    const bytes = await this.#from(offset, length);
    const checked = await check(bytes);
    keep(bytes);
    return checked;
  }

  async #from(offset: number, length: number): Promise<Uint8Array> {
    if (offset < 0 || offset + length > this.bytes)
      throw new Damage(`${this.name} has ${this.bytes} bytes, and no block at ${offset}..${offset + length}`);
    const bytes = await readObject(this.#library, this.name, [offset, length]);
    if (bytes === null) throw new Damage(`${this.name} isn't there`);
    if (bytes.length !== length)
      throw new Damage(`${this.name} ends at ${offset + bytes.length}, where ${offset + length} bytes should be`);
    return bytes;
  }
}

/** A block of a range that begins at `from`, as bytes of its own. */
const cut = (range: Uint8Array, from: number, [offset, length]: ByteRange): Uint8Array =>
  range.slice(offset - from, offset - from + length);

/** For whoever reads once. */
export const NO_CACHE: Cache = {
  get: () => null,
  put: () => undefined,
  drop: () => undefined,
  keep: () => undefined,
  distrust: () => undefined,
  distrusted: () => [],
};
