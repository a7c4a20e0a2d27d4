/**
 * Due blocks of a snapshot file list its keys that have timers, by the time of the first one (QUEUE3 of timer-queue.ts).
 *
 * DUE1. A block is lines, `due TAB "key"`. Blocks are in runs, each of which is sorted: a file may have more keys than
 *     memory, so they are sorted as many at a time as it holds. The first of a block is `run due`.
 */
import { unpack } from "../base/block.ts";
import { Damage } from "../base/errors.ts";
import { isMs } from "../base/hybrid-clock.ts";
import { parseJson } from "../base/json.ts";
import type { Codec } from "../base/ports.ts";
import type { DueKey } from "../state/timer-queue.ts";
import type { Block } from "./file-footer.ts";
import { numberOf } from "./record.ts";

/** Keys of one run. */
const RUN_KEYS = 20_000;

interface PackedBlock {
  readonly packed: Uint8Array;
  readonly keys: number;
  readonly first: string;
}

/** Collects the keys of one file, in any order, and packs them. */
export class DueWriter {
  readonly #codec: Codec;
  readonly #blockChars: number;
  #run: DueKey[] = [];
  #runs = 0;
  #packed: PackedBlock[] = [];

  constructor(codec: Codec, blockChars: number) {
    this.#codec = codec;
    this.#blockChars = blockChars;
  }

  add(due: number, key: string): void {
    this.#run.push([due, key]);
    if (this.#run.length === RUN_KEYS) this.#pack();
  }

  #pack(): void {
    const sorted = this.#run.sort(([a], [b]) => a - b);
    this.#run = [];
    let [lines, chars, first]: [string[], number, number] = [[], 0, 0];
    for (const [i, [due, key]] of sorted.entries()) {
      if (lines.length === 0) first = due;
      const line = `${due}\t${JSON.stringify(key)}`;
      lines.push(line);
      chars += line.length;
      if (chars < this.#blockChars && i < sorted.length - 1) continue;
      const packed = this.#codec.compress(lines.join("\n"));
      this.#packed.push({ packed, keys: lines.length, first: `${this.#runs} ${first}` });
      [lines, chars] = [[], 0];
    }
    this.#runs += 1;
  }

  /** Returns the blocks of all keys since the last end. */
  end(): readonly PackedBlock[] {
    if (this.#run.length > 0) this.#pack();
    const packed = this.#packed;
    this.#packed = [];
    return packed;
  }
}

/** Blocks of one run, with the first due time of each. */
export interface DueBlocks {
  readonly blocks: readonly Block[];
  readonly firsts: readonly number[];
}

/** Cuts the blocks into their runs. @throws Damage if they aren't in order */
export function dueRunsOf(blocks: readonly Block[]): readonly DueBlocks[] {
  const runs: { blocks: Block[]; firsts: number[] }[] = [];
  for (const block of blocks) {
    const [run, due] = block[4].split(" ").map(numberOf) as [number, number?];
    const last = runs.at(-1);
    if (!isMs(due) || run < 0) throw new Damage("a block of timers has no run, or no due time");
    if (run === runs.length - 1 && due >= last!.firsts.at(-1)!) {
      last!.blocks.push(block);
      last!.firsts.push(due);
    } else if (run === runs.length) runs.push({ blocks: [block], firsts: [due] });
    else throw new Damage("the blocks of timers aren't in order");
  }
  return runs;
}

/** @throws Damage if the block is corrupt */
export function readDueBlock(bytes: Uint8Array, [offset, , , records]: Block, codec: Codec): readonly DueKey[] {
  const lines = unpack(bytes, codec, "a block of timers").split("\n");
  if (lines.length !== records)
    throw new Damage(`a block of timers at ${offset} counts ${records} keys, but holds ${lines.length}`);
  let before = 0;
  return lines.map((line): DueKey => {
    const tab = line.indexOf("\t");
    const due = numberOf(line.slice(0, tab));
    const key = parseJson(line.slice(tab + 1), "a key of a block of timers");
    if (due < before || typeof key !== "string" || key === "")
      throw new Damage(`a block of timers at ${offset} holds an invalid line`);
    before = due;
    return [due, key];
  });
}
