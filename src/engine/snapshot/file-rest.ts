/**
 * Reads the rest of a snapshot file, beside states: ids, answers, quarantine and producers. capture.ts says what a file
 * holds.
 */
import { readBlock, unpack } from "../base/block.ts";
import type { DedupImage, Promised } from "../state/dedup.ts";
import { Damage, Failure } from "../base/errors.ts";
import type { StateMachine } from "../state/state-machine.ts";
import { HASH_NAME, PRINT_WORDS } from "../base/hash.ts";
import { partitionName, seq, stamp, type PartitionId } from "../base/ids.ts";
import { UNPACKED_BYTES } from "../base/limits.ts";
import { assertNotNewer } from "../operator/migration.ts";
import type { Operator } from "../operator/operator.ts";
import type { Codec } from "../base/ports.ts";
import { isKept } from "../log/outcome.ts";
import { readProducer } from "../state/producers.ts";
import { readQuarantined } from "../state/quarantine.ts";
import type { Block, Footer } from "./file-footer.ts";
import type { Rest } from "./file-reader.ts";
import { numberOf } from "./record.ts";

/**
 * @throws Damage if the file is of another partition; Failure unknown_format | state_newer if this code can't read it
 */
export function assertReadable(footer: Footer, operator: Operator, id: PartitionId, codec: Codec): void {
  if (footer.partition !== partitionName(id))
    throw new Damage(`the snapshot is of partition ${footer.partition}, not ${partitionName(id)}`);
  if (footer.codec !== codec.name || footer.hash !== HASH_NAME)
    throw new Failure(
      "unknown_format",
      `the snapshot is written with codec "${footer.codec}" and hash "${footer.hash}"; this code has "${codec.name}" and "${HASH_NAME}"`,
    );
  assertNotNewer(operator, footer.operatorVersion);
}

/**
 * Takes in what a file holds beside states: a full snapshot's last file first, then each delta on it, in order. Ids of
 * events below `idsFrom`, which the last of the files doesn't know any more, are left out. If `apart` is set,
 * `restoreIds` takes the ids in later.
 *
 * @throws Damage if the file is corrupt, or doesn't follow the one before
 */
export function restoreRest(
  footer: Footer,
  rest: Rest,
  machine: StateMachine,
  codec: Codec,
  idsFrom = 0,
  apart = false,
): void {
  if (footer.base !== machine.seq)
    throw new Damage(
      `the snapshot at ${footer.seq} builds on seq ${footer.base}, what was read before it is at ${machine.seq}`,
    );
  // Of several files, only the last holds more than states.
  if (footer.part?.[1] === 0) return;
  const delta = footer.base > 0;
  if (
    !machine.dedup.restore(
      apart ? promised(footer, rest, codec, idsFrom) : keptFrom(readDedup(footer, rest, codec), idsFrom),
    )
  )
    throw new Damage(`the prints of the snapshot at ${footer.seq} don't follow those of its base`);
  let after = 0;
  for (const line of lines(footer.quarantine, rest, codec, "a quarantine block")) {
    const change = readQuarantined(line, delta);
    after = next(change.seq, after, footer.seq, "a quarantined event");
    if (delta) machine.quarantine.restoreChange(change, seq(footer.seq));
    else machine.quarantine.restore(change);
  }
  readProducers(footer, rest, machine, codec);
  machine.seq = seq(footer.seq);
  machine.stamp = stamp(footer.stamp);
  machine.clock = footer.clock;
  machine.producers.committed(machine.seq, machine.clock);
}

/** Takes in the ids of a file that were left apart. @throws Damage if they are corrupt */
export const restoreIds = (footer: Footer, rest: Rest, machine: StateMachine): void =>
  machine.dedup.fill(seq(footer.dedup.last), readPrints(footer, rest));

/** Reads blocks of a whole file in memory. */
export const restIn =
  (file: Uint8Array, codec: Codec): Rest =>
  ([offset, length, crc], what) =>
    readBlock(file, offset, length, crc, codec, what);

function readProducers(footer: Footer, rest: Rest, machine: StateMachine, codec: Codec): void {
  const seen = new Set<string>();
  for (const line of lines(footer.producers, rest, codec, "a block of producers")) {
    const producer = readProducer(line);
    if (seen.has(producer.id) || producer.seq <= footer.base || producer.seq > footer.seq)
      throw new Damage(`producer ${JSON.stringify(producer.id)} is in the snapshot twice, or in the wrong place`);
    seen.add(producer.id);
    machine.producers.restore(producer);
  }
}

/** Returns the seq. @throws Damage if the seq isn't above `after`, or is higher than `last` */
export function next(at: number, after: number, last: number, what: string): number {
  if (at <= after || at > last)
    throw new Damage(`${what} has seq ${at}, which should be above ${after} and at most ${last}`);
  return at;
}

/** Yields the lines of blocks. @throws Damage if a block is corrupt, or has another number of lines */
export function* lines(blocks: readonly Block[], rest: Rest, codec: Codec, what: string): Generator<string> {
  for (const block of blocks) {
    const [offset, , , records] = block;
    const found = unpack(rest(block, what), codec, what).split("\n");
    if (found.length !== records)
      throw new Damage(`${what} at ${offset} counts ${records} records, but holds ${found.length}`);
    yield* found;
  }
}

function keptFrom(image: DedupImage, from: number): DedupImage {
  if (from <= image.first) return image;
  const begin = image.last + 1 - image.prints.length / PRINT_WORDS;
  const prints = image.prints.subarray(Math.max(0, from - begin) * PRINT_WORDS);
  return { ...image, first: Math.min(from, image.last + 1), prints };
}

/** Returns the image that `keptFrom` would return, without the ids. @throws Damage if the answers are corrupt */
function promised(footer: Footer, rest: Rest, codec: Codec, from: number): Promised {
  const { first, last } = footer.dedup;
  const begin = last + 1 - printsIn(footer);
  const answers = readAnswers(footer, rest, codec);
  const image = { ...footer.dedup, answers };
  if (from <= first) return { ...image, count: last + 1 - begin };
  return { ...image, first: Math.min(from, last + 1), count: Math.max(0, last + 1 - Math.max(begin, from)) };
}

const printsIn = ({ base, dedup: { first, last } }: Footer): number => last - Math.max(first, base + 1) + 1;

/** @throws Damage if a block is corrupt */
export function readDedup(footer: Footer, rest: Rest, codec: Codec): DedupImage {
  return { ...footer.dedup, prints: readPrints(footer, rest), answers: readAnswers(footer, rest, codec) };
}

function readAnswers(footer: Footer, rest: Rest, codec: Codec): [number, string][] {
  const { first, last } = footer.dedup;
  const answers: [number, string][] = [];
  let after = Math.max(first - 1, footer.base);
  for (const line of lines(footer.answers, rest, codec, "an answers block")) {
    const tab = line.indexOf("\t");
    after = next(numberOf(line.slice(0, tab)), after, last, "an answer");
    const outcome = line.slice(tab + 1);
    if (!isKept(outcome)) throw new Damage(`the answer of seq ${after} is invalid`);
    answers.push([after, outcome]);
  }
  return answers;
}

function readPrints(footer: Footer, rest: Rest): Uint32Array {
  const { prints: blocks } = footer;
  const count = printsIn(footer);
  // Check before allocating memory that the file holds as many prints as it says.
  const said = count * PRINT_WORDS * 4;
  const held = blocks.reduce((sum, [, length]) => sum + length, 0);
  const counts = `the snapshot counts ${count} prints, but holds ${held / 4 / PRINT_WORDS}`;
  if (held !== said || held > UNPACKED_BYTES) throw new Damage(counts);
  const prints = new Uint32Array(said / 4);
  const bytes = new Uint8Array(prints.buffer);
  let at = 0;
  for (const block of blocks) {
    const [, length, , records] = block;
    if (records * PRINT_WORDS * 4 !== length) throw new Damage(`a block of ${records} prints has ${length} bytes`);
    bytes.set(rest(block, "a block of prints"), at);
    at += length;
  }
  return prints;
}
