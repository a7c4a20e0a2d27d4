/**
 * Snapshot files: the state of a partition at one seq. The bytes are specified in docs/spec.md.
 *
 * F1. magic + version, blocks, footer (JSON), trailer (length and CRC-32 of the footer, magic). The footer lists every
 *     block with its checksum and, for state blocks, its first key: one key can be read with range requests.
 * F2. State blocks are lines `"key" TAB seq TAB stamp TAB state` in the order of the keys' UTF-8 bytes; a line without a
 *     state says that the key was removed, which only a delta may hold.
 * F4. A delta holds what changed above its base's seq (SNAP5) and is read on top of it. It has a format number of its own, so
 *     that code which knows full files only can't take it for one.
 * F3. A file is encoded in slices, so that events go on meanwhile (SNAP1); what is encoded was captured in one turn.
 */
import { FileWriter, readBlock, unpack } from "./blocks.ts";
import type { DedupImage, Minute } from "./dedup.ts";
import { Damage, Failure, messageOf } from "./errors.ts";
import type { Fold } from "./fold.ts";
import { HASH_NAME, PRINT_WORDS } from "./hash.ts";
import { partitionName, seq, stamp, type PartitionId, type Seq, type Stamp } from "./ids.ts";
import type { JsonObject } from "./json.ts";
import { BLOCK_CHARS } from "./limits.ts";
import type { Codec } from "./ports.ts";
import type { ProducerImage } from "./producers.ts";
import type { QuarantineChange } from "./quarantine.ts";
import { stampMs } from "./stamp.ts";
import type { Entry } from "./state.ts";
import type { Operator } from "./operator.ts";
import { toJson } from "./json.ts";

/** Of a full file, and of a delta. */
export const SNAPSHOT_FORMAT = 1;
export const DELTA_FORMAT = 2;
const MAGIC = "KEYFRAME";
const TRAILER = 16;
const HEAD = 12;

/** [offset, length, CRC-32, records, first key] */
type Block = readonly [offset: number, length: number, crc: number, records: number, first: string];

interface Footer {
  readonly v: number;
  readonly partition: string;
  readonly operatorVersion: number;
  readonly hash: string;
  readonly codec: string;
  /** Exclusive: 0 for a full snapshot, else the seq of the snapshot that this one is a delta on. */
  readonly base: number;
  readonly seq: number;
  readonly stamp: number;
  readonly keys: number;
  readonly state: readonly Block[];
  readonly dedup: {
    readonly first: number;
    readonly last: number;
    readonly repliesFrom: number;
    readonly minutes: readonly Minute[];
  };
  readonly prints: readonly Block[];
  readonly answers: readonly Block[];
  readonly quarantine: readonly Block[];
  /** Numbering producers (ONE2); missing in files of code that didn't know them. */
  readonly producers?: readonly Block[];
}

const formatOf = (base: number): number => (base === 0 ? SNAPSHOT_FORMAT : DELTA_FORMAT);

/** What a snapshot holds, captured in one turn. */
export interface Capture {
  readonly operatorVersion: number;
  /** 0: everything; else what changed above this seq. */
  readonly base: Seq;
  readonly seq: Seq;
  readonly stamp: Stamp;
  /** Keys of the whole state. */
  readonly keys: number;
  /** In the order of the keys' bytes; null: the key is gone. */
  readonly entries: readonly (readonly [string, Entry | null])[];
  readonly dedup: DedupImage;
  readonly quarantine: readonly QuarantineChange[];
  readonly producers: readonly ProducerImage[];
}

/** Everything that is committed, or what changed of it above `base`, the seq of the snapshot that is current. */
export function capture(fold: Fold, base: Seq = seq(0)): Capture {
  return {
    operatorVersion: fold.operator.version,
    base,
    seq: fold.seq,
    stamp: fold.stamp,
    keys: fold.state.keys,
    entries: base === 0 ? fold.state.capture() : fold.state.changes(base),
    dedup: fold.dedup.image(fold.seq, base),
    quarantine: base === 0 ? fold.quarantine.list() : fold.quarantine.changes(base),
    producers: fold.producers.image(base),
  };
}

/** The file of a snapshot. `pause` is awaited between slices of work. */
export async function encodeSnapshot(
  id: PartitionId,
  captured: Capture,
  codec: Codec,
  pause: () => Promise<void>,
): Promise<Uint8Array> {
  const file = new FileWriter();
  file.write(codec.encode(MAGIC), codec);
  const format = formatOf(captured.base);
  file.write(words([format]), codec);
  const state = await writeLines(file, captured.entries, stateLine, codec, pause);
  const prints = writePrints(file, captured.dedup.prints, codec);
  const answers = await writeLines(
    file,
    captured.dedup.answers,
    ([at, outcome]) => [String(at), `${at}\t${outcome}`],
    codec,
    pause,
  );
  const quarantine = await writeLines(
    file,
    captured.quarantine,
    (entry) => [String(entry.seq), JSON.stringify(entry)],
    codec,
    pause,
  );
  const producers = await writeLines(
    file,
    captured.producers,
    (producer) => [producer.id, JSON.stringify(producer)],
    codec,
    pause,
  );
  const { first, last, repliesFrom, minutes } = captured.dedup;
  const footer: Footer = {
    v: format,
    partition: partitionName(id),
    operatorVersion: captured.operatorVersion,
    hash: HASH_NAME,
    codec: codec.name,
    base: captured.base,
    seq: captured.seq,
    stamp: captured.stamp,
    keys: captured.keys,
    state,
    dedup: { first, last, repliesFrom, minutes },
    prints,
    answers,
    quarantine,
    producers,
  };
  const [, length, crc] = file.write(codec.encode(JSON.stringify(footer)), codec);
  file.write(words([length, crc]), codec);
  file.write(codec.encode(MAGIC), codec);
  return file.bytes();
}

const stateLine = ([key, entry]: readonly [string, Entry | null]): [string, string] => [
  key,
  entry === null
    ? `${JSON.stringify(key)}\t0\t0`
    : `${JSON.stringify(key)}\t${entry.seq}\t${entry.stamp}\t${entry.text}`,
];

/** Lines in blocks of about BLOCK_CHARS, each compressed by itself. */
async function writeLines<T>(
  file: FileWriter,
  items: readonly T[],
  line: (item: T) => [first: string, text: string],
  codec: Codec,
  pause: () => Promise<void>,
): Promise<Block[]> {
  const blocks: Block[] = [];
  let lines: string[] = [];
  let size = 0;
  let first = "";
  const flush = (): void => {
    blocks.push([...file.write(codec.compress(lines.join("\n")), codec), lines.length, first]);
    lines = [];
    size = 0;
  };
  for (const item of items) {
    const [name, text] = line(item);
    if (lines.length === 0) first = name;
    lines.push(text);
    size += text.length;
    if (size < BLOCK_CHARS) continue;
    flush();
    await pause();
  }
  if (lines.length > 0) flush();
  return blocks;
}

/** Prints don't compress: they stand as little-endian words. */
function writePrints(file: FileWriter, prints: Uint32Array, codec: Codec): Block[] {
  if (prints.length === 0) return [];
  return [
    [
      ...file.write(new Uint8Array(prints.buffer, prints.byteOffset, prints.byteLength), codec),
      prints.length / PRINT_WORDS,
      "",
    ],
  ];
}

/**
 * Fills a fold from a snapshot file: a fresh one from a full file, then from each delta on it in their order. States are
 * migrated to the operator's version, one entry of `migrate` for each step.
 *
 * @throws Damage where the file isn't whole, Failure unknown_format | state_newer where this code can't read it
 */
export function readSnapshot(file: Uint8Array, fold: Fold, id: PartitionId, codec: Codec): void {
  const footer = readFooter(file, codec);
  if (footer.partition !== partitionName(id))
    throw new Damage(`the snapshot is of partition ${footer.partition}, not ${partitionName(id)}`);
  if (footer.codec !== codec.name || footer.hash !== HASH_NAME)
    throw new Failure(
      "unknown_format",
      `the snapshot is written with codec "${footer.codec}" and hash "${footer.hash}"; this code has "${codec.name}" and "${HASH_NAME}"`,
    );
  if (footer.v !== formatOf(footer.base) || footer.base !== fold.seq || footer.seq < footer.base)
    throw new Damage(
      `the snapshot at ${footer.seq} builds on seq ${footer.base}, what was read before it is at ${fold.seq}`,
    );
  const records = footer.state.reduce((sum, block) => sum + block[3], 0);
  if (footer.base === 0 && records !== footer.keys)
    throw new Damage(`the snapshot says ${footer.keys} keys and holds ${records}`);
  const migrate = migration(fold.operator, footer.operatorVersion);
  for (const line of lines(file, footer.state, codec, "a state block"))
    readStateLine(line, fold, migrate, footer.base > 0);
  if (fold.state.keys !== footer.keys)
    throw new Damage(`the snapshot says ${footer.keys} keys and holds ${fold.state.keys}`);
  if (!fold.dedup.restore(readDedup(file, footer, codec)))
    throw new Damage(`the prints of the snapshot at ${footer.seq} don't follow those of its base`);
  for (const line of lines(file, footer.quarantine, codec, "a quarantine block")) {
    const change = JSON.parse(line) as QuarantineChange;
    if ("gone" in change) fold.quarantine.restoreRemoved(change.seq);
    else fold.quarantine.restore(change);
  }
  for (const line of lines(file, footer.producers ?? [], codec, "a block of producers"))
    fold.producers.restore(JSON.parse(line) as ProducerImage);
  fold.seq = seq(footer.seq);
  fold.stamp = stamp(footer.stamp);
  fold.producers.committed(fold.seq, stampMs(fold.stamp));
}

function readFooter(file: Uint8Array, codec: Codec): Footer {
  if (file.length < HEAD + TRAILER) throw new Damage(`the snapshot has ${file.length} bytes, too few to be one`);
  if (magic(file, 0) !== MAGIC || magic(file, file.length - 8) !== MAGIC)
    throw new Damage("the snapshot doesn't begin and end as one");
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const version = view.getUint32(8, true);
  if (version !== SNAPSHOT_FORMAT && version !== DELTA_FORMAT)
    throw new Failure(
      "unknown_format",
      `the snapshot has format ${version}; this code reads ${SNAPSHOT_FORMAT} and ${DELTA_FORMAT}: deploy the code that wrote it, or newer`,
    );
  const length = view.getUint32(file.length - TRAILER, true);
  const crc = view.getUint32(file.length - TRAILER + 4, true);
  const bytes = readBlock(file, file.length - TRAILER - length, length, crc, codec, "the snapshot's footer");
  try {
    return JSON.parse(codec.decode(bytes)) as Footer;
  } catch {
    throw new Damage("the snapshot's footer isn't JSON");
  }
}

const magic = (file: Uint8Array, at: number): string => String.fromCharCode(...file.subarray(at, at + MAGIC.length));

function* lines(file: Uint8Array, blocks: readonly Block[], codec: Codec, what: string): Generator<string> {
  for (const [offset, length, crc, records] of blocks) {
    const found = unpack(readBlock(file, offset, length, crc, codec, what), codec, what).split("\n");
    if (found.length !== records)
      throw new Damage(`${what} at ${offset} says ${records} records and holds ${found.length}`);
    yield* found;
  }
}

function readStateLine(
  line: string,
  fold: Fold,
  migrate: ((text: string, key: string) => string) | null,
  delta: boolean,
): void {
  const a = line.indexOf("\t");
  const b = line.indexOf("\t", a + 1);
  const c = line.indexOf("\t", b + 1);
  if (a < 0 || b < 0 || (c < 0 && !delta)) throw new Damage("a state block holds a line that is no state");
  const quoted = line.slice(0, a);
  const key = quoted.includes("\\") ? (JSON.parse(quoted) as string) : quoted.slice(1, -1);
  if (c < 0) return fold.state.restoreRemoved(key);
  const text = line.slice(c + 1);
  fold.state.restore(key, {
    text: migrate === null ? text : migrate(text, key),
    seq: seq(Number(line.slice(a + 1, b))),
    stamp: stamp(Number(line.slice(b + 1, c))),
  });
}

function readDedup(file: Uint8Array, footer: Footer, codec: Codec): DedupImage {
  const answers = [...lines(file, footer.answers, codec, "an answers block")].map((line): [number, string] => {
    const tab = line.indexOf("\t");
    return [Number(line.slice(0, tab)), line.slice(tab + 1)];
  });
  const { first, last } = footer.dedup;
  const from = Math.max(first, footer.base + 1);
  const prints = new Uint32Array(Math.max(0, last - from + 1) * PRINT_WORDS);
  const bytes = new Uint8Array(prints.buffer);
  let at = 0;
  for (const [offset, length, crc] of footer.prints) {
    if (at + length > bytes.length) throw new Damage("the snapshot holds more prints than it says");
    bytes.set(readBlock(file, offset, length, crc, codec, "a block of prints"), at);
    at += length;
  }
  if (at !== bytes.length)
    throw new Damage(`the snapshot says ${last - from + 1} prints and holds ${at / 4 / PRINT_WORDS}`);
  return { ...footer.dedup, prints, answers };
}

/** The way from a state of an older version to the operator's, or null where there is nothing to do. */
function migration(operator: Operator, from: number): ((text: string, key: string) => string) | null {
  if (from === operator.version) return null;
  if (from > operator.version)
    throw new Failure(
      "state_newer",
      `the snapshot holds state of version ${from}, and operator "${operator.name}" is at version ${operator.version}: deploy version ${from} or newer`,
    );
  const steps = Array.from({ length: operator.version - from }, (_, i) => operator.migrate.get(from + i + 1)!);
  return (text, key) => {
    const refuse = (why: string): never => {
      throw new Failure(
        "snapshot_unreadable",
        `migrating key ${JSON.stringify(key)} from version ${from} to ${operator.version} ${why}: mend the migration and deploy again`,
      );
    };
    let state: unknown = JSON.parse(text);
    try {
      for (const step of steps) state = step(state as JsonObject);
    } catch (error) {
      return refuse(`throws, ${messageOf(error)}`);
    }
    const json = toJson(state);
    return json.tag === "json" ? json.text : refuse(`gives no JSON, ${json.why}`);
  };
}

function words(values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  const view = new DataView(bytes.buffer);
  values.forEach((value, i) => view.setUint32(i * 4, value, true));
  return bytes;
}
