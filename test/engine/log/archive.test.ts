/** LOG5, SNAP3: the archive gives back the segments that the log was cut of, or says by name that it can't. */
import { describe, expect, it } from "vitest";
import { brotli } from "../../../src/adapters/brotli.ts";
import { archiveText, type ReadSegment } from "../../../src/engine/log/archive.ts";
import { readArchive, readManifestObject } from "../../../src/engine/snapshot/manifest-object.ts";
import { FileWriter } from "../../../src/engine/base/block.ts";
import { Damage, Failure } from "../../../src/engine/base/errors.ts";
import { epoch, manifestName, seq, snapshotName, stamp } from "../../../src/engine/base/ids.ts";
import { manifestText, type Manifest } from "../../../src/engine/snapshot/manifest.ts";
import type { ArchiveBlock } from "../../../src/engine/log/archive.ts";
import { readSegment, type SegmentEvents } from "../../../src/engine/log/segment.ts";
import type { Segment } from "../../../src/engine/base/records.ts";
import { ID, outcomesOf, rowOf } from "../at-rest.ts";

const EVENT = { text: '{"type":"t","id":"é\\n"}', key: "k\n", ms: 5 };
const ROWS = [
  rowOf(1, [EVENT, EVENT]),
  rowOf(3, [{ ...EVENT, outcome: { tag: "refused", code: "no", detail: "[1]" } }], { epoch: epoch(2) }),
  rowOf(4, [EVENT, EVENT, EVENT], { operatorVersion: 2, code: "newer" }),
  rowOf(7, [EVENT]),
];

/** A manifest object with these blocks of rows. */
function objectOf(blocks: readonly (readonly Segment[])[], text = archiveText): Uint8Array {
  const packed = new FileWriter();
  const described = blocks.map((rows): ArchiveBlock => {
    const [offset, length, crc] = packed.write(brotli.compressFast(text(rows)), brotli);
    return [offset, length, crc, rows[0]!.seq, rows.at(-1)!.last];
  });
  const manifest: Omit<Manifest, "checksum"> = {
    format: "keyframe.manifest",
    v: 1,
    number: 1,
    kind: "full",
    ...ID,
    operatorVersion: 1,
    code: "code",
    epoch: epoch(1),
    attempt: "a",
    seq: seq(7),
    stamp: stamp(7 * 1024),
    at: "2026-01-31T12:00:00.000Z",
    ms: 1,
    keys: 1,
    stateBytes: 1,
    dedupSince: null,
    snapshot: { name: snapshotName(ID, "a"), bytes: 1, sha256: "" },
    archive: { name: manifestName(ID, 1, "a"), from: seq(0), to: seq(7), codec: "br", blocks: described },
  };
  const file = new FileWriter();
  file.write(brotli.encode(`${manifestText(manifest, brotli.crc32)}\n`), brotli);
  file.write(packed.bytes(), brotli);
  return file.bytes();
}

const FILE = objectOf([ROWS.slice(0, 2), ROWS.slice(2)]);
const read = (file: Uint8Array, after = 0): ReadSegment[] => [...readArchive(file, brotli, seq(after))];

describe("the archive", () => {
  it("LOG5: gives back every segment as it stood in the log", () => {
    const segments = read(FILE);
    const parts = (events: SegmentEvents) => ({ ...events, sent: events.keys.map((_, i) => events.sent(i)) });
    expect(segments.map(({ events }) => parts(events))).toEqual(ROWS.map((row) => parts(readSegment(row, brotli))));
    expect(segments.map(({ row }) => row)).toEqual(ROWS);
  });

  it.each([
    [0, [1, 3, 4, 7]],
    [1, [1, 3, 4, 7]],
    [2, [3, 4, 7]],
    [3, [4, 7]],
    [5, [4, 7]],
    [6, [7]],
    [7, []],
  ])("gives the segments that reach above %i", (after, firsts) => {
    expect(read(FILE, after).map(({ row }) => row.seq)).toEqual(firsts);
  });

  it("may be empty", () => {
    expect(read(objectOf([]))).toEqual([]);
  });

  it("SNAP3: every flipped bit and every cut is found, and named", () => {
    const whole = JSON.stringify(read(FILE).map(({ row, events }) => [row, events.events]));
    const names = outcomesOf(
      FILE,
      (file) => read(file),
      (found) => JSON.stringify(found.map(({ row, events }) => [row, events.events])) === whole,
    );
    // Not one is the same: there is no byte that doesn't count.
    expect([...names].sort()).toEqual(["Damage", "unknown_format"]);
  });

  it("SNAP3: damage to one block leaves those above it readable", () => {
    const { manifest, end } = readManifestObject(FILE, brotli);
    const broken = FILE.with(end + manifest.archive.blocks[0]![0], 0xff);
    expect(() => read(broken)).toThrow(Damage);
    expect(read(broken, 3).map(({ row }) => row.seq)).toEqual([4, 7]);
  });

  it.each([
    ["is no JSON", () => "[", Damage, "isn't JSON"],
    ["is no list", () => "{}", Damage, "isn't a list of segments"],
    ["holds no segment", () => "[1]", Damage, "an invalid segment"],
    ["holds a part of one", () => "[[1,2]]", Damage, "an invalid segment"],
    [
      "holds one of the future",
      (rows: readonly Segment[]) => archiveText(rows.map((row) => ({ ...row, format: 3 }))),
      Failure,
      "has format 3",
    ],
    [
      "misses an event",
      ([first, , ...others]: readonly Segment[]) => archiveText([{ ...first!, last: seq(3) }, ...others]),
      Failure,
      "it counts 3 events, but holds 2",
    ],
    [
      "misses a segment",
      ([first, , ...others]: readonly Segment[]) => archiveText([first!, ...others]),
      Damage,
      "4 after 2",
    ],
    [
      "holds one twice",
      ([first, ...others]: readonly Segment[]) => archiveText([first!, first!, ...others]),
      Damage,
      "1 after 2",
    ],
    ["ends too early", (rows: readonly Segment[]) => archiveText(rows.slice(0, 3)), Damage, "ends at seq 6"],
  ])("SNAP3: a block that %s is named, though its checksum is right", (_, text, kind, why) => {
    const file = objectOf([ROWS], text);
    expect(() => read(file)).toThrow(kind);
    expect(() => read(file)).toThrow(why);
  });

  it("SNAP3: a manifest's line without end is damage", () => {
    expect(() => readManifestObject(FILE.subarray(0, 20), brotli)).toThrow(Damage);
    expect(() => readManifestObject(new Uint8Array(0), brotli)).toThrow(Damage);
    expect(() => readManifestObject(Uint8Array.of(0xff, 10), brotli)).toThrow(Damage);
  });
});
