/**
 * Snapshot files: the state of a partition at one seq. The bytes are specified in docs/reference/formats.md.
 *
 * CAPTURE1. magic + version, blocks, footer (JSON), trailer (length and CRC-32 of the footer, magic). The footer lists every
 *     block with its checksum and, for state blocks, its first key: one key can be read with range requests.
 * CAPTURE2. State blocks are lines (record.ts) in the order of the keys' UTF-8 bytes.
 * CAPTURE3. A file is encoded in slices, so that events go on meanwhile (SNAP1); what is encoded was captured in one turn.
 * CAPTURE4. A delta holds what changed above its base's seq (SNAP5) and is read on top of it. It has a format number of its own, so
 *     that code which knows full files only can't take it for one.
 * CAPTURE5. A full snapshot goes into several files once it is large, one after the other in the order of keys: each is built in
 *     memory, and put with a checksum. The last one holds what isn't state.
 */
import type { DedupImage } from "../state/dedup.ts";
import { Digest } from "../base/digest.ts";
import type { StateMachine } from "../state/state-machine.ts";
import { HASH_NAME } from "../base/hash.ts";
import { partitionName, seq, type PartitionId, type Seq, type Stamp } from "../base/ids.ts";
import { sortByKey } from "../base/key-order.ts";
import { SIZES, type Sizes } from "../base/limits.ts";
import { NAMED_KEYS, type UnmigratedKey } from "../operator/migration.ts";
import type { Codec } from "../base/ports.ts";
import type { ProducerImage } from "../state/producers.ts";
import type { QuarantineChange } from "../state/quarantine.ts";
import { SnapshotWriter, type Described, type EncodedFile } from "./file-writer.ts";
import type { Changed, Entries, Totals } from "../state/keyed-state.ts";

/** What a snapshot holds: as of one turn. */
export interface Capture {
  readonly operatorVersion: number;
  /** 0: everything; else what changed above this seq. */
  readonly base: Seq;
  readonly seq: Seq;
  readonly stamp: Stamp;
  /** Of the whole state. */
  readonly totals: Totals;
  /** In the order of the keys' bytes; null: the key is gone. */
  readonly entries: Entries;
  /** Files of the current snapshot that it builds on. */
  readonly under: number;
  /** The entries stand over the other ones, which are to be merged into it. */
  readonly over: boolean;
  readonly dedup: DedupImage;
  readonly quarantine: readonly QuarantineChange[];
  readonly producers: readonly ProducerImage[];
}

/** The same as it is taken in one turn: references only, neither sorted nor counted. */
export type Captured = Capture & { readonly changed: Changed };

/**
 * Everything that is committed, or what changed of it above `base`: the seq of the last of the files that it builds on, of which
 * there are `under`, and `merged` more in the current snapshot.
 */
export function beginCapture(machine: StateMachine, base: Seq = seq(0), under = 0, merged = 0): Captured {
  const everything = base === 0 && machine.state.complete;
  return {
    operatorVersion: machine.operator.version,
    base,
    seq: machine.seq,
    stamp: machine.stamp,
    ...machine.state.totals(),
    entries: machine.state.capture(base, everything),
    under,
    over: merged > 0 && !everything,
    dedup: machine.dedup.image(machine.seq, base),
    quarantine: base === 0 ? machine.quarantine.list() : machine.quarantine.changes(base),
    producers: machine.producers.image(base),
  };
}

/** Puts it in order and counts it, in steps between which events go on (CAPTURE3). */
export function* finishCapture({ changed, ...taken }: Captured): Generator<void, Capture> {
  const entries = yield* sortByKey(taken.entries);
  const { digest } = taken.totals;
  for (const [i, [key, { text }]] of changed.entries()) {
    if (text !== null) digest.add(key, text);
    if (i % COUNTED_AT_ONCE === COUNTED_AT_ONCE - 1) yield;
  }
  return { ...taken, entries };
}

/** A few milliseconds. */
const COUNTED_AT_ONCE = 8_192;

/** What was written, as one who read it would count it. */
export type Counted = Omit<Totals, "exact">;

/** Awaited between slices of work. */
type Pause = () => Promise<void>;

/** The files of a snapshot of these entries, one after the other, and what was counted on the way. */
export async function* encodeFiles(
  id: PartitionId,
  captured: Capture,
  chunks: AsyncIterable<Entries> | Iterable<Entries>,
  codec: Codec,
  pause: Pause,
  { fileBytes, blockChars }: Sizes = SIZES,
): AsyncGenerator<EncodedFile, Counted> {
  const digest = new Digest();
  const some: UnmigratedKey[] = [];
  let [keys, size, parts, unmigrated] = [0, 0, 0, 0];
  let file = new SnapshotWriter(codec, blockChars);
  for await (const chunk of chunks) {
    for (const [key, entry] of chunk) {
      if (captured.base === 0 && file.length >= fileBytes) {
        yield file.close(footerOf(id, captured, codec), [++parts, 0]);
        file = new SnapshotWriter(codec, blockChars);
      }
      if (file.state(key, entry)) await pause();
      if (entry === null) continue;
      digest.add(key, entry.text);
      keys += 1;
      size += key.length + entry.text.length;
      if (entry.version === undefined) continue;
      unmigrated += 1;
      if (some.length < NAMED_KEYS) some.push([key, entry.version]);
    }
  }
  file.endStates();
  file.prints(captured.dedup.prints);
  await file.lines("answers", captured.dedup.answers, ([at, outcome]) => `${at}\t${outcome}`, pause);
  await file.lines("quarantine", captured.quarantine, (entry) => JSON.stringify(entry), pause);
  await file.lines("producers", captured.producers, (producer) => JSON.stringify(producer), pause);
  const truth = captured.base === 0 ? { ...captured.totals, keys } : captured.totals;
  yield file.close(footerOf(id, { ...captured, totals: truth }, codec), parts === 0 ? undefined : [parts + 1, 1]);
  return { keys, size, digest, unmigrated: { keys: unmigrated, some } };
}

/** The one file of a snapshot that is small enough for one. */
export async function encodeSnapshot(
  id: PartitionId,
  captured: Capture,
  codec: Codec,
  pause: Pause,
): Promise<Uint8Array> {
  for await (const { bytes } of encodeFiles(id, captured, [captured.entries], codec, pause)) return bytes;
  throw new Error("a snapshot has at least one file");
}

function footerOf(id: PartitionId, captured: Capture, codec: Codec): Described {
  const { first, last, repliesFrom, minutes } = captured.dedup;
  return {
    partition: partitionName(id),
    operatorVersion: captured.operatorVersion,
    hash: HASH_NAME,
    codec: codec.name,
    base: captured.base,
    seq: captured.seq,
    stamp: captured.stamp,
    keys: captured.totals.keys,
    dedup: { first, last, repliesFrom, minutes },
  };
}
