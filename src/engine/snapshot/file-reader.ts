/**
 * A snapshot file as a source of keys. The index and the filter are in memory, and a block is fetched when a key in it
 * is needed.
 *
 * FILE1. Opening reads the end of the file, from the last state block on. Everything there is needed to open a
 *     partition, or says where all else stands.
 * FILE2. If the end begins with many ids, they are read apart: together with the end for events, later or never for
 *     reads.
 */
import { readBlock, unpack } from "../base/block.ts";
import { Damage } from "../base/errors.ts";
import { compareUtf8 } from "../base/json.ts";
import { lowerBound } from "../base/key-order.ts";
import { GAP_BYTES, RUN_BLOCKS, RUN_BYTES } from "../base/limits.ts";
import type { Codec } from "../base/ports.ts";
import type { StateFile } from "../base/records.ts";
import { BloomFilter } from "./bloom-filter.ts";
import { type Block, type Footer, openingParts, readFooter, restOf } from "./file-footer.ts";
import type { FileEnvironment } from "../operator/environment.ts";
import { RangeReader } from "./range-reader.ts";
import { keyOfLine } from "./record.ts";
import { dueRunsOf, readDueBlock } from "./due-blocks.ts";
import type { DueRun } from "../state/timer-queue.ts";

/** Reads a block that isn't state. @throws Damage if the block is corrupt */
export type Rest = (block: Block, what: string) => Uint8Array;

export interface StateBlock {
  readonly lines: readonly string[];
  readonly keys: readonly string[];
}

export class SnapshotFile {
  readonly footer: Footer;
  readonly #ranges: RangeReader;
  readonly #codec: Codec;
  readonly #firsts: readonly string[];
  readonly #filter: BloomFilter | null;
  /** True if the ids weren't read with the end and are still to be taken in. */
  readonly apart: boolean;

  constructor(ranges: RangeReader, footer: Footer, filter: BloomFilter | null, codec: Codec, apart = false) {
    this.apart = apart;
    this.#ranges = ranges;
    this.footer = footer;
    this.#filter = filter;
    this.#codec = codec;
    this.#firsts = footer.state.map(([, , , , first]) => first);
  }

  /**
   * Returns the file, and a reader of its blocks that aren't state. If `apart` is set, ids that stand apart aren't read
   * (FILE2).
   *
   * @throws Damage if the file is corrupt; Failure unknown_format if this code can't read it
   */
  static async open(
    env: FileEnvironment,
    stored: StateFile,
    apart: boolean,
  ): Promise<{ readonly file: SnapshotFile; readonly rest: Rest }> {
    const { codec, sizes } = env;
    const { name, bytes, ids = 0 } = stored;
    const ranges = new RangeReader(env, name, bytes);
    const [[guess], idsAt] = openingParts(stored, sizes, apart) as [[number, number], [number, number]?];
    const read =
      (start: number) =>
      (end: Uint8Array): End | number =>
        readEnd(end, start, codec, start === guess ? ids : 0);
    try {
      const end = ranges.end(guess, read(guess));
      const beside = idsAt === undefined ? null : idsOf(ranges, ...idsAt, end, codec);
      // An error of the ids is reported after the end's, and must not count as unhandled until then.
      beside?.catch(() => undefined);
      let found = await end;
      // The place where the states end is known now, even if the manifest didn't name it. The part above it may be read
      // twice.
      for (let i = 0; typeof found === "number" && i < 2; i++) found = await ranges.end(found, read(found));
      if (typeof found === "number") throw new Damage(`the footer of ${name} isn't at its offset`);
      const { footer, filter } = found;
      const rest = found.apart && beside !== null ? either(await beside, guess, found.rest) : found.rest;
      return { file: new SnapshotFile(ranges, footer, filter, codec, found.apart && beside === null), rest };
    } catch (error) {
      if (error instanceof Damage) error.object = name;
      throw error;
    }
  }

  /** Reads the ids that stand apart, as `open` would have. @throws Damage if they are corrupt */
  async ids(): Promise<Rest> {
    const { prints } = this.footer;
    const length = prints.reduce((sum, [, size]) => sum + size, 0);
    return this.#named(() => idsOf(this.#ranges, restOf(this.footer), length, this.footer, this.#codec));
  }

  get name(): string {
    return this.#ranges.name;
  }

  /** Returns the number of the block that may hold the key, or -1 if none does. */
  blockOf(key: string): number {
    const { last } = this.footer;
    if (last !== undefined && compareUtf8(key, last) > 0) return -1;
    const block = lowerBound(this.#firsts, key, false) - 1;
    return block >= 0 && (this.#filter?.mayHold(key) ?? true) ? block : -1;
  }

  /** Returns the number of the first block that may hold a key at or above this one. */
  blockFrom(key: string): number {
    return Math.max(0, lowerBound(this.#firsts, key, false) - 1);
  }

  get blocks(): number {
    return this.#firsts.length;
  }

  /** The keys with timers, by due time. @throws Damage if the footer is corrupt */
  get dueRuns(): readonly DueRun[] {
    return dueRunsOf(this.footer.timers ?? []).map(({ blocks, firsts }) => ({
      firsts,
      read: (number) =>
        this.#named(async () => {
          const block = blocks[number]!;
          const [bytes] = await this.#ranges.some([block], "a block of timers");
          return readDueBlock(bytes!, block, this.#codec);
        }),
    }));
  }

  /** Cuts blocks of rising numbers into runs that are worth fetching together. */
  runsOf(numbers: readonly number[]): number[][] {
    const runs: number[][] = [];
    let [begun, ended] = [0, Number.NEGATIVE_INFINITY];
    for (const number of numbers) {
      const [offset, length] = this.footer.state[number]!;
      const run = runs.at(-1);
      const near = offset - ended <= GAP_BYTES && offset + length - begun <= RUN_BYTES;
      if (run !== undefined && run.length < RUN_BLOCKS && near) run.push(number);
      else {
        runs.push([number]);
        begun = offset;
      }
      ended = offset + length;
    }
    return runs;
  }

  /**
   * Reads the blocks of such a run. The cache keeps the blocks, since they may be needed again.
   *
   * @throws Damage if a block is corrupt
   */
  async some(numbers: readonly number[]): Promise<StateBlock[]> {
    return this.#named(async () => {
      const places = numbers.map((number) => this.footer.state[number]!);
      const between = this.footer.state.slice(numbers[0], numbers.at(-1)! + 1);
      const blocks = await this.#ranges.some(places, "a state block", between);
      return blocks.map((bytes, i) => this.#decoded(numbers[i]!, bytes));
    });
  }

  /**
   * Yields the blocks from this one on, fetched in runs. If `keep` is set, the cache keeps the blocks, since they may
   * be needed again.
   *
   * @throws Damage if a block is corrupt
   */
  async *blocksFrom(number: number, runBytes: number, keep: boolean): AsyncGenerator<StateBlock> {
    const fetchFrom = (from: number): Run | null => {
      const to = this.#runFrom(from, runBytes);
      if (to === from) return null;
      const bytes = this.#named(() => this.#ranges.run(this.footer.state.slice(from, to), "a state block", keep));
      // A reader that stopped early doesn't await this run, so its error must not count as unhandled.
      bytes.catch(() => undefined);
      return { from, to, bytes };
    };
    let coming = fetchFrom(number);
    for (let run = coming; run !== null; run = coming) {
      const bytes = await run.bytes;
      // Fetch the next run while this one is used.
      coming = fetchFrom(run.to);
      for (const [i, block] of bytes.entries()) yield await this.#named(async () => this.#decoded(run.from + i, block));
    }
  }

  /** Returns the number of the first block behind the run that begins here. */
  #runFrom(from: number, runBytes: number): number {
    let to = from;
    for (let bytes = 0; to < this.footer.state.length; to++) {
      bytes += this.footer.state[to]![1];
      if (to > from && bytes > runBytes) break;
    }
    return to;
  }

  async #named<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      if (error instanceof Damage) error.object = this.name;
      throw error;
    }
  }

  #decoded(number: number, bytes: Uint8Array): StateBlock {
    const what = "a state block";
    const lines = unpack(bytes, this.#codec, what).split("\n");
    const [offset, , , records, first] = this.footer.state[number]!;
    if (lines.length !== records)
      throw new Damage(`${what} at ${offset} counts ${records} records, but holds ${lines.length}`);
    const keys = lines.map(keyOfLine);
    const next = this.#firsts[number + 1];
    if (keys[0] !== first || !rising(keys) || (next !== undefined && compareUtf8(keys.at(-1)!, next) >= 0))
      throw new Damage(`the keys of ${this.name} are not in order`);
    return { lines, keys };
  }
}

function rising(keys: readonly string[]): boolean {
  for (let i = 1; i < keys.length; i++) if (compareUtf8(keys[i - 1]!, keys[i]!) >= 0) return false;
  return true;
}

interface Run {
  readonly from: number;
  readonly to: number;
  readonly bytes: Promise<Uint8Array[]>;
}

interface End {
  readonly footer: Footer;
  readonly rest: Rest;
  readonly filter: BloomFilter | null;
  /** True if the end begins behind the ids. */
  readonly apart: boolean;
}

/** Reads the blocks of ids and checks them. `end` says which they are. */
async function idsOf(
  ranges: RangeReader,
  from: number,
  length: number,
  end: Footer | Promise<End | number>,
  codec: Codec,
): Promise<Rest> {
  return ranges.part(from, length, async (bytes) => {
    const found = await end;
    const rest: Rest = ([offset, size, crc], what) => readBlock(bytes, offset - from, size, crc, codec, what);
    // If the end says that the ids stand elsewhere, they are read with the end.
    const prints =
      typeof found === "number" ? [] : "apart" in found ? (found.apart ? found.footer.prints : []) : found.prints;
    for (const block of prints) rest(block, "a block of prints");
    return rest;
  });
}

/** Reads blocks before `behind` with `ids`, and all others with `rest`. */
const either =
  (ids: Rest, behind: number, rest: Rest): Rest =>
  (block, what) =>
    block[0] < behind ? ids(block, what) : rest(block, what);

/** Returns true if the blocks follow each other from `from` on and have `bytes` bytes together. */
function stand(blocks: readonly Block[], from: number, bytes: number): boolean {
  let at = from;
  for (const [offset, length] of blocks) {
    if (offset !== at) return false;
    at += length;
  }
  return at === from + bytes;
}

/**
 * Reads everything behind the states, and behind so many bytes of ids. Returns where that begins if `end` begins later.
 *
 * @throws Damage if the file is corrupt; Failure unknown_format if this code can't read it
 */
function readEnd(end: Uint8Array, start: number, codec: Codec, ids: number): End | number {
  const footer = readFooter(end, codec, start);
  if (typeof footer === "number") return footer;
  const from = restOf(footer);
  const apart = ids > 0 && start === from + ids && stand(footer.prints, from, ids);
  if (start > from && !apart) return from;
  const rest: Rest = ([offset, length, crc], what) => readBlock(end, offset - start, length, crc, codec, what);
  const filter = footer.filter?.map((block) => rest(block, "the filter"))[0];
  // Check all blocks now. A wrong copy in the cache would pass for damage later. A corrupt block might be needed only
  // when it is too late for a fallback.
  if (start === 0)
    for (const block of [...footer.state, ...(footer.timers ?? [])]) rest(block, "a block of states or timers");
  for (const blocks of [apart ? [] : footer.prints, footer.answers, footer.quarantine, footer.producers])
    for (const block of blocks) rest(block, "a block behind the states");
  return { footer, rest, apart, filter: filter === undefined ? null : new BloomFilter(lasting(filter)) };
}

/** Copies a part if keeping it as it is would keep much else in memory. */
const lasting = (part: Uint8Array): Uint8Array => (2 * part.length > part.buffer.byteLength ? part : part.slice());
