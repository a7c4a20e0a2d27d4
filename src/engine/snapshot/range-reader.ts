/**
 * RangeReader reads one object of R2 by ranges, through the cache.
 *
 * RANGE1. A range counts only with its checksum (SNAP3). Ranges from the cache are checked too, and fetched again if
 *     they are wrong: only bytes from the store itself can be damage.
 * RANGE2. The cache keeps what will be needed again: single blocks, and the part of a file that opening needs. The
 *     platform holds answers back until earlier writes are safe, and this part may be large, so it is kept later.
 */
import { readBlock } from "../base/block.ts";
import { Damage } from "../base/errors.ts";
import type { Cache } from "../base/ports.ts";
import type { FileEnvironment } from "../operator/environment.ts";
import { readObject } from "./object-reader.ts";

/** The first answer is given by then, and an object that nobody calls again hasn't ended yet. */
const KEPT_AFTER_MS = 1_000;

/** The place of a block, and its checksum. */
type ByteRange = readonly [offset: number, length: number, crc: number, ...more: unknown[]];

/** In the cache, runs stand above all offsets of blocks. */
const RUNS = 2 ** 40;

export class RangeReader {
  readonly name: string;
  readonly bytes: number;
  readonly #env: FileEnvironment;
  /** The whole object, if it is small. */
  #whole: Uint8Array | null = null;

  constructor(env: FileEnvironment, name: string, bytes: number) {
    this.#env = env;
    this.name = name;
    this.bytes = bytes;
  }

  /**
   * Reads blocks that stand near each other, in order. The cache keeps the blocks, since they may be needed again.
   * Blocks that the cache lacks are fetched together, with everything in between. `all` adds the blocks in between,
   * which are checked too once they are fetched.
   *
   * @throws Damage if a block is corrupt
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
    const { cache } = this.#env;
    return places.map((place, i) => {
      const found = kept[i];
      if (found != null) return found;
      const block = cut(bytes, from, place);
      cache.put(this.name, place[0], block);
      return block;
    });
  }

  /** Returns the block from memory or from the cache, or null if neither holds it intact. */
  #kept([offset, length, crc]: ByteRange): Uint8Array | null {
    const { cache, codec } = this.#env;
    const kept = this.#whole?.subarray(offset, offset + length) ?? cache.get(this.name, offset);
    if (kept === null || (kept.length === length && codec.crc32(kept) === crc)) return kept;
    this.#whole = null;
    cache.drop(this.name);
    return null;
  }

  /** Checks a block from the store. @throws Damage if its checksum is wrong */
  #assertWhole([offset, , crc]: ByteRange, what: string, bytes: Uint8Array): void {
    if (this.#env.codec.crc32(bytes) !== crc)
      throw new Damage(`the checksum of ${what} at ${offset} of ${this.name} is wrong`);
  }

  /**
   * Reads blocks that follow each other, fetched together. If `keep` is set, the cache keeps the blocks, since they may
   * be needed again.
   *
   * @throws Damage if a block is corrupt
   */
  async run(places: readonly ByteRange[], what: string, keep: boolean): Promise<Uint8Array[]> {
    const [from] = places[0]!;
    const length = places.reduce((sum, place) => sum + place[1], 0);
    const cut = (run: Uint8Array): Uint8Array[] =>
      places.map(([offset, size, crc]) =>
        readBlock(run, offset - from, size, crc, this.#env.codec, `${what} of ${this.name}`),
      );
    if (this.#whole !== null || (keep && places.length === 1)) return this.some(places, what);
    const { cache } = this.#env;
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

  /**
   * Reads the object from `offset` on. Returns the result of `check`.
   *
   * @throws Damage if the object is missing or too short; the error of `check` if it rejects bytes from the store
   */
  end<T>(offset: number, check: (bytes: Uint8Array) => T): Promise<T> {
    return this.part(offset, this.bytes - offset, (bytes) => {
      const checked = check(bytes);
      if (offset === 0) this.#whole = bytes;
      return checked;
    });
  }

  /** Reads a part of the object that opening needs. Returns the result of `check`. @throws as `end` does */
  async part<T>(offset: number, length: number, check: (bytes: Uint8Array) => T | Promise<T>): Promise<T> {
    const { cache, clock, ahead } = this.#env;
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
        // A format of other code isn't the fault of the cache. The bytes from the store give the same error again.
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
      throw new Damage(`${this.name} has ${this.bytes} bytes, so no block is at ${offset}..${offset + length}`);
    const bytes = await readObject(this.#env, this.name, [offset, length]);
    if (bytes === null) throw new Damage(`${this.name} isn't there`);
    if (bytes.length !== length)
      throw new Damage(`${this.name} ends at byte ${offset + bytes.length}, but should have ${offset + length} bytes`);
    return bytes;
  }
}

/** Copies a block out of a range that begins at `from`. */
const cut = (range: Uint8Array, from: number, [offset, length]: ByteRange): Uint8Array =>
  range.slice(offset - from, offset - from + length);

/** The cache of a reader that reads once. */
export const NO_CACHE: Cache = {
  get: () => null,
  put: () => undefined,
  drop: () => undefined,
  keep: () => undefined,
  distrust: () => undefined,
  distrusted: () => [],
};
