/**
 * The export of one partition: every key with its state, in order, as of one seq.
 *
 * P1. What changed since the current snapshot is captured at once, and its files never change: so all of it is of one seq,
 *     however long it takes, and events go on meanwhile.
 * P2. It is read block by block, as fast as it is taken: memory doesn't grow with the state.
 * P3. Its last line says how many keys there were. Without that line it broke off.
 */
import type { Seq } from "./ids.ts";
import type { Open } from "./open.ts";
import { stampTime } from "./stamp.ts";
import type { Entries } from "./state.ts";

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
export function exported({ fold, loader }: Open, partition: number, prefix: string): Exported {
  const overlay = fold.state.overlay(prefix, "");
  const { stored } = loader;
  const { seq, stamp } = fold;
  const chunks = fold.state.complete || stored === null ? [overlay] : stored.entries(prefix, overlay, false);
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
