/**
 * Bases: what the snapshots that are kept say about one key.
 *
 * BASE1. The bases are the snapshots that the row names, and the restore points without known damage. D1 alone says
 *     which seq each base is of. The manifest and files of a base are read only if it is asked for. Of the files, only
 *     the index and one block are read.
 * BASE2. A page asks for a few bases only (ANCHORS). A base is passed over if it can't be read, or is of a newer
 *     operator version or of an unknown format. Another base is used then, or none.
 */
import type { FileEnvironment } from "../operator/environment.ts";
import type { Roots } from "../base/records.ts";
import { type KeptSnapshot, keptSnapshots, passesOver } from "./kept-snapshots.ts";
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

export class KeyBases {
  readonly #env: FileEnvironment;
  readonly #key: string;
  /** In the order of their seqs. */
  readonly #kept: readonly KeptSnapshot[];
  #asked = 0;

  constructor(env: FileEnvironment, key: string, roots: Roots) {
    this.#env = env;
    this.#key = key;
    this.#kept = keptSnapshots(env, roots);
  }

  /** Returns the nearest base below an event. */
  below(at: number): Promise<Base | null> {
    return this.#first(this.#kept.filter((one) => one.seq < at).toReversed());
  }

  /** Returns the nearest base that holds an event. */
  from(at: number): Promise<Base | null> {
    return this.#first(this.#kept.filter((one) => one.seq >= at));
  }

  async #first(kept: readonly KeptSnapshot[]): Promise<Base | null> {
    for (const one of kept) {
      if (this.#asked++ >= ANCHORS) return null;
      try {
        const manifest = await one.manifest();
        const stored = await StoredState.states(this.#env, manifest, this.#env.operator);
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
