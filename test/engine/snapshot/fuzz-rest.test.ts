/**
 * SNAP3, LOG4: whatever stands at rest, with a checksum that is right too, is read as something that makes sense, or
 * refused by name. Contents that were read must be usable: replayed, written again, and be the same.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { brotli } from "../../../src/adapters/brotli.ts";
import { archiveText } from "../../../src/engine/log/archive.ts";
import { readArchive, readManifestObject } from "../../../src/engine/snapshot/manifest-object.ts";
import { FileWriter } from "../../../src/engine/base/block.ts";
import { StateMachine } from "../../../src/engine/state/state-machine.ts";
import { epoch, manifestName, seq, snapshotName, stamp } from "../../../src/engine/base/ids.ts";
import { compareUtf8, isWhole } from "../../../src/engine/base/json.ts";
import { UNPACKED_BYTES } from "../../../src/engine/base/limits.ts";
import { readManifest, type Manifest } from "../../../src/engine/snapshot/manifest.ts";
import { outcomeText, parseOutcome } from "../../../src/engine/log/outcome.ts";
import { readSegment, sealPayload } from "../../../src/engine/log/segment.ts";
import type { Segment } from "../../../src/engine/base/records.ts";
import { capture } from "../fakes/capture.ts";
import { put } from "../fakes/change.ts";
import { ID, rowOf, type Sent } from "../at-rest.ts";
import { sum } from "../fakes/sum.ts";
import { changedText, changes, PATIENCE_MS, readOrNamed, runs, type Change } from "../hostile.ts";
import { encodeSnapshot, readSnapshot } from "./whole-file.ts";

const operator = sum();
const EVENT: Sent = { text: '{"type":"add","id":"é\\n","data":1}', key: "k\n", ms: 1_769_860_800_000 };
const MARKED: Sent = { ...EVENT, mark: ["p", 1, 7, 0] };
const REFUSED: Sent = { ...EVENT, outcome: { tag: "refused", code: "no", detail: "[1]" } };
const ROWS = [
  rowOf(1, [EVENT, MARKED, REFUSED]),
  rowOf(4, [
    { ...EVENT, outcome: { tag: "quarantined", error: "boom" } },
    { ...MARKED, ms: EVENT.ms + 5 },
  ]),
  rowOf(6, [
    {
      ...EVENT,
      ms: EVENT.ms + 5,
      text: `{"type":"add","id":"3","data":"${"x".repeat(3_000)}"}`,
      outcome: { tag: "applied", reply: "{}" },
    },
  ]),
];

describe("outcomes", () => {
  const known = ['["a",{"n":1}]', '["r","no",[1]]', '["q","boom"]'].map((text) => JSON.parse(text) as unknown);
  const texts = fc.oneof(
    fc.tuple(fc.constantFrom(...known), changes).map(([value, made]) => changedText(value, made)),
    fc.json(),
    fc.string({ unit: "binary" }),
  );

  it(
    "ONE6: any text is one, or damage",
    () => {
      fc.assert(
        fc.property(texts, (text) => {
          const read = readOrNamed(() => parseOutcome(text));
          if ("value" in read) expect(parseOutcome(outcomeText(read.value))).toEqual(read.value);
          else expect(read.named).toBe("Damage");
        }),
        runs(2_000),
      );
    },
    PATIENCE_MS,
  );
});

/** A payload as it is in a row, and again in another one's place. */
const seal = (row: Segment, text: string): Segment => ({ ...row, ...sealPayload([text], 3 * text.length, brotli) });
const payloadOf = (row: Segment): unknown =>
  JSON.parse(row.codec === "json" ? row.payload : brotli.unpack(row.payload)) as unknown;
const rowFields = fc.record(
  { seq: fc.constantFrom(0, -1, 1.5, 2, 2 ** 53), last: fc.constantFrom(-1, 1, 2, 3.5, NaN, Infinity, 2 ** 40) },
  { requiredKeys: [] },
);

describe("segments", () => {
  it(
    "LOG4: a payload of any content is read as events, or broken",
    () => {
      const hostile = fc.tuple(fc.constantFrom(...ROWS), changes, fc.oneof(fc.constant({}), rowFields));
      fc.assert(
        fc.property(hostile, ([row, made, fields]) => {
          expectReplayable({ ...seal(row, changedText(payloadOf(row), made)), ...(fields as Partial<Segment>) });
        }),
        runs(3_000),
      );
    },
    PATIENCE_MS,
  );

  it(
    "LOG4: any text with any codec is read, or broken, or unknown",
    () => {
      const payloads = fc.oneof(fc.json(), fc.string({ unit: "binary" }), fc.base64String());
      fc.assert(
        fc.property(payloads, fc.constantFrom("json", "br64", "zstd"), (payload, codec) => {
          expectReplayable({ ...ROWS[0]!, payload, codec, checksum: brotli.crc32(payload) });
        }),
        runs(2_000),
      );
    },
    PATIENCE_MS,
  );

  it("IN3: an event that could never have been logged breaks the log by name when it is replayed", () => {
    const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
    const command = '{"type":"keyframe.quarantine.retry","id":"1","data":null}';
    for (const text of [`{"type":"add","id":"1","data":${deep}}`, command]) {
      const row = rowOf(1, [{ ...EVENT, text }]);
      const replayed = readOrNamed(() =>
        new StateMachine(operator, 1).replay({ row, events: readSegment(row, brotli) }),
      );
      expect(replayed).toEqual({ named: "log_broken" });
    }
  });

  it("SNAP3: a payload that unpacks to far too much is broken before it takes the memory", () => {
    const payload = brotli.pack(["x".repeat(UNPACKED_BYTES + 1)], UNPACKED_BYTES + 1);
    const row = { ...ROWS[0]!, payload, codec: "br64", checksum: brotli.crc32(payload) };
    expect(readOrNamed(() => readSegment(row, brotli))).toEqual({ named: "log_broken" });
  });
});

function expectReplayable(row: Segment): void {
  const read = readOrNamed(() => readSegment(row, brotli));
  if ("named" in read) {
    expect(["log_broken", "unknown_format"]).toContain(read.named);
    return;
  }
  const events = read.value;
  const count = row.last - row.seq + 1;
  expect([events.events.length, events.keys.length]).toEqual([count, count]);
  expect([...events.outcomes.keys()].every((index) => isWhole(index) && index < count)).toBe(true);
  const machine = new StateMachine(operator, 1);
  machine.seq = seq(row.seq - 1);
  const replayed = readOrNamed(() => machine.replay({ row, events }));
  // An event may say what no sender could have logged.
  if ("named" in replayed) {
    expect(replayed.named).toBe("log_broken");
    return;
  }
  expect(machine.seq).toBe(row.last);
  for (const producer of machine.producers.image()) expect(producer.marks.length).toBeGreaterThan(0);
}

const DESCRIBED: Omit<Manifest, "checksum"> = {
  format: "keyframe.manifest",
  v: 1,
  number: 12,
  kind: "full",
  ...ID,
  operatorVersion: 2,
  code: "abc",
  epoch: epoch(7),
  attempt: "0000000007-000001-nonce",
  seq: seq(6),
  stamp: stamp(1_769_860_800_000 * 1024),
  at: "2026-01-31T12:00:00.000Z",
  ms: 12,
  keys: 3,
  stateBytes: 99,
  dedupSince: null,
  snapshot: { name: snapshotName(ID, "a"), bytes: 10, sha256: "00ff" },
  archive: { name: manifestName(ID, 12, "a"), from: seq(0), to: seq(6), codec: "br", blocks: [[0, 5, 6, 1, 6]] },
};

/** With the right checksum for whatever it says, as far as it can have one. */
function signed(text: string): string {
  const { checksum: _, ...rest } = (JSON.parse(text) ?? {}) as Record<string, unknown>;
  try {
    return JSON.stringify({ ...rest, checksum: brotli.crc32(JSON.stringify(rest)) });
  } catch {
    // Nested too deep to be written by the same means.
    return `${text.slice(0, -1)},"checksum":1}`;
  }
}

describe("manifests", () => {
  it(
    "SNAP3: one of any content is read as something that makes sense, or named",
    () => {
      fc.assert(
        fc.property(changes, (made) => {
          const text = signed(changedText(DESCRIBED, made));
          const read = readOrNamed(() => readManifest(text, brotli.crc32));
          if ("named" in read) {
            expect(["Damage", "unknown_format"]).toContain(read.named);
            return;
          }
          expectSense(read.value);
        }),
        runs(2_000),
      );
    },
    PATIENCE_MS,
  );
});

function expectSense(manifest: Manifest): void {
  const {
    number: version,
    partition,
    epoch,
    seq,
    stamp,
    keys,
    stateBytes,
    operatorVersion,
    archive,
    snapshot,
  } = manifest;
  for (const n of [version, partition, epoch, seq, stamp, keys, stateBytes, operatorVersion, snapshot.bytes])
    expect(isWhole(n)).toBe(true);
  expect(typeof snapshot.name + typeof manifest.at + typeof manifest.code).toBe("stringstringstring");
  let end = archive.blocks[0] === undefined ? archive.to : archive.blocks[0][3] - 1;
  expect(end).toBeGreaterThanOrEqual(archive.from);
  for (const [offset, length, , first, last] of archive.blocks) {
    expect([offset, length].every(isWhole)).toBe(true);
    expect(first).toBe(end + 1);
    expect(last).toBeGreaterThanOrEqual(first);
    end = last;
  }
  expect([end, archive.to]).toEqual([seq, seq]);
}

interface Hostility {
  /** Of the manifest, once its blocks are described, and of one block's rows. */
  readonly manifest: readonly Change[];
  readonly rows: readonly Change[];
  readonly block: number;
  /** In place of a block's bytes. */
  readonly bytes: Uint8Array | null;
}

const hostility: fc.Arbitrary<Hostility> = fc.record({
  manifest: fc.oneof(fc.constant([]), changes),
  rows: fc.oneof(fc.constant([]), changes),
  block: fc.nat(1),
  bytes: fc.oneof({ weight: 9, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: fc.uint8Array() }),
});

function manifestObject({ manifest, rows, block, bytes }: Hostility): Uint8Array {
  const packed = new FileWriter();
  const blocks = [ROWS.slice(0, 2), ROWS.slice(2)].map((some, i) => {
    const text = i === block ? changedText(JSON.parse(archiveText(some)), rows) : archiveText(some);
    const stored = i === block && bytes !== null ? bytes : brotli.compressFast(text);
    return [...packed.write(stored, brotli), some[0]!.seq, some.at(-1)!.last];
  });
  const described = { ...DESCRIBED, archive: { ...DESCRIBED.archive, blocks } };
  const file = new FileWriter();
  file.write(brotli.encode(`${signed(changedText(described, manifest))}\n`), brotli);
  file.write(packed.bytes(), brotli);
  return file.bytes();
}

describe("archives", () => {
  it(
    "SNAP3: one of any content gives segments that follow each other, or is named",
    () => {
      fc.assert(
        fc.property(hostility, fc.nat(7), (made, after) => {
          const file = manifestObject(made);
          const read = readOrNamed(() => [...readArchive(file, brotli, seq(after))]);
          if ("named" in read) {
            expect(["Damage", "unknown_format", "log_broken"]).toContain(read.named);
            return;
          }
          expectSense(readManifestObject(file, brotli).manifest);
          let end: number | null = null;
          for (const { row, events } of read.value) {
            if (end !== null) expect(row.seq).toBe(end + 1);
            expect(events.events.length).toBe(row.last - row.seq + 1);
            expect([row.stamp, row.epoch, row.bytes, row.operatorVersion].every(isWhole)).toBe(true);
            end = row.last;
          }
        }),
        runs(2_000),
      );
    },
    PATIENCE_MS,
  );

  it(
    "SNAP3: any bytes are damage",
    () => {
      fc.assert(
        fc.property(fc.uint8Array(), fc.boolean(), (bytes, lined) => {
          const file = lined ? Uint8Array.of(...bytes, 10, ...bytes) : bytes;
          expect(readOrNamed(() => readManifestObject(file, brotli))).toEqual({ named: "Damage" });
        }),
        runs(1_000),
      );
    },
    PATIENCE_MS,
  );
});

/** A partition that has something of everything. */
function folded(): StateMachine {
  const machine = new StateMachine(operator, 1);
  for (const row of ROWS) machine.replay({ row, events: readSegment(row, brotli) });
  ["a", "b\t", "ü", "😀"].forEach((key, i) =>
    put(machine.state, key, { text: `{"n":${i}}`, seq: seq(i + 1), stamp: stamp(i + 1) }),
  );
  for (const id of ["p", "q"]) machine.producers.set([id, 2, 9, 3, 6], seq(6));
  machine.producers.committed(seq(6), EVENT.ms);
  return machine;
}

const LISTS = ["state", "prints", "answers", "quarantine", "producers", "filter"] as const;
interface Parts {
  readonly footer: Record<string, unknown>;
  readonly lists: Record<(typeof LISTS)[number], Uint8Array[]>;
}

const WHOLE = await encodeSnapshot(ID, capture(folded()), brotli, () => Promise.resolve());

function partsOf(file: Uint8Array): Parts {
  const at = new DataView(file.buffer, file.byteOffset).getUint32(file.length - 16, true);
  const text = brotli.decode(file.subarray(file.length - 16 - at, file.length - 16));
  const footer = JSON.parse(text) as Record<string, [number, number][]>;
  const bytesOf = (name: string): Uint8Array[] =>
    footer[name]!.map(([offset, length]) => file.slice(offset, offset + length));
  const lists = Object.fromEntries(LISTS.map((name) => [name, bytesOf(name)])) as Parts["lists"];
  return { footer, lists };
}

/** How a line of one list is changed: its JSON, its fields between tabs, or the list of lines. */
interface LineChange {
  readonly list: (typeof LISTS)[number];
  readonly line: number;
  readonly how: "json" | "field" | "twice" | "gone" | "swapped" | "bytes";
  readonly made: readonly Change[];
  readonly field: string;
  readonly bytes: Uint8Array;
}

const fields = fc.constantFrom(
  "",
  "0",
  "-1",
  "1.5",
  "1e400",
  "NaN",
  "9007199254740993",
  '""',
  '"a"',
  '"\\ud800"',
  "{",
  "null",
  '["a"]',
  '["r","x"]',
  '[ "r","x",1]',
  '["q","x"]',
  "x",
  " 1",
  "0x1",
);
const lineChange: fc.Arbitrary<LineChange> = fc.record({
  list: fc.constantFrom(...LISTS),
  line: fc.nat(9),
  how: fc.constantFrom<LineChange["how"][]>("json", "json", "field", "field", "twice", "gone", "swapped", "bytes"),
  made: changes,
  field: fields,
  bytes: fc.oneof(
    fc.uint8Array(),
    fc.json().map((text) => brotli.compress(text)),
  ),
});

function changedBlock(stored: Uint8Array, { list, line, how, made, field, bytes }: LineChange): Uint8Array {
  if (how === "bytes" || list === "prints" || list === "filter") return bytes;
  const lines = brotli.decompress(stored).split("\n");
  const at = line % lines.length;
  const parts = lines[at]!.split("\t");
  const place = (line * 3) % parts.length;
  switch (how) {
    case "json":
      parts[parts.length - 1] = changedText(JSON.parse(parts.at(-1)!), made);
      lines[at] = parts.join("\t");
      break;
    case "field":
      lines[at] = parts.with(place, field).join("\t");
      break;
    case "twice":
      lines.splice(at, 0, lines[at]!);
      break;
    case "gone":
      lines.splice(at, 1);
      break;
    case "swapped":
      lines.push(...lines.splice(at, 1));
      break;
  }
  return brotli.compress(lines.join("\n"));
}

const words = (...values: number[]): Uint8Array => new Uint8Array(Uint32Array.from(values).buffer);

/** The file with one line and its footer changed, and every checksum, length and count as it must be. */
function snapshotFile(line: LineChange | null, footerChanges: readonly Change[]): Uint8Array {
  const { footer, lists } = partsOf(WHOLE);
  const file = new FileWriter();
  file.write(brotli.encode("KEYFRAME"), brotli);
  file.write(words(1), brotli);
  for (const name of LISTS) {
    const old = footer[name] as (number | string)[][];
    footer[name] = lists[name].map((stored, i) => {
      const bytes = line?.list === name ? changedBlock(stored, line) : stored;
      const [records, first] = recordsOf(name, bytes, old[i]!);
      return [...file.write(bytes, brotli), records, first];
    });
  }
  const text = footerChanges.length === 0 ? JSON.stringify(footer) : changedText(footer, footerChanges);
  const [, length, crc] = file.write(brotli.encode(text), brotli);
  file.write(words(length, crc), brotli);
  file.write(brotli.encode("KEYFRAME"), brotli);
  return file.bytes();
}

function recordsOf(name: string, bytes: Uint8Array, old: (number | string)[]): [unknown, unknown] {
  if (name === "prints") return [bytes.length / 24, ""];
  if (name === "filter") return [1, ""];
  try {
    const lines = brotli.decompress(bytes).split("\n");
    return [lines.length, name === "state" ? JSON.parse(lines[0]!.split("\t")[0]!) : old[4]];
  } catch {
    return [old[3], old[4]];
  }
}

describe("snapshot files", () => {
  it("are what these tests take them for", () => {
    expect(snapshotFile(null, [])).toEqual(WHOLE);
    const { state, quarantine, answers, producers, prints } = partsOf(WHOLE).footer as Record<string, unknown[][]>;
    for (const list of [state, quarantine, answers, producers, prints]) expect(list).toHaveLength(1);
  });

  it(
    "SNAP3: one of any content gives a state that can be used and written again, or is named",
    () => {
      const hostile = fc.oneof(
        fc.tuple(lineChange, fc.constant([])),
        fc.tuple(fc.constant(null), changes),
        fc.tuple(lineChange, changes),
      );
      return fc.assert(
        fc.asyncProperty(hostile, async ([line, footer]) => {
          await expectUsable(snapshotFile(line, footer));
        }),
        runs(3_000),
      );
    },
    PATIENCE_MS,
  );

  it(
    "SNAP3: any bytes, and any footer, are named",
    () => {
      const footers = fc.oneof(
        fc.json().map((text) => brotli.encode(text)),
        fc.uint8Array(),
      );
      return fc.assert(
        fc.asyncProperty(footers, fc.uint8Array(), async (footer, blocks) => {
          const end = words(footer.length, brotli.crc32(footer));
          const magic = brotli.encode("KEYFRAME");
          await expectUsable(new Uint8Array(Buffer.concat([magic, words(1), blocks, footer, end, magic])));
          await expectUsable(blocks);
        }),
        runs(1_000),
      );
    },
    PATIENCE_MS,
  );

  it("SNAP3: a count that the file can't hold is damage before it takes the memory", () => {
    for (const last of [2 ** 31, 2 ** 40, 2 ** 53 - 1]) {
      const footer = partsOf(WHOLE).footer as { seq: number; dedup: { last: number; minutes: number[][] } };
      const change = (where: string, value: unknown): Change => ({
        where: slotOf(footer, where),
        how: "replace",
        value,
      });
      const minutes = footer.dedup.minutes.map(([minute]) => [minute, last]);
      const file = snapshotFile(null, [change("minutes", minutes), change("last", last), change("seq", last)]);
      expect(readOrNamed(() => readSnapshot(file, new StateMachine(operator, 1), ID, brotli))).toEqual({
        named: "Damage",
      });
    }
  });

  it("SNAP3: a block that unpacks to far too much is damage before it takes the memory", () => {
    const bytes = brotli.compressFast(" ".repeat(UNPACKED_BYTES + 1));
    const file = snapshotFile({ list: "answers", line: 0, how: "bytes", made: [], field: "", bytes }, []);
    expect(readOrNamed(() => readSnapshot(file, new StateMachine(operator, 1), ID, brotli))).toEqual({
      named: "Damage",
    });
  });

  it.each<[member: string, value: unknown, named: string]>([
    ["operatorVersion", -(2 ** 53 - 1), "Damage"],
    ["operatorVersion", 2 ** 40, "state_newer"],
    ["v", "<deep>", "unknown_format"],
    ["minutes", [[0, 6, null]], "Damage"],
    ["minutes", [[2 ** 50, 6]], "Damage"],
    ["minutes", [], "Damage"],
    ["keys", 3, "Damage"],
    ["repliesFrom", 8, "Damage"],
    ["state", [], "Damage"],
    ["answers", null, "Damage"],
    ["producers", [[12, 1.5, 0, 1, ""]], "Damage"],
    ["stamp", "<1e400>", "Damage"],
  ])("SNAP3: a footer whose %s is %j is refused as %s", (member, value, named) => {
    const file = snapshotFile(null, [{ where: slotOf(partsOf(WHOLE).footer, member), how: "replace", value }]);
    expect(readOrNamed(() => readSnapshot(file, new StateMachine(operator, 1), ID, brotli))).toEqual({ named });
  });

  it("SNAP3: a delta is not taken for a full snapshot", () => {
    const { footer } = partsOf(WHOLE);
    const file = snapshotFile(null, [{ where: slotOf(footer, "base"), how: "replace", value: 3 }]);
    expect(readOrNamed(() => readSnapshot(file, new StateMachine(operator, 1), ID, brotli))).toEqual({
      named: "Damage",
    });
  });
});

/** The place of the first member of that name, as `Change.where` counts. */
function slotOf(value: object, name: string): number {
  let at = 0;
  const find = (holder: object): boolean =>
    Object.entries(holder).some(([member, inner]: [string, unknown]) => {
      at += 1;
      return member === name || (typeof inner === "object" && inner !== null && find(inner));
    });
  find(value);
  return at;
}

async function expectUsable(file: Uint8Array): Promise<void> {
  const machine = new StateMachine(operator, 1);
  const read = readOrNamed(() => readSnapshot(file, machine, ID, brotli));
  if ("named" in read) {
    expect(["Damage", "unknown_format", "state_newer"]).toContain(read.named);
    return;
  }
  const captured = capture(machine);
  const keys = captured.entries.map(([key]) => key);
  expect(keys.every((key, i) => key !== "" && (i === 0 || compareUtf8(keys[i - 1]!, key) < 0))).toBe(true);
  for (const [, entry] of captured.entries) {
    const { text, seq, stamp } = entry!;
    expect([text !== "", seq > 0, seq <= machine.seq, stamp <= machine.stamp]).toEqual([true, true, true, true]);
  }
  for (const [at, outcome] of captured.dedup.answers) {
    expect(at).toBeLessThanOrEqual(machine.seq);
    // A reply is only looked at when somebody wants it, and then it is an outcome or has a name.
    if (!outcome.startsWith('["a",')) expect(outcomeText(parseOutcome(outcome))).toBe(outcome);
    else readOrNamed(() => parseOutcome(outcome));
  }
  if (machine.dedup.sinceMs !== null) new Date(machine.dedup.sinceMs).toISOString();
  for (const entry of machine.quarantine.list()) if ("now" in entry) new Date(entry.now).toISOString();
  const again = new StateMachine(operator, 1);
  readSnapshot(await encodeSnapshot(ID, captured, brotli, () => Promise.resolve()), again, ID, brotli);
  expect(capture(again)).toEqual(captured);
  // The log continues above it.
  const next = { ...rowOf(machine.seq + 1, [EVENT, MARKED]), stamp: stamp(machine.stamp + 1) };
  machine.replay({ row: next, events: readSegment(next, brotli) });
  expect(machine.seq).toBe(captured.seq + 2);
  capture(machine);
}
