/**
 * Intake: from event texts to one request for each partition, and from the partitions' results to the counts of api.md.
 *
 * INTAKE1. If any wanting operator rejects an event, the event is rejected before any partition sees it (IN4).
 * INTAKE2. Each partition gets one call for each batch. A batch is decided before the next one is sent. So a partition
 *     sees a request's events in order, and `through` is where a sender may resume.
 * INTAKE3. A call that broke is retried with a new stub until the deadline. Duplicates are recognised, so each event
 *     counts once.
 * INTAKE4. If D1 has lost an operator that wants an event, the event isn't decided, and no other operator takes it.
 * INTAKE5. Of several operators each decides by itself. An event counts once, as the first of these outcomes that any
 *     of them gives: undecided, rejected, refused, accepted, duplicate. If one operator says no and others have the
 *     event, the error names the others.
 */
import { keyOf, type Keyed, type Route } from "../../engine/operator/routing.ts";
import { print } from "../../engine/event/fingerprint.ts";
import { readEvent, type Defaults, type ReadEvent } from "../../engine/event/event.ts";
import type { Failure } from "../../engine/base/errors.ts";
import { LISTED_ERRORS } from "../../engine/base/limits.ts";
import type { Event } from "../../engine/event/event.ts";
import type { Producer, Unfit } from "../../engine/event/producer.ts";
import { rejected, type Rejected } from "../../engine/event/rejection.ts";
import { STATUS, type AppendResponse } from "../../engine/partition/protocol.ts";
import type { Routes } from "../app.ts";
import type { Line } from "../http/body.ts";
import { counted } from "./calls.ts";
import { addressOf, deliver, newDraft, sliceOf, type Draft } from "./pending-request.ts";
import {
  acceptorsAt,
  errorOf,
  named,
  rejectedResult,
  resultOf,
  whereOf,
  type Decided,
  type EventError,
  type EventResult,
  type Flaw,
  type Told,
} from "./event-result.ts";
import { LOST_RETRY_SEC } from "../http/lost.ts";
import { FORGOTTEN, KNOWN, markOf, NEW, QUARANTINED, REFUSED, REJECTED, UNDECIDED } from "./event-bits.ts";
import type { PartitionClient } from "./partition-client.ts";
import { REUSED_HERE, reusedIn } from "./reused.ts";

/** A batch is sent at this number of events or characters: one call must stay well below the RPC limit of 32 MiB. */
export const BATCH_EVENTS = 5_000;
export const BATCH_CHARS = 1_000_000;
/**
 * The limit if the answer holds every event's reply. A reply of 64 KiB of UTF-8 travels as 128 KiB if one character
 * isn't Latin-1. With 250 such replies, codes and seqs would exceed the RPC limit.
 */
export const FULL_BATCH_EVENTS = 200;
/** Most indexes of events that wait for a migration. A batch of a queue has fewer events. */
const WAITING = 100_000;
/** A request without progress must be answered within 30 s; this bound leaves room for the answer. */
const PROGRESS_MS = 25_000;

export interface IntakeOptions {
  readonly post: PartitionClient;
  readonly routes: Routes;
  /** The one operator that is asked; null for every operator that wants the type. */
  readonly only: Route | null;
  readonly defaults: Defaults;
  readonly receivedMs: number;
  readonly ignoreUnrouted: boolean;
  /** Events must follow the CloudEvents format strictly. */
  readonly standard: boolean;
  readonly full: boolean;
  /** The sender numbers its requests (ONE2). */
  readonly producer: Producer | null;
  /** The caller may use only keys that begin with this prefix (U4). Default: all keys. */
  readonly keyPrefix?: string;
}

/** The reason why not all events are durable. */
export interface Interruption {
  readonly code: string;
  readonly message: string;
  readonly retryAfterSec: number;
}

type Accepted = Extract<ReadEvent, { tag: "event" }>;

/** Events that are decided together: the next batch waits for them. */
interface Batch {
  readonly drafts: readonly Draft[];
  /** Marks of each event, by its place in the batch. */
  readonly marks: number[];
  /** Index of the batch's first event in its request. */
  readonly base: number;
  readonly decided: Decided[];
}

const NOTHING = {
  received: 0,
  accepted: 0,
  duplicates: 0,
  refused: 0,
  rejected: 0,
  quarantined: 0,
  forgotten: 0,
  unrouted: 0,
  through: 0,
};

export class Intake {
  readonly counts = { ...NOTHING };
  readonly errors: EventError[] = [];
  readonly results: EventResult[] = [];
  interruption: Interruption | null = null;
  /** Set if a partition refused its part from this producer (ONE2). */
  unfit: Unfit | null = null;
  /** Indexes of events whose key has a state that can't be migrated. A queue keeps them. */
  readonly waiting: number[] = [];
  /** True if an event couldn't be parsed, or was too long to try. */
  unparsed = false;
  readonly #options: IntakeOptions;
  /** By operator, then by partition. */
  #drafts = new Map<Route, (Draft | undefined)[]>();
  #chars = 0;
  /** All texts of the batch are known to be ASCII, so their characters are bytes. */
  #ascii = true;
  /** Index of the batch's first event, and each event's marks. */
  #base = 0;
  #marks: number[] = [];
  /** The failure of an event that can't be decided because its operator is lost. */
  #lost: Interruption | null = null;

  constructor(options: IntakeOptions) {
    this.#options = { ...options, post: counted(options.post) };
  }

  get batchFull(): boolean {
    const most = this.#options.full ? FULL_BATCH_EVENTS : BATCH_EVENTS;
    return this.#marks.length >= most || this.#chars >= BATCH_CHARS;
  }

  /** Takes one event in, or counts it as rejected. `ascii`: its text is known to be ASCII. */
  add(line: Line, ascii = false): void {
    if (typeof line !== "string")
      return this.refuse(
        line.flaw === "too_long"
          ? rejected("event_too_large", "the event is too long")
          : rejected("invalid_utf8", "the line isn't valid UTF-8"),
      );
    const index = this.counts.received++;
    const read = readEvent(line, index, this.#options.defaults, this.#options.standard);
    if (read.tag === "rejected") return this.#reject(index, read);
    // An id that was written into the text may hold any character.
    this.#ascii &&= ascii && read.text === line;
    this.#route(index, read);
  }

  refuse(why: Rejected): void {
    this.#reject(this.counts.received++, why);
  }

  #route(index: number, read: Accepted): void {
    const { event } = read;
    const { only, routes, ignoreUnrouted } = this.#options;
    if (only === null && routes.lost?.byType.has(event.type)) return this.#lose(routes.lost.byType.get(event.type)!);
    const wanting = only === null ? routes.byType.get(event.type) : [only];
    if (wanting === undefined) {
      if (!ignoreUnrouted)
        return this.#reject(
          index,
          rejected(
            "unknown_type",
            `no operator wants events of type ${JSON.stringify(event.type.slice(0, 100))}`,
            event.id,
          ),
        );
      this.counts.unrouted += 1;
      return this.#place();
    }
    if (wanting.length === 1) {
      const keyed = this.#keyOf(wanting[0]!, event);
      if (keyed.tag === "rejected") return this.#reject(index, keyed);
      this.#draft(wanting[0]!, keyed.key, keyed.partition, read);
    } else {
      const all = wanting.map((route) => ({ route, keyed: this.#keyOf(route, event) }));
      for (const { keyed } of all) if (keyed.tag === "rejected") return this.#reject(index, keyed);
      for (const { route, keyed } of all)
        if (keyed.tag === "keyed") this.#draft(route, keyed.key, keyed.partition, read);
    }
    this.#place();
  }

  #keyOf(route: Route, event: Event): Keyed {
    const { keyPrefix } = this.#options;
    const keyed = keyOf(route, event);
    if (keyPrefix === undefined || keyed.tag === "rejected" || keyed.key.startsWith(keyPrefix)) return keyed;
    const message = `${route.operator.name}: this caller may not use the key ${JSON.stringify(keyed.key)}`;
    return rejected("key_not_allowed", message, event.id);
  }

  /** INTAKE4: reported after the rest of its batch is decided. */
  #lose({ code, message }: Failure): void {
    this.#lost ??= { code, message, retryAfterSec: LOST_RETRY_SEC };
    this.#marks.push(UNDECIDED);
  }

  #draft(route: Route, key: string, partition: number, { event, text, timed }: Accepted): void {
    const drafts = this.#draftsOf(route);
    const draft = (drafts[partition] ??= newDraft(route, partition));
    draft.texts.push(text);
    draft.keys.push(key);
    draft.places.push(this.#marks.length);
    print(draft.prints, event, key, route.placement.seed, timed);
    this.#chars += text.length;
  }

  #draftsOf(route: Route): (Draft | undefined)[] {
    let drafts = this.#drafts.get(route);
    if (drafts === undefined) {
      drafts = [];
      this.#drafts.set(route, drafts);
    }
    return drafts;
  }

  #reject(index: number, { code, message, id, attribute }: Rejected): void {
    this.counts.rejected += 1;
    this.unparsed ||= code === "malformed_json" || code === "event_too_large";
    this.#error({ index, id, code, message, ...(attribute === null ? {} : { attribute }) });
    if (this.#options.full) this.results.push(rejectedResult(index, { operator: null, key: null, partition: null }));
    this.#place();
  }

  #place(): void {
    this.#marks.push(0);
  }

  #error(error: Flaw): void {
    if (this.errors.length < LISTED_ERRORS) this.errors.push({ ...error, acceptedBy: [] });
  }

  /** Adds the operators that have an event to the errors of the operators that don't (INTAKE5). */
  #nameAcceptors({ base, drafts, decided }: Batch): void {
    if (new Set(drafts.map(({ route }) => route)).size < 2) return;
    for (const [i, error] of this.errors.entries())
      if (error.index >= base) this.errors[i] = { ...error, acceptedBy: acceptorsAt(error.index - base, decided) };
  }

  /** Rejects events whose id belongs to another event of this request, as their partition would. */
  rejectReused(): void {
    for (const draft of [...this.#drafts.values()].flat())
      for (const i of draft === undefined ? [] : reusedIn(draft.prints.words())) {
        this.counts.rejected += 1;
        this.#error({ ...named(draft!, i, this.#base), code: "id_reused", message: REUSED_HERE });
      }
  }

  /**
   * If an event's operator is lost (INTAKE4), stops the whole request, so nothing is sent. Returns false if none is
   * lost.
   */
  holdBack(): boolean {
    if (this.#lost === null) return false;
    const { received } = this.counts;
    Object.assign(this.counts, NOTHING, { received });
    this.#drafts.clear();
    this.interruption = this.#lost;
    return true;
  }

  /** Counts every event so far as rejected: `handling=strict` found a flaw. */
  rejectAll(): void {
    this.counts.rejected = this.counts.received;
    this.counts.unrouted = 0;
    this.counts.through = this.counts.received;
    this.#drafts.clear();
  }

  /** Resets the intake. The events so far were only checked and found valid, and they are added again. */
  forget(): void {
    Object.assign(this.counts, NOTHING);
    this.#drafts = new Map();
    this.#marks = [];
    this.#chars = 0;
    this.#ascii = true;
  }

  /** Starts the next batch. Returns a function that sends this batch and counts its results. */
  takeBatch(): () => Promise<void> {
    const drafts = [...this.#drafts.values()].flat().filter((draft) => draft !== undefined);
    const batch: Batch = { drafts, marks: this.#marks, base: this.#base, decided: [] };
    const { receivedMs, full, producer, post } = this.#options;
    const common = { receivedMs, full, producer, base: this.#base, ascii: this.#ascii };
    this.#drafts = new Map();
    this.#marks = [];
    this.#chars = 0;
    this.#ascii = true;
    this.#base += batch.marks.length;
    return async () => {
      // A partition takes a numbered request's events in order, without a gap. Events after a refusal must not reach
      // the partition, even if it would take them by now (PRODUCER1 of producers.ts).
      const { unfit } = this;
      if (unfit !== null) {
        for (const draft of drafts) this.#notTaken(draft, unfit, batch);
        return this.#tally(batch);
      }
      const deadlineMs = post.now() + PROGRESS_MS;
      const send = async (draft: Draft): Promise<void> =>
        this.#heard(draft, await deliver(post, addressOf(draft), sliceOf(draft, common), deadlineMs), batch);
      await Promise.all(drafts.map(send));
      this.#nameAcceptors(batch);
      this.#tally(batch);
    };
  }

  #heard(draft: Draft, result: AppendResponse, batch: Batch): void {
    if (result.tag === "decided") return this.#decided(draft, result, batch);
    if (result.tag === "unfit") return this.#notTaken(draft, result, batch);
    this.interruption = {
      code: result.code,
      message: result.message,
      retryAfterSec: Math.max(1, Math.ceil(result.retryAfterMs / 1_000)),
    };
    for (const place of draft.places) batch.marks[place]! |= UNDECIDED;
  }

  #notTaken(draft: Draft, unfit: Unfit, { marks, base }: Batch): void {
    this.unfit = { status: unfit.status, code: unfit.code, message: unfit.message };
    draft.places.forEach((place, i) => {
      marks[place]! |= REJECTED;
      const { code, message } = unfit;
      if (this.errors.length < LISTED_ERRORS) this.#error({ ...named(draft, i, base), code, message });
      if (this.#options.full) this.results.push(rejectedResult(base + place, whereOf(draft, i)));
    });
  }

  #decided(
    draft: Draft,
    { statuses, details }: Extract<AppendResponse, { tag: "decided" }>,
    { marks, base, decided }: Batch,
  ): void {
    decided.push({ draft, statuses });
    for (let i = 0; i < statuses.length; i++) {
      marks[draft.places[i]!]! |= markOf(statuses[i]!);
      if (statuses[i] === STATUS.unmigrated && this.waiting.length < WAITING)
        this.waiting.push(base + draft.places[i]!);
    }
    for (const [i, seq, text] of details) {
      const told: Told = { draft, i, base, status: statuses[i]!, seq, text };
      const error = errorOf(told);
      if (error !== null) this.#error(error);
      if (this.#options.full) this.results.push(resultOf(told));
    }
  }

  #tally({ marks, base }: Batch): void {
    const { counts } = this;
    let through = base + marks.length;
    for (let place = marks.length - 1; place >= 0; place--) {
      const mark = marks[place]!;
      if (mark === NEW) counts.accepted += 1;
      else if (mark === KNOWN) counts.duplicates += 1;
      else if (mark === 0) continue;
      else if (mark & UNDECIDED) {
        through = base + place;
        this.interruption ??= this.#lost;
      } else this.#tallyMixed(mark);
    }
    counts.through = through;
  }

  /** INTAKE5. */
  #tallyMixed(mark: number): void {
    const { counts } = this;
    if (mark & REJECTED) counts.rejected += 1;
    else if (mark & REFUSED) counts.refused += 1;
    else if (mark & NEW) counts.accepted += 1;
    else counts.duplicates += 1;
    if (mark & QUARANTINED && !(mark & (REJECTED | REFUSED))) counts.quarantined += 1;
    if (mark & FORGOTTEN && !(mark & (REJECTED | REFUSED))) counts.forgotten += 1;
  }
}
