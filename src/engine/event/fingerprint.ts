import { C1, C2, C3, C4, finish, PRINT_WORDS } from "../base/hash.ts";
import type { Event } from "./event.ts";
import { minuteOfTime, secondOf } from "./rfc3339.ts";

/**
 * Hashes the content of an event, for ONE4: its type, data and subject, its key for this operator, and the instant of
 * its time. The other attributes say how the event travelled. Relays add and rewrite extension attributes,
 * `datacontenttype` and `dataschema`, and the sender's own retry must stay the same event. If one of these attributes
 * makes the key, the key covers it.
 */
export function addContent(content: Content, event: Event, key: string, seed: number, timed: boolean): void {
  content.start(seed);
  content.add(event.type);
  content.add(event.data);
  content.add(event.subject);
  content.add(key);
  // A time that was filled in differs between two sends of the same event.
  if (timed) {
    content.add(minuteOfTime(event.time));
    content.add(secondOf(event.time));
  }
  if (event["data_base64"] !== undefined) content.add(event["data_base64"]);
}

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

  /** The words so far, with room behind them. Valid until the next push. */
  get all(): Uint32Array {
    return this.#words;
  }

  /** Where the print that was pushed last begins. */
  get last(): number {
    return this.#length - PRINT_WORDS;
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
  // Without the length between them, ("ab", "c") and ("a", "bc") would have the same print.
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

/** Two hash words over a JSON value. Call `add` once for each part of an event's content. */
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

  /** Hashes each member by itself and adds the hashes, so that the order of members doesn't count (HASH3). */
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

const content = new Content();

/** Appends the event's print: its identity and its content, key included. Live events and replay get the same print. */
export function print(out: Prints, event: Event, key: string, seed: number, timed: boolean): void {
  addContent(content, event, key, seed, timed);
  pushPrint(out, event.source, event.id, content, seed);
}
