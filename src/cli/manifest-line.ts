/** A manifest, as the commands show it. */
import type { ManifestInfo } from "./answers.ts";
import { bytes, count, span } from "./text.ts";

export const MANIFEST_HEADINGS = [">MANIFEST", "KIND", ">SEQ", ">KEYS", ">WROTE", ">FILES", ">READS", "BEGUN", ">TOOK"];

export function manifestRow({ number, kind, seq, keys, snapshot, chain = [], at, ms }: ManifestInfo): string[] {
  const reads = chain.reduce((sum, file) => sum + file.bytes, snapshot.bytes);
  return [
    String(number),
    kind,
    count(seq),
    count(keys),
    bytes(snapshot.bytes),
    String(chain.length + 1),
    bytes(reads),
    at,
    span(ms),
  ];
}
