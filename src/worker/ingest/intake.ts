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
import { readEvent, type Defaults, type Event } from "../../engine/event/event.ts";
import { stamp, type Stamp } from "../../engine/base/ids.ts";
import type { Failure } from "../../engine/base/errors.ts";
import { LISTED_ERRORS } from "../../engine/base/limits.ts";
import type { Producer, Unfit } from "../../engine/event/producer.ts";
import { rejected, type Rejected } from "../../engine/event/rejection.ts";
import { STATUS, type AppendResponse } from "../../engine/partition/protocol.ts";
import type { Routes } from "../app.ts";
import type { Line } from "../http/body.ts";
import { LOST_RETRY_SEC } from "../http/lost.ts";
import { Batch, NOTHING, type Accepted } from "./batch.ts";
import { counted } from "./calls.ts";
import type { Run } from "./decoders.ts";
import { markOf, REJECTED, UNDECIDED } from "./event-bits.ts";
import {
  acceptorsAt,
  errorOf,
  named,
  rejectedResult,
  resultOf,
  whereOf,
  type EventError,
  type EventResult,
  type Flaw,
  type Told,
} from "./event-result.ts";
import type { PartitionClient } from "./partition-client.ts";
import { addressOf, deliver, sliceOf, type Draft } from "./pending-request.ts";
import { REUSED_HERE, reusedIn } from "./reused.ts";

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
  /** The sender has heard of this stamp: its events are stamped above it (TIME1). */
  readonly after?: Stamp;
  /** The caller may use only keys that begin with this prefix (U4). Default: all keys. */
  readonly keyPrefix?: string;
}

/** The reason why not all events are durable. */
interface Interruption {
  readonly code: string;
  readonly message: string;
  readonly retryAfterSec: number;
}

export class Intake {
  readonly counts = { ...NOTHING };
  readonly errors: EventError[] = [];
  readonly results: EventResult[] = [];
  interruption: Interruption | null = null;
  /** All events that were decided are at or below it: what the sender has heard of by now (TIME1). */
  stamp = stamp(0);
  /** Set if a partition refused its part from this producer (ONE2). */
  unfit: Unfit | null = null;
  /** Indexes of events whose key has a state that can't be migrated. A queue keeps them. */
  readonly waiting: number[] = [];
  readonly #options: IntakeOptions;
  /** The batch that takes events in. */
  #batch = new Batch(0);
  /** The batch before, while it is being decided. */
  #sending: Promise<void> = Promise.resolve();
  /** The failure of an event that can't be decided because its operator is lost. */
  #lost: Interruption | null = null;

  constructor(options: IntakeOptions) {
    this.#options = { ...options, post: counted(options.post) };
  }

  /**
   * Takes the lines in, and returns when they are decided, or one of them can't be. Reads ahead while a batch is being
   * decided. If the lines end with an error, the events before it are decided first.
   */
  async take(runs: AsyncIterable<Run> | Iterable<Run>): Promise<void> {
    try {
      for await (const { lines, ascii } of runs)
        for (const line of lines) {
          this.add(line, ascii);
          if (this.batchFull && !(await this.#send())) return;
        }
    } finally {
      await this.#send();
      await this.#sending;
    }
  }

  /** Sends the batch once the batch before is decided. Returns false if that one was interrupted: nothing is sent. */
  async #send(): Promise<boolean> {
    await this.#sending;
    if (this.interruption !== null) return false;
    const batch = this.#batch;
    this.#batch = new Batch(batch.base + batch.bits.length);
    this.#sending = this.#decide(batch);
    return true;
  }

  get batchFull(): boolean {
    return this.#batch.isFull(this.#options.full);
  }

  /** Takes one event in, or counts it as rejected. `ascii`: its text is known to be ASCII. */
  add(line: Line, ascii = false): void {
    const index = this.counts.received++;
    const { defaults, standard } = this.#options;
    if (typeof line !== "string" && "tag" in line) return this.#reject(index, line);
    const parsed = typeof line === "string" ? null : line;
    const text = parsed?.text ?? (line as string);
    const read = readEvent(text, index, defaults, standard, parsed?.value);
    if (read.tag === "rejected") return this.#reject(index, read);
    // An id that was written into the text may hold any character.
    this.#batch.ascii &&= ascii && read.text === text;
    this.#route(index, read);
  }

  #route(index: number, read: Accepted): void {
    const { event } = read;
    const { only, routes, ignoreUnrouted } = this.#options;
    if (only === null && routes.lost?.byType.has(event.type)) return this.#lose(routes.lost.byType.get(event.type)!);
    const wanting = only === null ? routes.byType.get(event.type) : [only];
    if (wanting === undefined) {
      if (!ignoreUnrouted) return this.#reject(index, unknownType(event));
      this.counts.unrouted += 1;
      return this.#batch.place();
    }
    const keys: Extract<Keyed, { tag: "keyed" }>[] = [];
    for (const route of wanting) {
      const keyed = this.#keyOf(route, event);
      if (keyed.tag === "rejected") return this.#reject(index, keyed);
      keys.push(keyed);
    }
    for (let i = 0; i < keys.length; i++) this.#batch.draft(wanting[i]!, keys[i]!, read);
    this.#batch.place();
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
    this.#batch.place(UNDECIDED);
  }

  #reject(index: number, { code, message, id, attribute }: Rejected): void {
    this.counts.rejected += 1;
    this.#error({ index, id, code, message, ...(attribute === null ? {} : { attribute }) });
    if (this.#options.full) this.results.push(rejectedResult(index, { operator: null, key: null, partition: null }));
    this.#batch.place();
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
    for (const draft of this.#batch.drafts)
      for (const i of reusedIn(draft.prints.words())) {
        this.counts.rejected += 1;
        this.#error({ ...named(draft, i, this.#batch.base), code: "id_reused", message: REUSED_HERE });
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
    this.interruption = this.#lost;
    return true;
  }

  /** Counts every event so far as rejected: `handling=strict` found a flaw. */
  rejectAll(): void {
    this.counts.rejected = this.counts.received;
    this.counts.unrouted = 0;
    this.counts.through = this.counts.received;
  }

  /** Resets the intake. The events so far were only checked and found valid, and they are added again. */
  forget(): void {
    Object.assign(this.counts, NOTHING);
    this.#batch = new Batch(0);
  }

  async #decide(batch: Batch): Promise<void> {
    const { receivedMs, full, producer, post, after = stamp(0) } = this.#options;
    const { drafts, base, ascii } = batch;
    // A partition takes a numbered request's events in order, without a gap. Events after a refusal must not reach the
    // partition, even if it would take them by now (PRODUCER1 of producers.ts).
    const { unfit } = this;
    if (unfit !== null) for (const draft of drafts) this.#notTaken(draft, unfit, batch);
    else {
      const deadlineMs = post.clock.now() + PROGRESS_MS;
      const common = { receivedMs, full, producer, after, base, ascii };
      const send = async (draft: Draft): Promise<void> =>
        this.#heard(draft, await deliver(post, addressOf(draft), sliceOf(draft, common), deadlineMs), batch);
      await Promise.all(drafts.map(send));
      this.#nameAcceptors(batch);
    }
    if (!batch.tally(this.counts)) this.interruption ??= this.#lost;
  }

  #heard(draft: Draft, result: AppendResponse, batch: Batch): void {
    if (result.tag === "decided") return this.#decided(draft, result, batch);
    if (result.tag === "unfit") return this.#notTaken(draft, result, batch);
    this.interruption = {
      code: result.code,
      message: result.message,
      retryAfterSec: Math.max(1, Math.ceil(result.retryAfterMs / 1_000)),
    };
    for (const place of draft.places) batch.bits[place]! |= UNDECIDED;
  }

  #notTaken(draft: Draft, unfit: Unfit, { bits, base }: Batch): void {
    this.unfit = { status: unfit.status, code: unfit.code, message: unfit.message };
    draft.places.forEach((place, i) => {
      bits[place]! |= REJECTED;
      const { code, message } = unfit;
      if (this.errors.length < LISTED_ERRORS) this.#error({ ...named(draft, i, base), code, message });
      if (this.#options.full) this.results.push(rejectedResult(base + place, whereOf(draft, i)));
    });
  }

  #decided(
    draft: Draft,
    { statuses, details, stamp: upTo = stamp(0) }: Extract<AppendResponse, { tag: "decided" }>,
    { bits, base, decided }: Batch,
  ): void {
    decided.push({ draft, statuses });
    this.stamp = stamp(Math.max(this.stamp, upTo));
    for (let i = 0; i < statuses.length; i++) {
      bits[draft.places[i]!]! |= markOf(statuses[i]!);
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
}

const unknownType = ({ type, id }: Event): Rejected =>
  rejected("unknown_type", `no operator wants events of type ${JSON.stringify(type.slice(0, 100))}`, id);
