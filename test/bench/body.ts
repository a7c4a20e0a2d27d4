// Request bodies of realistic events, as NDJSON: readings of 1,000 meters, about 170 bytes each. Bodies are written out
// ahead of the timed part, whole HTTP requests in one buffer, and only their ids are stamped anew for each sending.

const ID_DIGITS = 12;
const KEY_DIGITS = 6;
const DEVICE = `"device":"dev-`;

/** Enough different bodies that keys and values vary, without filling the memory. */
const VARIANT_BYTES = 256 * 1024;

export interface Shape {
  batch: number;
  keys: number;
  host: string;
  path: string;
  /** Every event of every sending gets another random key; else the bodies keep theirs. */
  freshKeys?: boolean | undefined;
}

/** Ids are unique over a whole run: a nonce for the run and a counter. */
export class Ids {
  readonly prefix: string;
  #last = 0;

  constructor(nonce: string) {
    this.prefix = `${nonce}-`;
  }

  next(): number {
    this.#last += 1;
    return this.#last;
  }
}

interface Body {
  readonly bytes: Buffer;
  readonly idsAt: readonly number[];
  readonly keysAt: readonly number[];
}

/** The requests of one connection. A buffer may be stamped again once its answer has come. */
export class Requests {
  readonly #buffers: Body[] = [];
  readonly #ids: Ids;
  readonly #nextKey: (() => number) | undefined;
  #turn = 0;

  constructor(shape: Shape, ids: Ids, random: () => number) {
    this.#ids = ids;
    if (shape.freshKeys === true) this.#nextKey = () => Math.floor(random() * shape.keys);
    let bytes = 0;
    while (bytes < VARIANT_BYTES || this.#buffers.length < 2) {
      const buffer = request(shape, ids.prefix, random);
      this.#buffers.push(buffer);
      bytes += buffer.bytes.length;
    }
  }

  next(): Buffer {
    const { bytes, idsAt, keysAt } = this.#buffers[this.#turn++ % this.#buffers.length]!;
    for (const at of idsAt) stamp(bytes, at, this.#ids.next(), ID_DIGITS);
    if (this.#nextKey !== undefined) for (const at of keysAt) stamp(bytes, at, this.#nextKey(), KEY_DIGITS);
    return bytes;
  }
}

export function line(id: string, key: number, random: () => number): string {
  const value = (random() * 500).toFixed(2);
  const device = `dev-${String(key).padStart(KEY_DIGITS, "0")}`;
  const time = `2026-11-20T08:${twoDigits(random() * 60)}:${twoDigits(random() * 60)}.${100 + Math.floor(random() * 900)}Z`;
  return `{"id":"${id}","source":"/meters/eu-1","type":"meter.read","time":"${time}","data":{"device":"${device}","value":${Number(value)},"unit":"kWh"}}\n`;
}

/** Mulberry32: the same bodies in every run. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function request(shape: Shape, prefix: string, random: () => number): Body {
  const lines = Array.from({ length: shape.batch }, () =>
    line(prefix + "0".repeat(ID_DIGITS), Math.floor(random() * shape.keys), random),
  );
  const body = lines.join("");
  const head =
    `POST ${shape.path} HTTP/1.1\r\nHost: ${shape.host}\r\n` +
    `Content-Type: application/x-ndjson\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`;
  const idsAt: number[] = [];
  const keysAt: number[] = [];
  let at = head.length;
  for (const text of lines) {
    idsAt.push(at + text.indexOf(prefix) + prefix.length);
    keysAt.push(at + text.indexOf(DEVICE) + DEVICE.length);
    at += text.length;
  }
  return { bytes: Buffer.from(head + body, "latin1"), idsAt, keysAt };
}

function stamp(bytes: Buffer, at: number, value: number, digits: number): void {
  let rest = value;
  for (let digit = at + digits - 1; digit >= at; digit -= 1) {
    bytes[digit] = 48 + (rest % 10);
    rest = Math.floor(rest / 10);
  }
}

function twoDigits(value: number): string {
  return String(Math.floor(value)).padStart(2, "0");
}
