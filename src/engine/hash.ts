/**
 * Hashes: where a key lives, and what an event is recognised by. Their name is stored with every operator (CODE2) and
 * in every snapshot; another algorithm needs another name.
 *
 * H1. `kf1` reads UTF-16 code units in four 32-bit lanes (multiply and rotate, finished as in MurmurHash3). It is not
 *     cryptographic; the seed is random for each operator, so nobody outside can search for collisions.
 * H2. A print is six words for each event: four of source and id (who it is), two of its content (what it says). Two
 *     different ids agree in 128 bits with a chance below 1e-27 within 500,000 ids; then ONE4 would call it reused, and
 *     only if the content agreed as well would it pass for a repeat.
 * H3. The content's hash doesn't depend on the order of members or on white space: a re-serialised retry is the same event.
 */
export const HASH_NAME = "kf1";
/** 32-bit words of a print. */
export const PRINT_WORDS = 6;

const C1 = 0xcc9e2d51;
const C2 = 0x1b873593;
const C3 = 0x85ebca6b;
const C4 = 0xc2b2ae35;

/** Routing hash of a key's group, a 32-bit unsigned integer, uniform over ranges. */
export function hashGroup(text: string, seed: number): number {
  let h = seed | 0;
  for (let i = 0; i < text.length; i++) {
    h = Math.imul(h ^ Math.imul(text.charCodeAt(i), C1), C2);
    h = (h << 13) | (h >>> 19);
  }
  return finish(h ^ text.length) >>> 0;
}

/** The partition of a hash: ranges of equal size, so that doubling `count` splits each partition in two. */
export const partitionOf = (hash: number, count: number): number => Math.floor((hash / 0x1_0000_0000) * count);

/** Prints of several events, one after the other. */
export class Prints {
  #words: Uint32Array;
  #length = 0;

  constructor(events: number) {
    this.#words = new Uint32Array(events * PRINT_WORDS);
  }

  push(a: number, b: number, c: number, d: number, e: number, f: number): void {
    const at = this.#length;
    if (at + PRINT_WORDS > this.#words.length) this.#grow();
    const words = this.#words;
    words[at] = a;
    words[at + 1] = b;
    words[at + 2] = c;
    words[at + 3] = d;
    words[at + 4] = e;
    words[at + 5] = f;
    this.#length = at + PRINT_WORDS;
  }

  #grow(): void {
    const wider = new Uint32Array(this.#words.length * 2 + PRINT_WORDS);
    wider.set(this.#words);
    this.#words = wider;
  }

  /** What is there so far, and room behind it; until the next one is pushed. */
  get all(): Uint32Array {
    return this.#words;
  }

  /** PRINT_WORDS words for each event. */
  words(): Uint32Array {
    return this.#words.slice(0, this.#length);
  }
}

/** Appends the print of one event. */
export function pushPrint(out: Prints, source: string, id: string, content: Content, seed: number): void {
  let a = seed | 0;
  let b = ~seed;
  let c = seed ^ C3;
  let d = Math.imul(seed, C4) ^ source.length;
  for (let i = 0; i < source.length; i++) {
    const unit = source.charCodeAt(i);
    a = Math.imul(a ^ unit, C1);
    a = (a << 15) | (a >>> 17);
    b = Math.imul(b + unit, C2) ^ (b >>> 15);
    c = Math.imul(c ^ (unit + i), C3);
    d = Math.imul(d + unit, C4) ^ (d >>> 13);
  }
  // Without a mark between them, ("ab", "c") and ("a", "bc") would be one.
  a = Math.imul(a ^ source.length, C3);
  b = Math.imul(b + source.length, C4);
  for (let i = 0; i < id.length; i++) {
    const unit = id.charCodeAt(i);
    a = Math.imul(a ^ unit, C1);
    a = (a << 15) | (a >>> 17);
    b = Math.imul(b + unit, C2) ^ (b >>> 15);
    c = Math.imul(c ^ (unit + i), C3);
    c = (c << 13) | (c >>> 19);
    d = Math.imul(d + unit, C4) ^ (d >>> 13);
  }
  a = finish(a ^ id.length);
  b = finish(b + a);
  c = finish(c ^ b);
  d = finish(d + c);
  out.push(a + d, b, c, d, finish(content.a), finish(content.b));
}

/** Two words of hash over a JSON value; `add` is called once for each part of an event that makes up its content. */
export class Content {
  a = 0;
  b = 0;
  readonly #bits = new Float64Array(1);
  readonly #words = new Uint32Array(this.#bits.buffer);

  start(seed: number): void {
    this.a = seed | 0;
    this.b = ~seed;
  }

  add(value: unknown): void {
    switch (typeof value) {
      case "string":
        return this.#string(value);
      case "number":
        return this.#number(value);
      case "object":
        if (value === null) return this.#mix(3, 3);
        return Array.isArray(value) ? this.#array(value) : this.#object(value as Record<string, unknown>);
      default:
        return value === true ? this.#mix(1, 5) : value === false ? this.#mix(2, 7) : this.#mix(4, 11);
    }
  }

  #mix(x: number, y: number): void {
    this.a = Math.imul(this.a ^ x, C1);
    this.a = (this.a << 15) | (this.a >>> 17);
    this.b = Math.imul(this.b + y, C2) ^ (this.b >>> 15);
  }

  #string(text: string): void {
    let { a, b } = this;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      a = Math.imul(a ^ unit, C1);
      a = (a << 15) | (a >>> 17);
      b = Math.imul(b + unit, C2) ^ (b >>> 15);
    }
    this.a = a ^ text.length;
    this.b = b + 13;
  }

  #number(value: number): void {
    if (value === (value | 0)) return this.#mix(value | 0, value ^ 17);
    this.#bits[0] = value;
    this.#mix(this.#words[0]!, this.#words[1]!);
  }

  #array(items: readonly unknown[]): void {
    for (const item of items) this.add(item);
    this.#mix(items.length, 19);
  }

  /** Each member by itself, added up: the sum doesn't know their order (H3). */
  #object(members: Record<string, unknown>): void {
    const { a, b } = this;
    let sumA = 0;
    let sumB = 0;
    for (const name in members) {
      this.a = C3;
      this.b = C4;
      this.#string(name);
      this.add(members[name]);
      sumA = (sumA + finish(this.a)) | 0;
      sumB = (sumB + finish(this.b)) | 0;
    }
    this.a = a;
    this.b = b;
    this.#mix(sumA, sumB);
  }
}

export function finish(h: number): number {
  let x = h ^ (h >>> 16);
  x = Math.imul(x, C3);
  x ^= x >>> 13;
  x = Math.imul(x, C4);
  return x ^ (x >>> 16);
}
