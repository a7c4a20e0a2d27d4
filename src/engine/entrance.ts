/**
 * The way of slices into groups: in the order in which they came, each once its keys are in memory.
 *
 * A1. A slice whose keys are here goes in at once, unless others wait: nothing is awaited on the way of a hot key.
 * A2. Those behind one that waits load their keys meanwhile, but go in after it: order of arrival is order of seq (LOG2), also
 *     where their keys are ready first (SNAP11).
 * A3. A slice whose keys can't be loaded is refused whole, before any of it has a seq.
 */
import { Failure } from "./errors.ts";
import type { Admission } from "./group.ts";
import type { Open } from "./open.ts";
import type { Clock, Host } from "./ports.ts";
import type { Slice, SliceResult } from "./slice.ts";

/** Taken in, or why it isn't. */
export type Admitted = Admission | Exclude<SliceResult, { tag: "decided" }>;
export type Admit = (open: Open, slice: Slice) => Admitted;

interface Waiting {
  readonly open: Open;
  readonly slice: Slice;
  readonly deadlineMs: number;
  /** Its keys are pinned once this is settled. */
  readonly loaded: Promise<void>;
  readonly resolve: (admitted: Admitted) => void;
  readonly reject: (why: unknown) => void;
}

export class Entrance {
  readonly #clock: Clock;
  readonly #host: Host;
  readonly #admit: Admit;
  readonly #queue: Waiting[] = [];
  #running = false;
  #closed: Failure | null = null;
  bytes = 0;
  events = 0;

  constructor(clock: Clock, host: Host, admit: Admit) {
    this.#clock = clock;
    this.#host = host;
    this.#admit = admit;
  }

  /** @throws Failure where its keys can't be loaded, or the object has ended meanwhile; Damage */
  enter(open: Open, slice: Slice, deadlineMs: number): Admitted | Promise<Admitted> {
    if (this.#queue.length === 0 && open.fold.state.missing(slice.keys).length === 0) return this.#admit(open, slice);
    const loaded = open.loader.pinned(slice.keys);
    // Somebody hears of it when it is its turn.
    loaded.catch(() => undefined);
    this.bytes += slice.bytes;
    this.events += slice.keys.length;
    const entered = new Promise<Admitted>((resolve, reject) =>
      this.#queue.push({ open, slice, deadlineMs, loaded, resolve, reject }),
    );
    if (!this.#running) this.#host.keep(this.#run());
    return entered;
  }

  /** Nothing of what waits will go in. */
  close(failure: Failure): void {
    this.#closed = failure;
    for (const { reject } of this.#queue) reject(failure);
  }

  async #run(): Promise<void> {
    this.#running = true;
    for (let head = this.#queue[0]; head !== undefined; head = this.#queue[0]) {
      await this.#take(head);
      this.#queue.shift();
      this.bytes -= head.slice.bytes;
      this.events -= head.slice.keys.length;
    }
    this.#running = false;
  }

  /** No await between the last look and the admission. */
  async #take({ open, slice, deadlineMs, loaded, resolve, reject }: Waiting): Promise<void> {
    try {
      await loaded;
    } catch (error) {
      return reject(error);
    }
    try {
      if (this.#closed !== null) throw this.#closed;
      // Its caller has heard 503 by now, and sends it again.
      if (this.#clock.now() >= deadlineMs)
        throw new Failure("store_unavailable", "the states of the events' keys were not loaded in time");
      resolve(this.#admit(open, slice));
    } catch (error) {
      reject(error);
    } finally {
      open.fold.state.unpin(slice.keys);
    }
  }
}
