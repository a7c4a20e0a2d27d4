/** The codec port without compression: a tenth of the time, and damage is found by checksums either way. */
import { crc32 } from "node:zlib";
import { brotli } from "../../src/adapters/brotli.ts";
import type { Codec } from "../../src/engine/base/ports.ts";

export const PLAIN = "plain";

export const plain: Codec = {
  ...brotli,
  name: PLAIN,
  packing: PLAIN,
  compress: (text) => brotli.encode(text),
  compressFast: (text) => brotli.encode(text),
  decompress: (bytes) => brotli.decode(bytes),
  pack: (parts) => parts.join(""),
  unpack: (text) => text,
  crc32: (data) => crc32(data),
};
