/**
 * Several sources of keys in order, as one: of what they say of one key, the newest source's word counts.
 *
 * A source gives chunks of entries in order; null: the key is gone. So does the merge.
 */
import { compareUtf8 } from "../base/json.ts";
import type { Entries, Entry } from "../state/keyed-state.ts";

export type Source = AsyncGenerator<Entries, void>;

interface Cursor {
  readonly source: Source;
  /** Higher is newer. */
  readonly age: number;
  chunk: Entries;
  at: number;
}

/** Entries of a chunk, at most: between two chunks events go on. */
const CHUNK = 1_000;

export class Merge {
  readonly #sources: readonly Source[];

  /** From the oldest to the newest. */
  constructor(sources: readonly Source[]) {
    this.#sources = sources;
  }

  /** `gone`: with the keys that are gone. */
  async *chunks(gone: boolean): AsyncGenerator<Entries, void> {
    // The one with the lowest key stands last.
    const cursors: Cursor[] = [];
    try {
      // Together, since each begins with a fetch.
      const begun = await Promise.all(
        this.#sources.map(async (source, age) => ({ source, age, next: await source.next() })),
      );
      for (const { source, age, next } of begun)
        if (next.done !== true) place(cursors, { source, age, chunk: next.value, at: 0 });
      let found: (readonly [string, Entry | null])[] = [];
      let before: string | null = null;
      while (cursors.length > 0) {
        const cursor = cursors.pop()!;
        const [key, entry] = cursor.chunk[cursor.at]!;
        // Of one key the newest comes first; the older ones don't count.
        if (key !== before && (gone || entry !== null)) found.push([key, entry]);
        before = key;
        cursor.at += 1;
        if (cursor.at === cursor.chunk.length) {
          const next = await cursor.source.next();
          if (next.done !== true) place(cursors, Object.assign(cursor, { chunk: next.value, at: 0 }));
        } else place(cursors, cursor);
        if (found.length < CHUNK) continue;
        yield found;
        found = [];
      }
      if (found.length > 0) yield found;
    } finally {
      await Promise.allSettled(this.#sources.map((source) => source.return()));
    }
  }
}

/** Into its place, from the end: mostly the one that moved on is still the lowest. */
function place(cursors: Cursor[], cursor: Cursor): void {
  let at = cursors.length;
  while (at > 0 && above(cursor, cursors[at - 1]!)) at -= 1;
  cursors.splice(at, 0, cursor);
}

function above(a: Cursor, b: Cursor): boolean {
  const order = compareUtf8(a.chunk[a.at]![0], b.chunk[b.at]![0]);
  return order > 0 || (order === 0 && a.age < b.age);
}
