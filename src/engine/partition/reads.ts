/** Reading committed state from an open partition: keys that are in memory at once, the others from the snapshot's files. */
import { stampTime } from "../base/hybrid-clock.ts";
import type { Seq } from "../base/ids.ts";
import { compareUtf8 } from "../base/json.ts";
import { READ_BYTES } from "../base/limits.ts";
import type { OpenPartition } from "../recovery/open-partition.ts";
import type { Entries, Entry } from "../state/keyed-state.ts";

/** Of the keys, from the first on: fewer where they come to more than `maxChars`, but one at least. @throws Damage, Failure */
export async function read(open: OpenPartition, keys: readonly string[], maxChars: number): Promise<(Entry | null)[]> {
  const entries: (Entry | null)[] = [];
  let chars = 0;
  // What they come to is known only once they are here.
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

async function found({ machine, loader }: OpenPartition, keys: readonly string[]): Promise<(Entry | null)[]> {
  await loader.pinned(keys);
  try {
    return keys.map((key) => machine.state.find(key) ?? null);
  } finally {
    machine.state.unpin(keys);
  }
}

export interface Scanned {
  readonly items: (readonly [string, Entry])[];
  readonly more: boolean;
}

/** Keys above `after`, as they were when the scan began; stops at `limit` or at about `maxBytes`. @throws Damage, Failure */
export async function scan(
  { machine, loader }: OpenPartition,
  prefix: string,
  after: string,
  limit: number,
  maxBytes: number,
): Promise<Scanned> {
  const overlay = machine.state.overlay(prefix, after);
  const { stored } = loader;
  const from = compareUtf8(prefix, after) > 0 ? prefix : after;
  const chunks = machine.state.complete || stored === null ? [overlay] : stored.entries(from, overlay, true);
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

export interface Exported {
  readonly seq: Seq;
  /** RFC 3339 time of the last event in it; null: there is none. */
  readonly time: string | null;
  /** Whole lines of JSON, several at a time. */
  readonly lines: AsyncGenerator<string>;
}

/** Characters that are handed on together. */
const PIECE_CHARS = 64 * 1024;

/** No await before everything is captured (P1). */
export function exported({ machine, loader }: OpenPartition, partition: number, prefix: string): Exported {
  const overlay = machine.state.overlay(prefix, "");
  const { stored } = loader;
  const { seq, stamp } = machine;
  const chunks = machine.state.complete || stored === null ? [overlay] : stored.entries(prefix, overlay, false);
  return { seq, time: seq === 0 ? null : stampTime(stamp), lines: linesOf(chunks, prefix, partition, seq) };
}

async function* linesOf(
  chunks: AsyncIterable<Entries> | readonly Entries[],
  prefix: string,
  partition: number,
  seq: Seq,
): AsyncGenerator<string> {
  let piece = "";
  let keys = 0;
  reading: for await (const chunk of chunks as AsyncIterable<Entries>)
    for (const [key, entry] of chunk) {
      if (entry === null) continue;
      if (!key.startsWith(prefix)) break reading;
      const time = stampTime(entry.stamp);
      // Under another name, so that nobody takes it for a state of the operator's version.
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

/** Longer than that line ever is. */
export const END_CHARS = 100;

/** The keys that an export holds which ends with this; null: it broke off. */
export function keysOfEnd(tail: string): number | null {
  const keys = END.exec(tail)?.[1];
  return keys === undefined ? null : Number(keys);
}
