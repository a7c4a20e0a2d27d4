/**
 * The footer of a snapshot file says what is in the file and where each block stands (docs/reference/formats.md).
 *
 * FOOTER1. The footer is found from the file's end. Every member is checked before it is used. A checksum says that the
 *     bytes are those that were written, not that they make sense (SNAP3).
 */
import { readBlock } from "../base/block.ts";
import { Damage, Failure } from "../base/errors.ts";
import { isMs } from "../base/hybrid-clock.ts";
import { isWhole, parseObject, shown } from "../base/json.ts";
import type { Sizes } from "../base/limits.ts";
import type { Codec } from "../base/ports.ts";
import type { StateFile } from "../base/records.ts";
import { type DedupImage, isRange } from "../state/dedup.ts";

export const SNAPSHOT_FORMAT = 1;

export const MAGIC = "KEYFRAME";

const TRAILER = 16;

const HEAD = 12;

export type Block = readonly [offset: number, length: number, crc: number, records: number, first: string];

/**
 * The number of the file among several, from 1, and 1 if it is the last. The last file holds everything that isn't
 * state.
 */
export type Part = readonly [number: number, last: 0 | 1];

export interface Footer {
  readonly v: number;
  readonly partition: string;
  readonly operatorVersion: number;
  readonly hash: string;
  readonly codec: string;
  /** Exclusive: 0 for a full snapshot, else the seq of the snapshot that this delta builds on. */
  readonly base: number;
  readonly seq: number;
  readonly stamp: number;
  /** The partition clock. */
  readonly clock: number;
  /** Nothing was pending before this time, in milliseconds. Null if nothing is pending at all. */
  readonly pendingFrom: number | null;
  readonly keys: number;
  readonly state: readonly Block[];
  /** Keys with timers, by due time. Missing if there are none. */
  readonly timers?: readonly Block[];
  readonly dedup: Omit<DedupImage, "prints" | "answers">;
  readonly prints: readonly Block[];
  readonly answers: readonly Block[];
  readonly quarantine: readonly Block[];
  /** Producers that number their requests (ONE2). */
  readonly producers: readonly Block[];
  /**
   * The filter of the keys that the file surely doesn't hold (bloom-filter.ts), and the file's last key. Missing if the
   * file holds no keys.
   */
  readonly filter?: readonly Block[];
  readonly last?: string;
  /** Missing if the snapshot is one file. */
  readonly part?: Part;
}

/**
 * Reads the footer of a whole file.
 *
 * @throws Damage if the file is corrupt; Failure unknown_format if it is of another format
 */
export function readFooter(file: Uint8Array, codec: Codec): Footer;

/**
 * Reads the footer from the end of a file. `start` is where that end begins. Returns where the footer begins if `start`
 * is above it.
 */
export function readFooter(end: Uint8Array, codec: Codec, start: number): Footer | number;

export function readFooter(end: Uint8Array, codec: Codec, start = 0): Footer | number {
  if (end.length < TRAILER + (start === 0 ? HEAD : 0))
    throw new Damage(`the snapshot has ${start + end.length} bytes, too few for a snapshot`);
  if ((start === 0 && magic(end, 0) !== MAGIC) || magic(end, end.length - 8) !== MAGIC)
    throw new Damage("the file doesn't begin and end as a snapshot");
  const view = new DataView(end.buffer, end.byteOffset, end.byteLength);
  // The head may be out of reach, but the footer names the version too.
  const version = start === 0 ? view.getUint32(8, true) : null;
  if (version !== null && version !== SNAPSHOT_FORMAT)
    throw unknown(`format ${version}; this code reads ${SNAPSHOT_FORMAT}`);
  const length = view.getUint32(end.length - TRAILER, true);
  const crc = view.getUint32(end.length - TRAILER + 4, true);
  const at = end.length - TRAILER - length;
  if (at < 0 && start + at >= HEAD) return start + at;
  const bytes = readBlock(end, at, length, crc, codec, "the snapshot's footer");
  return checked(parseObject(decoded(bytes, codec), "the snapshot's footer"));
}

/** Returns the end of the states and timers, where everything else begins. */
export const restOf = ({ state, timers }: Footer): number => {
  const last = timers?.at(-1) ?? state.at(-1);
  return last === undefined ? HEAD : last[0] + last[1];
};

const magic = (file: Uint8Array, at: number): string => String.fromCharCode(...file.subarray(at, at + MAGIC.length));

const unknown = (what: string): Failure =>
  new Failure("unknown_format", `the snapshot has ${what}: deploy the code that wrote it, or newer`);

function decoded(bytes: Uint8Array, codec: Codec): string {
  try {
    return codec.decode(bytes);
  } catch {
    throw new Damage("the snapshot's footer isn't UTF-8");
  }
}

function checked(footer: Readonly<Record<string, unknown>>): Footer {
  const {
    v,
    partition,
    operatorVersion,
    hash,
    codec,
    base,
    seq,
    stamp,
    clock,
    pendingFrom,
    keys,
    dedup,
    producers,
    filter,
    last,
    part,
    timers,
  } = footer;
  if (v !== SNAPSHOT_FORMAT) throw unknown(`a footer of format ${shown(v)}; this code reads ${SNAPSHOT_FORMAT}`);
  // Only a full snapshot is in several files.
  if (!isWhole(base) || !(part === undefined || (isPart(part) && base === 0)))
    throw new Damage(`a snapshot on base ${shown(base)}, in parts ${shown(part)}`);
  const texts = [partition, hash, codec].every((text) => typeof text === "string");
  const numbers =
    [seq, stamp, keys, operatorVersion].every(isWhole) &&
    operatorVersion !== 0 &&
    isMs(clock) &&
    isMs(pendingFrom ?? 0);
  const lists = [
    footer["state"],
    footer["prints"],
    footer["answers"],
    footer["quarantine"],
    producers,
    filter ?? [],
    timers ?? [],
  ];
  if (!(last === undefined || typeof last === "string")) throw new Damage("the snapshot's last key isn't a text");
  if (!texts || !numbers || !lists.every(isBlocks) || !isRange(dedup, seq as number) || base > (seq as number))
    throw new Damage("a part of the snapshot's footer is missing or invalid");
  return footer as unknown as Footer;
}

function isPart(value: unknown): value is Part {
  if (!Array.isArray(value) || value.length !== 2) return false;
  const [number, last] = value as unknown[];
  return isWhole(number) && number >= 1 && (last === 0 || last === 1);
}

/** Checks the form of blocks. Reading a block shows if it stands within the file and has its checksum. */
const isBlocks = (value: unknown): value is Block[] =>
  Array.isArray(value) &&
  value.every(
    (block) =>
      Array.isArray(block) &&
      block.length === 5 &&
      block.slice(0, 4).every(isWhole) &&
      block[0] >= HEAD &&
      block[1] > 0 &&
      block[3] > 0 &&
      typeof block[4] === "string",
  );

/**
 * Returns the parts of a file that an opening reads, by offset and length: the end, and then the ids if they stand
 * apart. If `apart` is set, those ids are left out (FILE2 of file-reader.ts).
 */
export function openingParts(
  { bytes, rest, ids = 0 }: Pick<StateFile, "bytes" | "rest" | "ids">,
  { wholeBytes }: Pick<Sizes, "wholeBytes">,
  apart: boolean,
): readonly (readonly [offset: number, length: number])[] {
  if (bytes <= wholeBytes) return [[0, bytes]];
  const from = rest ?? Math.max(0, bytes - Math.max(TRAILER, wholeBytes));
  if (rest === undefined || ids === 0) return [[from, bytes - from]];
  const end = [rest + ids, bytes - rest - ids] as const;
  return apart ? [end] : [end, [rest, ids]];
}
