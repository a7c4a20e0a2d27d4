/** `keyframe cat`: everything that stands in a file, as JSON, a line each. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { GOLDEN } from "../golden/decode.ts";
import { Folder, goldenFile, snapshotOf } from "./files.ts";
import { run } from "./run.ts";

interface Line {
  readonly part: string;
  readonly key?: string;
  readonly seq?: number;
  readonly stamp?: number;
  readonly time?: string;
  readonly value?: unknown;
  readonly gone?: boolean;
  readonly outcome?: unknown;
  readonly event?: unknown;
  readonly timers?: unknown;
}

/** The golden files' contents, as the engine's own reader gave them when they were written. */
const expected = JSON.parse(readFileSync(path.join(GOLDEN, "v1", "expected.json"), "utf8")) as {
  full: { entries: [string, { text: string; seq: number; stamp: number }][] };
  archive: { events: { events: unknown[]; keys: string[] } }[];
};

async function cat(...args: string[]): Promise<Line[]> {
  const { status, out, err } = await run(["cat", ...args]);
  expect([status, err]).toEqual([0, ""]);
  return out.map((line) => JSON.parse(line) as Line);
}

const folder = new Folder();
afterAll(() => folder.remove());

describe("keyframe cat of a snapshot", () => {
  it("gives the states as the engine reads them", async () => {
    const lines = await cat(goldenFile("full.kfs"), "--state");
    const entries = lines.map(({ key, seq, stamp, value, timers }) => [
      key,
      { text: JSON.stringify(value), seq, stamp, ...(timers === undefined ? {} : { timers }) },
    ]);
    expect(entries).toEqual(expected.full.entries);
    expect(lines[0]!.time).toBe("2026-01-01T00:00:00.000Z");
  });

  it("gives all that stands in it, the footer last", async () => {
    const parts = (await cat(goldenFile("full.kfs"))).map(({ part }) => part);
    expect([...new Set(parts)]).toEqual(["state", "dedup", "answer", "quarantine", "producer", "footer"]);
    const [footer] = await cat(goldenFile("full.kfs"), "--footer");
    expect(footer).toMatchObject({ part: "footer", footer: { partition: "1/sum/0000", seq: 7, keys: 5 } });
  });

  it("says which keys a delta takes away", async () => {
    expect(await cat(goldenFile("delta.kfs"), "--key", "gone")).toEqual([{ part: "state", key: "gone", gone: true }]);
  });

  it("finds any one key of many blocks, and status 1 says that it isn't there", async () => {
    const keys = Array.from({ length: 3_000 }, (_, i) => `key-${String(i).padStart(5, "0")}`);
    const states = Object.fromEntries(keys.map((key) => [key, { key, text: "x".repeat(100) }]));
    const file = folder.write("many.kfs", await snapshotOf(states));
    for (const key of [keys[0]!, keys[1_234]!, keys.at(-1)!])
      expect(await cat(file, "--key", key)).toMatchObject([{ key, value: { key } }]);
    expect(await run(["cat", file, "--key", "key-"])).toMatchObject({ status: 1, out: [] });
    expect(await run(["cat", file, "--key", "key-00007x"])).toMatchObject({ status: 1, out: [] });
  });

  it("stops at damage, by name, and what came before it is shown", async () => {
    const bytes = new Uint8Array(readFileSync(goldenFile("full.kfs")));
    bytes[20]! ^= 1;
    const ran = await run(["cat", folder.write("damaged.kfs", bytes)]);
    expect(ran).toMatchObject({
      status: 2,
      out: [],
      err: expect.stringContaining("checksum of a state block at 12 is wrong"),
    });
  });

  it("has no events", async () => {
    expect(await run(["cat", goldenFile("full.kfs"), "--events"])).toMatchObject({
      status: 2,
      err: expect.stringContaining("not events"),
    });
  });
});

describe("keyframe cat of a manifest", () => {
  it("gives the manifest, and the events of its archive with their keys and outcomes", async () => {
    const lines = await cat(goldenFile("manifest.kfm"));
    expect(lines[0]).toMatchObject({ part: "manifest", format: "keyframe.manifest", number: 2, kind: "delta" });
    const events = lines.filter(({ part }) => part === "event");
    expect(events.map(({ event }) => event)).toEqual(expected.archive.flatMap((segment) => segment.events.events));
    expect(events.map(({ key }) => key)).toEqual(expected.archive.flatMap((segment) => segment.events.keys));
    expect(events.map(({ seq }) => seq)).toEqual(Array.from({ length: 65 }, (_, i) => i + 8));
    expect(lines.filter(({ part }) => part === "segment")).toHaveLength(expected.archive.length);
  });

  it("gives the events of one key", async () => {
    const lines = await cat(goldenFile("manifest.kfm"), "--key", "b");
    expect(lines).toMatchObject([
      { part: "event", seq: 10, key: "b", outcome: ["q", "boom", "Error", "at add (sum.ts:1:1)"], event: { id: "q2" } },
    ]);
  });

  it("gives the manifest alone", async () => {
    expect((await cat(goldenFile("manifest.kfm"), "--footer")).map(({ part }) => part)).toEqual(["manifest"]);
  });

  it("has no state", async () => {
    expect(await run(["cat", goldenFile("manifest.kfm"), "--state"])).toMatchObject({
      status: 2,
      err: expect.stringContaining("not state"),
    });
  });
});
