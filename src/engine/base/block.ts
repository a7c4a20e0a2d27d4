/**
 * Blocks: the unit of compression, checksum and range read in the files that Keyframe writes to R2.
 *
 * BLOCK1. Every block has its own CRC-32 over the bytes as stored. Readers check the CRC-32 before they unpack anything
 *     (SNAP3).
 */
import { Damage, messageOf } from "./errors.ts";
import type { Codec } from "./ports.ts";

const NOTHING = new Uint8Array(0);

/** Collects parts of a file and knows where each begins. */
export class FileWriter {
  readonly #parts: Uint8Array[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  write(bytes: Uint8Array, codec: Codec): readonly [offset: number, length: number, crc: number] {
    const at = [this.#length, bytes.length, codec.crc32(bytes)] as const;
    this.#parts.push(bytes);
    this.#length += bytes.length;
    return at;
  }

  /** Returns the file: `head`, then everything written. Offsets don't count `head`. */
  bytes(head: Uint8Array = NOTHING): Uint8Array {
    const file = new Uint8Array(head.length + this.#length);
    file.set(head);
    let at = head.length;
    for (const part of this.#parts) {
      file.set(part, at);
      at += part.length;
    }
    return file;
  }
}

/** @throws Damage if the range isn't in the file or its checksum is wrong */
export function readBlock(
  file: Uint8Array,
  offset: number,
  length: number,
  crc: number,
  codec: Codec,
  what: string,
): Uint8Array {
  if (
    !Number.isSafeInteger(offset) ||
    !Number.isSafeInteger(length) ||
    offset < 0 ||
    length < 0 ||
    offset + length > file.length
  ) {
    throw new Damage(`${what} should be at ${offset}..${offset + length}, but the file has ${file.length} bytes`);
  }
  const bytes = file.subarray(offset, offset + length);
  if (codec.crc32(bytes) !== crc) throw new Damage(`the checksum of ${what} at ${offset} is wrong`);
  return bytes;
}

/** @throws Damage if the bytes can't be unpacked, though their checksum is right */
export function unpack(bytes: Uint8Array, codec: Codec, what: string): string {
  try {
    return codec.decompress(bytes);
  } catch (error) {
    throw new Damage(`${what} can't be unpacked: ${messageOf(error)}`);
  }
}
