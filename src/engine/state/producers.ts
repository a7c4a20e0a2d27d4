/**
 * What is known of producers that number their requests (ONE2): per producer the epoch, and for each of its last
 * WINDOW numbers how far that request is in the log, and from which seq on.
 *
 * PRODUCER1. The mark of a request is the highest index of its events that this partition has logged: a request may be spread over
 *     several calls, which come in the order of the index, and none after one that was refused or not answered; so at or
 *     below the mark everything was decided once. An event there was logged, or rejected before it had a seq.
 * PRODUCER5. Which of the two is for the ids to say, as long as dedup knows all of them from the request's first seq on: then what it
 *     doesn't know was never logged, and may count. Below that it can't be known, so the mark alone says "repeat": what
 *     counted may never count again, and what didn't is told apart from a repeat that is known (group.ts).
 * PRODUCER2. A number in the window may come late, after higher ones: what has no mark is new. Below the window nothing is known,
 *     so it is refused by name and never taken for a repeat.
 * PRODUCER3. A higher epoch begins anew; a lower one is refused: two instances of one producer can't mix.
 * PRODUCER4. It is part of the state (ONE3): marks are set by what is logged, count for admission at once and for snapshots when
 *     they are committed, and a producer is forgotten by logged time alone. Replay sets the same marks.
 *
 * 12 KB for each of at most PRODUCERS producers. The ids' own horizon (dedup.ts) holds beside it.
 */
import { Damage } from "../base/errors.ts";
import { isMs } from "../base/hybrid-clock.ts";
import { seq, type Seq } from "../base/ids.ts";
import { isWhole, parseObject } from "../base/json.ts";
import { PRODUCERS } from "../base/limits.ts";
import type { Producer, Unfit } from "../event/producer.ts";
import { isMarkNumbers, type ProducerProgress } from "../log/segment.ts";

/** A producer, as it stands in a snapshot. */
export interface ProducerImage {
  readonly id: string;
  readonly epoch: number;
  /** Its last event, and the logged time of that, milliseconds. */
  readonly seq: Seq;
  readonly at: number;
  /** In the order of the numbers. */
  readonly marks: readonly (readonly [number: number, index: number, from: number])[];
}

/** Numbers per producer that are told apart. */
export const WINDOW = 1_024;

/** A producer from its line in a snapshot. @throws Damage */
export function readProducer(line: string): ProducerImage {
  const { id, epoch, seq: last, at, marks } = parseObject(line, "a line of producers");
  const sound = typeof id === "string" && id !== "" && isMs(at) && Array.isArray(marks) && marks.length <= WINDOW;
  if (!sound || !isWhole(last)) throw new Damage("a line of producers is none");
  let after = -1;
  for (const mark of marks as unknown[]) {
    const [number, index, from] = Array.isArray(mark) && mark.length === 3 ? (mark as unknown[]) : [];
    if (!isMarkNumbers(epoch, number, index, from) || (number as number) <= after || (from as number) > last)
      throw new Damage(`producer ${JSON.stringify(id)} has a mark that is none`);
    after = number as number;
  }
  if (!isWhole(epoch)) throw new Damage(`producer ${JSON.stringify(id)} has no epoch`);
  return { id, epoch, seq: seq(last), at, marks: marks as ProducerImage["marks"] };
}

/** A producer that logged nothing for so long is forgotten. */
const KEEP_MS = 30 * 86_400_000;

/** Marks of one epoch: rings over the numbers of the window, of index + 1 or 0, and of the first seq. */
class Marks {
  readonly epoch: number;
  highest = -1;
  readonly #ring = new Uint32Array(WINDOW);
  readonly #from = new Float64Array(WINDOW);

  constructor(epoch: number, marks: ProducerImage["marks"] = []) {
    this.epoch = epoch;
    for (const [number, index, from] of marks) this.set(number, index, from);
  }

  /** -1: no mark. */
  get(number: number): number {
    return number > this.highest || number <= this.highest - WINDOW ? -1 : this.#ring[number % WINDOW]! - 1;
  }

  /** Infinity: no mark. */
  from(number: number): number {
    return this.get(number) < 0 ? Number.POSITIVE_INFINITY : this.#from[number % WINDOW]!;
  }

  set(number: number, index: number, from: number): void {
    if (number <= this.highest - WINDOW) return;
    // The places of the numbers that were passed over held older ones.
    for (let passed = Math.max(this.highest + 1, number - WINDOW + 1); passed <= number; passed++)
      this.#ring[passed % WINDOW] = 0;
    this.highest = Math.max(this.highest, number);
    this.#from[number % WINDOW] = Math.min(this.from(number), from);
    this.#ring[number % WINDOW] = Math.max(this.#ring[number % WINDOW]!, index + 1);
  }

  /** In the order of the numbers. */
  list(): [number: number, index: number, from: number][] {
    const marks: [number, number, number][] = [];
    for (let number = Math.max(0, this.highest - WINDOW + 1); number <= this.highest; number++)
      if (this.get(number) >= 0) marks.push([number, this.get(number), this.from(number)]);
    return marks;
  }
}

interface Known {
  /** The last event that set a mark, and its logged time, milliseconds. */
  readonly seq: Seq;
  readonly at: number;
  readonly marks: Marks;
}

interface Pending {
  readonly marks: Marks;
  /** The last event that set one of them. */
  until: Seq;
}

export class Producers {
  /** Committed; whoever logged last stands last. */
  readonly #known = new Map<string, Known>();
  /** Of events that aren't in the log yet. */
  readonly #pending = new Map<string, Pending>();
  readonly #queue: { readonly mark: ProducerProgress; readonly at: Seq }[] = [];

  /** Why the events of this request are not taken; null: they are. */
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
        message: `producer ${JSON.stringify(id)} has sent number ${highest}; ${number} is below the last ${WINDOW}, and whether it counted is not known any more`,
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

  /** The index up to which this request is logged, or on its way; -1: nothing of it. */
  mark({ id, epoch, number }: Producer): number {
    const known = this.#known.get(id)?.marks;
    const pending = this.#pending.get(id)?.marks;
    return Math.max(
      known?.epoch === epoch ? known.get(number) : -1,
      pending?.epoch === epoch ? pending.get(number) : -1,
    );
  }

  /** The seq of the request's first event that is logged, or on its way (PRODUCER5); Infinity: there is none. */
  from({ id, epoch, number }: Producer): number {
    const known = this.#known.get(id)?.marks;
    const pending = this.#pending.get(id)?.marks;
    return Math.min(
      known?.epoch === epoch ? known.from(number) : Number.POSITIVE_INFINITY,
      pending?.epoch === epoch ? pending.from(number) : Number.POSITIVE_INFINITY,
    );
  }

  /** The last event of this producer that isn't in the log yet; 0: there is none. */
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

  /** What was committed after `base`, for a snapshot. */
  image(base: Seq = seq(0)): ProducerImage[] {
    return [...this.#known]
      .filter(([, known]) => known.seq > base)
      .map(([id, { at, marks, seq }]) => ({ id, epoch: marks.epoch, seq, at, marks: marks.list() }));
  }

  /** Takes in a producer as a snapshot holds it; in the order of the images, and of the snapshots. @throws Damage */
  restore({ id, epoch, seq, at, marks }: ProducerImage): void {
    this.#known.delete(id);
    // Far beyond what is ever taken in: each costs 4 KB here, and a hundredth of that in a file.
    if (this.#known.size >= 10 * PRODUCERS) throw new Damage(`the snapshot has more than ${10 * PRODUCERS} producers`);
    this.#known.set(id, { seq, at, marks: new Marks(epoch, marks) });
  }
}
