/** Reading committed state from an open partition: keys that are in memory at once, the others from the snapshot's files. */
import { compareUtf8 } from "./json.ts";
import { READ_BYTES } from "./limits.ts";
import type { Open } from "./open.ts";
import type { Entries, Entry } from "./state.ts";

/** Of the keys, from the first on: fewer where they come to more than `maxChars`, but one at least. @throws Damage, Failure */
export async function read(open: Open, keys: readonly string[], maxChars: number): Promise<(Entry | null)[]> {
  const entries: (Entry | null)[] = [];
  let chars = 0;
  // What they come to is known only once they are here.
  const atOnce = open.fold.state.keysIn(READ_BYTES);
  for (let from = 0; from < keys.length; from += atOnce) {
    for (const entry of await found(open, keys.slice(from, from + atOnce))) {
      chars += entry?.text.length ?? 0;
      if (chars > maxChars && entries.length > 0) return entries;
      entries.push(entry);
    }
  }
  return entries;
}

async function found({ fold, loader }: Open, keys: readonly string[]): Promise<(Entry | null)[]> {
  await loader.pinned(keys);
  try {
    return keys.map((key) => fold.state.find(key) ?? null);
  } finally {
    fold.state.unpin(keys);
  }
}

export interface Scanned {
  readonly items: (readonly [string, Entry])[];
  readonly more: boolean;
}

/** Keys above `after`, as they were when the scan began; stops at `limit` or at about `maxBytes`. @throws Damage, Failure */
export async function scan(
  { fold, loader }: Open,
  prefix: string,
  after: string,
  limit: number,
  maxBytes: number,
): Promise<Scanned> {
  const overlay = fold.state.overlay(prefix, after);
  const { stored } = loader;
  const from = compareUtf8(prefix, after) > 0 ? prefix : after;
  const chunks = fold.state.complete || stored === null ? [overlay] : stored.entries(from, overlay, true);
  const items: (readonly [string, Entry])[] = [];
  let bytes = 0;
  for await (const chunk of chunks as AsyncIterable<Entries>)
    for (const [key, entry] of chunk) {
      if (key === after || entry === null) continue;
      if (!key.startsWith(prefix)) return { items, more: false };
      if (items.length >= limit || bytes >= maxBytes) return { items, more: true };
      items.push([key, entry]);
      bytes += key.length + entry.text.length;
    }
  return { items, more: false };
}
