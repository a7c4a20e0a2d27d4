/**
 * Bases: what the snapshots that are kept say about one key.
 *
 * BASE1. The bases are the snapshots that the row names, and the restore points without known damage. D1 alone says
 *     which seq each base is of. The manifest and files of a base are read only if it is asked for. Of the files, only
 *     the index and one block are read.
 * BASE2. A page asks for a few bases only (ANCHORS). A base is passed over if it can't be read, or is of a newer
 *     operator version or of an unknown format. Another base is used then, or none.
 */
import type { LogEnvironment } from "../operator/environment.ts";
import { persistent } from "../base/retry.ts";
import { startOfLog, unlessRemoved } from "../recovery/past-state.ts";
import { type KeptSnapshot, keptSnapshots, passesOver } from "../recovery/kept-snapshots.ts";
import type { KeyEntry } from "../state/keyed-state.ts";
import { StoredState } from "../snapshot/stored-state.ts";

/** The value of the key in one snapshot. */
export interface Base {
  /** The snapshot holds the events up to here. */
  readonly seq: number;
  /** Null if the key has no state. */
  readonly entry: KeyEntry | null;
  /** Version of the operator that made the snapshot. */
  readonly operatorVersion: number;
}

/** Snapshots that a page reads from. Each takes some reads of R2. */
const ANCHORS = 6;

interface Kept extends KeptSnapshot {
  readonly env: LogEnvironment;
}

export class KeyBases {
  readonly seed: number;
  readonly #key: string;
  /** In the order of their seqs. */
  readonly #kept: readonly Kept[];
  #asked = 0;

  private constructor(key: string, seed: number, kept: readonly Kept[]) {
    this.#key = key;
    this.seed = seed;
    this.#kept = kept;
  }

  /**
   * Returns the bases on the partition's line, and on the lines that it started from (ORIGIN1). Returns null if D1 has
   * no row of it on any of them.
   */
  static async of(env: LogEnvironment, key: string): Promise<KeyBases | null> {
    const kept: Kept[] = [];
    let seed: number | null = null;
    for (let [one, upTo] = [env, Number.POSITIVE_INFINITY]; ;) {
      const { log, clock, origin } = one;
      const roots = await unlessRemoved(() => persistent(clock, "D1", () => log.roots()));
      const own = roots === null ? [] : keptSnapshots(one, roots).filter((snapshot) => snapshot.seq <= upTo);
      kept.unshift(...own.map((snapshot) => ({ ...snapshot, env: one })));
      seed ??= roots?.row.seed ?? null;
      if (origin === undefined) return seed === null ? null : new KeyBases(key, seed, kept);
      upTo = Math.min(upTo, roots?.row.startSeq ?? (await startOfLog(origin)).seq);
      one = origin.env;
    }
  }

  /** Returns the nearest base below an event. */
  below(at: number): Promise<Base | null> {
    return this.#first(this.#kept.filter((one) => one.seq < at).toReversed());
  }

  /** Returns the nearest base that holds an event. */
  from(at: number): Promise<Base | null> {
    return this.#first(this.#kept.filter((one) => one.seq >= at));
  }

  async #first(kept: readonly Kept[]): Promise<Base | null> {
    for (const one of kept) {
      if (this.#asked++ >= ANCHORS) return null;
      try {
        const manifest = await one.manifest();
        const stored = await StoredState.states(one.env, manifest, one.env.operator);
        const { operatorVersion } = manifest;
        return {
          seq: one.seq,
          entry: (await stored.find([this.#key], () => Promise.resolve())).get(this.#key) ?? null,
          operatorVersion,
        };
      } catch (error) {
        if (!passesOver(error)) throw error;
      }
    }
    return null;
  }
}
