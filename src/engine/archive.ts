/**
 * The archive: the covered part of the log in R2, behind the manifest of the snapshot that covers it.
 *
 * A block is a JSON array of rows, [seq, last, stamp, epoch, group, operatorVersion, code, payload], with the payload as
 * it stood in the log; so segments stay what they were, stamps included.
 */
import { Damage } from "./errors.ts";
import { readBlock, unpack } from "./blocks.ts";
import { epoch, seq, stamp, type Seq } from "./ids.ts";
import { readManifest, type Manifest } from "./manifest.ts";
import type { Codec } from "./ports.ts";
import { readPayload, type Segment, type SegmentEvents } from "./segment.ts";

export interface ArchivedSegment {
  readonly row: Pick<Segment, "seq" | "last" | "stamp" | "epoch" | "group" | "operatorVersion" | "code">;
  readonly events: SegmentEvents;
}

/** The text of one block. */
export function archiveText(rows: readonly Segment[]): string {
  const parts = rows.map((row) => {
    const head = JSON.stringify([row.seq, row.last, row.stamp, row.epoch, row.group, row.operatorVersion, row.code]);
    return `${head.slice(0, -1)},${row.payload}]`;
  });
  return `[${parts.join(",\n")}]`;
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
export function* readArchive(file: Uint8Array, codec: Codec, after: Seq): Generator<ArchivedSegment> {
  const { manifest, end } = readManifestObject(file, codec);
  for (const [offset, length, crc, first, last] of manifest.archive.blocks) {
    if (last <= after) continue;
    const what = `archive block ${first}..${last}`;
    const text = unpack(readBlock(file, end + offset, length, crc, codec, what), codec, what);
    for (const archived of parseBlock(text, what)) if (archived.row.last > after) yield archived;
  }
}

function parseBlock(text: string, what: string): ArchivedSegment[] {
  let rows: unknown;
  try {
    rows = JSON.parse(text);
  } catch {
    throw new Damage(`${what} isn't JSON`);
  }
  if (!Array.isArray(rows)) throw new Damage(`${what} isn't a list of segments`);
  return rows.map((parts: unknown) => {
    if (!Array.isArray(parts) || parts.length !== 8) throw new Damage(`${what} holds something that is no segment`);
    const [first, last, at, by, group, operatorVersion, code, payload] = parts as [
      number,
      number,
      number,
      number,
      string,
      number,
      string,
      unknown,
    ];
    const row = { seq: seq(first), last: seq(last), stamp: stamp(at), epoch: epoch(by), group, operatorVersion, code };
    return { row, events: readPayload(row, payload) };
  });
}
