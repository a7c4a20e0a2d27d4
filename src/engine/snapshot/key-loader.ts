/**
 * Loader brings keys into memory before they are needed (SNAP11).
 *
 * LOADER1. Only one load brings a key at a time. All other requests for the key wait for that load.
 * LOADER2. Wanted keys stay pinned until they are used, so a key that is here when the wait ends is still here when it
 *     is used.
 * LOADER3. A state that fits in memory is loaded as a whole once its loads have read about as many blocks as it has.
 *     The first answer doesn't wait for the whole state, and a state that is often asked for is soon in memory.
 * LOADER4. Large loads run one after the other, and those that come meanwhile become one: random keys stand in the same
 *     blocks. Small loads don't wait for large ones, and get their turns in between.
 */
import { Failure } from "../base/errors.ts";
import { LOAD_KEYS } from "../base/limits.ts";
import type { Clock } from "../base/ports.ts";
import type { KeyEntry, KeyedState } from "../state/keyed-state.ts";
import type { StateMachine } from "../state/state-machine.ts";
import { own } from "./record.ts";
import { sleep } from "../base/retry.ts";
import type { StoredState } from "./stored-state.ts";

/** A state machine, and the loader of the keys that it needs. */
export interface Loaded {
  readonly machine: StateMachine;
  readonly loader: Loader;
}

export class Loader {
  readonly #state: KeyedState;
  readonly #clock: Clock;
  #stored: StoredState | null;
  readonly #loads = new Map<symbol, Promise<void>>();
  #all: Promise<boolean> | null = null;
  /** Large loads (LOADER4): the one that runs, and the keys of the next. */
  #large: Promise<void> = Promise.resolve();
  #gathered: { readonly keys: Set<string>; readonly done: Promise<void> } | null = null;

  constructor(state: KeyedState, stored: StoredState | null, clock: Clock) {
    this.#state = state;
    this.#clock = clock;
    this.#stored = stored;
  }

  /** The source of keys that aren't in memory. Null if all keys are in memory. */
  get stored(): StoredState | null {
    return this.#stored;
  }

  /**
   * A later snapshot is current. Loads from the one before continue, since the keys that they bring haven't changed.
   */
  replace(stored: StoredState): void {
    this.#stored = stored;
  }

  /**
   * Loads and pins the keys. The caller must unpin them. A call that throws leaves nothing pinned.
   *
   * @throws Damage if a file is corrupt; Failure store_unavailable if the keys can't be loaded, and other errors of
   * reading
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

  /** Loads the keys with the next large load, which all callers share that come before it begins. */
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
    // The next look for the keys shows what the other loads brought.
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

  /** Returns false if keys had to be dropped meanwhile. */
  async #loadAll(): Promise<boolean> {
    this.#all ??= this.#runAll().finally(() => {
      this.#all = null;
    });
    return this.#all;
  }

  async #runAll(): Promise<boolean> {
    const { drops } = this.#state;
    const entries: (readonly [string, KeyEntry])[] = [];
    let chunks = 0;
    for await (const chunk of this.#stored!.entries("", [], true)) {
      for (const [key, entry] of chunk) if (entry !== null) entries.push([own(key), entry]);
      // Reading from the cache gives no turn to anybody else.
      if (++chunks % CHUNKS_A_TURN === 0) await sleep(this.#clock, 0);
    }
    return this.#state.installAll(entries, drops);
  }
}

const CHUNKS_A_TURN = 8;
/** A load from this number of keys on is large. A smaller one touches few blocks. */
const LARGE_LOAD = 16;
/** Each round brings all keys except those that changed and went again meanwhile, so this many are never needed. */
const ROUNDS = 10;
