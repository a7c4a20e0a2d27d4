/**
 * The fold of a log: everything that a partition knows after applying segments 1..seq, and how one more is applied.
 *
 * F1. It is a function of the log alone; recovery, verification and the live partition use the same steps (ONE5).
 * F2. Replay honours logged outcomes (ONE6), checks that no seq is missing (LOG4), and quarantines what throws now, so
 *     that no event stops a partition under newer code (IN4).
 */
import { Failure, messageOf } from "./errors.ts";
import { fill } from "./event.ts";
import { print } from "./address.ts";
import { Dedup } from "./dedup.ts";
import { Prints } from "./hash.ts";
import { EventContext, handle } from "./handling.ts";
import { seq, stamp, type Seq, type Stamp } from "./ids.ts";
import { isNew, Layer } from "./layer.ts";
import type { Event, Operator } from "./operator.ts";
import { NO_REPLY, outcomeText, type Outcome } from "./outcome.ts";
import { Producers } from "./producers.ts";
import { DELETE, Quarantine, RETRY, type Quarantined } from "./quarantine.ts";
import { stampMs } from "./stamp.ts";
import { KeyedState } from "./state.ts";
import type { ReadSegment } from "./archive.ts";

export class Fold {
  readonly operator: Operator;
  readonly seed: number;
  readonly state: KeyedState;
  readonly quarantine = new Quarantine();
  readonly producers = new Producers();
  readonly dedup: Dedup;
  /** The code that wrote what was replayed (CODE4). */
  readonly replayedFrom = new Set<string>();
  /** Everything up to here is applied. */
  seq: Seq = seq(0);
  stamp: Stamp = stamp(0);

  constructor(operator: Operator, seed: number) {
    this.operator = operator;
    this.seed = seed;
    this.state = new KeyedState(operator.memoryBytes);
    this.dedup = new Dedup({ ...operator.dedup, repliesMs: operator.repliesMs });
  }

  /** Applies one segment of the log, whose keys are in memory. @throws Failure log_broken where it doesn't follow the last one */
  replay({ row, events }: ReadSegment): void {
    if (row.seq !== this.seq + 1)
      throw new Failure(
        "log_broken",
        `after seq ${this.seq} comes a segment ${row.seq}..${row.last}: the log has ${row.seq > this.seq ? "a hole" : "a repeat"} (LOG4)`,
      );
    this.replayedFrom.add(codeOf(row));
    const layer = new Layer(this.state, null);
    try {
      this.#replayEvents(layer, row.seq, events);
    } catch (error) {
      // A handler that throws quarantines its event. This is one that could never have been logged.
      throw new Failure("log_broken", `segment ${row.seq}..${row.last} can't be replayed: ${messageOf(error)}`, {
        cause: error,
      });
    }
    for (const mark of events.marks) this.producers.set(mark, row.last);
    layer.settle(row.stamp);
    this.advance(row.last, row.stamp);
  }

  #replayEvents(layer: Layer, first: Seq, events: ReadSegment["events"]): void {
    let index = 0;
    for (const [count, ms] of events.at) {
      const time = new Date(ms).toISOString();
      for (let i = 0; i < count; i++, index++) this.#replayEvent(layer, seq(first + index), events, index, ms, time);
    }
  }

  #replayEvent(
    layer: Layer,
    at: Seq,
    { events, keys, outcomes }: ReadSegment["events"],
    index: number,
    ms: number,
    time: string,
  ): void {
    const timed = typeof events[index]!["time"] === "string";
    const event = fill(events[index]!, time);
    const key = keys[index]!;
    const collected = new Prints(1);
    print(collected, event, this.seed, timed);
    const prints = collected.words();
    this.dedup.add(prints, 0);
    const logged = outcomes.get(index);
    if (logged !== undefined && this.keeps(logged)) this.dedup.answer(at, outcomeText(logged));
    const outcome =
      logged !== undefined && logged.tag !== "applied" ? logged : this.run(layer, at, event, key, ms, prints, 0);
    this.settled(at, event, key, ms, outcome, () => JSON.stringify(event));
  }

  /** Runs an event, or a command on the quarantine. */
  run(
    layer: Layer,
    at: Seq,
    event: Event,
    key: string,
    ms: number,
    prints: ArrayLike<number>,
    offset: number,
  ): Outcome {
    if (event.type === RETRY || event.type === DELETE) return this.#command(layer, at, event, prints, offset);
    const touched = layer.touch(key);
    return handle(this.operator, touched, event, new EventContext(key, at, ms, isNew(touched), prints, offset));
  }

  /** Is this outcome remembered for repeats? */
  keeps(outcome: Outcome): boolean {
    return outcome.tag !== "applied" || (this.operator.repliesMs > 0 && outcome.reply !== NO_REPLY);
  }

  /** What an event's outcome means for the quarantine; called when it is known to be in the log. */
  settled(at: Seq, event: Event, key: string, ms: number, outcome: Outcome, text: () => string): void {
    if (event.type === RETRY || event.type === DELETE) this.#commanded(at, event, outcome);
    else if (outcome.tag === "quarantined")
      this.quarantine.add({ seq: at, key, error: outcome.error, now: ms, event: text() }, at);
  }

  /** How many more events are set aside once `settled` has been told of this one. */
  quarantineGrowth(event: Event, outcome: Outcome): number {
    if (event.type !== RETRY && event.type !== DELETE) return outcome.tag === "quarantined" ? 1 : 0;
    const missed = outcome.tag === "refused" && outcome.code === "not_quarantined";
    return missed || outcome.tag === "quarantined" ? 0 : -1;
  }

  /** A snapshot that is current holds everything up to `upTo`: the next one may leave that out. Done in steps. */
  *saving(upTo: Seq): Generator<void> {
    this.quarantine.saved(upTo);
    yield* this.state.saving(upTo);
  }

  /** Segment `last` is applied: what decides about repeats moves on with logged time (ONE3). */
  advance(last: Seq, at: Stamp): void {
    this.dedup.committed(last, stampMs(at));
    this.producers.committed(last, stampMs(at));
    this.seq = last;
    this.stamp = at;
  }

  #command(layer: Layer, at: Seq, command: Event, prints: ArrayLike<number>, offset: number): Outcome {
    const target = (command.data as { seq: Seq }).seq;
    const entry = this.quarantine.find(target);
    if (entry === undefined) return { tag: "refused", code: "not_quarantined", detail: NO_REPLY };
    this.quarantine.claim(target);
    if (command.type === DELETE) return { tag: "applied", reply: NO_REPLY };
    const touched = layer.touch(entry.key);
    const context = new EventContext(entry.key, at, entry.now, isNew(touched), prints, offset);
    return handle(this.operator, touched, quarantinedEvent(entry), context);
  }

  #commanded(at: Seq, command: Event, outcome: Outcome): void {
    const target = (command.data as { seq: Seq }).seq;
    if (outcome.tag === "refused" && outcome.code === "not_quarantined") return;
    const entry = this.quarantine.get(target);
    this.quarantine.remove(target, at);
    if (entry !== undefined && outcome.tag === "quarantined")
      this.quarantine.add({ ...entry, error: outcome.error }, at);
  }
}

/** Which code wrote a segment or a manifest. */
export const codeOf = (made: { readonly operatorVersion: number; readonly code: string }): string =>
  `${made.operatorVersion} ${made.code}`;

/** The event as its handler saw it the first time. */
export function quarantinedEvent(entry: Quarantined): Event {
  return fill(JSON.parse(entry.event) as Record<string, unknown>, new Date(entry.now).toISOString());
}
