/**
 * Intake: from event texts to slices, one for each partition, and from the partitions' results to the counts of api.md.
 *
 * INTAKE1. An event that any wanting operator rejects is rejected before any partition sees it (IN4).
 * INTAKE2. One call for each partition and batch; a batch is decided before the next one is sent, so a partition sees a
 *     request's events in order, and `through` is where a sender may resume.
 * INTAKE3. A call that broke is repeated with a new stub until the deadline: repeats are recognised, so that counts once.
 * INTAKE4. An event that an operator wants which D1 has lost isn't decided, and no other operator takes it.
 * INTAKE5. Of several operators each decides by itself. An event counts once, as the first of these that any of them says: undecided,
 *     rejected, refused, accepted, duplicate; and who says no beside others that have it is told of them.
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

/** A batch is sent when it has this many events or characters: one call must stay well below the RPC limit of 32 MiB. */
export const BATCH_EVENTS = 5_000;
export const BATCH_CHARS = 1_000_000;
/** With every event's reply in the answer: 64 KiB of UTF-8 travel as 128 KiB where one character isn't Latin-1, and 250 of
 *  those, with codes and seqs beside them, would leave no room below the limit. */
export const FULL_BATCH_EVENTS = 200;
/** Indexes of events that wait for a migration: a batch of a queue has fewer events. */
const WAITING = 100_000;
/** A request without progress is answered within 30 s; this leaves room for the answer. */
const PROGRESS_MS = 25_000;

export interface IntakeOptions {
  readonly post: PartitionClient;
  readonly routes: Routes;
  /** Only this operator (ask); null: every operator that wants the type. */
  readonly only: Route | null;
  readonly defaults: Defaults;
  readonly receivedMs: number;
  readonly ignoreUnrouted: boolean;
  /** Events must be CloudEvents to the letter. */
  readonly standard: boolean;
  /** Keep the result of every event. */
  readonly full: boolean;
  /** The sender numbers its requests (ONE2). */
  readonly producer: Producer | null;
  /** The caller may use only keys that begin with this (U4). Default: all. */
  readonly keyPrefix?: string;
}

/** Why not all of it is durable. */
export interface Interruption {
  readonly code: string;
  readonly message: string;
  readonly retryAfterSec: number;
}

type Accepted = Extract<ReadEvent, { tag: "event" }>;

/** Events that are decided together, since the next batch waits for them. */
interface Batch {
  readonly drafts: readonly Draft[];
  /** Of each event, by its place in the batch. */
  readonly marks: number[];
  /** Index of the first event in its request. */
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
  /** A partition didn't take its part from this producer (ONE2). */
  unfit: Unfit | null = null;
  /** Indexes of events whose key has a state that can't be migrated: a queue keeps them. */
  readonly waiting: number[] = [];
  /** Something in it couldn't be parsed, or was too long to try. */
  unparsed = false;
  readonly #options: IntakeOptions;
  /** By operator, then by partition. */
  #drafts = new Map<Route, (Draft | undefined)[]>();
  #chars = 0;
  /** All texts of the batch are known to be ASCII: characters are bytes. */
  #ascii = true;
  /** Of the batch: index of its first event, and each event's marks. */
  #base = 0;
  #marks: number[] = [];
  /** Of an event that can't be decided for want of its operator. */
  #lost: Interruption | null = null;

  constructor(options: IntakeOptions) {
    this.#options = { ...options, post: counted(options.post) };
  }

  get batchFull(): boolean {
    const most = this.#options.full ? FULL_BATCH_EVENTS : BATCH_EVENTS;
    return this.#marks.length >= most || this.#chars >= BATCH_CHARS;
  }

  /** Takes one event in, or counts it as rejected. `ascii`: its text is known to be. */
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
    // An id that was written into the text may be anything.
    this.#ascii &&= ascii && read.text === line;
    this.#route(index, read);
  }

  /** Counts the next event as rejected. */
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

  /** INTAKE4: said once the rest of its batch is decided. */
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

  /** Says who has the events of this batch that others say no to (INTAKE5). */
  #nameAcceptors({ base, drafts, decided }: Batch): void {
    if (new Set(drafts.map(({ route }) => route)).size < 2) return;
    for (const [i, error] of this.errors.entries())
      if (error.index >= base) this.errors[i] = { ...error, acceptedBy: acceptorsAt(error.index - base, decided) };
  }

  /** Rejects events whose id belongs to another one of this request, as their partition would. */
  rejectReused(): void {
    for (const draft of [...this.#drafts.values()].flat())
      for (const i of draft === undefined ? [] : reusedIn(draft.prints.words())) {
        this.counts.rejected += 1;
        this.#error({ ...named(draft!, i, this.#base), code: "id_reused", message: REUSED_HERE });
      }
  }

  /** An event of an operator that is lost (INTAKE4) stops all: nothing of the request is sent. False: there is none. */
  holdBack(): boolean {
    if (this.#lost === null) return false;
    const { received } = this.counts;
    Object.assign(this.counts, NOTHING, { received });
    this.#drafts.clear();
    this.interruption = this.#lost;
    return true;
  }

  /** Everything taken in so far counts as rejected: `handling=strict` found a flaw. */
  rejectAll(): void {
    this.counts.rejected = this.counts.received;
    this.counts.unrouted = 0;
    this.counts.through = this.counts.received;
    this.#drafts.clear();
  }

  /** As if nothing had been taken in: what was only tried so far, and found to be sound, comes again. */
  forget(): void {
    Object.assign(this.counts, NOTHING);
    this.#drafts = new Map();
    this.#marks = [];
    this.#chars = 0;
    this.#ascii = true;
  }

  /** Starts the batch after this one; returns what sends this one and counts its results. */
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
      // A partition takes a numbered request's events in order, without a gap: what comes after a refusal must not reach it,
      // even if it would be taken by now (PRODUCER1 of producers.ts).
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
