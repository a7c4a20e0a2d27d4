/**
 * The archive: the covered part of the log in R2, behind the manifest of the snapshot that covers it.
 *
 * A block is a JSON array of rows, [seq, last, stamp, epoch, group, format, operatorVersion, code, codec, checksum,
 * bytes, payload], as they stood in the log, stamps and checksums included.
 */
import { readBlock, unpack } from "../base/block.ts";
import { Damage } from "../base/errors.ts";
import { epoch, seq, stamp } from "../base/ids.ts";
import { isWhole, parseJson } from "../base/json.ts";
import type { Codec } from "../base/ports.ts";
import type { Segment } from "../base/records.ts";
import type { SegmentEvents } from "./segment.ts";

/** [offset, length, CRC-32, first seq, last seq], offsets from the end of the manifest's line. */
export type ArchiveBlock = readonly [offset: number, length: number, crc: number, first: number, last: number];

/** A segment and its parsed payload. */
export interface ReadSegment {
  readonly row: Segment;
  readonly events: SegmentEvents;
}

/** Returns the text of one block. */
export function archiveText(rows: readonly Segment[]): string {
  return JSON.stringify(
    rows.map((row) => [
      row.seq,
      row.last,
      row.stamp,
      row.epoch,
      row.group,
      row.format,
      row.operatorVersion,
      row.code,
      row.codec,
      row.checksum,
      row.bytes,
      row.payload,
    ]),
  );
}

export interface Archive {
  readonly file: Uint8Array;
  /** Position from which the blocks' offsets count. */
  readonly end: number;
  readonly blocks: readonly ArchiveBlock[];
}

export function rowsOf(
  { file, end }: Archive,
  [offset, length, crc, first, last]: ArchiveBlock,
  codec: Codec,
): Segment[] {
  const what = `archive block ${first}..${last}`;
  const text = unpack(readBlock(file, end + offset, length, crc, codec, what), codec, what);
  return parseBlock(text, what, first, last);
}

/** @throws Damage if these are not the rows from `first` to `last` */
function parseBlock(text: string, what: string, first: number, last: number): Segment[] {
  const rows = parseJson(text, what);
  if (!Array.isArray(rows)) throw new Damage(`${what} isn't a list of segments`);
  let [end, time] = [first - 1, -1];
  for (const row of rows as unknown[]) {
    if (!isRow(row)) throw new Damage(`${what} holds an invalid segment`);
    if (row[0] !== end + 1 || row[2] <= time) throw new Damage(`${what} holds a segment ${row[0]} after ${end}`);
    [, end, time] = row;
  }
  if (end !== last) throw new Damage(`${what} ends at seq ${end}`);
  return (rows as Row[]).map(segmentOf);
}

type Row = [number, number, number, number, string, number, number, string, string, number, number, string];

const TEXTS = new Set([4, 7, 8, 11]);

const isRow = (value: unknown): value is Row =>
  Array.isArray(value) &&
  value.length === 12 &&
  value.every((part, i) => (TEXTS.has(i) ? typeof part === "string" : isWhole(part)));

const segmentOf = ([
  first,
  last,
  at,
  by,
  group,
  format,
  operatorVersion,
  code,
  codec,
  checksum,
  bytes,
  payload,
]: Row): Segment => ({
  format,
  seq: seq(first),
  last: seq(last),
  stamp: stamp(at),
  epoch: epoch(by),
  group,
  operatorVersion,
  code,
  codec,
  checksum,
  bytes,
  stats: "",
  payload,
});
