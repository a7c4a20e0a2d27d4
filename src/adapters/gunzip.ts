/**
 * Gzip, unpacked as it comes: all its members, one after the other (RFC 1952, 2.2). The platform's DecompressionStream takes one
 * member alone, and unpacks a whole chunk of input before anybody can look at what it becomes.
 */
import { createGunzip, type Gunzip } from "node:zlib";

/** What is unpacked at a time: a reader that stops has had no more than this, and what the stream holds ahead. */
const CHUNK_BYTES = 64 * 1024;

/** @throws what `packed` throws, and an error of zlib's if it isn't complete, valid gzip */
export async function* gunzip(packed: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const unpacker = createGunzip({ chunkSize: CHUNK_BYTES });
  void feed(packed, unpacker);
  try {
    // A Buffer's `slice` copies nothing, which readers of bytes don't expect.
    for await (const { buffer, byteOffset, length } of unpacker as AsyncIterable<Uint8Array>)
      yield new Uint8Array(buffer, byteOffset, length);
  } finally {
    unpacker.destroy();
  }
}

/** Its failure becomes the unpacker's. */
async function feed(packed: AsyncIterable<Uint8Array>, unpacker: Gunzip): Promise<void> {
  try {
    for await (const chunk of packed) {
      if (unpacker.destroyed) return;
      if (!unpacker.write(chunk)) await takesMore(unpacker);
    }
    if (!unpacker.destroyed) unpacker.end();
  } catch (error) {
    unpacker.destroy(error as Error);
  }
}

const takesMore = (unpacker: Gunzip): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      unpacker.off("drain", done);
      unpacker.off("close", done);
      resolve();
    };
    unpacker.on("drain", done);
    unpacker.on("close", done);
  });
