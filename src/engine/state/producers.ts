/**
 * Producers holds what is known of senders that number their requests (ONE2). A producer has an epoch. For each of its
 * last WINDOW numbers, a mark says how far that request is in the log, and from which seq on.
 *
 * PRODUCER1. The mark of a request is the highest index of its events that this partition has logged. A request may be
 *     spread over several calls, which come in the order of the index. No call comes after one that was refused or not
 *     answered. So everything at or below the mark was decided once: an event there was logged, or rejected before it
 *     had a seq.
 * PRODUCER5. Ids decide which of the two happened, if dedup knows all ids from the request's first seq on. An event
 *     that dedup doesn't know then was never logged, and may count. If some of these ids are forgotten, the mark alone
 *     makes the event a duplicate, since an event that counted may never count again. The answer tells such an event
 *     from a known duplicate (group.ts).
 * PRODUCER2. A number in the window may come late, after higher ones: a number without a mark is new. Below the window
 *     nothing is known, so a number there is refused by name and never taken for a duplicate.
 * PRODUCER3. A higher epoch begins anew, and a lower one is refused, so two instances of one producer can't mix.
 * PRODUCER4. Marks are part of the state (ONE3). Logged events set marks. Marks count for admission at once, and for
 *     snapshots when they are committed. A producer is forgotten by logged time alone. Replay sets the same marks.
 *
 * A producer takes 12 KB, and there are at most PRODUCERS of them. The horizon of the ids (dedup.ts) holds beside the
 * marks.
 */
import { Damage } from "../base/errors.ts";
import { isMs } from "../base/hybrid-clock.ts";
import { seq, type Seq } from "../base/ids.ts";
import { isWhole, parseObject } from "../base/json.ts";
import { PRODUCERS } from "../base/limits.ts";
import type { Producer, Unfit } from "../event/producer.ts";
import { isMarkNumbers, type ProducerProgress } from "../log/segment.ts";

/** A producer as a snapshot holds it. */
export interface ProducerImage {
  readonly id: string;
  readonly epoch: number;
  /** The producer's last event, and the logged time of that event in milliseconds. */
  readonly seq: Seq;
  readonly at: number;
  /** Marks in the order of the numbers. */
  readonly marks: readonly (readonly [number: number, index: number, from: number])[];
}

/** Numbers that are remembered for each producer. */
export const WINDOW = 1_024;

/** Reads a producer from its line in a snapshot. @throws Damage if the line is corrupt */
export function readProducer(line: string): ProducerImage {
  const { id, epoch, seq: last, at, marks } = parseObject(line, "a line of producers");
  const sound = typeof id === "string" && id !== "" && isMs(at) && Array.isArray(marks) && marks.length <= WINDOW;
  if (!sound || !isWhole(last)) throw new Damage("a line of producers is invalid");
  let after = -1;
  for (const mark of marks as unknown[]) {
    const [number, index, from] = Array.isArray(mark) && mark.length === 3 ? (mark as unknown[]) : [];
    if (!isMarkNumbers(epoch, number, index, from) || (number as number) <= after || (from as number) > last)
      throw new Damage(`producer ${JSON.stringify(id)} has an invalid mark`);
    after = number as number;
  }
  if (!isWhole(epoch)) throw new Damage(`producer ${JSON.stringify(id)} has no epoch`);
  return { id, epoch, seq: seq(last), at, marks: marks as ProducerImage["marks"] };
}

/** A producer is forgotten if it logged nothing for this time. */
const KEEP_MS = 30 * 86_400_000;

/** Marks of one epoch. Two rings over the numbers of the window hold index + 1, or 0, and the first seq. */
class Marks {
  readonly epoch: number;
  highest = -1;
  readonly #ring = new Uint32Array(WINDOW);
  readonly #from = new Float64Array(WINDOW);

  constructor(epoch: number, marks: ProducerImage["marks"] = []) {
    this.epoch = epoch;
    for (const [number, index, from] of marks) this.set(number, index, from);
  }

  /** Returns -1 if the number has no mark. */
  get(number: number): number {
    return number > this.highest || number <= this.highest - WINDOW ? -1 : this.#ring[number % WINDOW]! - 1;
  }

  /** Returns Infinity if the number has no mark. */
  from(number: number): number {
    return this.get(number) < 0 ? Number.POSITIVE_INFINITY : this.#from[number % WINDOW]!;
  }

  set(number: number, index: number, from: number): void {
    if (number <= this.highest - WINDOW) return;
    // Clear the places of the skipped numbers, which held older ones.
    for (let passed = Math.max(this.highest + 1, number - WINDOW + 1); passed <= number; passed++)
      this.#ring[passed % WINDOW] = 0;
    this.highest = Math.max(this.highest, number);
    this.#from[number % WINDOW] = Math.min(this.from(number), from);
    this.#ring[number % WINDOW] = Math.max(this.#ring[number % WINDOW]!, index + 1);
  }

  list(): [number: number, index: number, from: number][] {
    const marks: [number, number, number][] = [];
    for (let number = Math.max(0, this.highest - WINDOW + 1); number <= this.highest; number++)
      if (this.get(number) >= 0) marks.push([number, this.get(number), this.from(number)]);
    return marks;
  }
}

interface Known {
  /** The last event that set a mark, and its logged time in milliseconds. */
  readonly seq: Seq;
  readonly at: number;
  readonly marks: Marks;
}

interface Pending {
  readonly marks: Marks;
  /** The last event that set one of the marks. */
  until: Seq;
}

export class Producers {
  /** Committed producers. The one that logged last stands last. */
  readonly #known = new Map<string, Known>();
  /** Marks of events that aren't in the log yet. */
  readonly #pending = new Map<string, Pending>();
  readonly #queue: { readonly mark: ProducerProgress; readonly at: Seq }[] = [];

  /** Returns why the events of this request are refused, or null if they are taken. */
  unfit({ id, epoch, number }: Producer): Unfit | null {
    const latest = this.#latest(id);
    if (latest === undefined)
      return this.#full()
        ? {
            status: 429,
            code: "too_many_producers",
            message: `a partition knows ${PRODUCERS} producers already; use one Producer-Id for each sender, not for each run, and raise its epoch`,
          }
        : null;
    if (epoch < latest.epoch)
      return {
        status: 403,
        code: "producer_fenced",
        message: `producer ${JSON.stringify(id)} is at epoch ${latest.epoch}, this request is of epoch ${epoch}: another instance has taken over`,
      };
    const highest = epoch === latest.epoch ? this.#highest(id, epoch) : -1;
    if (number <= highest - WINDOW)
      return {
        status: 409,
        code: "producer_seq_too_old",
        message: `producer ${JSON.stringify(id)} has sent number ${highest}; ${number} is below the last ${WINDOW}, and it isn't known any more whether it counted`,
      };
    return null;
  }

  #latest(id: string): Marks | undefined {
    return this.#pending.get(id)?.marks ?? this.#known.get(id)?.marks;
  }

  #full(): boolean {
    let unknown = 0;
    for (const id of this.#pending.keys()) if (!this.#known.has(id)) unknown += 1;
    return this.#known.size + unknown >= PRODUCERS;
  }

  #highest(id: string, epoch: number): number {
    const known = this.#known.get(id)?.marks;
    return Math.max(known?.epoch === epoch ? known.highest : -1, this.#pending.get(id)?.marks.highest ?? -1);
  }

  /** Returns the index up to which this request is logged or pending, or -1 if nothing of it is. */
  mark({ id, epoch, number }: Producer): number {
    const known = this.#known.get(id)?.marks;
    const pending = this.#pending.get(id)?.marks;
    return Math.max(
      known?.epoch === epoch ? known.get(number) : -1,
      pending?.epoch === epoch ? pending.get(number) : -1,
    );
  }

  /**
   * Returns the seq of the request's first event that is logged or pending (PRODUCER5), or Infinity if there is none.
   */
  from({ id, epoch, number }: Producer): number {
    const known = this.#known.get(id)?.marks;
    const pending = this.#pending.get(id)?.marks;
    return Math.min(
      known?.epoch === epoch ? known.from(number) : Number.POSITIVE_INFINITY,
      pending?.epoch === epoch ? pending.from(number) : Number.POSITIVE_INFINITY,
    );
  }

  /** Returns the producer's last event that isn't in the log yet, or 0 if there is none. */
  until(id: string): Seq {
    return this.#pending.get(id)?.until ?? seq(0);
  }

  /** The event at `at` sets this mark once it is in the log. */
  set(mark: ProducerProgress, at: Seq): void {
    const [id, epoch, number, index, from] = mark;
    this.#queue.push({ mark, at });
    let pending = this.#pending.get(id);
    if (pending === undefined || pending.marks.epoch < epoch) {
      pending = { marks: new Marks(epoch), until: at };
      this.#pending.set(id, pending);
    }
    pending.until = at;
    pending.marks.set(number, index, from);
  }

  /** Everything up to `last` was logged at `ms`. */
  committed(last: Seq, ms: number): void {
    let done = 0;
    for (; done < this.#queue.length && this.#queue[done]!.at <= last; done++)
      this.#keep(this.#queue[done]!.mark, last, ms);
    if (done > 0) {
      this.#queue.splice(0, done);
      for (const [id, { until }] of this.#pending) if (until <= last) this.#pending.delete(id);
    }
    for (const [id, { at }] of this.#known) {
      if (at >= ms - KEEP_MS) break;
      this.#known.delete(id);
    }
  }

  #keep([id, epoch, number, index, from]: ProducerProgress, last: Seq, ms: number): void {
    const known = this.#known.get(id);
    const marks = known === undefined || known.marks.epoch < epoch ? new Marks(epoch) : known.marks;
    if (marks.epoch === epoch) marks.set(number, index, from);
    this.#known.delete(id);
    this.#known.set(id, { seq: last, at: ms, marks });
  }

  /** Returns the producers that logged something after `base`, for a snapshot. */
  image(base: Seq = seq(0)): ProducerImage[] {
    return [...this.#known]
      .filter(([, known]) => known.seq > base)
      .map(([id, { at, marks, seq }]) => ({ id, epoch: marks.epoch, seq, at, marks: marks.list() }));
  }

  /**
   * Takes in a producer of a snapshot, in the order of the images and of the snapshots.
   *
   * @throws Damage if the snapshot has far too many producers
   */
  restore({ id, epoch, seq, at, marks }: ProducerImage): void {
    this.#known.delete(id);
    // This bound is far above what is ever taken in. Each producer costs 12 KB here, and a hundredth of that in a file.
    if (this.#known.size >= 10 * PRODUCERS) throw new Damage(`the snapshot has more than ${10 * PRODUCERS} producers`);
    this.#known.set(id, { seq, at, marks: new Marks(epoch, marks) });
  }
}
