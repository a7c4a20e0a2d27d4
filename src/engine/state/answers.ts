/**
 * What repeats hear: of each event that is more than "applied", its outcome. In the order of seqs, and bounded in bytes that are really
 * held.
 *
 * ANSWERS1. What became of an event stays as long as its id: two bytes in a ring beside the ids, the number of a text. There are few texts, since
 *     what a refusal says beyond its code is no part of them.
 * ANSWERS2. What an outcome says beyond that is bounded, replies and details each (bounded-texts.ts): the oldest go first.
 */
import { DETAILS_BYTES, REPLIES_BYTES } from "../base/limits.ts";
import { bareOutcome } from "../log/outcome.ts";
import { BoundedTexts, type KeptImage } from "./bounded-texts.ts";

/** Texts that have a number. Handlers that make codes of what they are given have more, which are held each by itself. */
const SHARED_TEXTS = 1_000;

/** How the outcome text of an applied event with a reply begins; see outcome.ts. */
const REPLY_PREFIX = '["a"';

export class Answers {
  /** Of seq s at (s % length): 0, or the number of its text; empty until there is one. */
  #codes = new Uint16Array(0);
  #capacity: number;
  readonly #texts: string[] = [];
  readonly #numbers = new Map<string, number>();
  /** Seq -> text that has no number. */
  readonly #others = new Map<number, string>();
  readonly #details = new BoundedTexts(DETAILS_BYTES);
  readonly #replies = new BoundedTexts(REPLIES_BYTES);

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** There is room for so many from now on; those from `first` to `last` stay. */
  resize(capacity: number, first: number, last: number): void {
    const old = this.#codes;
    this.#capacity = capacity;
    if (old.length === 0) return;
    this.#codes = new Uint16Array(capacity);
    for (let at = first; at <= last; at++) this.#codes[at % capacity] = old[at % old.length]!;
  }

  /** A new event takes the place of one that has expired. */
  added(at: number): void {
    if (this.#codes.length > 0) this.#codes[at % this.#capacity] = 0;
  }

  /** Remembers an outcome that is more than "applied". */
  set(at: number, outcome: string): void {
    if (outcome.startsWith(REPLY_PREFIX)) return this.#replies.add(at, outcome);
    const bare = bareOutcome(outcome);
    const number = this.#numberOf(bare);
    if (number === null) this.#others.set(at, bare);
    else {
      if (this.#codes.length === 0) this.#codes = new Uint16Array(this.#capacity);
      this.#codes[at % this.#capacity] = number;
    }
    if (bare !== outcome) this.#details.add(at, outcome);
  }

  #numberOf(bare: string): number | null {
    const known = this.#numbers.get(bare);
    if (known !== undefined || this.#texts.length === SHARED_TEXTS) return known ?? null;
    this.#texts.push(bare);
    this.#numbers.set(bare, this.#texts.length);
    return this.#texts.length;
  }

  /** Of an event whose id is known. */
  get(at: number): string | undefined {
    return this.#details.get(at) ?? this.#bare(this.#codes[at % this.#capacity] ?? 0, at) ?? this.#replies.get(at);
  }

  #bare(number: number, at: number): string | undefined {
    return number === 0 ? this.#others.get(at) : this.#texts[number - 1];
  }

  /** Everything up to `last` is committed. */
  count(last: number): void {
    this.#details.count(last);
    this.#replies.count(last);
  }

  /** Those of forgotten events go, replies from below `repliesFrom` too, and what is beyond the bounds. */
  expire(first: number, repliesFrom: number): void {
    for (const at of this.#others.keys()) {
      if (at >= first) break;
      this.#others.delete(at);
    }
    this.#details.expire(first);
    this.#replies.expire(Math.max(first, repliesFrom));
  }

  /** Those from `from` to `to`, as they are now. */
  image(from: number, to: number): AnswersImage {
    const codes = this.#codes.length === 0 ? this.#codes : new Uint16Array(Math.max(0, to - from + 1));
    for (let i = 0; i < codes.length && this.#codes.length > 0; i++)
      codes[i] = this.#codes[(from + i) % this.#capacity]!;
    const within = ([at]: readonly [number, string]): boolean => at >= from && at <= to;
    return new AnswersImage({
      from,
      to,
      codes,
      texts: this.#texts,
      others: new Map([...this.#others].filter(within)),
      details: this.#details.image(from, to),
      replies: this.#replies.image(from, to),
    });
  }
}

interface Held {
  readonly from: number;
  readonly to: number;
  readonly codes: Uint16Array;
  /** Only ever added to. */
  readonly texts: readonly string[];
  readonly others: ReadonlyMap<number, string>;
  readonly details: KeptImage;
  readonly replies: KeptImage;
}

/** Seqs and outcome texts in the order of seqs. They are put together when they are asked for: a list of all would take more memory than
 *  what it says. */
export class AnswersImage implements Iterable<readonly [seq: number, outcome: string]> {
  readonly #held: Held;

  constructor(held: Held) {
    this.#held = held;
  }

  *[Symbol.iterator](): Generator<readonly [seq: number, outcome: string]> {
    const { from, to, codes, texts, others, details, replies } = this.#held;
    let [detail, reply] = [0, 0];
    for (let at = from; at <= to; at++) {
      const number = codes[at - from] ?? 0;
      if (details.seqs[detail] === at) yield [at, details.texts[detail++]!];
      else if (number > 0) yield [at, texts[number - 1]!];
      else if (others.size > 0 && others.has(at)) yield [at, others.get(at)!];
      else if (replies.seqs[reply] === at) yield [at, replies.texts[reply++]!];
    }
  }
}
