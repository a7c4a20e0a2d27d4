/** SNAP3: whatever is damaged in a file, `keyframe verify` says so, where it is, and what to do. */
import { readFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { brotli } from "../../src/adapters/brotli.ts";
import { readManifestObject } from "../../src/engine/snapshot/manifest-object.ts";
import { MAGIC, readFooter } from "../../src/engine/snapshot/file-footer.ts";
import { inspect } from "../../src/cli/inspect.ts";
import { Folder, goldenFile, snapshotOf } from "./files.ts";
import { run } from "./run.ts";

const folder = new Folder();
afterAll(() => folder.remove());

const bytesOf = (name: string): Uint8Array => new Uint8Array(readFileSync(goldenFile(name)));

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const copy = bytes.slice();
  copy[at]! ^= 1;
  return copy;
}

describe("keyframe verify", () => {
  it("finds nothing wrong with the golden files, their manifest included", async () => {
    const files = ["full.kfs", "delta.kfs", "manifest.kfm"].map(goldenFile);
    const ran = await run(["verify", ...files, "--manifest", files[2]!]);
    expect(ran).toMatchObject({ status: 0, err: "" });
    expect(ran.out.map((line) => line.replace(/^(\w+).*\/(\S+:)/, "$1 $2"))).toEqual([
      "intact full.kfs: full snapshot of 1/sum/0000 at seq 7",
      "intact delta.kfs: delta of 1/sum/0000 from seq 7 to 72",
      "intact manifest.kfm: manifest 2 of 1/sum/0000, delta at seq 72, with the log 8..72",
    ]);
  });

  it.each(["full.kfs", "delta.kfs", "manifest.kfm"])("finds every byte of %s that is not what was written", (name) => {
    const bytes = bytesOf(name);
    const kind = name.endsWith(".kfs") ? "snapshot" : "manifest";
    const unseen: number[] = [];
    for (let at = 0; at < bytes.length; at++)
      if (inspect({ name, kind, bytes: flipped(bytes, at) }).findings.length === 0) unseen.push(at);
    expect(unseen).toEqual([]);
  });

  it("finds a file that is cut off, wherever that is", () => {
    const bytes = bytesOf("full.kfs");
    for (let length = 0; length < bytes.length; length += 7)
      expect(
        inspect({ name: "full.kfs", kind: "snapshot", bytes: bytes.slice(0, length) }).findings,
        `${length} bytes`,
      ).toHaveLength(1);
  });

  const full = bytesOf("full.kfs");
  const footer = readFooter(full, brotli);
  const { end } = readManifestObject(bytesOf("manifest.kfm"), brotli);

  it.each([
    ["full.kfs", 0, 0, "doesn't begin and end"],
    ["full.kfs", 8, 8, "format 0"],
    ["full.kfs", footer.state[0]![0] + 3, footer.state[0]![0], "checksum of a state block"],
    ["full.kfs", footer.prints[0]![0] + 3, footer.prints[0]![0], "checksum of a block of prints"],
    ["full.kfs", footer.answers[0]![0], footer.answers[0]![0], "checksum of an answers block"],
    ["full.kfs", footer.quarantine[0]![0], footer.quarantine[0]![0], "checksum of a quarantine block"],
    ["full.kfs", footer.producers[0]![0], footer.producers[0]![0], "checksum of a block of producers"],
    ["full.kfs", full.length - 20, MAGIC.length, "checksum of the snapshot's footer"],
    ["full.kfs", full.length - 1, full.length - MAGIC.length, "doesn't begin and end"],
    ["manifest.kfm", 40, 0, "manifest"],
    ["manifest.kfm", end + 5, end, "checksum of archive block"],
  ])("%s with byte %i changed: says byte %i, and %s", async (name, at, offset, what) => {
    const file = folder.write(name, flipped(bytesOf(name), at));
    const { status, out } = await run(["verify", file, "--json"]);
    expect(status).toBe(1);
    const report = JSON.parse(out[0]!) as { ok: boolean; advice: string; findings: { offset: number; what: string }[] };
    expect(report.ok).toBe(false);
    expect(report.findings).toMatchObject([{ offset, what: expect.stringContaining(what) }]);
    expect(report.advice).not.toBe("");
  });

  it("names every damaged block, not the first one only", () => {
    const twice = flipped(flipped(full, footer.state[0]![0]), footer.answers[0]![0]);
    const { findings } = inspect({ name: "full.kfs", kind: "snapshot", bytes: twice });
    expect(findings.map(({ offset }) => offset)).toEqual([footer.state[0]![0], footer.answers[0]![0]]);
  });

  it("finds keys out of order, and a wrong count, though all checksums are right", async () => {
    const file = folder.write("order.kfs", await snapshotOf({ b: 1, a: 2 }));
    const { status, out } = await run(["verify", file]);
    expect(status).toBe(1);
    expect(out.join("\n")).toContain("not in order");
    const few = await snapshotOf({ a: 1, b: 2 }, 9, 18, 1);
    expect(inspect({ name: "few.kfs", kind: "snapshot", bytes: few }).findings).toMatchObject([
      { what: "the snapshot counts 1 keys, but holds 2" },
    ]);
  });

  it("a delta says how many keys the whole state has, and may hold fewer", async () => {
    const delta = await snapshotOf({ a: 1, c: null }, 9, 18, 7);
    expect(inspect({ name: "delta.kfs", kind: "snapshot", bytes: delta }).findings).toEqual([]);
  });

  it("says that another file was meant, where its SHA-256 isn't the manifest's", async () => {
    const other = folder.write("other.kfs", await snapshotOf({ a: 1 }));
    const { status, out } = await run(["verify", other, "--manifest", goldenFile("manifest.kfm")]);
    expect(status).toBe(1);
    expect(out[1]).toMatch(/names no file of \d+ bytes with SHA-256 [0-9a-f]{64}; it names \S+\.kfs, \S+\.kfs$/);
  });

  it("an unknown format is no damage", async () => {
    const file = folder.write("future.kfs", full.with(8, 9));
    const { status, out } = await run(["verify", file, "--json"]);
    expect(status).toBe(1);
    expect(JSON.parse(out[0]!)).toMatchObject({
      findings: [{ code: "unknown_format" }],
      advice: expect.stringContaining("Newer code"),
    });
  });

  it("a file that isn't there, or none of Keyframe's, is trouble", async () => {
    expect(await run(["verify", "/no/such.kfs"])).toMatchObject({ status: 2, err: expect.stringContaining("ENOENT") });
    const file = folder.write("notes.txt", new TextEncoder().encode("hello"));
    expect(await run(["verify", file])).toMatchObject({
      status: 2,
      err: expect.stringContaining("isn't a file of Keyframe"),
    });
  });
});
