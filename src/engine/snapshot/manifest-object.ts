import { Damage, Failure } from "../base/errors.ts";
import { type Seq } from "../base/ids.ts";
import type { Codec } from "../base/ports.ts";
import { type Archive, type ReadSegment, rowsOf } from "../log/archive.ts";
import { readSegment } from "../log/segment.ts";
import { type Manifest, readManifest } from "./manifest.ts";

/**
 * Returns the manifest of a manifest object, and where its line ends.
 *
 * @throws Damage if the manifest is corrupt; Failure unknown_format if this code can't read it
 */
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

/**
 * Yields the segments above `after`, in order.
 *
 * @throws Damage if the archive is corrupt; Failure unknown_format if this code can't read it
 */
export function* readArchive(file: Uint8Array, codec: Codec, after: Seq): Generator<ReadSegment> {
  const archive = archiveOf(file, codec);
  for (const block of archive.blocks) {
    if (block[4] <= after) continue;
    for (const row of rowsOf(archive, block, codec))
      if (row.last > after) yield { row, events: readSegment(row, codec) };
  }
}

/**
 * Yields the segments that begin below `before`, newest first.
 *
 * @throws Damage if the archive is corrupt; Failure unknown_format if this code can't read it
 */
export function* readArchiveBelow(file: Uint8Array, codec: Codec, before: Seq): Generator<ReadSegment> {
  const archive = archiveOf(file, codec);
  for (const block of archive.blocks.toReversed()) {
    if (block[3] >= before) continue;
    for (const row of rowsOf(archive, block, codec).toReversed())
      if (row.seq < before) yield { row, events: readSegment(row, codec) };
  }
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
