/**
 * Bases: what the snapshots that are kept say about one key.
 *
 * BASE1. The bases are the snapshots that the row names, and the restore points without known damage. D1 alone says
 *     which seq each base is of. The manifest and files of a base are read only if it is asked for. Of the files, only
 *     the index and one block are read.
 * BASE2. A page asks for a few bases only (ANCHORS). A base is passed over if it can't be read, or is of a newer
 *     operator version or of an unknown format. Another base is used then, or none.
 */
import { Failure, isUnreadable } from "../base/errors.ts";
import { readManifest, type Manifest } from "../snapshot/manifest.ts";
import type { FileEnvironment } from "../operator/environment.ts";
import { pinTexts } from "../snapshot/rollback-pins.ts";
import type { Roots } from "../base/records.ts";
import { fetchManifest } from "../recovery/recovery.ts";
import type { Entry } from "../state/keyed-state.ts";
import { StoredState } from "../snapshot/stored-state.ts";

/** The value of the key in one snapshot. */
export interface Base {
  /** The snapshot holds the events up to here. */
  readonly seq: number;
  /** Null if the key has no state. */
  readonly entry: Entry | null;
  /** Version of the operator that made the snapshot. */
  readonly operatorVersion: number;
}

/** Snapshots that a page reads from. Each takes some reads of R2. */
const ANCHORS = 6;

/** A snapshot that is kept. */
interface Kept {
  readonly version: number;
  readonly seq: number;
  readonly manifest: () => Promise<Manifest>;
}

export class KeyBases {
  readonly #env: FileEnvironment;
  readonly #key: string;
  /** In the order of their seqs. */
  readonly #kept: readonly Kept[];
  #asked = 0;

  constructor(env: FileEnvironment, key: string, roots: Roots) {
    this.#env = env;
    this.#key = key;
    this.#kept = keptOf(env, roots);
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

/** Returns true if another snapshot may do. */
const passesOver = (error: unknown): boolean =>
  isUnreadable(error) || (error instanceof Failure && error.code === "state_newer");

function keptOf(env: FileEnvironment, { row, points }: Roots): Kept[] {
  const kept = new Map<number, Kept>();
  for (const { version, attempt, seq, whole } of points)
    if (whole) kept.set(version, { version, seq, manifest: () => fetchManifest(env, version, attempt) });
  for (const text of [row.manifest, row.previous, ...pinTexts(row.pins)]) {
    if (text === null) continue;
    try {
      const manifest = readManifest(text, env.codec.crc32);
      const { number: version, seq } = manifest;
      kept.set(version, { version, seq, manifest: () => Promise.resolve(manifest) });
    } catch (error) {
      if (!passesOver(error)) throw error;
    }
  }
  return [...kept.values()].sort((a, b) => a.seq - b.seq || a.version - b.version);
}
