/**
 * The changes of one row of a group before it is in the log: the keys it touched, over what the rows before it left.
 *
 * L1. A key's value is materialised once for a row and written out once, however many events touch it. Each event works
 *     on a copy, which replaces the value only if the event is applied: one that throws or refuses leaves no trace.
 * L2. Nothing in here is visible to reads (LOG1); `settle` hands it to the committed state.
 */
import type { Entry, KeyedState } from "./state.ts";
import { seq, type Seq, type Stamp } from "./ids.ts";
import type { Watchers } from "./watchers.ts";

export interface Touched {
  /** JSON text after the last event that changed it; null: no state. Behind `value` while `dirty`. */
  text: string | null;
  /** The state itself, or STALE where it must be read from the text. */
  value: unknown;
  /** The text is to be written anew from the value. */
  dirty: boolean;
  /** Last event that changed it; 0: none in this row. */
  seq: Seq;
  /** Of the text, if it is older than the operator's (migration.ts). */
  version: number | undefined;
  /** The text below this layer. */
  readonly before: string | null;
}

/** What the last event that changed a key left: its text, and which event it was; 0: none did. */
export interface Last {
  readonly text: string | null;
  readonly seq: Seq;
  readonly version?: number | undefined;
}

export const STALE: unique symbol = Symbol("stale");

export class Layer {
  #below: Layer | null;
  #settled = false;
  #grown = 0;
  readonly #state: KeyedState;
  readonly #touched = new Map<string, Touched>();

  constructor(state: KeyedState, below: Layer | null) {
    this.#state = state;
    this.#below = below;
  }

  touch(key: string): Touched {
    let touched = this.#touched.get(key);
    if (touched === undefined) {
      const { text: before, version } = this.#lastBelow(key);
      touched = { text: before, value: STALE, dirty: false, seq: seq(0), version, before };
      this.#touched.set(key, touched);
    }
    return touched;
  }

  /** What the last event left that has touched the key so far. */
  last(key: string): Last {
    const touched = this.#touched.get(key);
    return touched === undefined || touched.seq === 0
      ? this.#lastBelow(key)
      : { text: textOf(touched), seq: touched.seq, version: touched.version };
  }

  /** The state of the key, if it is of an older version and can't be migrated; null if it is not. */
  unmigrated(key: string): (Last & { readonly version: number }) | null {
    if (!this.#state.anyUnmigrated) return null;
    const { text, seq, version } = this.last(key);
    return version === undefined ? null : { text, seq, version };
  }

  #lastBelow(key: string): Last {
    for (let layer = this.#below; layer !== null && !layer.#settled; layer = layer.#below) {
      const pending = layer.#touched.get(key);
      // One that was only looked at says nothing of when.
      if (pending !== undefined && pending.seq > 0)
        return { text: textOf(pending), seq: pending.seq, version: pending.version };
    }
    const entry = this.#state.find(key);
    // Taken for a key without state, it would begin anew (SNAP11).
    if (entry === undefined) throw new Error(`key ${JSON.stringify(key)} was to be loaded first`);
    return entry ?? NOTHING;
  }

  /** An event made a key, or removed one: counted only where their number is bounded. */
  grew(by: number): void {
    this.#grown += by;
  }

  /** Keys that have a state once everything is in the log. */
  get keys(): number {
    let keys = this.#state.keys + this.#grown;
    for (let layer = this.#below; layer !== null && !layer.#settled; layer = layer.#below) keys += layer.#grown;
    return keys;
  }

  /** By how much the layer changes the number of keys and the size of the state, in characters. */
  growth(): { readonly keys: number; readonly size: number } {
    let keys = 0;
    let size = 0;
    for (const [key, touched] of this.#touched) {
      const { before } = touched;
      const text = textOf(touched);
      keys += (text === null ? 0 : 1) - (before === null ? 0 : 1);
      size += (text === null ? 0 : text.length + key.length) - (before === null ? 0 : before.length + key.length);
    }
    return { keys, size };
  }

  /** The group is in the log with this stamp: its changes become the committed state. */
  settle(stamp: Stamp, watchers: Watchers | null = null): void {
    this.#settled = true;
    this.#below = null;
    for (const [key, touched] of this.#touched) {
      if (touched.seq === 0) continue;
      const text = textOf(touched);
      const older = touched.version === undefined ? {} : { version: touched.version };
      const entry: Entry | null = text === null ? null : { text, seq: touched.seq, stamp, ...older };
      this.#state.apply(key, entry, touched.seq, touched.before);
      watchers?.changed(key, text, touched.seq);
    }
  }
}

const NOTHING: Last = { text: null, seq: seq(0) };

/** The text of what the last event left. */
export function textOf(touched: Touched): string | null {
  if (touched.dirty) {
    touched.text = JSON.stringify(touched.value);
    touched.dirty = false;
  }
  return touched.text;
}

/** Takes back what made a state where there was none; `before`: the event that had changed it last. */
export function undo(touched: Touched, before: Seq): void {
  touched.text = null;
  touched.value = STALE;
  touched.dirty = false;
  touched.seq = before;
}

/** Is there no state of this key yet? */
export const isNew = (touched: Touched): boolean => touched.text === null && !touched.dirty;
