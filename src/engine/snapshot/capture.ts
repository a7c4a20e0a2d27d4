/**
 * A snapshot holds the state of a partition at one seq, in files. The bytes of a file are specified in
 * docs/reference/formats.md.
 *
 * CAPTURE1. A file is magic and version, blocks, footer (JSON), and trailer (length and CRC-32 of the footer, magic).
 *     The footer lists every block with its checksum, and state blocks with their first key, so range requests can read
 *     one key.
 * CAPTURE2. State blocks are lines (record.ts) in the order of the keys' UTF-8 bytes.
 * CAPTURE3. A file is encoded in slices, so that events run meanwhile (SNAP1). The content of a file was captured in
 *     one turn.
 * CAPTURE4. A delta holds the changes above its base's seq (SNAP5) and is read on top of the base. A delta has a format
 *     number of its own, so that code which knows full files only can't take it for one.
 * CAPTURE5. A large full snapshot goes into several files, one after the other in the order of keys. Each file is built
 *     in memory, and put with a checksum. The last file holds everything that isn't state.
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
import { SnapshotWriter, type FooterFacts, type EncodedFile } from "./file-writer.ts";
import type { Changed, Entries, Totals } from "../state/keyed-state.ts";
import { contentOf } from "../state/timers.ts";

/** The content of a snapshot, as of one turn. */
export interface Capture {
  readonly operatorVersion: number;
  /** 0 for everything, else the seq above which changes are held. */
  readonly base: Seq;
  readonly seq: Seq;
  readonly stamp: Stamp;
  /** The partition clock (CLOCK3). */
  readonly clock: number;
  /** Nothing was pending before this time (QUEUE4 of timer-queue.ts). Null if nothing is pending at all. */
  readonly pendingFrom: number | null;
  /** Totals of the whole state. */
  readonly totals: Totals;
  /** Entries in the order of the keys' bytes. An entry is null if the key is gone. */
  readonly entries: Entries;
  /** Files of the current snapshot that the capture builds on. */
  readonly under: number;
  /**
   * True if the other files of the current snapshot are to be merged into the capture. The entries stand over these
   * files.
   */
  readonly over: boolean;
  readonly dedup: DedupImage;
  readonly quarantine: readonly QuarantineChange[];
  readonly producers: readonly ProducerImage[];
}

/** A capture as one turn takes it: references only, neither sorted nor counted. */
export type Captured = Capture & { readonly changed: Changed };

/**
 * Captures everything that is committed, or the changes above `base`. The capture builds on `under` files of the
 * current snapshot, and `base` is the seq of the last of these. `merged` more files are in the current snapshot.
 */
export function beginCapture(machine: StateMachine, base: Seq = seq(0), under = 0, merged = 0): Captured {
  const everything = base === 0 && machine.state.complete;
  const pendingFrom = machine.timers.pendingFrom(machine.seq);
  return {
    operatorVersion: machine.operator.version,
    base,
    seq: machine.seq,
    stamp: machine.stamp,
    clock: machine.clock,
    pendingFrom: pendingFrom === Number.POSITIVE_INFINITY ? null : pendingFrom,
    ...machine.state.totals(),
    entries: machine.state.capture(base, everything),
    under,
    over: merged > 0 && !everything,
    dedup: machine.dedup.image(machine.seq, base),
    quarantine: base === 0 ? machine.quarantine.list() : machine.quarantine.changes(base),
    producers: machine.producers.image(base),
  };
}

/** Sorts the capture and counts it. Events run between its steps (CAPTURE3). */
export function* finishCapture({ changed, ...taken }: Captured): Generator<void, Capture> {
  const entries = yield* sortByKey(taken.entries);
  const { digest } = taken.totals;
  for (const [i, [key, entry]] of changed.entries()) {
    if (entry.text !== null) digest.add(key, contentOf(entry));
    if (i % COUNTED_AT_ONCE === COUNTED_AT_ONCE - 1) yield;
  }
  return { ...taken, entries };
}

/** Keys that are counted in one step, which takes a few milliseconds. */
const COUNTED_AT_ONCE = 8_192;

/** Totals of the written entries, as a reader would count them. */
export type Counted = Omit<Totals, "exact">;

/** Gives other work a turn between slices. */
type Pause = () => Promise<void>;

/**
 * Yields the files of a snapshot of these entries, one after the other. Returns the totals that it counted meanwhile.
 */
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
      digest.add(key, contentOf(entry));
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

function footerOf(id: PartitionId, captured: Capture, codec: Codec): FooterFacts {
  const { first, last, repliesFrom, minutes } = captured.dedup;
  return {
    partition: partitionName(id),
    operatorVersion: captured.operatorVersion,
    hash: HASH_NAME,
    codec: codec.name,
    base: captured.base,
    seq: captured.seq,
    stamp: captured.stamp,
    clock: captured.clock,
    pendingFrom: captured.pendingFrom,
    keys: captured.totals.keys,
    dedup: { first, last, repliesFrom, minutes },
  };
}
