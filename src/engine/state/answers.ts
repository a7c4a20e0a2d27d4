/**
 * Answers hold each outcome that is more than a plain "applied": the text that a duplicate hears. Entries are in the
 * order of seq and bounded in bytes of memory.
 *
 * ANSWERS1. An outcome without its reply or detail stays as long as the event's id. Such an outcome takes two bytes in
 *     a ring beside the ids: the number of a shared text. Shared texts are few, since a refusal's detail is no part of
 *     one.
 * ANSWERS2. Replies and details are bounded, each by a limit of its own (bounded-texts.ts). The oldest go first.
 */
import { DETAILS_BYTES, REPLIES_BYTES } from "../base/limits.ts";
import { bareOutcome } from "../log/outcome.ts";
import { BoundedTexts, type KeptImage } from "./bounded-texts.ts";

/**
 * Texts that get a number. Handlers that put input into refusal codes make more texts; each of those is held by itself.
 */
const SHARED_TEXTS = 1_000;

/** An outcome text with this beginning is of an applied event with a reply; see outcome.ts. */
const REPLY_PREFIX = '["a"';

export class Answers {
  /** The entry of seq s stands at (s % length): 0, or the number of its text. Empty until the first number is given. */
  #codes = new Uint16Array(0);
  #capacity: number;
  readonly #texts: string[] = [];
  readonly #numbers = new Map<string, number>();
  /** Texts without a number, by seq. */
  readonly #others = new Map<number, string>();
  readonly #details = new BoundedTexts(DETAILS_BYTES);
  readonly #replies = new BoundedTexts(REPLIES_BYTES);

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Sets the capacity. Entries from `first` to `last` stay. */
  resize(capacity: number, first: number, last: number): void {
    const old = this.#codes;
    this.#capacity = capacity;
    if (old.length === 0) return;
    this.#codes = new Uint16Array(capacity);
    for (let at = first; at <= last; at++) this.#codes[at % capacity] = old[at % old.length]!;
  }

  /** A new event takes the place of an expired one. */
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

  /** Returns undefined if the event was applied and its reply isn't kept. The id must be known. */
  get(at: number): string | undefined {
    return this.#details.get(at) ?? this.#bare(this.#codes[at % this.#capacity] ?? 0, at) ?? this.#replies.get(at);
  }

  #bare(number: number, at: number): string | undefined {
    return number === 0 ? this.#others.get(at) : this.#texts[number - 1];
  }

  /** Everything up to `last` is committed, so its texts count towards the bounds. */
  count(last: number): void {
    this.#details.count(last);
    this.#replies.count(last);
  }

  /** Drops entries of forgotten events, replies below `repliesFrom`, and the oldest texts beyond the bounds. */
  expire(first: number, repliesFrom: number): void {
    for (const at of this.#others.keys()) {
      if (at >= first) break;
      this.#others.delete(at);
    }
    this.#details.expire(first);
    this.#replies.expire(Math.max(first, repliesFrom));
  }

  /** Returns the entries from `from` to `to` as they are now. */
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
  /** Texts are only added, so an image may share the list. */
  readonly texts: readonly string[];
  readonly others: ReadonlyMap<number, string>;
  readonly details: KeptImage;
  readonly replies: KeptImage;
}

/**
 * Seqs and outcome texts in the order of seq. Iteration makes each pair, since a list of all pairs would take more
 * memory than the image.
 */
class AnswersImage implements Iterable<readonly [seq: number, outcome: string]> {
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
