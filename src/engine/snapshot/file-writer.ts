/**
 * SnapshotWriter writes one snapshot file: states in the order of their keys, then everything else, then the footer
 * that says where each block stands.
 */
import { FileWriter } from "../base/block.ts";
import { BloomFilterBuilder, type BloomFilter } from "./bloom-filter.ts";
import { PRINT_WORDS } from "../base/hash.ts";
import type { Codec } from "../base/ports.ts";
import { MAGIC, restOf, SNAPSHOT_FORMAT, type Block, type Footer, type Part } from "./file-footer.ts";
import type { KeyEntry } from "../state/keyed-state.ts";
import { stateLine } from "./record.ts";
import { DueWriter } from "./due-blocks.ts";
import { earliest } from "../state/timers.ts";

export interface EncodedFile {
  readonly bytes: Uint8Array;
  readonly footer: Footer;
  readonly filter: BloomFilter;
  /** Where everything that isn't state begins, and how many bytes of ids it begins with. */
  readonly rest: number;
  readonly ids: number;
}

/** All that a footer says beside the places of blocks. */
export type FooterFacts = Omit<
  Footer,
  "v" | "state" | "timers" | "prints" | "answers" | "quarantine" | "producers" | "filter" | "last"
>;

type List = "answers" | "quarantine" | "producers";

export class SnapshotWriter {
  readonly #codec: Codec;
  readonly #blockChars: number;
  readonly #file = new FileWriter();
  readonly #filter = new BloomFilterBuilder();
  readonly #state: Block[] = [];
  readonly #due: DueWriter;
  #timers: Block[] = [];
  readonly #lists: Record<List, Block[]> = { answers: [], quarantine: [], producers: [] };
  #prints: Block[] = [];
  /** Lines of the block that is being filled. */
  #lines: string[] = [];
  #size = 0;
  #first = "";
  #last = "";

  constructor(codec: Codec, blockChars: number) {
    this.#codec = codec;
    this.#blockChars = blockChars;
    this.#due = new DueWriter(codec, blockChars);
    this.#file.write(codec.encode(MAGIC), codec);
    // `close` writes the format here, once it is known if this is one file of several.
    this.#file.write(words([0]), codec);
  }

  get length(): number {
    return this.#file.length;
  }

  /** Writes the next key, in order. The entry is null if the key is gone. @returns true if the key filled a block */
  state(key: string, entry: KeyEntry | null): boolean {
    if (this.#lines.length === 0) this.#first = key;
    const line = stateLine(key, entry);
    this.#lines.push(line);
    this.#size += line.length;
    this.#last = key;
    this.#filter.add(key);
    if (entry?.timers !== undefined) this.#due.add(earliest(entry.timers)[1], key);
    if (this.#size < this.#blockChars) return false;
    this.#flush(this.#state, this.#first);
    return true;
  }

  /** Ends the states. Timers stand behind them, so that an opening need not read them. */
  endStates(): void {
    if (this.#lines.length > 0) this.#flush(this.#state, this.#first);
    for (const { packed, keys, first } of this.#due.end())
      this.#timers.push([...this.#file.write(packed, this.#codec), keys, first]);
  }

  /** Writes prints as little-endian words, since prints don't compress. */
  prints(prints: Uint32Array): void {
    if (prints.length === 0) return;
    const bytes = new Uint8Array(prints.buffer, prints.byteOffset, prints.byteLength);
    this.#prints = [[...this.#file.write(bytes, this.#codec), prints.length / PRINT_WORDS, ""]];
  }

  /** Writes items as lines, in blocks. */
  async lines<T>(list: List, items: Iterable<T>, line: (item: T) => string, pause: () => Promise<void>): Promise<void> {
    for (const item of items) {
      const text = line(item);
      this.#lines.push(text);
      this.#size += text.length;
      if (this.#size < this.#blockChars) continue;
      this.#flush(this.#lists[list], "");
      await pause();
    }
    if (this.#lines.length > 0) this.#flush(this.#lists[list], "");
  }

  #flush(list: Block[], first: string): void {
    const packed = this.#codec.compress(this.#lines.join("\n"));
    list.push([...this.#file.write(packed, this.#codec), this.#lines.length, first]);
    this.#lines = [];
    this.#size = 0;
  }

  close(described: FooterFacts, part?: Part): EncodedFile {
    this.endStates();
    const codec = this.#codec;
    const filter = this.#filter.build();
    const placed = this.#state.length === 0 ? [] : [[...this.#file.write(filter.bytes, codec), 1, ""] satisfies Block];
    const footer: Footer = {
      v: SNAPSHOT_FORMAT,
      ...described,
      state: this.#state,
      ...(this.#timers.length === 0 ? {} : { timers: this.#timers }),
      prints: this.#prints,
      ...this.#lists,
      ...(placed.length === 0 ? {} : { filter: placed, last: this.#last }),
      ...(part === undefined ? {} : { part }),
    };
    const [, length, crc] = this.#file.write(codec.encode(JSON.stringify(footer)), codec);
    this.#file.write(words([length, crc]), codec);
    this.#file.write(codec.encode(MAGIC), codec);
    const bytes = this.#file.bytes();
    bytes.set(words([SNAPSHOT_FORMAT]), MAGIC.length);
    const ids = this.#prints.reduce((sum, [, size]) => sum + size, 0);
    return { bytes, footer, filter, rest: restOf(footer), ids };
  }
}

function words(values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  const view = new DataView(bytes.buffer);
  values.forEach((value, i) => view.setUint32(i * 4, value, true));
  return bytes;
}
