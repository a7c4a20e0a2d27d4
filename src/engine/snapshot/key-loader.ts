/**
 * Brings keys into memory before somebody needs them (SNAP11).
 *
 * LOADER1. One load brings a key at a time, and whoever else wants it waits for that one.
 * LOADER2. Keys that are wanted are pinned until they were used, so what is here when the wait ends can't have gone again.
 * LOADER3. A state that fits in memory is loaded as a whole once its loads have read about as many blocks as it has: the first
 *     answer doesn't wait for all of it, and what is asked for often soon is here.
 * LOADER4. Large loads go one after the other, and those that come while one is under way become one: random keys stand in the
 *     same blocks. Small ones don't wait for them, and get their turns in between.
 */
import { Failure } from "../base/errors.ts";
import { LOAD_KEYS } from "../base/limits.ts";
import type { Clock } from "../base/ports.ts";
import type { Entry, KeyedState } from "../state/keyed-state.ts";
import { own } from "./record.ts";
import { sleep } from "../base/retry.ts";
import type { StoredState } from "./stored-state.ts";

export class Loader {
  readonly #state: KeyedState;
  readonly #clock: Clock;
  #stored: StoredState | null;
  readonly #loads = new Map<symbol, Promise<void>>();
  #all: Promise<boolean> | null = null;
  /** Large loads (LOADER4): the one that is under way, and the keys of the next. */
  #large: Promise<void> = Promise.resolve();
  #gathered: { readonly keys: Set<string>; readonly done: Promise<void> } | null = null;

  constructor(state: KeyedState, stored: StoredState | null, clock: Clock) {
    this.#state = state;
    this.#clock = clock;
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
      if (round === 0 && this.#state.fits && this.#stored!.wornOutBy(missing) && (await this.#loadAll())) continue;
      if (missing.length < LARGE_LOAD) await this.#loadSome(missing);
      else await this.#loadMany(missing);
    }
    throw new Failure("store_unavailable", `${keys.length} keys could not be brought into memory`);
  }

  /** With the next large load, which all share that come before it begins. */
  async #loadMany(keys: readonly string[]): Promise<void> {
    if (this.#gathered === null) {
      const gathered = new Set<string>();
      const before = this.#large;
      const done = (async () => {
        await before.catch(() => undefined);
        this.#gathered = null;
        const all = [...gathered];
        for (let from = 0; from < all.length; from += LOAD_KEYS)
          await this.#loadSome(all.slice(from, from + LOAD_KEYS));
      })();
      done.catch(() => undefined);
      this.#large = done;
      this.#gathered = { keys: gathered, done };
    }
    const { keys: gathered, done } = this.#gathered;
    for (const key of keys) gathered.add(key);
    await done;
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
      const found = await this.#stored!.find(keys, () => sleep(this.#clock, 0));
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
    let chunks = 0;
    for await (const chunk of this.#stored!.entries("", [], true)) {
      for (const [key, entry] of chunk) if (entry !== null) entries.push([own(key), entry]);
      // What comes from the cache leaves no turn to anybody else.
      if (++chunks % CHUNKS_A_TURN === 0) await sleep(this.#clock, 0);
    }
    return this.#state.installAll(entries, drops);
  }
}

const CHUNKS_A_TURN = 8;
/** Keys from which on a load is large: below that it touches few blocks. */
const LARGE_LOAD = 16;
/** Each brings all keys but those that changed and went again meanwhile, so this many are never needed. */
const ROUNDS = 10;
