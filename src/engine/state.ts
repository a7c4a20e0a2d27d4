/**
 * The keyed state of one partition.
 *
 * S1. At rest a key's state is its JSON text: what a read shows, what a snapshot holds and what a handler gets are the
 *     same by construction (SNAP8), a capture copies references only, and bytes are counted exactly. Texts take a third
 *     of the memory of objects.
 * S2. Only committed state is in here. What a group changes stands in its own layer until the log has it (LOG1).
 */
import { compareUtf8 } from "./json.ts";
import type { Seq, Stamp } from "./ids.ts";

/** One key: its state's JSON text, and the last event that changed it. Never changed in place. */
export interface Entry {
  readonly text: string;
  readonly seq: Seq;
  readonly stamp: Stamp;
}

export class KeyedState {
  readonly #entries = new Map<string, Entry>();
  /** In the order of UTF-8 bytes; null while keys came or went. */
  #sorted: string[] | null = null;
  /** Length of keys and texts, in characters. */
  #size = 0;
  /** Keys that changed or went since the snapshot that the next delta builds on, with the last event that did it. */
  readonly #changed = new Map<string, Seq>();

  get keys(): number {
    return this.#entries.size;
  }

  get size(): number {
    return this.#size;
  }

  get(key: string): Entry | undefined {
    return this.#entries.get(key);
  }

  set(key: string, entry: Entry): void {
    this.#changed.set(key, entry.seq);
    this.restore(key, entry);
  }

  /** What a snapshot holds: it is no change. */
  restore(key: string, entry: Entry): void {
    const old = this.#entries.get(key);
    if (old === undefined) this.#sorted = null;
    this.#size += entry.text.length - (old === undefined ? -key.length : old.text.length);
    this.#entries.set(key, entry);
  }

  /** The event at `at` removed the key. */
  delete(key: string, at: Seq): void {
    this.#changed.set(key, at);
    this.restoreRemoved(key);
  }

  /** A delta says that the key went. */
  restoreRemoved(key: string): void {
    const old = this.#entries.get(key);
    if (old === undefined) return;
    this.#entries.delete(key);
    this.#sorted = null;
    this.#size -= key.length + old.text.length;
  }

  /** Every key with its entry as of now, in order; later changes don't show. */
  capture(): (readonly [string, Entry])[] {
    return this.#keys().map((key) => [key, this.#entries.get(key)!] as const);
  }

  /** Every key that changed after `base`, in order; null: it is gone. */
  changes(base: Seq): (readonly [string, Entry | null])[] {
    const keys: string[] = [];
    for (const [key, at] of this.#changed) if (at > base) keys.push(key);
    return sortKeys(keys).map((key) => [key, this.#entries.get(key) ?? null] as const);
  }

  /** A snapshot that is current holds all changes up to `upTo`. */
  saved(upTo: Seq): void {
    for (const [key, at] of this.#changed) if (at <= upTo) this.#changed.delete(key);
  }

  /** Keys above `after` that begin with `prefix`, in order. */
  *scan(prefix: string, after: string): Generator<readonly [string, Entry]> {
    const keys = this.#keys();
    const from = compareUtf8(prefix, after) > 0 ? lowerBound(keys, prefix, true) : lowerBound(keys, after, false);
    for (let i = from; i < keys.length; i++) {
      const key = keys[i]!;
      if (!key.startsWith(prefix)) return;
      yield [key, this.#entries.get(key)!];
    }
  }

  #keys(): string[] {
    return (this.#sorted ??= sortKeys([...this.#entries.keys()]));
  }
}

/** Sorts in place. The built-in order is that of UTF-16, which is the same unless a surrogate is in a key. */
function sortKeys(keys: string[]): string[] {
  return keys.some((key) => /[\ud800-\udfff]/.test(key)) ? keys.sort(compareUtf8) : keys.sort();
}

/** Index of the first key at or (not inclusive) above `bound`. */
function lowerBound(keys: readonly string[], bound: string, inclusive: boolean): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const order = compareUtf8(keys[middle]!, bound);
    if (order < 0 || (order === 0 && !inclusive)) low = middle + 1;
    else high = middle;
  }
  return low;
}
