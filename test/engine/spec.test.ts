/**
 * The formats are open: a reader that was written from docs/reference/formats.md alone, with nothing of this project,
 * reads the golden files as the engine does. Where this must change, the page must too.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import { brotliDecompressSync, crc32 } from "node:zlib";
import { describe, expect, it } from "vitest";
import { GOLDEN } from "../golden/decode.ts";

const page = readFileSync(path.join(import.meta.dirname, "../../docs/reference/formats.md"), "utf8");
const read = (name: string): Buffer => readFileSync(path.join(GOLDEN, "v1", name));
const expected = JSON.parse(read("expected.json").toString()) as {
  full: Contents;
  delta: Contents;
  manifest: unknown;
  archive: { row: { seq: number }; events: { events: unknown[]; keys: string[]; outcomes: unknown[] } }[];
};

interface Contents {
  entries: [string, { text: string; seq: number; stamp: number; timers?: [string, number][] }][];
  pendingFrom: number | null;
  quarantine: unknown[];
  producers: unknown[];
  dedup: { prints: number[]; answers: unknown[] };
}

type Block = [offset: number, length: number, crc: number, records: number, first: string];
type List = "state" | "timers" | "prints" | "answers" | "quarantine" | "producers";
type Footer = Record<List, Block[]> & {
  v: number;
  base: number;
  seq: number;
  pendingFrom: number | null;
  dedup: { minutes: unknown };
};

function checked(file: Buffer, offset: number, length: number, crc: number): Buffer {
  const bytes = file.subarray(offset, offset + length);
  expect(crc32(bytes)).toBe(crc);
  return bytes;
}

function footerOf(file: Buffer): Footer {
  const end = file.length;
  expect([file.toString("latin1", 0, 8), file.toString("latin1", end - 8)]).toEqual(["KEYFRAME", "KEYFRAME"]);
  const n = file.readUInt32LE(end - 16);
  const footer = JSON.parse(checked(file, end - 16 - n, n, file.readUInt32LE(end - 12)).toString()) as Footer;
  expect(footer.v).toBe(file.readUInt32LE(8));
  return footer;
}

function linesOf(file: Buffer, list: Block[]): string[] {
  return list.flatMap(([offset, length, crc, records]) => {
    const lines = brotliDecompressSync(checked(file, offset, length, crc))
      .toString()
      .split("\n");
    expect(lines).toHaveLength(records);
    return lines;
  });
}

function stateOf(files: readonly Buffer[]): Contents["entries"] {
  const state = new Map<string, Contents["entries"][number][1]>();
  let at = 0;
  for (const file of files) {
    const footer = footerOf(file);
    expect(footer.base).toBe(at);
    at = footer.seq;
    for (const line of linesOf(file, footer.state)) {
      const [key, seq, stamp, ...rest] = line.split("\t");
      if (rest.length === 0) state.delete(JSON.parse(key!) as string);
      else {
        const timers = rest[0]!.startsWith("@") ? (JSON.parse(rest.shift()!.slice(1)) as [string, number][]) : null;
        const entry = { text: rest[0]!, seq: Number(seq), stamp: Number(stamp) };
        state.set(JSON.parse(key!) as string, { ...entry, ...(timers === null ? {} : { timers }) });
      }
    }
  }
  return [...state].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

describe("docs/reference/formats.md is enough to read", () => {
  const [full, delta] = [read("full.kfs"), read("delta.kfs")];

  it("the state of a full file, and of a delta on it", () => {
    expect(stateOf([full])).toEqual(expected.full.entries);
    expect(stateOf([full, delta])).toEqual(expected.delta.entries);
  });

  it("timers by their due time", () => {
    const footer = footerOf(full);
    const due = linesOf(full, footer.timers).map((line) => line.split("\t"));
    const [key, { timers }] = expected.full.entries.find(([, entry]) => entry.timers !== undefined)!;
    expect(due).toEqual([[String(timers![0]![1]), JSON.stringify(key)]]);
    expect(footer.pendingFrom).toBe(timers![0]![1]);
  });

  it("prints, answers, quarantine and producers of a full file", () => {
    const footer = footerOf(full);
    const [[offset, length, crc]] = footer.prints as [Block];
    const bytes = checked(full, offset, length, crc);
    expect(Array.from({ length: length / 4 }, (_, i) => bytes.readUInt32LE(4 * i))).toEqual(expected.full.dedup.prints);
    const answers = linesOf(full, footer.answers).map((line) => [Number(line.split("\t")[0]), line.split("\t")[1]]);
    expect(answers).toEqual(expected.full.dedup.answers);
    const json = (list: Block[]): unknown[] => linesOf(full, list).map((line) => JSON.parse(line) as unknown);
    expect(json(footer.quarantine)).toEqual(expected.full.quarantine);
    expect(json(footer.producers)).toEqual(expected.full.producers);
  });

  it("a manifest, and the events of its archive", () => {
    const file = read("manifest.kfm");
    const line = file.indexOf(10);
    const { checksum, ...manifest } = JSON.parse(file.toString("utf8", 0, line)) as Record<string, unknown> & {
      archive: { blocks: [number, number, number, number, number][] };
    };
    expect(crc32(JSON.stringify(manifest))).toBe(checksum);
    expect({ ...manifest, checksum }).toEqual(expected.manifest);
    const rows = manifest.archive.blocks.flatMap(
      ([offset, length, crc]) =>
        JSON.parse(brotliDecompressSync(checked(file, line + 1 + offset, length, crc)).toString()) as unknown[][],
    );
    const events = rows.map(([seq, , , , , , , , codec, sum, length, payload]) => {
      expect(crc32(payload as string)).toBe(sum);
      const text =
        codec === "br64"
          ? brotliDecompressSync(Buffer.from(payload as string, "base64")).toString()
          : (payload as string);
      expect(text.length).toBe(length);
      const { keys, out, events } = JSON.parse(text) as { keys: string[]; out: unknown[]; events: unknown[] };
      return { seq, keys, outcomes: out.length, events };
    });
    expect(events).toEqual(
      expected.archive.map(({ row, events: { events, keys, outcomes } }) => ({
        seq: row.seq,
        keys,
        outcomes: outcomes.length,
        events,
      })),
    );
    // Its example is this file's first row.
    const [seq, last, stamp] = rows[0]!;
    expect(page).toContain(`\n[${String(seq)},${String(last)},${String(stamp)},`);
  });

  it("and its examples are what stands in the golden file", () => {
    const footer = footerOf(full);
    for (const name of ["state", "timers", "prints", "answers", "quarantine", "producers"] as const)
      expect(page).toContain(`\`${JSON.stringify(footer[name])}\``);
    expect(page).toContain(`"minutes":${JSON.stringify(footer.dedup.minutes)}`);
    expect(page).toContain(`${full.length} bytes`);
    const shown = (text: string): string => `\`${text.replaceAll("\t", "⇥")}\``;
    expect(page).toContain(shown(linesOf(full, footer.state)[0]!));
    expect(page).toContain(shown(linesOf(full, footer.state).find((line) => line.includes("@"))!));
    expect(page).toContain(shown(linesOf(full, footer.timers)[0]!));
    expect(page).toContain(shown(linesOf(full, footer.answers)[3]!));
    expect(page).toContain(shown(linesOf(full, footer.producers)[0]!));
    expect(page).toContain(shown(linesOf(delta, footerOf(delta).state).find((line) => line.startsWith('"gone"'))!));
    expect(page).toContain(
      full
        .subarray(-16, -8)
        .toString("hex")
        .replace(/../g, "$& ")
        .trim()
        .replace(/^(.{11}) /, "$1  "),
    );
  });
});
