/**
 * The archive: the covered part of the log in R2, behind the manifest of the snapshot that covers it.
 *
 * A block is a JSON array of rows, [seq, last, stamp, epoch, group, format, operatorVersion, code, codec, checksum, bytes,
 * payload], as they stood in the log, stamps and checksums included.
 */
import { parseJson, readBlock, unpack } from "./blocks.ts";
import { Damage, Failure } from "./errors.ts";
import { epoch, seq, stamp, type Seq } from "./ids.ts";
import { isWhole } from "./json.ts";
import { readManifest, type ArchiveBlock, type Manifest } from "./manifest.ts";
import type { Codec } from "./ports.ts";
import { readSegment, type Segment, type SegmentEvents } from "./segment.ts";

/** A segment with its payload read. */
export interface ReadSegment {
  readonly row: Segment;
  readonly events: SegmentEvents;
}

/** The text of one block. */
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

/** The manifest of a manifest object, and where its line ends. @throws Damage, Failure unknown_format */
export function readManifestObject(
  file: Uint8Array,
  codec: Codec,
): { readonly manifest: Manifest; readonly end: number } {
  const end = file.indexOf(10);
  if (end < 0) throw new Damage("the manifest's line has no end");
  let text: string;
  try {
    text = codec.decode(file.subarray(0, end));
  } catch {
    throw new Damage("the manifest's line isn't UTF-8");
  }
  return { manifest: readManifest(text, codec.crc32), end: end + 1 };
}

/** The segments above `after`, in order. @throws Damage, Failure */
export function* readArchive(file: Uint8Array, codec: Codec, after: Seq): Generator<ReadSegment> {
  const archive = archiveOf(file, codec);
  for (const block of archive.blocks) {
    if (block[4] <= after) continue;
    for (const row of rowsOf(archive, block, codec))
      if (row.last > after) yield { row, events: readSegment(row, codec) };
  }
}

/** The segments that begin below `before`, newest first. @throws Damage, Failure */
export function* readArchiveBelow(file: Uint8Array, codec: Codec, before: Seq): Generator<ReadSegment> {
  const archive = archiveOf(file, codec);
  for (const block of archive.blocks.toReversed()) {
    if (block[3] >= before) continue;
    for (const row of rowsOf(archive, block, codec).toReversed())
      if (row.seq < before) yield { row, events: readSegment(row, codec) };
  }
}

interface Archive {
  readonly file: Uint8Array;
  /** What the blocks' offsets count from. */
  readonly end: number;
  readonly blocks: readonly ArchiveBlock[];
}

function archiveOf(file: Uint8Array, codec: Codec): Archive {
  const { manifest, end } = readManifestObject(file, codec);
  const { codec: written, blocks } = manifest.archive;
  if (written === codec.name) return { file, end, blocks };
  throw new Failure(
    "unknown_format",
    `the archive is written with codec "${written}"; this code has "${codec.name}": deploy the code that wrote it, or newer`,
  );
}

function rowsOf({ file, end }: Archive, [offset, length, crc, first, last]: ArchiveBlock, codec: Codec): Segment[] {
  const what = `archive block ${first}..${last}`;
  const text = unpack(readBlock(file, end + offset, length, crc, codec, what), codec, what);
  return parseBlock(text, what, first, last);
}

/** @throws Damage where these are not the rows from `first` to `last` */
function parseBlock(text: string, what: string, first: number, last: number): Segment[] {
  const rows = parseJson(text, what);
  if (!Array.isArray(rows)) throw new Damage(`${what} isn't a list of segments`);
  let [end, time] = [first - 1, -1];
  for (const row of rows as unknown[]) {
    if (!isRow(row)) throw new Damage(`${what} holds something that is no segment`);
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
