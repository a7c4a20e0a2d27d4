/**
 * An overlay holds the changes of one row of a group before the row is in the log, over the overlays of the rows
 * before.
 *
 * OVERLAY1. A key's value is made from its text once for a row, and written out once, however many events touch the
 *     key. Each event works on a copy, which replaces the value only if the event is applied. An event that throws or
 *     refuses leaves no trace.
 * OVERLAY2. Reads see nothing of an overlay (LOG1). `settle` hands the changes to the committed state.
 */
import type { KeyEntry, KeyedState } from "./keyed-state.ts";
import { seq, type Seq, type Stamp } from "../base/ids.ts";
import type { Watchers } from "../base/ports.ts";
import type { Former, Timers } from "./timers.ts";

export interface DirtyKey {
  /**
   * JSON text after the last event that changed the key, or null if there is no state. Older than `value` while
   * `dirty`.
   */
  text: string | null;
  /** The state itself, or STALE if it must be read from the text. */
  value: unknown;
  /** True if the text must be written anew from the value. */
  dirty: boolean;
  /** The last event of this row that changed the key, or 0 if there is none. */
  seq: Seq;
  /** The version of the text, if it is older than the operator's (migration.ts). */
  version: number | undefined;
  /** Undefined if nothing is pending. */
  timers: Timers | undefined;
  /** The text and the timers below this overlay. */
  readonly before: Former;
}

/** The result of a key's last change, with the seq of the event, or 0 if no event changed the key. */
export interface Last extends Former {
  readonly seq: Seq;
  readonly version?: number | undefined;
}

export const STALE: unique symbol = Symbol("stale");

export class Overlay {
  #below: Overlay | null;
  #settled = false;
  #grown = 0;
  readonly #state: KeyedState;
  readonly #touched = new Map<string, DirtyKey>();

  constructor(state: KeyedState, below: Overlay | null) {
    this.#state = state;
    this.#below = below;
  }

  edit(key: string): DirtyKey {
    let dirtyKey = this.#touched.get(key);
    if (dirtyKey === undefined) {
      const before = this.#lastBelow(key);
      const { text, version, timers } = before;
      dirtyKey = { text, value: STALE, dirty: false, seq: seq(0), version, timers, before };
      this.#touched.set(key, dirtyKey);
    }
    return dirtyKey;
  }

  /** Returns the result of the key's last change so far. */
  last(key: string): Last {
    const dirtyKey = this.#touched.get(key);
    return dirtyKey === undefined || dirtyKey.seq === 0 ? this.#lastBelow(key) : lastOf(dirtyKey);
  }

  /** Returns the key's state if it is of an older version and can't be migrated, else null. */
  unmigrated(key: string): (Last & { readonly version: number }) | null {
    if (!this.#state.anyUnmigrated) return null;
    const { text, seq, version } = this.last(key);
    return version === undefined ? null : { text, seq, version };
  }

  #lastBelow(key: string): Last {
    for (let overlay = this.#below; overlay !== null && !overlay.#settled; overlay = overlay.#below) {
      const pending = overlay.#touched.get(key);
      // An overlay that only looked at the key doesn't know its last change.
      if (pending !== undefined && pending.seq > 0) return lastOf(pending);
    }
    const entry = this.#state.find(key);
    // Treating an unloaded key as empty would silently reset its state (SNAP11).
    if (entry === undefined) throw new Error(`key ${JSON.stringify(key)} must be loaded first`);
    return entry ?? NOTHING;
  }

  /** An event made a key, or removed one. Counted only if the number of keys is bounded. */
  grew(by: number): void {
    this.#grown += by;
  }

  /** Keys that have a state once everything pending is in the log. */
  get keys(): number {
    let keys = this.#state.keys + this.#grown;
    for (let overlay = this.#below; overlay !== null && !overlay.#settled; overlay = overlay.#below)
      keys += overlay.#grown;
    return keys;
  }

  /** Returns by how much the overlay changes the number of keys and the size of the state, in characters. */
  growth(): { readonly keys: number; readonly size: number } {
    let keys = 0;
    let size = 0;
    for (const [key, dirtyKey] of this.#touched) {
      const { text: before } = dirtyKey.before;
      const text = textOf(dirtyKey);
      keys += (text === null ? 0 : 1) - (before === null ? 0 : 1);
      size += (text === null ? 0 : text.length + key.length) - (before === null ? 0 : before.length + key.length);
    }
    return { keys, size };
  }

  /** The group is in the log with this stamp, so its changes become the committed state. */
  settle(stamp: Stamp, watchers: Watchers | null = null): void {
    this.#settled = true;
    this.#below = null;
    for (const [key, dirtyKey] of this.#touched) {
      if (dirtyKey.seq === 0) continue;
      const text = textOf(dirtyKey);
      const older = dirtyKey.version === undefined ? {} : { version: dirtyKey.version };
      const pending = dirtyKey.timers === undefined ? {} : { timers: dirtyKey.timers };
      const entry: KeyEntry | null = text === null ? null : { text, seq: dirtyKey.seq, stamp, ...older, ...pending };
      this.#state.apply(key, entry, dirtyKey.seq, dirtyKey.before);
      watchers?.changed(key, text, dirtyKey.seq);
    }
  }
}

const NOTHING: Last = { text: null, seq: seq(0) };

const lastOf = (dirtyKey: DirtyKey): Last => ({
  text: textOf(dirtyKey),
  seq: dirtyKey.seq,
  version: dirtyKey.version,
  timers: dirtyKey.timers,
});

/** Returns the text after the last event. */
export function textOf(dirtyKey: DirtyKey): string | null {
  if (dirtyKey.dirty) {
    dirtyKey.text = JSON.stringify(dirtyKey.value);
    dirtyKey.dirty = false;
  }
  return dirtyKey.text;
}

/** Undoes the event that made a state. `before` is the event that had changed the key last. */
export function undo(dirtyKey: DirtyKey, before: Seq): void {
  dirtyKey.text = null;
  dirtyKey.value = STALE;
  dirtyKey.dirty = false;
  dirtyKey.timers = undefined;
  dirtyKey.seq = before;
}

/** True if the key has no state yet. */
export const isNew = (dirtyKey: DirtyKey): boolean => dirtyKey.text === null && !dirtyKey.dirty;
