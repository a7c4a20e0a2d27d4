/**
 * A group: the events that one commit will make durable, collected while the commit before it is in flight.
 *
 * GROUP1. An event's seq, its outcome and its place in the log are decided in one turn, without await.
 * GROUP3. Timers fire in a group like events, before the events whose clock has reached them (firing.ts).
 * GROUP2. A group is cut into rows below the row limit. Each row has its own overlay, since each has its own stamp.
 */
import type { Codec } from "../base/ports.ts";
import { groupCounts, type CounterValues } from "../base/counters.ts";
import { commandOf } from "../state/command.ts";
import type { StateMachine, Live } from "../state/state-machine.ts";
import { fill } from "../event/event.ts";
import { partitionClock } from "../base/hybrid-clock.ts";
import { seq, stamp, type Epoch, type Seq, type Stamp } from "../base/ids.ts";
import { utf8Length } from "../base/json.ts";
import { Overlay } from "../state/overlay.ts";
import { LISTED_ERRORS, NAME_BYTES, ROW_BYTES } from "../base/limits.ts";
import { migrationFailed } from "../operator/migration.ts";
import type { ProducerProgress } from "../log/segment.ts";
import type { Producer } from "../event/producer.ts";
import { outcomeText, type Outcome } from "../log/outcome.ts";
import { PRINT_WORDS } from "../base/hash.ts";
import { sealPayload, SEGMENT_FORMAT, SegmentWriter } from "../log/segment.ts";
import type { Segment } from "../base/records.ts";
import { DUPLICATE, STATUS, type AppendRequest } from "./protocol.ts";
import { RESERVED_TYPE } from "../operator/operator.ts";
import type { Event } from "../event/event.ts";
import { print, Prints } from "../event/fingerprint.ts";
import { firingText, type Firing, type Timers } from "../state/timers.ts";
import type { Watchers } from "../base/ports.ts";

interface Row {
  readonly writer: SegmentWriter;
  readonly overlay: Overlay;
}

/** The results of a request's events. They are valid once everything up to `until` is durable. */
export interface Admission {
  readonly statuses: Uint8Array;
  readonly details: (readonly [number, number, string | null])[];
  readonly until: Seq;
}

/**
 * A duplicate whose id may be beyond the horizon, but whose number its producer has used (PRODUCER5 of producers.ts).
 */
const FORGOTTEN = { tag: "forgotten", seq: seq(0) } as const;

export class Group {
  readonly nonce: string;
  readonly #fold: StateMachine;
  readonly #live: Live;
  readonly #rows: Row[] = [];
  #below: Overlay | null;
  #next: Seq;
  /** Requests in the group. Each has one caller that waits. */
  callers = 0;
  bytes = 0;
  /** The highest stamp that a sender has heard of. The group is stamped above it (TIME1). */
  after = stamp(0);
  /** The partition clock of the last event (CLOCK3). */
  #clock: number;
  readonly #counts = { applied: 0, refused: 0, quarantined: 0, duplicates: 0, reused: 0, timers: 0 };
  #resolve: () => void = () => undefined;
  #reject: (why: unknown) => void = () => undefined;
  /** Settles when the group is in the log, or can't get there through this instance. */
  readonly durable: Promise<void>;

  /** `below`: the group before, whose commit is in flight. */
  constructor(nonce: string, machine: StateMachine, live: Live, first: Seq, below: Group | null) {
    this.nonce = nonce;
    this.#live = live;
    this.#fold = machine;
    this.#next = first;
    this.#below = below?.top ?? null;
    this.#clock = below?.clock ?? machine.clock;
    this.durable = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Waiters hear of a failure. A group without waiters must not raise an unhandled rejection.
    this.durable.catch(() => undefined);
  }

  get first(): Seq {
    return this.#rows[0]?.writer.first ?? this.#next;
  }

  get events(): number {
    return this.#next - this.first;
  }

  get next(): Seq {
    return this.#next;
  }

  get clock(): number {
    return this.#clock;
  }

  /** Outcomes of the group's events, for the counters. */
  get counts(): CounterValues {
    const grouped = this.events === 0 ? {} : groupCounts(this.events);
    return { ...this.#counts, ...grouped, slices: this.callers, segments: this.#filled().length };
  }

  get top(): Overlay | null {
    return this.#rows.at(-1)?.overlay ?? this.#below;
  }

  /** Takes a request in at this time of the object: drops duplicates, gives seqs, runs handlers. */
  admit(slice: AppendRequest, nowMs: number): Admission {
    const events = JSON.parse(`[${slice.body}]`) as Record<string, unknown>[];
    this.#clock = partitionClock(this.#clock, slice.at, nowMs);
    const time = new Date(this.#clock).toISOString();
    const ascii = slice.bytes === slice.body.length;
    const statuses = new Uint8Array(events.length);
    const details: [number, number, string | null][] = [];
    const { dedup, producers } = this.#fold;
    const { producer, indexes } = slice;
    // Events of the client's request up to this index were taken before (ONE2), perhaps by a group that isn't durable
    // yet.
    const taken = producer === undefined ? -1 : producers.mark(producer);
    // If dedup has all ids from the request's first event on, an unknown id was never logged.
    const forgetful = producer !== undefined && producers.from(producer) < dedup.first;
    let until = producer === undefined || taken < 0 ? seq(0) : producers.until(producer.id);
    // Runs of new events are spliced as one piece of the request's body: [from, end) in characters.
    let from = 0;
    let end = 0;
    let first = this.#next;
    this.callers += 1;
    this.bytes += slice.bytes;
    this.after = stamp(Math.max(this.after, slice.after ?? 0));
    let row = this.#row(slice.bytes);
    let last = 0;
    const flush = (): void => {
      if (end <= from) return;
      const text = from === 0 && end === slice.body.length ? slice.body : slice.body.slice(from, end);
      row.writer.body(text, ascii ? text.length : utf8Length(text));
      if (producer !== undefined) this.#mark(row, producer, indexes![last]!, first);
    };
    for (let i = 0, start = 0; i < events.length; i++) {
      const stop = start + slice.lengths[i]!;
      const print = dedup.find(slice.prints, i * PRINT_WORDS);
      const found = print.tag === "new" && forgetful && indexes![i]! <= taken ? FORGOTTEN : print;
      const unmigrated = found.tag === "new" ? this.#unmigrated(row, events[i]!, slice.keys[i]!) : null;
      if (unmigrated !== null) {
        flush();
        from = end = stop + 1;
        statuses[i] = STATUS.unmigrated;
        if (slice.full || details.length < LISTED_ERRORS) details.push([i, 0, unmigrated]);
      } else if (found.tag === "new") {
        if (row.writer.bytes + (end - from) * (ascii ? 1 : 3) > ROW_BYTES) {
          flush();
          from = end = start;
          row = this.#row(ROW_BYTES);
        }
        const at = this.#next;
        if (end <= from) {
          from = start;
          first = at;
        }
        end = stop;
        dedup.add(slice.prints, i * PRINT_WORDS);
        this.#next = seq(at + 1);
        const place = i * PRINT_WORDS;
        const text = (): string => slice.body.slice(start, stop).trim();
        const outcome = this.#run(row, at, fill(events[i]!, time), slice.keys[i]!, slice.prints, place, text);
        statuses[i] = STATUS[outcome.tag];
        if (slice.full || (outcome.tag !== "applied" && details.length < LISTED_ERRORS))
          details.push([i, at, outcomeText(outcome)]);
        until = at;
        last = i;
      } else {
        flush();
        from = end = stop + 1;
        this.#counts[found.tag === "reused" ? "reused" : "duplicates"] += 1;
        const heard = this.#fold.heard(found.seq);
        statuses[i] = this.#known(found, heard.text, i, slice, details);
        if (heard.until > until) until = heard.until;
      }
      start = stop + 1;
    }
    flush();
    return { statuses, details, until };
  }

  /**
   * Returns the reason if the state of the event's key can't be migrated (MIGRATION2 of migration.ts), else null.
   * Commands need no migrated state.
   */
  #unmigrated({ overlay }: Row, event: Record<string, unknown>, key: string): string | null {
    const found = overlay.unmigrated(key);
    if (found === null || (event["type"] as string).startsWith(RESERVED_TYPE)) return null;
    return migrationFailed(this.#fold.operator, key, found.version, found.text!);
  }

  /**
   * Marks in this row that it holds the request from the seq `first` up to the index. The row's last event carries the
   * mark.
   */
  #mark(row: Row, { id, epoch, number }: Producer, index: number, first: Seq): void {
    const mark: ProducerProgress = [id, epoch, number, index, first];
    row.writer.mark(mark);
    this.#fold.producers.set(mark, row.writer.last);
  }

  #known(
    found: { readonly tag: "duplicate" | "reused" | "forgotten"; readonly seq: Seq },
    outcome: string | undefined,
    i: number,
    slice: AppendRequest,
    details: [number, number, string | null][],
  ): number {
    if (found.tag === "forgotten") {
      if (slice.full) details.push([i, found.seq, null]);
      return STATUS.forgotten + DUPLICATE;
    }
    if (found.tag === "reused") {
      if (slice.full || details.length < LISTED_ERRORS) details.push([i, found.seq, null]);
      return STATUS.reused;
    }
    const status =
      outcome === undefined || outcome.startsWith('["a"')
        ? STATUS.applied
        : outcome.startsWith('["r"')
          ? STATUS.refused
          : STATUS.quarantined;
    if (slice.full || (status !== STATUS.applied && details.length < LISTED_ERRORS))
      details.push([i, found.seq, outcome ?? null]);
    return status + DUPLICATE;
  }

  /** Returns the key's timers as everything before leaves them. */
  timers(key: string): Timers | undefined {
    return (this.top ?? new Overlay(this.#fold.state, null)).last(key).timers;
  }

  /** Fires a timer of the key, which is pending and due. */
  fire(key: string, firing: Firing): void {
    this.#clock = Math.max(this.#clock, firing.due);
    const text = firingText(firing);
    const bytes = utf8Length(text);
    const row = this.#row(bytes + NAME_BYTES);
    const at = this.#next;
    const event = fill(JSON.parse(text) as Record<string, unknown>, new Date(this.#clock).toISOString());
    const prints = new Prints(1);
    print(prints, event, key, this.#fold.seed, false);
    this.#fold.dedup.add(prints.all, prints.last);
    this.#next = seq(at + 1);
    this.bytes += bytes;
    row.writer.body(text, bytes);
    this.#run(row, at, event, key, prints.all, prints.last, () => text);
    this.#counts.timers += 1;
  }

  #run(
    row: Row,
    at: Seq,
    event: Event,
    key: string,
    prints: ArrayLike<number>,
    place: number,
    text: () => string,
  ): Outcome {
    const machine = this.#fold;
    const ms = this.#clock;
    row.writer.event(key, ms);
    // Read the command before the event runs: a handler may change the event, and a retry removes the quarantined
    // entry.
    const command = commandOf(event);
    const outcome = machine.run(row.overlay, at, event, key, ms, prints, place, this.#live);
    this.#counts[outcome.tag] += 1;
    if (machine.keeps(outcome)) {
      row.writer.outcome(outcome);
      machine.dedup.answer(at, outcomeText(outcome));
    }
    if (outcome.tag !== "applied" || command !== null)
      machine.decide({ at, key, ms, made: machine.made, text }, command, outcome);
    if (outcome.tag === "quarantined") this.#live.threw(machine.quarantine.find(command?.target ?? at)!);
    return outcome;
  }

  /** Returns the row for the next events, or a new row if they wouldn't fit. */
  #row(bytes: number): Row {
    const last = this.#rows.at(-1);
    if (last !== undefined && last.writer.bytes + bytes <= ROW_BYTES) return last;
    if (last !== undefined && last.writer.count === 0) return last;
    const row = { writer: new SegmentWriter(this.#next), overlay: new Overlay(this.#fold.state, this.top) };
    this.#rows.push(row);
    return row;
  }

  /** Returns the rows as they go to the log. */
  close(
    facts: { readonly stamp: Stamp; readonly epoch: Epoch; readonly code: string; readonly stats: string },
    codec: Codec,
  ): Segment[] {
    return this.#filled().map(({ writer }, i): Segment => {
      return {
        format: SEGMENT_FORMAT,
        seq: writer.first,
        last: writer.last,
        stamp: (facts.stamp + i) as Stamp,
        epoch: facts.epoch,
        group: this.nonce,
        operatorVersion: this.#fold.operator.version,
        code: facts.code,
        stats: facts.stats,
        ...sealPayload(writer.payload(), writer.bytes, codec),
      };
    });
  }

  /** Keys and bytes that the group adds to the state. */
  growth(): { keys: number; size: number } {
    const total = { keys: 0, size: 0 };
    for (const { overlay } of this.#rows) {
      const { keys, size } = overlay.growth();
      total.keys += keys;
      total.size += size;
    }
    return total;
  }

  /** The group is in the log from this stamp on, so its effects become visible (LOG1). */
  settle(first: Stamp, watchers: Watchers | null = null): void {
    this.#filled().forEach(({ writer, overlay }, i) => {
      const at = (first + i) as Stamp;
      overlay.settle(at, watchers);
      this.#fold.advance(writer.last, at, writer.clock);
    });
    this.#below = null;
    this.#resolve();
  }

  fail(why: unknown): void {
    this.#reject(why);
  }

  /** A row is left without events if it was opened for duplicates alone. */
  #filled(): Row[] {
    return this.#rows.filter((row) => row.writer.count > 0);
  }
}
