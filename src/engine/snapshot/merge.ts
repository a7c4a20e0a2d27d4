/**
 * Merge makes one source of several sources of keys in order. If several have a key, the newest source decides.
 *
 * A source gives chunks of entries in order, and so does the merge. An entry is null if the key is gone.
 */
import { compareUtf8 } from "../base/json.ts";
import type { Entries, KeyEntry } from "../state/keyed-state.ts";

export type Source = AsyncGenerator<Entries, void>;

interface Cursor {
  readonly source: Source;
  /** A higher number is newer. */
  readonly age: number;
  chunk: Entries;
  at: number;
}

/** Entries of a chunk, at most. Events run between two chunks. */
const CHUNK = 1_000;

export class Merge {
  readonly #sources: readonly Source[];

  /** Takes the sources from the oldest to the newest. */
  constructor(sources: readonly Source[]) {
    this.#sources = sources;
  }

  /** Yields the merged chunks. If `gone` is set, they include keys that are gone. */
  async *chunks(gone: boolean): AsyncGenerator<Entries, void> {
    // The cursor with the lowest key stands last.
    const cursors: Cursor[] = [];
    try {
      // Start all sources together, since each begins with a fetch.
      const begun = await Promise.all(
        this.#sources.map(async (source, age) => ({ source, age, next: await source.next() })),
      );
      for (const { source, age, next } of begun)
        if (next.done !== true) place(cursors, { source, age, chunk: next.value, at: 0 });
      let found: (readonly [string, KeyEntry | null])[] = [];
      let before: string | null = null;
      while (cursors.length > 0) {
        const cursor = cursors.pop()!;
        const [key, entry] = cursor.chunk[cursor.at]!;
        // The newest entry of a key comes first, and the older ones don't count.
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

/** Inserts the cursor from the end: a cursor that moved on is mostly still the lowest. */
function place(cursors: Cursor[], cursor: Cursor): void {
  let at = cursors.length;
  while (at > 0 && above(cursor, cursors[at - 1]!)) at -= 1;
  cursors.splice(at, 0, cursor);
}

function above(a: Cursor, b: Cursor): boolean {
  const order = compareUtf8(a.chunk[a.at]![0], b.chunk[b.at]![0]);
  return order > 0 || (order === 0 && a.age < b.age);
}
