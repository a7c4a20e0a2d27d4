/**
 * The footer of a snapshot file: what is in it and where each block stands (docs/spec.md).
 *
 * T1. It is found from the file's end, and checked member by member before anything follows it: a checksum says that
 *     the bytes are those that were written, not that they make sense (SNAP3).
 */
import { parseObject, readBlock } from "./blocks.ts";
import { isRange, type DedupImage } from "./dedup.ts";
import { Damage, Failure } from "./errors.ts";
import { isWhole, shown } from "./json.ts";
import type { Codec } from "./ports.ts";

export const SNAPSHOT_FORMAT = 1;
export const DELTA_FORMAT = 2;
export const formatOf = (base: number): number => (base === 0 ? SNAPSHOT_FORMAT : DELTA_FORMAT);
export const MAGIC = "KEYFRAME";
const TRAILER = 16;
const HEAD = 12;

/** [offset, length, CRC-32, records, first key] */
export type Block = readonly [offset: number, length: number, crc: number, records: number, first: string];

export interface Footer {
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
  readonly dedup: Omit<DedupImage, "prints" | "answers">;
  readonly prints: readonly Block[];
  readonly answers: readonly Block[];
  readonly quarantine: readonly Block[];
  /** Numbering producers (ONE2); missing in files of code that didn't know them. */
  readonly producers?: readonly Block[];
}

/** @throws Damage where the file isn't whole, Failure unknown_format where it is of another format */
export function readFooter(file: Uint8Array, codec: Codec): Footer {
  if (file.length < HEAD + TRAILER) throw new Damage(`the snapshot has ${file.length} bytes, too few to be one`);
  if (magic(file, 0) !== MAGIC || magic(file, file.length - 8) !== MAGIC)
    throw new Damage("the snapshot doesn't begin and end as one");
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const version = view.getUint32(8, true);
  if (version !== SNAPSHOT_FORMAT && version !== DELTA_FORMAT)
    throw unknown(`format ${version}; this code reads ${SNAPSHOT_FORMAT} and ${DELTA_FORMAT}`);
  const length = view.getUint32(file.length - TRAILER, true);
  const crc = view.getUint32(file.length - TRAILER + 4, true);
  const bytes = readBlock(file, file.length - TRAILER - length, length, crc, codec, "the snapshot's footer");
  return checked(parseObject(decoded(bytes, codec), "the snapshot's footer"), version);
}

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

function checked(footer: Readonly<Record<string, unknown>>, version: number): Footer {
  const { v, partition, operatorVersion, hash, codec, base, seq, stamp, keys, dedup, producers } = footer;
  if (v !== version) throw unknown(`format ${version} and a footer of format ${shown(v)}`);
  // Read as a full one, a delta would lose every key that it doesn't hold.
  if (!isWhole(base) || version !== formatOf(base))
    throw new Damage(`a snapshot of format ${version} on base ${shown(base)}`);
  const texts = [partition, hash, codec].every((text) => typeof text === "string");
  const numbers = [seq, stamp, keys, operatorVersion].every(isWhole) && operatorVersion !== 0;
  const lists = [footer["state"], footer["prints"], footer["answers"], footer["quarantine"], producers ?? []];
  if (!texts || !numbers || !lists.every(isBlocks) || !isRange(dedup, seq as number) || base > (seq as number))
    throw new Damage("a part of the snapshot's footer is missing, or not what it should be");
  return footer as unknown as Footer;
}

/** That a block stands within the file, and has its checksum, is found out when it is read. */
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
