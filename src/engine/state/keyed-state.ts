/**
 * KeyedState holds the committed state of one partition, as far as it is in memory.
 *
 * STATE1. A key's state is held as its JSON text. Reads, snapshots and handlers get the same state by construction
 *     (SNAP8), a capture copies references only, and bytes are counted exactly. Texts take a third of the memory of
 *     objects.
 * STATE2. Only committed state is here. The changes of a group stand in its overlays until the log has them (LOG1).
 * STATE3. Keys that changed since the current snapshot stay until a later snapshot is current. All other keys may go,
 *     since the files of the current snapshot hold them. If the budget is used up, keys that aren't pinned go, least
 *     recently used first (SNAP11).
 * STATE4. A load adds a key only if the key isn't here (SNAP11). Keys are pinned while they are loaded, so a key that
 *     changed meanwhile is still here.
 */
import { Digest } from "../base/digest.ts";
import type { Seq, Stamp } from "../base/ids.ts";
import { contentOf, timersText, type Former, type Timers } from "./timers.ts";
import { firstOf, sortKeys } from "../base/key-order.ts";
import { ENTRY_BYTES, MEMORY_BYTES } from "../base/limits.ts";
import { NAMED_KEYS, type Unmigrated, type UnmigratedKey } from "../operator/migration.ts";

/** One key: its state's JSON text, and the last event that changed it. An entry is never changed in place. */
export interface KeyEntry {
  readonly text: string;
  readonly seq: Seq;
  readonly stamp: Stamp;
  /** The version of the text, if it is older than the operator's because migrating it fails (migration.ts). */
  readonly version?: number;
  /** Missing if nothing is pending (timers.ts). */
  readonly timers?: Timers;
}

/** The key has no state since that event. */
interface Gone {
  readonly text: null;
  readonly seq: Seq;
  readonly version?: never;
  readonly timers?: never;
}

/** Totals of the whole state, in memory or not. Sizes are in characters of keys and texts. */
export interface Totals {
  readonly keys: number;
  readonly size: number;
  readonly digest: Digest;
  /** False if the totals began with an inexact count. They become exact once somebody has read all keys. */
  readonly exact: boolean;
  readonly unmigrated: Unmigrated;
}

/** Keys with their entries, in order unless said otherwise. An entry is null if the key is gone. */
export type Entries = readonly (readonly [string, KeyEntry | null])[];

/** Changed keys with their present texts. A text is null if the key is gone. */
export type Changed = readonly (readonly [string, KeyEntry | Gone])[];

export class KeyedState {
  readonly #budget: number;
  /** Keys that changed since the current snapshot (STATE3). */
  readonly #changed = new Map<string, KeyEntry | Gone>();
  /** Keys that the files hold too, or null. A used key moves to the young generation; the old one is dropped whole. */
  #young = new Map<string, KeyEntry | null>();
  #old = new Map<string, KeyEntry | null>();
  #changedBytes = 0;
  #youngBytes = 0;
  #oldBytes = 0;
  readonly #pins = new Map<string, number>();
  /** Keys that are being loaded, each by one load. */
  readonly #loading = new Map<string, symbol>();
  /** True if all keys are in memory. Then a key that isn't here has no state. */
  #complete = true;
  #drops = 0;
  /** Bytes of both generations after the last drop. */
  #untouched = 0;
  #keys = 0;
  #size = 0;
  #exact = true;
  /** Counted from the current snapshot on. Below 0 if that snapshot didn't count unmigrated keys. */
  #unmigrated = 0;
  #unmigratedKeys: readonly UnmigratedKey[] = [];
  /** True if a state that can't be migrated is here, or may come. */
  anyUnmigrated = false;
  /** Digest of the keys that haven't changed since the current snapshot. */
  #unchanged = new Digest();
  /** Keys of `overlay`, in order. Null if keys came or went since they were sorted. */
  #sorted: string[] | null = null;

  constructor(budget: number = MEMORY_BYTES) {
    this.#budget = budget;
  }

  /** An inexact count may have begun too low. */
  get keys(): number {
    return Math.max(0, this.#keys);
  }

  get size(): number {
    return Math.max(0, this.#size);
  }

  /** True if all keys are in memory. */
  get complete(): boolean {
    return this.#complete;
  }

  /** True if the whole state would fit in the budget. */
  get fits(): boolean {
    return this.#size + this.#keys * ENTRY_BYTES <= this.#budget;
  }

  /** Returns how many keys of average size take about so many bytes. */
  keysIn(bytes: number): number {
    return Math.max(1, Math.floor(bytes / (ENTRY_BYTES + this.#size / Math.max(1, this.#keys))));
  }

  /** Bytes of the keys that changed since the current snapshot. */
  get changedBytes(): number {
    return this.#changedBytes;
  }

  /** Begins with a state that is in files and has no key in memory yet. */
  begin({ keys, size, digest, exact, unmigrated }: Totals): void {
    this.#keys = keys;
    this.#unmigrated = unmigrated.keys;
    this.#unmigratedKeys = unmigrated.some;
    this.anyUnmigrated = unmigrated.keys > 0;
    this.#size = size;
    this.#exact = exact;
    this.#unchanged = digest.copy();
    this.#complete = keys === 0;
  }

  /** Takes in everything that a file holds: a full snapshot first, then each delta on it. */
  restore(changes: Iterable<readonly [string, KeyEntry | null]>): void {
    for (const [key, entry] of changes) {
      const old = this.#young.get(key);
      if (old != null) {
        this.#unchanged.subtract(key, contentOf(old));
        this.#keys -= 1;
        this.#size -= key.length + old.text.length;
      }
      this.#forget(this.#young, key);
      if (entry === null) continue;
      this.#unchanged.add(key, contentOf(entry));
      this.#keys += 1;
      this.#size += key.length + entry.text.length;
      this.#remember(key, entry);
    }
    this.#sorted = null;
  }

  /** Returns the key's entry, null if the key has no state, or undefined if the key isn't in memory. */
  find(key: string): KeyEntry | null | undefined {
    const changed = this.#changed.get(key);
    if (changed !== undefined) return changed.text === null ? null : changed;
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) {
      this.#forget(this.#old, key);
      this.#remember(key, old);
      return old;
    }
    return this.#complete ? null : undefined;
  }

  /** Returns the key's last change since the current snapshot, or null if the key hasn't changed. */
  change(key: string): KeyEntry | Gone | null {
    return this.#changed.get(key) ?? null;
  }

  has(key: string): boolean {
    return this.#complete || this.#changed.has(key) || this.#young.has(key) || this.#old.has(key);
  }

  /** Returns the keys that aren't in memory, each once. */
  missing(keys: readonly string[]): string[] {
    return this.#complete ? [] : [...new Set(keys.filter((key) => !this.has(key)))];
  }

  /** The event at `at` left `entry`, or null if no state. */
  apply(key: string, entry: KeyEntry | null, at: Seq, former: Former): void {
    const text = entry === null ? null : entry.text;
    const before = former.text;
    if (this.anyUnmigrated || entry?.version !== undefined) this.#countUnmigrated(key, entry);
    const size = this.#changed.size;
    this.#changed.set(key, entry ?? { text: null, seq: at });
    // Looking up an earlier change first would cost as much again. If the key changed before, `before` is the text of
    // that change.
    const first = this.#changed.size > size;
    if (first) {
      if (before !== null) this.#unchanged.subtract(key, timersText(former.timers) + before);
      if (this.#young.size > 0) this.#forget(this.#young, key);
      if (this.#old.size > 0) this.#forget(this.#old, key);
    } else this.#changedBytes -= cost(key, former);
    if (this.#complete ? (text === null) !== (before === null) : first) this.#sorted = null;
    this.#changedBytes += cost(key, entry);
    this.#keys += (text === null ? 0 : 1) - (before === null ? 0 : 1);
    this.#size += (text === null ? 0 : key.length + text.length) - (before === null ? 0 : key.length + before.length);
  }

  /** Counts the key, which is about to change to `to`. */
  #countUnmigrated(key: string, to: KeyEntry | null): void {
    const from = this.find(key)?.version;
    const version = to?.version;
    this.#unmigrated += (version === undefined ? 0 : 1) - (from === undefined ? 0 : 1);
    const others = this.#unmigratedKeys.filter(([one]) => one !== key);
    this.#unmigratedKeys = version === undefined ? others : [...others, [key, version] as const].slice(0, NAMED_KEYS);
    this.anyUnmigrated ||= version !== undefined;
  }

  /** Keys that can't be migrated, as far as they are counted. */
  get unmigrated(): Unmigrated {
    return { keys: Math.max(0, this.#unmigrated), some: this.#unmigratedKeys };
  }

  /** Begins a load of these keys. @returns the keys that aren't here and that no other load brings */
  beginLoad(keys: readonly string[], load: symbol): string[] {
    const fresh = keys.filter((key) => !this.#loading.has(key) && !this.has(key));
    for (const key of fresh) this.#loading.set(key, load);
    return fresh;
  }

  loadOf(key: string): symbol | undefined {
    return this.#loading.get(key);
  }

  /** The load found `entry`, or null if the files don't hold the key (STATE4). */
  install(key: string, entry: KeyEntry | null, load: symbol): void {
    if (this.#loading.get(key) !== load) return;
    this.#loading.delete(key);
    if (!this.has(key)) this.#remember(key, entry);
  }

  endLoad(keys: readonly string[], load: symbol): void {
    for (const key of keys) if (this.#loading.get(key) === load) this.#loading.delete(key);
    this.#trim();
  }

  /** A number that changes whenever keys are dropped. */
  get drops(): number {
    return this.#drops;
  }

  /** Takes in all entries of the files. @returns false if keys were dropped since `drops`: a change may be gone */
  installAll(entries: Iterable<readonly [string, KeyEntry]>, drops: number): boolean {
    if (drops !== this.#drops) return false;
    for (const [key, entry] of entries) if (!this.has(key)) this.#remember(key, entry);
    this.#complete = true;
    this.#sorted = null;
    // A complete state needs no entry for a key that has no state.
    for (const map of [this.#young, this.#old])
      for (const [key, entry] of map) if (entry === null) this.#forget(map, key);
    this.#trim();
    return true;
  }

  /** Keeps each key in memory, once it is there, until it is unpinned. */
  pin(keys: readonly string[]): void {
    for (const key of keys) this.#pins.set(key, (this.#pins.get(key) ?? 0) + 1);
  }

  unpin(keys: readonly string[]): void {
    for (const key of keys) {
      const left = this.#pins.get(key)! - 1;
      if (left === 0) this.#pins.delete(key);
      else this.#pins.set(key, left);
    }
  }

  #remember(key: string, entry: KeyEntry | null): void {
    if (entry?.version !== undefined) this.anyUnmigrated = true;
    this.#young.set(key, entry);
    this.#youngBytes += cost(key, entry);
  }

  #forget(from: Map<string, KeyEntry | null>, key: string): void {
    const entry = from.get(key);
    if (entry === undefined) return;
    from.delete(key);
    const bytes = cost(key, entry);
    if (from === this.#young) this.#youngBytes -= bytes;
    else this.#oldBytes -= bytes;
  }

  /** Drops the least recently used keys if the budget is used up (STATE3). */
  #trim(): void {
    const held = this.#youngBytes + this.#oldBytes;
    // Pinned keys may take more than the budget. Then try again only after a growth by half of the budget.
    if (held <= Math.max(this.#budget, this.#untouched + this.#budget / 2) || this.#youngBytes <= this.#budget / 2)
      return;
    const dropped = this.#old;
    this.#old = this.#young;
    this.#oldBytes = this.#youngBytes;
    this.#young = new Map();
    this.#youngBytes = 0;
    let carried = 0;
    for (const key of this.#pins.keys()) {
      const entry = dropped.get(key);
      if (entry === undefined) continue;
      this.#remember(key, entry);
      carried += 1;
    }
    this.#untouched = this.#youngBytes + this.#oldBytes;
    if (carried === dropped.size) return;
    this.#drops += 1;
    if (!this.#complete) return;
    this.#sorted = null;
    this.#complete = false;
    // A pinned key that isn't here has no state. An incomplete state must say so by an entry.
    for (const key of this.#pins.keys()) if (!this.has(key)) this.#remember(key, null);
  }

  /** Returns the changes after `base`, or everything in memory, in no order. Later changes don't show. */
  capture(base: Seq, everything: boolean): Entries {
    const found: (readonly [string, KeyEntry | null])[] = [];
    if (everything)
      for (const map of [this.#young, this.#old])
        for (const [key, entry] of map) if (entry !== null) found.push([key, entry]);
    for (const [key, entry] of this.#changed) {
      if (entry.text !== null) {
        if (everything || entry.seq > base) found.push([key, entry]);
      } else if (!everything && entry.seq > base) found.push([key, null]);
    }
    return found;
  }

  /** Returns the present totals. Their digest lacks the changed keys; the caller adds `changed` in steps. */
  totals(): { readonly totals: Totals; readonly changed: Changed } {
    const unmigrated = { keys: this.#unmigrated, some: this.#unmigratedKeys };
    const digest = this.#unchanged.copy();
    const totals = { keys: this.#keys, size: this.#size, digest, exact: this.#exact, unmigrated };
    return { totals, changed: [...this.#changed] };
  }

  /** A reader of all keys found `truth` for the state counted as `believed`: the counts change by the difference. */
  correct(believed: Totals, truth: Totals): void {
    this.#keys += truth.keys - believed.keys;
    this.#size += truth.size - believed.size;
    this.#unchanged = this.#unchanged.moved(believed.digest, truth.digest);
    this.#exact = true;
    this.#unmigrated += truth.unmigrated.keys - believed.unmigrated.keys;
    this.#unmigratedKeys = truth.unmigrated.some.filter(([key]) => {
      const changed = this.#changed.get(key);
      return changed === undefined || (changed.text !== null && changed.version !== undefined);
    });
  }

  /** Moves the changes that the current snapshot holds to the keys that may go. Events run between its steps. */
  *dropSaved(upTo: Seq): Generator<void> {
    let steps = 0;
    for (const [key, entry] of this.#changed) {
      if (entry.seq > upTo) continue;
      this.#changed.delete(key);
      this.#changedBytes -= cost(key, entry);
      if (entry.text !== null) this.#unchanged.add(key, contentOf(entry));
      if (!this.#complete) this.#sorted = null;
      if (entry.text !== null) this.#remember(key, entry);
      else if (!this.#complete) this.#remember(key, null);
      this.#trim();
      if (++steps % SAVED_AT_ONCE === 0) yield;
    }
  }

  /**
   * Returns the keys above `after` that begin with `prefix`, in order. An entry is null if the key is gone. A complete
   * state gives all keys, an incomplete one those that changed since the current snapshot. Later changes don't show.
   */
  overlay(prefix: string, after: string): Entries {
    const found: (readonly [string, KeyEntry | null])[] = [];
    const keys = this.#overlayKeys();
    for (let i = firstOf(keys, prefix, after); i < keys.length && keys[i]!.startsWith(prefix); i++)
      found.push([keys[i]!, this.#peek(keys[i]!)]);
    return found;
  }

  #peek(key: string): KeyEntry | null {
    const changed = this.#changed.get(key);
    if (changed !== undefined) return changed.text === null ? null : changed;
    return this.#young.get(key) ?? this.#old.get(key) ?? null;
  }

  #overlayKeys(): readonly string[] {
    if (this.#sorted !== null) return this.#sorted;
    const keys = [...this.#changed.keys()];
    if (!this.#complete) return (this.#sorted = sortKeys(keys));
    const all = [...keys, ...this.#young.keys(), ...this.#old.keys()];
    return (this.#sorted = sortKeys(all.filter((key) => this.#peek(key) !== null)));
  }
}

/** Returns the bytes that a key takes in memory, roughly. */
const cost = (key: string, held: Former | null): number =>
  key.length + (held?.text?.length ?? 0) + ENTRY_BYTES + (held?.timers?.length ?? 0) * TIMER_BYTES;
/** A name with its due time, in arrays of their own, and a share of the queue. */
const TIMER_BYTES = 160;
/** Keys that are moved in one turn. */
const SAVED_AT_ONCE = 2_000;
