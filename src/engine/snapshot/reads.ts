/** Reads committed state: keys in memory at once, the others from the snapshot's files. */
import { stampTime } from "../base/hybrid-clock.ts";
import type { Seq } from "../base/ids.ts";
import { compareUtf8 } from "../base/json.ts";
import { READ_BYTES } from "../base/limits.ts";
import type { Loaded } from "./key-loader.ts";
import type { Entries, KeyEntry } from "../state/keyed-state.ts";

/**
 * Returns the keys' entries from the first on. Returns fewer if they exceed `maxChars`, but at least one.
 *
 * @throws Damage, Failure
 */
export async function read(open: Loaded, keys: readonly string[], maxChars: number): Promise<(KeyEntry | null)[]> {
  const entries: (KeyEntry | null)[] = [];
  let chars = 0;
  // The size of the states is known only once they are loaded.
  const atOnce = open.machine.state.keysIn(READ_BYTES);
  for (let from = 0; from < keys.length; from += atOnce) {
    for (const entry of await found(open, keys.slice(from, from + atOnce))) {
      chars += entry?.text.length ?? 0;
      if (chars > maxChars && entries.length > 0) return entries;
      entries.push(entry);
    }
  }
  return entries;
}

async function found({ machine, loader }: Loaded, keys: readonly string[]): Promise<(KeyEntry | null)[]> {
  await loader.pinned(keys);
  try {
    return keys.map((key) => machine.state.find(key) ?? null);
  } finally {
    machine.state.unpin(keys);
  }
}

/** Keys with their entries, in order, some at a time. */
export type Chunks = AsyncIterable<Entries> | readonly Entries[];

/**
 * Returns the keys above `after` that begin with `prefix`, as they are now, and keys behind them. `keep`: blocks that
 * are read stay in the cache.
 */
export function chunksOf({ machine, loader }: Loaded, prefix: string, after: string, keep: boolean): Chunks {
  const overlay = machine.state.overlay(prefix, after);
  const from = compareUtf8(prefix, after) > 0 ? prefix : after;
  const { stored } = loader;
  return machine.state.complete || stored === null ? [overlay] : stored.entries(from, overlay, keep);
}

export interface Scanned {
  readonly items: (readonly [string, KeyEntry])[];
  readonly more: boolean;
}

/**
 * Returns keys above `after`, as they were when the scan began. Stops at `limit` or at about `maxBytes`.
 *
 * @throws Damage, Failure
 */
export async function scan(
  chunks: Chunks,
  prefix: string,
  after: string,
  limit: number,
  maxBytes: number,
): Promise<Scanned> {
  const items: (readonly [string, KeyEntry])[] = [];
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

export interface Exported {
  readonly seq: Seq;
  /** RFC 3339 time of the last event in the export. Null if there is no event. */
  readonly time: string | null;
  /** Complete lines of JSON, several at a time. */
  readonly lines: AsyncGenerator<string>;
}

/** Characters of one piece of an export. */
const PIECE_CHARS = 64 * 1024;

/**
 * Everything is captured before the first await. Otherwise the export would mix the states of several seqs
 * (PARTITION1).
 */
export function exported(loaded: Loaded, partition: number, prefix: string): Exported {
  const { seq, stamp } = loaded.machine;
  const lines = linesOf(chunksOf(loaded, prefix, "", false), prefix, partition, seq);
  return { seq, time: seq === 0 ? null : stampTime(stamp), lines };
}

export async function* linesOf(chunks: Chunks, prefix: string, partition: number, seq: Seq): AsyncGenerator<string> {
  let piece = "";
  let keys = 0;
  reading: for await (const chunk of chunks as AsyncIterable<Entries>)
    for (const [key, entry] of chunk) {
      if (entry === null) continue;
      if (!key.startsWith(prefix)) break reading;
      const time = stampTime(entry.stamp);
      // A state of an older version stands under another name, so that nobody mistakes it for one of the operator's
      // version.
      const value = entry.version === undefined ? '"value"' : `"version":${entry.version},"unmigrated"`;
      piece += `{"key":${JSON.stringify(key)},${value}:${entry.text},"partition":${partition},"seq":${entry.seq},"time":"${time}"}\n`;
      keys += 1;
      if (piece.length < PIECE_CHARS) continue;
      yield piece;
      piece = "";
    }
  yield `${piece}${endLine(partition, seq, keys)}`;
}

const endLine = (partition: number, seq: Seq, keys: number): string =>
  `{"partition":${partition},"seq":${seq},"keys":${keys}}\n`;

const END = /(?:^|\n)\{"partition":\d+,"seq":\d+,"keys":(\d+)\}\n$/;

/** Longer than any end line. */
export const END_CHARS = 100;

/** Returns the number of keys in an export that ends with this text, or null if the export broke off. */
export function keysOfEnd(tail: string): number | null {
  const keys = END.exec(tail)?.[1];
  return keys === undefined ? null : Number(keys);
}
