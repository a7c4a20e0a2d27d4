/**
 * The lease: an instance's knowledge of its right to write. Events, snapshots, garbage collection, reads and the alarm
 * all ask the lease.
 *
 *   none -> taking    an opening writes the next epoch into the partition's row  -> held
 *   none -> claiming  the first append carries the next epoch (LOG2)             -> held
 *   any  -> lost      for good: the next call finds a new instance
 *
 * LEASE1. The epoch is taken in one way at a time. A claim waits for an opening that takes the epoch. Such an opening
 *     waits for a claim.
 * LEASE2. A lost lease writes nothing more. Every loop asks `lost` right before it writes.
 * LEASE3. Lost is final, and has one reason. All who wait hear the reason at once.
 */
import { Failure } from "../base/errors.ts";
import type { Epoch } from "../base/ids.ts";

export class Lease {
  #epoch: Epoch | null = null;
  #taking: Promise<void> | null = null;
  #claiming: Promise<void> | null = null;
  #failure: Failure | null = null;
  readonly #onLost: ((failure: Failure) => void)[] = [];

  get state(): "none" | "taking" | "claiming" | "held" | "lost" {
    if (this.#failure !== null) return "lost";
    if (this.#epoch !== null) return "held";
    if (this.#claiming !== null) return "claiming";
    return this.#taking === null ? "none" : "taking";
  }

  /** Returns null if no epoch is held. A lost lease still names the epoch that it had. */
  get epoch(): Epoch | null {
    return this.#epoch;
  }

  get lost(): boolean {
    return this.#failure !== null;
  }

  /** @throws Failure fenced if the lease is lost */
  assertNotLost(): void {
    if (this.#failure !== null) throw new Failure("fenced", this.#failure.message);
  }

  /** Runs an opening that takes an epoch, after the claim that is under way. No claim begins before the opening
   *  ends. */
  take<T>(open: () => Promise<T>): Promise<T> {
    const done = (this.#claiming ?? Promise.resolve()).then(open);
    const taking = settled(done).then(() => {
      if (this.#taking === taking) this.#taking = null;
    });
    this.#taking = taking;
    return done;
  }

  /** Settles when the opening that takes an epoch has ended. Returns null if none is under way, so a claim need not
   *  wait. */
  get taken(): Promise<void> | null {
    return this.#epoch === null ? this.#taking : null;
  }

  /** The first append is on its way with the next epoch. `done` settles when the append has ended. */
  claim(done: Promise<unknown>): void {
    const claiming = settled(done).then(() => {
      if (this.#claiming === claiming) this.#claiming = null;
    });
    this.#claiming = claiming;
  }

  hold(epoch: Epoch): void {
    this.#epoch = epoch;
  }

  /** Ends this instance. The first reason stays. Returns the failure, for the caller to throw. */
  lose(failure: Failure): Failure {
    if (this.#failure !== null) return failure;
    this.#failure = failure;
    for (const tell of this.#onLost) tell(failure);
    return failure;
  }

  /** Calls in the order of registration, in the turn in which the lease is lost. */
  onLost(tell: (failure: Failure) => void): void {
    this.#onLost.push(tell);
  }

  /** Somebody else has the epoch, or this instance can't continue. */
  fence(why: string): void {
    this.lose(new Failure("fenced", why));
  }
}

const settled = (done: Promise<unknown>): Promise<void> =>
  done.then(
    () => undefined,
    () => undefined,
  );
