/**
 * Unpacks gzip as it arrives: all its members, one after the other (RFC 1952, 2.2). The platform's DecompressionStream
 * takes only one member. It also unpacks a whole chunk of input before anybody can check the size of the output.
 */
import { createGunzip, type Gunzip } from "node:zlib";

/**
 * Bytes that are unpacked at a time. A reader that stops has had no more than this, and what the stream holds ahead.
 */
const CHUNK_BYTES = 64 * 1024;

/** @throws any error of `packed`, and an error of zlib's if the input isn't complete, valid gzip */
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

/** Feeds the unpacker. A failure of `packed` becomes the unpacker's. */
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
