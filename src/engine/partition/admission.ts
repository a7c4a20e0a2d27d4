/**
 * Admission moves requests into groups in the order of arrival, each one after its keys are in memory.
 *
 * ADMISSION1. A request whose keys are in memory goes in at once, unless others wait. A hot key meets no await.
 * ADMISSION2. Requests behind a waiting request go in after it, even if their keys are ready first (SNAP11). Order of
 *     arrival is order of seq (LOG2). They load their keys in the meantime if those take little memory.
 * ADMISSION3. A request whose states are too large goes in by parts, and each part is durable before the next one
 *     loads. So the memory that is loaded at a time has a bound, whatever the size of the states. If a later part can't
 *     go in, the request is not wholly durable, and the caller sends it again.
 * ADMISSION5. If a timer is due at the request's clock, the request waits until it has fired (FIRING1 of firing.ts).
 * ADMISSION4. A request of which no key could be loaded is refused before any of its events has a seq.
 */
import { Failure } from "../base/errors.ts";
import type { Admission } from "./group.ts";
import { seq } from "../base/ids.ts";
import { utf8Length } from "../base/json.ts";
import { LOAD_BYTES, PENDING_BYTES } from "../base/limits.ts";
import type { OpenPartition } from "../recovery/open-partition.ts";
import type { Clock, Host } from "../base/ports.ts";
import type { Lease } from "../log/lease.ts";
import type { Admitted, GroupCommit } from "./group-commit.ts";
import { REOPENED, type Opener } from "./opener.ts";
import type { TimerFiring } from "./firing.ts";
import { PRINT_WORDS } from "../base/hash.ts";
import { busy, type AppendRequest, type AppendResponse } from "./protocol.ts";
import { limited } from "../base/retry.ts";
import type { Environment } from "../operator/environment.ts";

interface Waiting {
  readonly open: OpenPartition;
  readonly slice: AppendRequest;
  readonly deadlineMs: number;
  /** Resolves when the request's keys are pinned. Null if no key is loaded before the request's turn. */
  readonly loaded: Promise<readonly string[]> | null;
  readonly resolve: (admitted: Admitted) => void;
  readonly reject: (why: unknown) => void;
}

export class AdmissionQueue {
  readonly #clock: Clock;
  readonly #host: Host;
  readonly #opener: Opener;
  readonly #groups: GroupCommit;
  readonly #firing: TimerFiring;
  readonly #queue: Waiting[] = [];
  #running = false;
  #lost: Failure | null = null;
  /** Bytes of requests that wait for the partition to open. */
  #waitingBytes = 0;
  bytes = 0;
  events = 0;

  constructor({ clock, host }: Environment, lease: Lease, opener: Opener, groups: GroupCommit, firing: TimerFiring) {
    this.#clock = clock;
    this.#host = host;
    this.#opener = opener;
    this.#groups = groups;
    this.#firing = firing;
    lease.onLost((failure) => {
      this.#lost = failure;
      for (const { reject } of this.#queue) reject(failure);
    });
  }

  /**
   * Returns the partition once it is open. Requests that wait for the opening are bounded like the log's queue (LOG6).
   */
  async opened(bytes: number, limitMs: number): Promise<OpenPartition | AppendResponse> {
    const waiting = this.#waitingBytes;
    if (waiting > 0 && waiting + bytes > PENDING_BYTES)
      return busy("queue_full", `${waiting} bytes wait for the partition to open; the limit is ${PENDING_BYTES}`);
    this.#waitingBytes += bytes;
    try {
      return await limited(this.#clock, "opening the partition", () => this.#opener.ready("events"), limitMs);
    } finally {
      this.#waitingBytes -= bytes;
    }
  }

  /** @throws Failure if the keys can't be loaded, or the instance has ended in the meantime; Damage */
  enter(open: OpenPartition, slice: AppendRequest, deadlineMs: number): Admitted | Promise<Admitted> {
    const isReady = open.machine.state.missing(slice.keys).length === 0 && !this.#isDue(open, slice);
    if (this.#queue.length === 0 && isReady) return this.#admitNow(open, slice);
    const ahead = this.#queue.reduce((sum, { slice: { keys } }) => sum + keys.length, 0);
    const soon = ahead + slice.keys.length <= open.machine.state.keysIn(LOAD_BYTES);
    const loaded = soon ? pinned(open, slice.keys) : null;
    // `#take` reports the failure when it is the request's turn.
    loaded?.catch(() => undefined);
    this.bytes += slice.bytes;
    this.events += slice.keys.length;
    const entered = new Promise<Admitted>((resolve, reject) =>
      this.#queue.push({ open, slice, deadlineMs, loaded, resolve, reject }),
    );
    if (!this.#running) this.#host.keep(this.#run());
    return entered;
  }

  #isDue(open: OpenPartition, { at, command }: AppendRequest): boolean {
    if (command === true && open.machine.quarantine.full) return false;
    return this.#firing.isDue(open, Math.min(at, this.#clock.now()));
  }

  /** Fires what is due before the request. A request's own time bounds what that can be. */
  async #fireBefore(open: OpenPartition, slice: AppendRequest): Promise<void> {
    while (this.#isDue(open, slice)) await this.#firing.upTo(open, Math.min(slice.at, this.#clock.now()));
  }

  async #run(): Promise<void> {
    this.#running = true;
    for (let head = this.#queue[0]; head !== undefined; head = this.#queue[0]) {
      await this.#take(head).then(head.resolve, head.reject);
      this.#queue.shift();
      this.bytes -= head.slice.bytes;
      this.events -= head.slice.keys.length;
    }
    this.#running = false;
  }

  async #take({ open, slice, deadlineMs, loaded }: Waiting): Promise<Admitted> {
    if (loaded !== null) {
      const keys = await loaded;
      return this.#admit(open, slice, deadlineMs, keys);
    }
    let whole: Admission | null = null;
    for (let from = 0; from < slice.keys.length;) {
      const to = this.#partFrom(open, slice, from);
      const part = from === 0 && to === slice.keys.length ? slice : cut(slice, from, to);
      const admitted = await this.#admit(open, part, deadlineMs, await pinned(open, part.keys));
      if ("tag" in admitted) return admitted;
      whole = joined(whole, admitted, slice.keys.length, from);
      from = to;
      if (from < slice.keys.length) await this.#groups.durable(admitted, this.#leftMs(deadlineMs));
    }
    return whole!;
  }

  /** Returns the end of a part: as many events as have keys whose states may be loaded at a time, at least one. */
  #partFrom({ machine }: OpenPartition, { keys }: AppendRequest, from: number): number {
    const most = machine.state.keysIn(LOAD_BYTES);
    const seen = new Set<string>();
    let to = from;
    for (; to < keys.length && (to === from || seen.size < most); to++) seen.add(keys[to]!);
    return to;
  }

  /** An await between the check of the lease and the admission would let a lost lease admit events. */
  async #admit(
    open: OpenPartition,
    slice: AppendRequest,
    deadlineMs: number,
    keys: readonly string[],
  ): Promise<Admitted> {
    try {
      await this.#fireBefore(open, slice);
      if (this.#lost !== null) throw this.#lost;
      this.#leftMs(deadlineMs);
      return this.#admitNow(open, slice);
    } finally {
      open.machine.state.unpin(keys);
    }
  }

  #admitNow(open: OpenPartition, slice: AppendRequest): Admitted {
    if (open !== this.#opener.open) throw REOPENED;
    return this.#groups.admit(open, slice);
  }

  /** @throws Failure if the deadline has passed: the caller heard 503 and sends the request again */
  #leftMs(deadlineMs: number): number {
    const left = deadlineMs - this.#clock.now();
    if (left > 0) return left;
    throw new Failure("store_unavailable", "the states of the events' keys were not loaded in time");
  }
}

async function pinned({ loader }: OpenPartition, keys: readonly string[]): Promise<readonly string[]> {
  await loader.pinned(keys);
  return keys;
}

/** Returns the request with only the events from `from` to before `to`. */
function cut(slice: AppendRequest, from: number, to: number): AppendRequest {
  const before = some(slice.lengths, 0, from).reduce((sum, one) => sum + one + 1, 0);
  const length = some(slice.lengths, from, to).reduce((sum, one) => sum + one + 1, -1);
  const body = slice.body.slice(before, before + length);
  const { indexes } = slice;
  return {
    ...slice,
    body,
    bytes: slice.bytes === slice.body.length ? body.length : utf8Length(body),
    lengths: some(slice.lengths, from, to),
    keys: slice.keys.slice(from, to),
    prints: some(slice.prints, from * PRINT_WORDS, to * PRINT_WORDS),
    ...(indexes === undefined ? {} : { indexes: some(indexes, from, to) }),
  };
}

const some = (list: ArrayLike<number>, from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, i) => list[from + i]!);

/** Puts the result of a part beside the results of the parts before it. */
function joined(before: Admission | null, part: Admission, events: number, from: number): Admission {
  const whole = before ?? { statuses: new Uint8Array(events), details: [], until: seq(0) };
  whole.statuses.set(part.statuses, from);
  for (const [i, at, text] of part.details) whole.details.push([i + from, at, text]);
  return { ...whole, until: part.until > whole.until ? part.until : whole.until };
}
