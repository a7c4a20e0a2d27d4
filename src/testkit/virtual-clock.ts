/**
 * A clock that moves only when a test says so, or when nothing else can happen.
 *
 * VIRTUALCLOCK1. Timers fire in the order of their times. Timers of one time fire in the order in which they were set.
 * VIRTUALCLOCK2. After each timer, everything runs that can run. A tick begins only when the queue of microtasks is
 *     empty, and costs a fraction of a turn of the event loop. The engine waits only for promises and this clock.
 * VIRTUALCLOCK3. Time is whole milliseconds, as Date.now() gives them.
 */
import type { Clock } from "../engine/base/ports.ts";

interface Timer {
  readonly dueMs: number;
  readonly order: number;
  /** Null if cancelled. The timer leaves the heap when its time comes. */
  fire: (() => void) | null;
}

export class VirtualClock implements Clock {
  #now: number;
  readonly #heap: Timer[] = [];
  #order = 0;

  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#now = startMs;
  }

  now(): number {
    return this.#now;
  }

  after(ms: number, then: () => void): () => void {
    const timer: Timer = { dueMs: this.#now + Math.max(0, Math.ceil(ms)), order: this.#order++, fire: then };
    this.#push(timer);
    return () => {
      timer.fire = null;
    };
  }

  jitter(): number {
    return 0.5;
  }

  /** Runs everything that can run at this moment. */
  settle(): Promise<void> {
    return new Promise((resolve) => queueMicrotask(() => process.nextTick(resolve)));
  }

  /** Fires the next timer that is due by `untilMs`. Returns false if there is none. */
  async step(untilMs = Number.POSITIVE_INFINITY): Promise<boolean> {
    for (let next = this.#heap[0]; next !== undefined && next.dueMs <= untilMs; next = this.#heap[0]) {
      this.#pop();
      const { fire } = next;
      if (fire === null) continue;
      this.#now = Math.max(this.#now, next.dueMs);
      fire();
      await this.settle();
      return true;
    }
    return false;
  }

  /** Moves the clock by `ms` and fires the timers that fall due, in order. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    await this.settle();
    while (await this.step(until));
    this.#now = until;
  }

  /** Returns the result of a promise. Time passes while the promise needs it, up to ten minutes. */
  async run<T>(promise: Promise<T>): Promise<T> {
    const state = { done: false };
    const watched = promise.finally(() => (state.done = true));
    watched.catch(() => undefined);
    const until = this.#now + 600_000;
    await this.settle();
    while (!state.done && (await this.step(until)));
    if (!state.done)
      throw new Error("not settled after ten minutes of virtual time, or nothing is left that could settle it");
    return watched;
  }

  #push(timer: Timer): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(timer);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!earlier(timer, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = timer;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && earlier(heap[child + 1]!, heap[child]!)) child += 1;
      if (!earlier(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

const earlier = (a: Timer, b: Timer): boolean => a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
