/**
 * Parts of state files that are fetched while D1 is still asked which files there are: the mark says which there were (high-water-mark.ts). A
 * guess and no more: what isn't asked for later was fetched for nothing, and what is, is checked like all that comes from the cache.
 */
import type { StateFile } from "../base/records.ts";
import { limited } from "../base/retry.ts";
import { openingParts } from "./file-footer.ts";
import type { Coming, Library } from "./object-reader.ts";

export class Prefetch {
  readonly #coming = new Map<string, Promise<Coming>>();

  /** Begins at once. `apart`: as in SnapshotFile.open. */
  constructor(library: Library, files: readonly StateFile[], apart: boolean) {
    for (const file of files)
      for (const [offset, length] of openingParts(file, library.sizes, apart))
        this.#coming.set(
          `${offset} ${file.name}`,
          part(library, file.name, offset, length).catch(() => null),
        );
  }

  /** What nobody has asked for by now isn't needed. */
  close(): void {
    this.#coming.clear();
  }

  /** Once: whoever isn't content with it reads for itself. */
  take(name: string, offset: number): Promise<Coming> | null {
    const coming = this.#coming.get(`${offset} ${name}`) ?? null;
    this.#coming.delete(`${offset} ${name}`);
    return coming;
  }
}

async function part({ cache, clock, objects }: Library, name: string, offset: number, length: number): Promise<Coming> {
  const kept = cache.get(name, offset);
  if (kept !== null) return { bytes: kept, fetched: false };
  const bytes = await limited(clock, "R2", () => objects.range(name, offset, length)).catch(() => null);
  return bytes === null ? null : { bytes, fetched: true };
}
