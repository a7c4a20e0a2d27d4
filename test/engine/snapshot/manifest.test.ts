/** SNAP3: a manifest's text is what was written, or damage, or of a format with a name. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { brotli } from "../../../src/adapters/brotli.ts";
import { Damage, Failure } from "../../../src/engine/base/errors.ts";
import { epoch, manifestName, partitionName, seq, snapshotName, stamp } from "../../../src/engine/base/ids.ts";
import { manifestText, readManifest, type Manifest } from "../../../src/engine/snapshot/manifest.ts";
import { ID, outcomesOf } from "../at-rest.ts";

const DESCRIBED: Omit<Manifest, "checksum"> = {
  format: "keyframe.manifest",
  v: 1,
  number: 12,
  kind: "full",
  ...ID,
  operatorVersion: 2,
  code: 'abc\u001f"é',
  epoch: epoch(7),
  attempt: "0000000007-000001-nonce",
  seq: seq(120),
  stamp: stamp(1_769_860_800_000 * 1024),
  at: "2026-01-31T12:00:00.000Z",
  ms: 12,
  keys: 3,
  stateBytes: 99,
  dedupSince: null,
  snapshot: { name: snapshotName(ID, "a"), bytes: 10, sha256: "00ff" },
  archive: {
    name: manifestName(ID, 12, "a"),
    from: seq(100),
    to: seq(120),
    codec: "br",
    blocks: [[0, 5, 6, 101, 120]],
  },
};
const text = manifestText(DESCRIBED, brotli.crc32);
const read = (given: string): Manifest => readManifest(given, brotli.crc32);

describe("a manifest", () => {
  it("is read as it was written, and again", () => {
    const { checksum, ...manifest } = read(text);
    expect(manifest).toEqual(DESCRIBED);
    expect(checksum).toBe(brotli.crc32(JSON.stringify(DESCRIBED)));
    // Its members keep their order, so that a later row may hold the text anew.
    expect(JSON.stringify(read(text))).toBe(text);
  });

  it("SNAP3: every flipped bit and every cut is found, and named", () => {
    const decoder = new TextDecoder();
    const names = outcomesOf(
      new TextEncoder().encode(text),
      (file) => read(decoder.decode(file)),
      // \u001F is \u001f.
      (manifest) => JSON.stringify(manifest) === text,
    );
    expect([...names].sort()).toEqual(["Damage", "same", "unknown_format"]);
  });

  it("SNAP3: another value of any member is damage", () => {
    for (const name of Object.keys(DESCRIBED).filter((member) => member !== "v" && member !== "format")) {
      const changed = { ...(JSON.parse(text) as Record<string, unknown>), [name]: "other" };
      expect(() => read(JSON.stringify(changed)), name).toThrow(Damage);
    }
    const more = { ...(JSON.parse(text) as Record<string, unknown>), more: 1 };
    expect(() => read(JSON.stringify(more))).toThrow(Damage);
  });

  it("CODE1: a format of the future is named, whatever else it holds", () => {
    const future = JSON.stringify({ format: "keyframe.manifest", v: 3, number: 13 });
    expect(() => read(future)).toThrow(Failure);
    expect(() => read(future)).toThrow("manifest 13 has format 3; this code reads 1");
  });

  it("SNAP3: any other text is damage", () => {
    for (const given of ["", "null", "[]", "1", "{}", '{"v":1}', `${text} ${text}`, text.slice(1)])
      expect(() => read(given), given).toThrow(Damage);
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (given) => {
        expect(() => read(given)).toThrow(Damage);
      }),
    );
  });
});

describe("names", () => {
  it("SNAP2: sort as their numbers do", () => {
    const versions = [1, 2, 9, 10, 99, 100, 1_000_000];
    const names = versions.map((version) => manifestName(ID, version, "a"));
    expect([...names].sort()).toEqual(names);
    expect(names[0]).toBe(`${partitionName(ID)}/manifests/0000000001-a.kfm`);
  });
});
