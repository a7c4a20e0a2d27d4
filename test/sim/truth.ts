/**
 * The log of one partition as it really was: every segment that the database ever took, kept for ever, with what the
 * operator should make of it. The checks here need no more than the log itself.
 *
 * TRUTH1. Segments follow each other without hole or repeat (LOG2, LOG4). Stamps rise (TIME1), epochs and the clock never
 *     fall (CLOCK3).
 * TRUTH2. Within the promised horizon no source and id is logged twice (ONE1); an event of a numbered request never is (ONE2).
 */
import type { Segment } from "../../src/engine/base/records.ts";
import type { Configuration, OperatorName } from "./configuration.ts";
import { decodePayload, type LoggedOutcome } from "./decoder.ts";
import type { Instance } from "./instance.ts";
import { LedgerModel } from "./ledger-model.ts";
import { isCommand, TIMER, type Logged, type Model } from "./model.ts";
import { NumbersModel } from "./numbers-model.ts";
import { ReminderModel } from "./reminder-model.ts";
import { Settlements } from "./settlements.ts";

/** A log as it was at some moment, with what its rows don't say: it can be gone on from there again. */
export interface Past {
  readonly takes: readonly Taken[];
  /** Seqs that an answer had called new. */
  readonly claimed: ReadonlySet<number>;
  /** Who took which epoch. */
  readonly owners: ReadonlyMap<number, Instance>;
  /** The ends that retention had set then. */
  readonly retention?: string;
}

interface Taken {
  readonly row: Segment;
  readonly lowest: number;
  readonly ms: number;
}

export const NOTHING: Past = { takes: [], claimed: new Set(), owners: new Map() };

/** Of a past what was logged up to this seq. */
export const upTo = ({ takes, claimed, owners }: Past, seq: number): Past => ({
  owners,
  takes: takes.filter(({ row }) => row.last <= seq),
  claimed: new Set([...claimed].filter((one) => one <= seq)),
});

/** Is all that an instance knows by one past true in the other as well, and retention the same? */
export const isPartOf = (one: Past, other: Past): boolean =>
  one.retention === other.retention && one.takes.every(({ row }, i) => other.takes[i]?.row.group === row.group);

const DAY_MS = 86_400_000;

export class Truth {
  readonly rows: Segment[] = [];
  readonly events: Logged[] = [];
  readonly byName = new Map<string, Logged[]>();
  /** Of each numbered request its first event in this log. */
  readonly requests = new Map<string, Logged>();
  readonly model: Model;
  /** Who took which epoch. */
  readonly owners = new Map<number, Instance>();
  /** Seqs that an answer already called new. */
  readonly claimed = new Set<number>();
  readonly #takes: Taken[] = [];
  /** Rows that stand in an archive, by their first seq. */
  readonly archived = new Set<number>();
  /** Events a day. */
  readonly #share: number;
  readonly #config: Configuration;
  /** The resolutions of events in the quarantine. */
  readonly settlements: Settlements;

  constructor(config: Configuration, operator: OperatorName) {
    this.#config = config;
    this.settlements = new Settlements(config.unmigratable);
    this.#share = Math.ceil(config.maxEventsPerDay / config.partitions[operator]);
    const maxKeys = Math.ceil(config.maxKeys[operator] / config.partitions[operator]);
    this.model =
      operator === "ledger"
        ? new LedgerModel((seq) => this.events[seq - 1]!, maxKeys, config.unmigratable)
        : operator === "reminders"
          ? new ReminderModel(maxKeys, config.expires)
          : new NumbersModel(operator, maxKeys);
  }

  /** Begins again from a past, which was right when it was the present. */
  static from(config: Configuration, operator: OperatorName, { takes, claimed, owners }: Past): Truth {
    const truth = new Truth(config, operator);
    for (const { row, lowest, ms } of takes) truth.take(row, lowest, ms);
    for (const seq of claimed) truth.claimed.add(seq);
    for (const [epoch, owner] of owners) truth.owners.set(epoch, owner);
    return truth;
  }

  /** Does a past begin with all of this? */
  isBegunBy({ takes }: Past): boolean {
    return this.rows.every(({ group }, i) => takes[i]?.row.group === group);
  }

  get past(): Past {
    return { takes: [...this.#takes], claimed: new Set(this.claimed), owners: new Map(this.owners) };
  }

  get head(): number {
    return this.events.length;
  }

  get stamp(): number {
    return this.rows.at(-1)?.stamp ?? 0;
  }

  /** The partition clock of the last event. */
  get clock(): number {
    return this.events.at(-1)?.atMs ?? 0;
  }

  /** The last seq that was logged before then, by others than the writer of this epoch. */
  headAt(ms: number, butBy: number): number {
    return this.#takes.findLast((one) => one.ms < ms && one.row.epoch !== butBy)?.row.last ?? 0;
  }

  /** Events with a partition clock from then on. */
  loggedSince(ms: number): number {
    return this.events.length - (this.events.findLast(({ atMs }) => atMs < ms)?.seq ?? 0);
  }

  /** Takes a row that the database took; what is wrong with it, or null. */
  take(row: Segment, lowest: number, nowMs: number): string | null {
    const last = this.rows.at(-1);
    if (row.seq !== this.head + 1) return `a segment ${row.seq}..${row.last} was logged after seq ${this.head} (LOG2)`;
    if (last !== undefined && row.stamp <= last.stamp) return `stamp ${row.stamp} follows ${last.stamp} (TIME1)`;
    if (last !== undefined && row.epoch < last.epoch)
      return `epoch ${row.epoch} logged after epoch ${last.epoch} (LOG2)`;
    if (row.payload.length > 2_000_000) return `a row has ${row.payload.length} characters`;
    const before = this.clock;
    this.rows.push(row);
    this.#takes.push({ row, lowest, ms: nowMs });
    for (const { event, key, atMs, outcome } of decodePayload(row)) {
      const logged: Logged = {
        seq: this.head + 1,
        stamp: row.stamp,
        version: row.operatorVersion,
        lowest,
        name: nameOf(event),
        id: String(event["id"]),
        type: String(event["type"]),
        key,
        data: event["data"] as Record<string, unknown>,
        event,
        atMs,
        content: contentOf(event, key),
        numbered: event["numbered"] !== undefined,
        outcome,
        reply: null,
      };
      const flaw = this.#twice(logged, before) ?? this.#beyond(logged) ?? this.#back(logged);
      this.events.push(logged);
      const request = event["numbered"];
      if (typeof request === "string" && !this.requests.has(request)) this.requests.set(request, logged);
      this.settlements.take(logged);
      // Nobody sends a timer, so nobody can send it twice.
      const same = logged.type === TIMER ? [] : this.byName.get(logged.name);
      if (same === undefined) this.byName.set(logged.name, [logged]);
      else same.push(logged);
      const wrong = flaw ?? this.model.take(logged);
      if (wrong !== null) return wrong;
    }
    return this.head === row.last ? null : `segment ${row.seq}..${row.last} holds ${this.head - row.seq + 1} events`;
  }

  /**
   * More events on one day than the partition's share? The first request of a day is taken whatever its size, and what
   * steers a partition is always taken.
   */
  #beyond({ seq, atMs, type }: Logged): string | null {
    const day = Math.floor(atMs / DAY_MS) * DAY_MS;
    if (this.#share === Infinity || isCommand(type)) return null;
    const taken = this.loggedSince(day);
    const first = this.events.find((event) => event.atMs >= day)?.seq ?? seq;
    const { group } = this.rows.find((row) => row.last >= first) ?? this.rows.at(-1)!;
    return taken < this.#share || group === this.rows.at(-1)!.group
      ? null
      : `seq ${seq} is logged after ${taken} events of its day, the share is ${this.#share}`;
  }

  /** Does the partition clock go back? */
  #back({ seq, atMs }: Logged): string | null {
    return atMs < this.clock ? `the clock of seq ${seq} is ${atMs}, below ${this.clock} (CLOCK3)` : null;
  }

  #twice(event: Logged, clockBefore: number): string | null {
    const earlier = this.byName.get(event.name)?.at(-1);
    if (earlier === undefined || (!event.numbered && !this.remembers(earlier, event.seq, clockBefore))) return null;
    return `${event.name} counts twice: seq ${earlier.seq} and seq ${event.seq} (ONE1)`;
  }

  /** Must the id of this event be known to whoever gives out `seq`, when `clock` is the last that was logged? */
  remembers(event: Logged, seq: number, clock: number): boolean {
    const { dedupMaxIds, dedupKeepMs } = this.#config;
    return seq - event.seq <= dedupMaxIds && clock - event.atMs <= dedupKeepMs;
  }

  /** Must the reply of this event still be known? */
  keepsReply(event: Logged): boolean {
    return this.clock - event.atMs <= this.#config.repliesMs && this.remembers(event, this.head + 1, this.clock);
  }

  /** Code of this version reads the log from now on. */
  readBy(version: number): void {
    this.model.readBy(version);
    this.settlements.readBy(version);
  }

  /** The event's outcome as an answer must tell it. */
  outcome(event: Logged): LoggedOutcome | null {
    return event.outcome ?? (event.reply === null ? null : { tag: "a", text: event.reply });
  }
}

export const nameOf = (event: Readonly<Record<string, unknown>>): string =>
  `${(event["source"] as string | undefined) ?? "/"} ${event["id"] as string}`;

/** The content of an event: the key that it is about, and the instant of its time, whatever they are written as. */
export const contentOf = (event: Readonly<Record<string, unknown>>, key: string): string => {
  const time = event["time"] === undefined ? null : Date.parse(event["time"] as string);
  return JSON.stringify([event["type"], event["data"] ?? null, key, time]);
};
