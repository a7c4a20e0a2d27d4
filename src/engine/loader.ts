/**
 * Brings keys into memory before somebody needs them (SNAP11).
 *
 * Q1. One load brings a key at a time, and whoever else wants it waits for that one.
 * Q2. Keys that are wanted are pinned until they were used, so what is here when the wait ends can't have gone again.
 * Q3. A state that fits in memory is loaded as a whole when its first key is wanted: it costs little more than one key.
 */
import { Failure } from "./errors.ts";
import { LOAD_KEYS } from "./limits.ts";
import type { Entry, KeyedState } from "./state.ts";
import { own } from "./state-line.ts";
import type { StoredState } from "./stored-state.ts";

export class Loader {
  readonly #state: KeyedState;
  #stored: StoredState | null;
  readonly #loads = new Map<symbol, Promise<void>>();
  #all: Promise<boolean> | null = null;

  constructor(state: KeyedState, stored: StoredState | null) {
    this.#state = state;
    this.#stored = stored;
  }

  /** Where keys are read from that are not in memory; null: nowhere, so all of them are. */
  get stored(): StoredState | null {
    return this.#stored;
  }

  /** A later snapshot is current. Loads from the one before it go on: what they bring has not changed. */
  replace(stored: StoredState): void {
    this.#stored = stored;
  }

  /**
   * Loads and pins the keys; whoever asked has to unpin them.
   *
   * @throws Damage; Failure store_unavailable, and what reading files throws; nothing is pinned then
   */
  async pinned(keys: readonly string[]): Promise<void> {
    this.#state.pin(keys);
    try {
      await this.#load(keys);
    } catch (error) {
      this.#state.unpin(keys);
      throw error;
    }
  }

  async #load(keys: readonly string[]): Promise<void> {
    for (let round = 0; round < ROUNDS; round++) {
      const missing = this.#state.missing(keys);
      if (missing.length === 0) return;
      if (round === 0 && this.#state.fits && (await this.#loadAll())) continue;
      for (let from = 0; from < missing.length; from += LOAD_KEYS)
        await this.#loadSome(missing.slice(from, from + LOAD_KEYS));
    }
    throw new Failure("store_unavailable", `${keys.length} keys could not be brought into memory`);
  }

  async #loadSome(keys: readonly string[]): Promise<void> {
    const load = Symbol("load");
    const others = new Set(keys.map((key) => this.#state.loadOf(key)));
    const fresh = this.#state.beginLoad(keys, load);
    if (fresh.length > 0) {
      const done = this.#run(fresh, load);
      this.#loads.set(load, done);
      await done;
    }
    // What they come to shows when the keys are looked for again.
    for (const other of others) if (other !== undefined) await this.#loads.get(other)?.catch(() => undefined);
  }

  async #run(keys: readonly string[], load: symbol): Promise<void> {
    try {
      const found = await this.#stored!.find(keys);
      for (const key of keys) this.#state.install(key, found.get(key) ?? null, load);
    } finally {
      this.#state.endLoad(keys, load);
      this.#loads.delete(load);
    }
  }

  /** False: it was too much after all, or something was dropped meanwhile. */
  async #loadAll(): Promise<boolean> {
    this.#all ??= this.#runAll().finally(() => {
      this.#all = null;
    });
    return this.#all;
  }

  async #runAll(): Promise<boolean> {
    const { drops } = this.#state;
    const entries: (readonly [string, Entry])[] = [];
    for await (const chunk of this.#stored!.entries("", [], true))
      for (const [key, entry] of chunk) if (entry !== null) entries.push([own(key), entry]);
    return this.#state.installAll(entries, drops);
  }
}

/** Each brings all keys but those that changed and went again meanwhile, so this many are never needed. */
const ROUNDS = 10;
