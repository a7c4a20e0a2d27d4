/** A manifest, as the commands show it. */
import type { Manifest } from "../engine/snapshot/manifest.ts";
import { bytes, count, span } from "../client/amounts.ts";

export const MANIFEST_HEADINGS = [">MANIFEST", "KIND", ">SEQ", ">KEYS", ">WROTE", ">FILES", ">READS", "BEGUN", ">TOOK"];

export function manifestRow({ number, kind, seq, keys, snapshot, chain = [], at, ms }: Manifest): string[] {
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
