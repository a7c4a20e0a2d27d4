/**
 * Snapshot files: the state of a partition at one seq. The bytes are specified in docs/spec.md.
 *
 * F1. magic + version, blocks, footer (JSON), trailer (length and CRC-32 of the footer, magic). The footer lists every
 *     block with its checksum and, for state blocks, its first key: one key can be read with range requests.
 * F2. State blocks are lines `"key" TAB seq TAB stamp TAB state` in the order of the keys' UTF-8 bytes; in a delta
 *     `"key" TAB 0 TAB 0` says that the key is gone.
 * F4. A delta holds what changed above its base's seq (SNAP5) and is read on top of it. It has a format number of its own, so
 *     that code which knows full files only can't take it for one.
 *     The texts of states and replies are taken as they are, since parsing all of them would double the time of a
 *     recovery: that a block is what was written, its checksum says, and JSON is all that is ever written.
 * F3. A file is encoded in slices, so that events go on meanwhile (SNAP1); what is encoded was captured in one turn.
 */
import { FileWriter, parseJson, readBlock, unpack } from "./blocks.ts";
import type { DedupImage } from "./dedup.ts";
import { Damage, Failure, messageOf } from "./errors.ts";
import type { Fold } from "./fold.ts";
import { HASH_NAME, PRINT_WORDS } from "./hash.ts";
import { partitionName, seq, stamp, type PartitionId, type Seq, type Stamp } from "./ids.ts";
import { compareUtf8, toJson, type JsonObject } from "./json.ts";
import { BLOCK_CHARS } from "./limits.ts";
import type { Codec } from "./ports.ts";
import { isKept } from "./outcome.ts";
import { readProducer, type ProducerImage } from "./producers.ts";
import { readQuarantined, type QuarantineChange } from "./quarantine.ts";
import { formatOf, MAGIC, readFooter, type Block, type Footer } from "./snapshot-footer.ts";
import { stampMs } from "./stamp.ts";
import type { Entry } from "./state.ts";
import type { Operator } from "./operator.ts";

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
 * migrated to the operator's version, one entry of `migrate` for each step. Ids of events below `idsFrom`, which the last of
 * the files doesn't know any more, are left out.
 *
 * @throws Damage where the file isn't whole, Failure unknown_format | state_newer where this code can't read it
 */
export function readSnapshot(file: Uint8Array, fold: Fold, id: PartitionId, codec: Codec, idsFrom = 0): void {
  const footer = readFooter(file, codec);
  if (footer.partition !== partitionName(id))
    throw new Damage(`the snapshot is of partition ${footer.partition}, not ${partitionName(id)}`);
  if (footer.codec !== codec.name || footer.hash !== HASH_NAME)
    throw new Failure(
      "unknown_format",
      `the snapshot is written with codec "${footer.codec}" and hash "${footer.hash}"; this code has "${codec.name}" and "${HASH_NAME}"`,
    );
  if (footer.base !== fold.seq)
    throw new Damage(
      `the snapshot at ${footer.seq} builds on seq ${footer.base}, what was read before it is at ${fold.seq}`,
    );
  const delta = footer.base > 0;
  const migrate = migration(fold.operator, footer.operatorVersion);
  readState(file, footer, fold, codec, migrate);
  if (!fold.dedup.restore(keptFrom(readDedup(file, footer, codec), idsFrom)))
    throw new Damage(`the prints of the snapshot at ${footer.seq} don't follow those of its base`);
  let after = 0;
  for (const line of lines(file, footer.quarantine, codec, "a quarantine block")) {
    const change = readQuarantined(line, delta);
    after = next(change.seq, after, footer.seq, "a quarantined event");
    if ("gone" in change) fold.quarantine.restoreRemoved(change.seq);
    else fold.quarantine.restore(change);
  }
  readProducers(file, footer, fold, codec);
  fold.seq = seq(footer.seq);
  fold.stamp = stamp(footer.stamp);
  fold.producers.committed(fold.seq, stampMs(fold.stamp));
}

function readProducers(file: Uint8Array, footer: Footer, fold: Fold, codec: Codec): void {
  const seen = new Set<string>();
  for (const line of lines(file, footer.producers ?? [], codec, "a block of producers")) {
    const producer = readProducer(line);
    if (seen.has(producer.id) || producer.seq <= footer.base || producer.seq > footer.seq)
      throw new Damage(`producer ${JSON.stringify(producer.id)} stands in the snapshot twice, or where it shouldn't`);
    seen.add(producer.id);
    fold.producers.restore(producer);
  }
}

/** The seq, if it is above `after` and no higher than `last`. @throws Damage */
export function next(at: number, after: number, last: number, what: string): number {
  if (at <= after || at > last)
    throw new Damage(`${what} has seq ${at}, where one above ${after} and up to ${last} should be`);
  return at;
}

export function* lines(file: Uint8Array, blocks: readonly Block[], codec: Codec, what: string): Generator<string> {
  for (const [offset, length, crc, records] of blocks) {
    const found = unpack(readBlock(file, offset, length, crc, codec, what), codec, what).split("\n");
    if (found.length !== records)
      throw new Damage(`${what} at ${offset} says ${records} records and holds ${found.length}`);
    yield* found;
  }
}

type Migrate = ((text: string, key: string) => string) | null;

function readState(file: Uint8Array, footer: Footer, fold: Fold, codec: Codec, migrate: Migrate): void {
  let before = "";
  for (const block of footer.state) {
    let first = true;
    for (const line of lines(file, [block], codec, "a state block")) {
      const [key, entry] = readStateLine(line, footer, migrate);
      if (compareUtf8(before, key) >= 0 || (first && key !== block[4]))
        throw new Damage("the keys of the snapshot are not in order");
      if (entry === null) fold.state.restoreRemoved(key);
      else fold.state.restore(key, entry);
      before = key;
      first = false;
    }
  }
  if (fold.state.keys !== footer.keys)
    throw new Damage(`the snapshot says ${footer.keys} keys and holds ${fold.state.keys}`);
}

/** What follows the key in a line that says it is gone. */
const GONE = "\t0\t0";
// oxlint-disable-next-line no-control-regex -- what JSON escapes
const PLAIN_KEY = /^"[^"\\\u0000-\u001f]+"$/;

export function readStateLine(line: string, footer: Footer, migrate: Migrate): [key: string, entry: Entry | null] {
  const a = line.indexOf("\t");
  const b = line.indexOf("\t", a + 1);
  const c = line.indexOf("\t", b + 1);
  const gone = footer.base > 0 && line.endsWith(GONE) && a === line.length - GONE.length;
  if (!gone && (a < 0 || b < 0 || c < 0)) throw new Damage("a state block holds a line that is no state");
  const quoted = line.slice(0, a);
  const key = PLAIN_KEY.test(quoted) ? quoted.slice(1, -1) : parseJson(quoted, "a key of the snapshot");
  if (gone && typeof key === "string" && key !== "") return [key, null];
  const [at, by] = [numberOf(line.slice(a + 1, b)), numberOf(line.slice(b + 1, c))];
  const text = line.slice(c + 1);
  const sound = at > footer.base && at <= footer.seq && by >= 0 && by <= footer.stamp && text !== "";
  if (typeof key !== "string" || key === "" || !sound) throw new Damage("a state block holds a line that is no state");
  return [key, { text: migrate === null ? text : migrate(text, key), seq: seq(at), stamp: stamp(by) }];
}

/** Of digits and nothing else; -1: it is none. By hand, since there are two in every line. */
function numberOf(text: string): number {
  let value = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return text !== "" && Number.isSafeInteger(value) ? value : -1;
}

function keptFrom(image: DedupImage, from: number): DedupImage {
  if (from <= image.first) return image;
  const begin = image.last + 1 - image.prints.length / PRINT_WORDS;
  const prints = image.prints.subarray(Math.max(0, from - begin) * PRINT_WORDS);
  return { ...image, first: Math.min(from, image.last + 1), prints };
}

export function readDedup(file: Uint8Array, footer: Footer, codec: Codec): DedupImage {
  const { first, last } = footer.dedup;
  const answers: [number, string][] = [];
  let after = Math.max(first - 1, footer.base);
  for (const line of lines(file, footer.answers, codec, "an answers block")) {
    const tab = line.indexOf("\t");
    after = next(numberOf(line.slice(0, tab)), after, last, "an answer");
    const outcome = line.slice(tab + 1);
    if (!isKept(outcome)) throw new Damage(`the answer of seq ${after} is none`);
    answers.push([after, outcome]);
  }
  return { ...footer.dedup, prints: readPrints(file, footer, codec), answers };
}

function readPrints(file: Uint8Array, { prints: blocks, base, dedup }: Footer, codec: Codec): Uint32Array {
  const count = dedup.last - Math.max(dedup.first, base + 1) + 1;
  // Before the memory is taken: the file must hold what it says.
  const said = count * PRINT_WORDS * 4;
  const held = blocks.reduce((sum, [, length]) => sum + length, 0);
  const counts = `the snapshot says ${count} prints and holds ${held / 4 / PRINT_WORDS}`;
  if (held !== said || held > file.length) throw new Damage(counts);
  const prints = new Uint32Array(said / 4);
  const bytes = new Uint8Array(prints.buffer);
  let at = 0;
  for (const [offset, length, crc, records] of blocks) {
    if (records * PRINT_WORDS * 4 !== length) throw new Damage(`a block of ${records} prints has ${length} bytes`);
    bytes.set(readBlock(file, offset, length, crc, codec, "a block of prints"), at);
    at += length;
  }
  return prints;
}

/** The way from a state of an older version to the operator's, or null where there is nothing to do. */
function migration(operator: Operator, from: number): Migrate {
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
    let state = parseJson(text, `the state of key ${JSON.stringify(key)}`);
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
