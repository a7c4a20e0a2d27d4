/** CODE1, SNAP3: files of every format version that was ever written are read, and mean what they meant. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { brotli } from "../../../src/adapters/brotli.ts";
import { readManifestObject } from "../../../src/engine/snapshot/manifest-object.ts";
import { decode, FILES, GOLDEN, readFiles } from "../../golden/decode.ts";

const versions = readdirSync(GOLDEN).sort();

describe("golden files", () => {
  it("there are some", () => expect(versions).toContain("v1"));

  it.each(versions)("%s: say what they said when they were written", (version) => {
    const expected = JSON.parse(readFileSync(path.join(GOLDEN, version, "expected.json"), "utf8")) as unknown;
    expect(decode(readFiles(version))).toEqual(expected);
  });

  it.each(versions)("%s: hold something of each kind", (version) => {
    const files = readFiles(version);
    for (const name of FILES) expect(files[name].length, name).toBeGreaterThan(100);
    const { manifest } = readManifestObject(files["manifest.kfm"], brotli);
    expect(manifest.archive.blocks.length).toBeGreaterThan(0);
    expect(manifest.chain).toHaveLength(1);
  });
});
