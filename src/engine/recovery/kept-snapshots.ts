/** The snapshots that are kept: those that the row names, and the restore points without known damage. */
import { Failure, isUnreadable } from "../base/errors.ts";
import { manifestName, type Seq, type Stamp } from "../base/ids.ts";
import type { Roots } from "../base/records.ts";
import { type Manifest, readManifest } from "../snapshot/manifest.ts";
import { readManifestObject } from "../snapshot/manifest-object.ts";
import { fetchObject } from "../snapshot/object-reader.ts";
import type { FileEnvironment } from "../operator/environment.ts";
import { pinTexts } from "../snapshot/rollback-pins.ts";

export interface KeptSnapshot {
  readonly version: number;
  readonly seq: Seq;
  readonly stamp: Stamp;
  readonly manifest: () => Promise<Manifest>;
}

/** Returns true if the error says something about one snapshot only, so that another one may do. */
export const passesOver = (error: unknown): boolean =>
  isUnreadable(error) || (error instanceof Failure && error.code === "state_newer");

/** Returns the snapshots in the order of their seqs. D1 alone says which there are; no object is read. */
export function keptSnapshots(env: FileEnvironment, { row, points }: Roots): KeptSnapshot[] {
  const kept = new Map<number, KeptSnapshot>();
  for (const { version, attempt, seq, stamp, intact } of points)
    if (intact) kept.set(version, { version, seq, stamp, manifest: () => fetchManifest(env, version, attempt) });
  for (const text of [row.manifest, row.previous, ...pinTexts(row.pins)]) {
    if (text === null) continue;
    try {
      const manifest = readManifest(text, env.codec.crc32);
      const { number: version, seq, stamp } = manifest;
      kept.set(version, { version, seq, stamp, manifest: () => Promise.resolve(manifest) });
    } catch (error) {
      if (!passesOver(error)) throw error;
    }
  }
  return [...kept.values()].sort((a, b) => a.seq - b.seq || a.version - b.version);
}

/** Reads the manifest of that version from its object. @throws Damage, Failure unknown_format */
export async function fetchManifest(env: FileEnvironment, version: number, attempt: string): Promise<Manifest> {
  const file = await fetchObject(env, manifestName(env.id, version, attempt));
  return readManifestObject(file, env.codec).manifest;
}
