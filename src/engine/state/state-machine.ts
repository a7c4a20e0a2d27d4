/**
 * StateMachine holds everything that a partition knows after segments 1..seq of its log, and applies the next one.
 *
 * MACHINE1. The state is a function of the log alone. Recovery, verification and the live partition use the same steps
 *     (ONE5).
 * MACHINE2. Replay honours logged outcomes (ONE6) and checks that no seq is missing (LOG4). Replay quarantines an event
 *     that was applied, and that now throws or is refused. So under other code no event stops a partition, and each
 *     lost effect is visible (IN4).
 * MACHINE3. Only the first run decides the condition of an edit and the bound on keys. Replay doesn't decide them
 *     again.
 * MACHINE4. A machine for some keys alone (`only`) skips the events of all others, and knows no ids and no producers. It
 *     serves reads of the past, whose memory must not grow with the log. A command on the quarantine has the key of its
 *     target, so no event needs another key's state.
 * MACHINE5. Somebody may decide logged events anew (`anew`). Then the outcomes of the code that runs here count, and not
 *     the logged ones. Only a refusal that no handler decided stays as logged: that of an edit, and that of a bound.
 * MACHINE6. A machine for a share of the keys (SHARE1) skips the events of all others, and knows their ids and producers
 *     nevertheless (SHARE2).
 * MACHINE7. A timer that fired when it was logged fires at replay if the code that runs set the same timer, and else does
 *     nothing. A timer of whose firing the log knows nothing stays pending.
 */
import { Failure, messageOf } from "../base/errors.ts";
import { fill } from "../event/event.ts";
import { print } from "../event/fingerprint.ts";
import { Dedup } from "./dedup.ts";
import { ERASE, isEdit } from "./edit.ts";
import { Prints } from "../event/fingerprint.ts";
import { appliedAgain, commandOf, isSteering, spares, stands, targetOf, type Command } from "./command.ts";
import { EventContext, spend } from "./handler.ts";
import { runEvent } from "./run-event.ts";
import { seq, stamp, type Seq, type Stamp } from "../base/ids.ts";
import { isNew, Overlay, undo, type DirtyKey } from "./overlay.ts";
import { MIGRATION_FAILED, migrationFailed } from "../operator/migration.ts";
import type { Operator } from "../operator/operator.ts";
import type { Event } from "../event/event.ts";
import { NO_REPLY, outcomeText, type Outcome, type Thrown } from "../log/outcome.ts";
import { Producers } from "./producers.ts";
import { DELETE, Quarantine, type MadeBy, type Quarantined, type Settled } from "./quarantine.ts";
import type { Segment } from "../base/records.ts";
import { KeyedState } from "./keyed-state.ts";
import { TimerQueue } from "./timer-queue.ts";
import { dueOf, earliest, TIMER_TYPE, type Firing } from "./timers.ts";
import type { ReadSegment } from "../log/archive.ts";

/** The first run of an event, and the bound that holds for it. A replay has none (MACHINE3). */
export interface Live {
  /** Keys that the partition may hold. */
  readonly maxKeys: number;
  /** A handler threw. The event, or the target of the retry, is in the quarantine. */
  threw(entry: Quarantined): void;
}

/** A logged event that is decided anew (MACHINE5). */
export interface DecidedEvent {
  readonly at: Seq;
  /** Its place in the segment. */
  readonly index: number;
  readonly key: string;
  readonly event: Event;
  readonly command: Command | null;
  /** Missing if the event was applied and its reply isn't kept. */
  readonly logged: Outcome | undefined;
  readonly row: Segment;
}

/** `run` applies the event. Returns null if the event doesn't count: then it leaves no trace. */
export type Anew = (event: DecidedEvent, run: () => Outcome) => Outcome | null;

/** Keys, as a condition. */
export type Keys = (key: string) => boolean;

export class StateMachine {
  readonly operator: Operator;
  readonly seed: number;
  /** The code that runs here (CODE4). */
  readonly made: MadeBy;
  readonly state: KeyedState;
  readonly quarantine = new Quarantine();
  readonly producers = new Producers();
  readonly dedup: Dedup;
  readonly timers = new TimerQueue();
  /** The code that wrote the replayed segments (CODE4). */
  readonly replayedFrom = new Set<string>();
  /** Another version of the operator made the base, or logged a segment that was replayed. */
  foreign = false;
  /** Events that were applied when they were logged, and that replay by other code quarantined. */
  readonly disowned = { events: 0, first: 0 };
  /** Everything up to this seq is applied. */
  seq: Seq = seq(0);
  stamp: Stamp = stamp(0);
  /** The partition clock of the last event (CLOCK3). */
  clock = 0;
  /** Decides logged events anew. Null if logged outcomes hold (MACHINE5). */
  anew: Anew | null = null;
  readonly #only: Keys | null;
  readonly #share: Keys | null;

  constructor(operator: Operator, seed: number, code = "", only: Keys | null = null, share: Keys | null = null) {
    this.#only = only;
    this.#share = share;
    this.operator = operator;
    this.seed = seed;
    this.made = { operatorVersion: operator.version, code };
    this.state = new KeyedState(operator.memoryBytes);
    this.dedup = new Dedup({ ...operator.dedup, repliesMs: operator.repliesMs });
  }

  /**
   * Applies one segment of the log, whose keys must be in memory. `overlay`: a new one, if the caller looks at it
   * meanwhile.
   *
   * @throws Failure log_broken if the segment doesn't follow the last one, or can't be replayed
   */
  replay(segment: ReadSegment, overlay = new Overlay(this.state, null)): void {
    const { row } = segment;
    this.replayedFrom.add(codeOf(row));
    this.foreign ||= row.operatorVersion !== this.operator.version;
    this.take(overlay, this.seq, segment);
    overlay.settle(row.stamp);
    this.advance(row.last, row.stamp, clockOf(segment.events));
  }

  /**
   * Applies one segment to an overlay, as the one after that seq. Nothing is visible before the overlay is settled, and
   * the machine advanced.
   */
  take(overlay: Overlay, after: Seq, { row, events }: ReadSegment): void {
    if (row.seq !== after + 1)
      throw new Failure(
        "log_broken",
        `after seq ${after} comes a segment ${row.seq}..${row.last}: the log has ${row.seq > after ? "a gap" : "a duplicate"} (LOG4)`,
      );
    try {
      this.#replayEvents(overlay, row, events);
    } catch (error) {
      // A handler that throws only quarantines its event. An event that throws here could never have been logged.
      throw new Failure("log_broken", `segment ${row.seq}..${row.last} can't be replayed: ${messageOf(error)}`, {
        cause: error,
      });
    }
    if (this.#only === null) for (const mark of events.marks) this.producers.set(mark, row.last);
  }

  /** Returns true if the machine holds the state of the key (MACHINE4, MACHINE6). */
  holds(key: string): boolean {
    return (this.#share === null || this.#share(key)) && (this.#only === null || this.#only(key));
  }

  #replayEvents(overlay: Overlay, row: Segment, events: ReadSegment["events"]): void {
    const prints = new Prints(this.#only === null ? events.events.length : 1);
    let index = 0;
    for (const [count, ms] of events.at) {
      const time = new Date(ms).toISOString();
      for (let i = 0; i < count; i++, index++) this.#replayEvent(overlay, row, events, index, ms, time, prints);
    }
  }

  #replayEvent(
    overlay: Overlay,
    row: Segment,
    { events, keys, outcomes, sent }: ReadSegment["events"],
    index: number,
    ms: number,
    time: string,
    collected: Prints,
  ): void {
    const key = keys[index]!;
    const isHeld = this.holds(key);
    if (!isHeld && this.#only !== null) return;
    const at = seq(row.seq + index);
    const timed = typeof events[index]!["time"] === "string";
    const event = fill(events[index]!, time);
    print(collected, event, key, this.seed, timed);
    const [prints, offset] = [collected.all, collected.last];
    const logged = outcomes.get(index);
    if (this.#only === null) this.dedup.add(prints, offset);
    if (!isHeld) return;
    // Read the command before the event runs, since a handler may write on the event.
    const command = commandOf(event);
    const run = (): Outcome => this.run(overlay, at, event, key, ms, prints, offset, null);
    const outcome =
      this.anew === null || stands(logged, command)
        ? this.#honoured(at, command, logged, run)
        : this.anew({ at, index, key, event, command, logged, row }, run);
    if (outcome === null) return;
    if (event.type === TIMER_TYPE && outcome.tag !== "applied") this.#spend(overlay, key, event, at);
    // The sender of an event that replay quarantines heard "applied", and hears it again.
    const told = this.anew === null ? logged : outcome;
    if (this.#only === null && told !== undefined && this.keeps(told)) this.dedup.answer(at, outcomeText(told));
    const made = outcome === logged ? row : this.made;
    this.decide({ at, key, ms, made, text: () => sent(index) }, command, outcome);
  }

  #honoured(at: Seq, command: Command | null, logged: Outcome | undefined, run: () => Outcome): Outcome {
    return logged !== undefined && logged.tag !== "applied" ? logged : this.#again(at, command, run());
  }

  /**
   * Returns the outcome of an event that was applied when it was logged. The sender heard "applied", so an event that
   * this code doesn't apply is quarantined.
   */
  #again(at: Seq, command: Command | null, outcome: Outcome): Outcome {
    const again = appliedAgain(command, outcome);
    if (again === outcome && outcome.tag !== "quarantined") return outcome;
    this.disowned.events += 1;
    if (this.disowned.first === 0) this.disowned.first = at;
    return again;
  }

  /** Runs an event or a command. `live` is null at replay. */
  run(
    overlay: Overlay,
    at: Seq,
    event: Event,
    key: string,
    ms: number,
    prints: ArrayLike<number>,
    offset: number,
    live: Live | null,
  ): Outcome {
    if (isSteering(event.type)) return this.#command(overlay, at, event, prints, offset, live);
    const dirtyKey = overlay.edit(key);
    const now = event.type === TIMER_TYPE ? (event.data as Firing).due : ms;
    return this.#apply(overlay, dirtyKey, event, new EventContext(key, at, now, isNew(dirtyKey), prints, offset), live);
  }

  /** `again`: a retry from the quarantine. */
  #apply(
    overlay: Overlay,
    dirtyKey: DirtyKey,
    event: Event,
    context: EventContext,
    live: Live | null,
    again = false,
  ): Outcome {
    const { timers } = dirtyKey;
    const outcome = this.#bounded(overlay, dirtyKey, event, context, live, again);
    if (dirtyKey.timers !== undefined && dirtyKey.timers !== timers && this.#only === null) {
      const [, due] = earliest(dirtyKey.timers);
      if (timers === undefined || due < earliest(timers)[1]) this.timers.add(context.key, due, context.seq);
    }
    return outcome;
  }

  /** A timer whose logged outcome is that it threw doesn't run at replay, and is gone nevertheless. */
  #spend(overlay: Overlay, key: string, { data }: Event, at: Seq): void {
    const { timer, due } = data as Firing;
    const dirtyKey = overlay.edit(key);
    if (dueOf(dirtyKey.timers, timer) === due) spend(dirtyKey, timer, at);
  }

  /** Runs the event within the bound on keys. */
  #bounded(
    overlay: Overlay,
    dirtyKey: DirtyKey,
    event: Event,
    context: EventContext,
    live: Live | null,
    again: boolean,
  ): Outcome {
    if (live !== null && !again && isCleared(dirtyKey, event)) return NOT_PENDING;
    const before = dirtyKey.seq;
    const last = live === null ? null : overlay.last(context.key);
    const outcome = runEvent(this.operator, dirtyKey, event, context, last, again);
    if (live === null || live.maxKeys === Number.POSITIVE_INFINITY || outcome.tag !== "applied") return outcome;
    const grows = (isNew(dirtyKey) ? 0 : 1) - (context.isNew ? 0 : 1);
    const { keys } = overlay;
    if (grows > 0 && keys >= live.maxKeys) {
      undo(dirtyKey, before);
      return { tag: "refused", code: "too_many_keys", detail: JSON.stringify({ keys, maxKeys: live.maxKeys }) };
    }
    overlay.grew(grows);
    return outcome;
  }

  /** Returns true if the outcome is remembered for duplicates. */
  keeps(outcome: Outcome): boolean {
    return outcome.tag !== "applied" || (this.operator.repliesMs > 0 && outcome.reply !== NO_REPLY);
  }

  /**
   * Applies an outcome to the quarantine. Call it once for each event that isn't simply applied, before the next one
   * runs (QUARANTINE3 of quarantine.ts).
   */
  decide(ran: Ran, command: Command | null, outcome: Outcome): void {
    const { at, key, ms } = ran;
    if (command?.target != null) this.#steer(ran, command.type, command.target, outcome);
    else if (command?.type === ERASE)
      for (const entry of this.quarantine.ofKey(key)) this.quarantine.remove(entry, "erased", at);
    else if (outcome.tag === "quarantined") {
      const event = ran.text();
      // Take the type from the sent text, since the handler may have written on the event.
      const { type } = JSON.parse(event) as { readonly type: string };
      this.quarantine.put({ seq: at, type, key, ...thrownBy(outcome, ran), now: ms, event }, at);
    }
  }

  /**
   * Returns the text that a duplicate of the event at `at` hears, and the seq that must be in the log before. A
   * quarantine is a pause, so a duplicate of a quarantined event hears its resolution, if there is one (QUARANTINE5 of
   * quarantine.ts).
   */
  heard(at: Seq): { readonly text: string | undefined; readonly until: Seq } {
    const text = this.dedup.outcome(at);
    const left = text?.startsWith('["q"') === true ? this.quarantine.became(at) : undefined;
    if (left === undefined) return { text, until: at };
    if (!("how" in left)) return { text: outcomeText({ tag: "quarantined", error: left.error }), until: left.by ?? at };
    return { text: this.settledAs(left), until: left.by };
  }

  /**
   * Returns the outcome of a quarantined event that was settled. Returns undefined if the event was applied and its
   * reply isn't known any more.
   */
  settledAs({ how, by }: Settled): string | undefined {
    return how === "retried" ? this.dedup.outcome(by) : outcomeText({ tag: "refused", code: how, detail: NO_REPLY });
  }

  /** The current snapshot holds everything up to `upTo`, so the next one may leave that out. Works in steps. */
  *dropSaved(upTo: Seq, full: boolean): Generator<void> {
    if (full) this.quarantine.saved(upTo);
    yield* this.state.dropSaved(upTo);
  }

  /** Everything up to `last` is applied. Dedup, producers and quarantine move on with the partition clock (ONE3). */
  advance(last: Seq, at: Stamp, clock: number): void {
    if (this.#only === null) {
      this.dedup.committed(last, clock);
      this.producers.committed(last, clock);
    }
    this.quarantine.committed(last, this.dedup.first);
    this.seq = last;
    this.stamp = at;
    this.clock = clock;
  }

  #command(
    overlay: Overlay,
    at: Seq,
    command: Event,
    prints: ArrayLike<number>,
    offset: number,
    live: Live | null,
  ): Outcome {
    const entry = this.quarantine.find(targetOf(command));
    if (entry === undefined) return { tag: "refused", code: "not_quarantined", detail: NO_REPLY };
    if (command.type === DELETE) return { tag: "applied", reply: NO_REPLY };
    const dirtyKey = overlay.edit(entry.key);
    const retried = quarantinedEvent(entry);
    if (dirtyKey.version !== undefined && !isEdit(retried.type)) {
      const why = migrationFailed(this.operator, entry.key, dirtyKey.version, dirtyKey.text!);
      return { tag: "refused", code: MIGRATION_FAILED, detail: JSON.stringify(why.slice(0, 1_000)) };
    }
    const now = retried.type === TIMER_TYPE ? (retried.data as Firing).due : entry.now;
    const context = new EventContext(entry.key, at, now, isNew(dirtyKey), prints, offset);
    return this.#apply(overlay, dirtyKey, retried, context, live, true);
  }

  #steer(ran: Ran, command: string, target: Seq, outcome: Outcome): void {
    const { at } = ran;
    const entry = this.quarantine.find(target);
    if (entry === undefined || spares(outcome)) return;
    if (outcome.tag !== "quarantined")
      return this.quarantine.remove(target, command === DELETE ? "deleted" : "retried", at);
    const { type, key, now, event } = entry;
    this.quarantine.put({ seq: target, type, key, ...thrownBy(outcome, ran), now, event, by: at }, at);
  }
}

/** Returns the partition clock of a segment's last event. */
export const clockOf = ({ at }: Pick<ReadSegment["events"], "at">): number => at.at(-1)![1];

/** An event that ran, or whose outcome is in the log. */
interface Ran {
  readonly at: Seq;
  readonly key: string;
  readonly ms: number;
  /** The code that decided. */
  readonly made: MadeBy;
  /** The event's text as it was sent. */
  readonly text: () => string;
}

function thrownBy({ error, errorName, stack }: Thrown, { made: { operatorVersion, code } }: Ran): Thrown & MadeBy {
  return { error, ...(errorName === undefined ? {} : { errorName, stack: stack ?? "" }), operatorVersion, code };
}

/** True if the event fires a timer that the key doesn't have (FIRING4 of firing.ts). */
const isCleared = ({ timers }: DirtyKey, { type, data }: Event): boolean =>
  type === TIMER_TYPE && dueOf(timers, (data as Firing).timer) !== (data as Firing).due;

const NOT_PENDING: Outcome = { tag: "refused", code: "not_pending", detail: NO_REPLY };

/** Names the code that wrote a segment or a manifest. */
export const codeOf = (made: { readonly operatorVersion: number; readonly code: string }): string =>
  `${made.operatorVersion} ${made.code}`;

/** Returns the event as its handler saw it the first time. */
export function quarantinedEvent(entry: Quarantined): Event {
  return fill(JSON.parse(entry.event) as Record<string, unknown>, new Date(entry.now).toISOString());
}
