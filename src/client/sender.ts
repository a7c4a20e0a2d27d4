/**
 * Collects events into batches, and sends these one after the other.
 *
 * SENDER1. Events are decided in the order of sending if one batch is under way at a time, which is the default.
 * SENDER2. The buffer holds undecided events. From its bound on `ready` waits; at twice that, `send` refuses events.
 * SENDER3. A numbered batch keeps its number, and the next one leaves only after it was decided (ONE2). A batch that
 *     may count, and isn't decided, stops the sender, whatever was answered last: a later number must not overtake it.
 */
import type { ClientClock } from "./clock.ts";
import { deliverEvents, type Delivered } from "./deliver.ts";
import type { Fate } from "./keyframe-error.ts";
import type { Http } from "./http.ts";
import { KeyframeError, type Undecided } from "./keyframe-error.ts";
import type { Outgoing } from "./outgoing.ts";
import type { Patience } from "./patience.ts";

export interface SenderOptions {
  readonly http: Http;
  readonly clock: ClientClock;
  readonly patience: () => Patience;
  readonly gzip: boolean;
  readonly inFlight: number;
  readonly batch: { readonly events: number; readonly bytes: number; readonly lingerMs: number };
  readonly buffer: { readonly events: number; readonly bytes: number };
  readonly producer: { readonly id: string; readonly epoch: number; readonly seq: number } | null;
}

interface Waiting extends Outgoing {
  /** The place of the event among all that were sent. */
  readonly order: number;
  readonly decided: (fate: Fate) => void;
  readonly failed: (error: KeyframeError) => void;
}

interface Flight {
  readonly first: number;
  readonly landed: Promise<void>;
}

export class Sender {
  readonly #options: SenderOptions;
  readonly #queue: Waiting[] = [];
  readonly #flights = new Set<Flight>();
  #queuedBytes = 0;
  /** Events that are queued or under way. */
  #undecided = 0;
  #undecidedBytes = 0;
  /** The number of events at the head of the queue that have waited long enough. */
  #due = 0;
  #cancelLinger: (() => void) | null = null;
  #order = 0;
  #seq: number;
  #closed = false;
  #stopped: KeyframeError | null = null;
  #whenRoom: (() => void)[] = [];

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#seq = options.producer?.seq ?? 0;
  }

  /**
   * Resolves with the fates when all events are decided, or rejects with the first failure. All of the events are
   * taken, or none.
   */
  send(events: readonly Outgoing[]): Promise<Fate[]> {
    const no = this.#refusal();
    if (no !== null) return Promise.reject(no);
    const fates = this.#fatesOf(events);
    this.#pump();
    return fates;
  }

  /** Settles in the same turn as the last of its events, so that it is settled when `flush` resolves. */
  #fatesOf(events: readonly Outgoing[]): Promise<Fate[]> {
    return new Promise((resolve, reject) => {
      const fates: Fate[] = [];
      const all: (Fate | Undecided)[] = [];
      let first: KeyframeError | null = null;
      let left = events.length;
      const settled = (): void => {
        left -= 1;
        if (left > 0) return;
        const unknown = all.flatMap((one) => (one.tag === "undecided" && one.mayCount ? [one.id] : []));
        if (first === null) resolve(fates);
        else reject(first.about(unknown, all));
      };
      if (left === 0) resolve(fates);
      for (const [i, event] of events.entries()) {
        const decided = (fate: Fate): void => {
          all[i] = fates[i] = fate;
          settled();
        };
        const failed = (error: KeyframeError): void => {
          first ??= error;
          all[i] = { tag: "undecided", id: event.id, mayCount: error.ids.length > 0 };
          settled();
        };
        this.#queue.push({ ...event, order: this.#order++, decided, failed });
        this.#undecided += 1;
        this.#undecidedBytes += event.bytes;
        this.#queuedBytes += event.bytes;
      }
    });
  }

  #refusal(): KeyframeError | null {
    if (this.#closed) return new KeyframeError("closed", "the client is closed");
    if (this.#stopped !== null) return this.#stopped;
    if (!this.#over(2)) return null;
    const waiting = `${this.#undecided} events, ${this.#undecidedBytes} bytes`;
    return new KeyframeError("buffer_full", `${waiting} wait for their outcome; await ready() before each send`);
  }

  /** Does the buffer hold `times` its bound? */
  #over(times: number): boolean {
    const { events, bytes } = this.#options.buffer;
    return this.#undecided >= events * times || this.#undecidedBytes >= bytes * times;
  }

  /** Resolves as soon as the buffer has room. */
  async ready(): Promise<void> {
    while (this.#over(1) && !this.#closed) await new Promise<void>((resolve) => this.#whenRoom.push(resolve));
  }

  /** Resolves when each event sent before is decided or has failed. The event's own promise says which. */
  async flush(): Promise<void> {
    const last = this.#order - 1;
    for (;;) {
      this.#due = Math.max(this.#due, this.#queue.filter(({ order }) => order <= last).length);
      this.#pump();
      const flights = [...this.#flights].filter(({ first }) => first <= last);
      if (flights.length === 0) return;
      await Promise.race(flights.map(({ landed }) => landed));
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#wake();
    await this.flush();
  }

  #wake(): void {
    const waiters = this.#whenRoom;
    this.#whenRoom = [];
    for (const wake of waiters) wake();
  }

  #pump(): void {
    const { batch, inFlight } = this.#options;
    while (this.#queue.length > 0 && this.#flights.size < inFlight) {
      const full = this.#queue.length >= batch.events || this.#queuedBytes >= batch.bytes;
      if (!full && this.#due === 0) break;
      this.#fly(this.#take());
    }
    if (this.#queue.length > this.#due) this.#linger();
  }

  #linger(): void {
    this.#cancelLinger ??= this.#options.clock.after(this.#options.batch.lingerMs, () => {
      this.#cancelLinger = null;
      this.#due = this.#queue.length;
      this.#pump();
    });
  }

  #take(): Waiting[] {
    const { batch } = this.#options;
    let bytes = 0;
    let count = 0;
    for (const event of this.#queue) {
      if (count > 0 && (count === batch.events || bytes + event.bytes > batch.bytes)) break;
      bytes += event.bytes;
      count += 1;
    }
    this.#queuedBytes -= bytes;
    this.#due = Math.max(0, this.#due - count);
    const taken = this.#queue.splice(0, count);
    if (this.#queue.length === 0) {
      this.#cancelLinger?.();
      this.#cancelLinger = null;
    }
    return taken;
  }

  #fly(events: readonly Waiting[]): void {
    const { http, patience, gzip, producer } = this.#options;
    const number = producer === null ? null : { ...producer, seq: this.#seq++ };
    const delivered = deliverEvents(events, { http, patience: patience(), gzip, number });
    const flight: Flight = {
      first: events[0]!.order,
      landed: delivered.then(
        (result) => this.#land(flight, events, result),
        (error: unknown) =>
          this.#land(flight, events, { fates: [], failure: unforeseen(error), unknown: new Set(events.keys()) }),
      ),
    };
    this.#flights.add(flight);
  }

  #land(flight: Flight, events: readonly Waiting[], { fates, failure, unknown }: Delivered): void {
    this.#flights.delete(flight);
    events.forEach((event, i) => {
      this.#settled(event);
      const fate = fates[i];
      if (fate) event.decided(fate);
      else if (failure !== null) event.failed(failure.about(unknown.has(i) ? [event.id] : []));
    });
    if (this.#options.producer !== null && failure !== null && unknown.size > 0) this.#stop(failure);
    this.#wake();
    this.#pump();
  }

  #settled({ bytes }: Waiting): void {
    this.#undecided -= 1;
    this.#undecidedBytes -= bytes;
  }

  /** No waiting event was sent, so none counts. */
  #stop({ detail, status, problem }: KeyframeError): void {
    const why = `it isn't known whether a numbered batch counts, so none may follow it; continue with a new client and a higher epoch (${detail})`;
    this.#stopped = new KeyframeError("producer_stopped", why, { status, problem });
    for (const event of this.#queue.splice(0)) {
      this.#settled(event);
      event.failed(this.#stopped);
    }
    this.#queuedBytes = 0;
    this.#due = 0;
    this.#cancelLinger?.();
    this.#cancelLinger = null;
  }
}

/** An unforeseen failure in the client must settle the caller's promise. */
const unforeseen = (error: unknown): KeyframeError =>
  new KeyframeError("unexpected_answer", error instanceof Error ? error.message : String(error));
