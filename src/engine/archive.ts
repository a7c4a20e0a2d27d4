/**
 * The archive: the covered part of the log in R2, behind the manifest of the snapshot that covers it.
 *
 * A block is a JSON array of rows, [seq, last, stamp, epoch, group, format, operatorVersion, code, codec, checksum, bytes,
 * payload], as they stood in the log, stamps and checksums included.
 */
import { Damage } from "./errors.ts";
import { readBlock, unpack } from "./blocks.ts";
import { epoch, seq, stamp, type Seq } from "./ids.ts";
import { readManifest, type Manifest } from "./manifest.ts";
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
  const { manifest, end } = readManifestObject(file, codec);
  for (const [offset, length, crc, first, last] of manifest.archive.blocks) {
    if (last <= after) continue;
    const what = `archive block ${first}..${last}`;
    const text = unpack(readBlock(file, end + offset, length, crc, codec, what), codec, what);
    for (const row of parseBlock(text, what)) if (row.last > after) yield { row, events: readSegment(row, codec) };
  }
}

type Row = [number, number, number, number, string, number, number, string, string, number, number, string];

function parseBlock(text: string, what: string): Segment[] {
  let rows: unknown;
  try {
    rows = JSON.parse(text);
  } catch {
    throw new Damage(`${what} isn't JSON`);
  }
  if (!Array.isArray(rows)) throw new Damage(`${what} isn't a list of segments`);
  return rows.map((parts: unknown) => {
    if (!Array.isArray(parts) || parts.length !== 12) throw new Damage(`${what} holds something that is no segment`);
    const [first, last, at, by, group, format, operatorVersion, code, codec, checksum, bytes, payload] = parts as Row;
    return {
      seq: seq(first),
      last: seq(last),
      stamp: stamp(at),
      epoch: epoch(by),
      group,
      format,
      operatorVersion,
      code,
      codec,
      checksum,
      bytes,
      stats: "",
      payload,
    };
  });
}
