/**
 * Prefetch fetches parts of state files while D1 is still asked which files there are. The high-water mark names the
 * last known files (high-water-mark.ts). The parts are a guess, and some may be fetched for nothing. A part that is
 * used is checked like all that comes from the cache.
 */
import type { StateFile } from "../base/records.ts";
import { limited } from "../base/retry.ts";
import { openingParts } from "./file-footer.ts";
import type { Coming } from "../base/ports.ts";
import type { FileEnvironment } from "../operator/environment.ts";

export class Prefetch {
  readonly #coming = new Map<string, Promise<Coming>>();

  /** Begins at once. `apart` is as in SnapshotFile.open. */
  constructor(env: FileEnvironment, files: readonly StateFile[], apart: boolean) {
    for (const file of files)
      for (const [offset, length] of openingParts(file, env.sizes, apart))
        this.#coming.set(
          `${offset} ${file.name}`,
          part(env, file.name, offset, length).catch(() => null),
        );
  }

  /** Drops the parts that nobody has asked for. */
  close(): void {
    this.#coming.clear();
  }

  /** Gives each part once. A caller that finds the part wrong reads it from the store. */
  take(name: string, offset: number): Promise<Coming> | null {
    const coming = this.#coming.get(`${offset} ${name}`) ?? null;
    this.#coming.delete(`${offset} ${name}`);
    return coming;
  }
}

async function part(
  { cache, clock, objects }: FileEnvironment,
  name: string,
  offset: number,
  length: number,
): Promise<Coming> {
  const kept = cache.get(name, offset);
  if (kept !== null) return { bytes: kept, fetched: false };
  const bytes = await limited(clock, "R2", () => objects.range(name, offset, length)).catch(() => null);
  return bytes === null ? null : { bytes, fetched: true };
}
