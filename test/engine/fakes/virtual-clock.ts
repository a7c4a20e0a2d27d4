/** A clock that moves only when a test says so, or when nothing else can happen. */
import type { Clock } from "../../../src/engine/ports.ts";

interface Timer {
  readonly dueMs: number;
  readonly order: number;
  readonly fire: () => void;
}

export class VirtualClock implements Clock {
  #now = Date.UTC(2026, 0, 1);
  #timers: Timer[] = [];
  #order = 0;

  now(): number {
    return this.#now;
  }

  after(ms: number, then: () => void): () => void {
    const timer = { dueMs: this.#now + ms, order: this.#order++, fire: then };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((one) => one !== timer);
    };
  }

  /** Lets everything run that can run at this moment. */
  async settle(): Promise<void> {
    for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Moves on by `ms`, firing what falls due on the way, in order. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    await this.settle();
    for (let next = this.#next(until); next !== undefined; next = this.#next(until)) {
      this.#now = Math.max(this.#now, next.dueMs);
      this.#timers = this.#timers.filter((one) => one !== next);
      next.fire();
      await this.settle();
    }
    this.#now = until;
  }

  #next(until: number): Timer | undefined {
    return this.#timers
      .filter((timer) => timer.dueMs <= until)
      .sort((a, b) => a.dueMs - b.dueMs || a.order - b.order)[0];
  }

  /** The result of a promise, with time passing as long as it needs it; at most ten minutes. */
  async run<T>(promise: Promise<T>): Promise<T> {
    let done = false;
    const watched = promise.finally(() => (done = true));
    watched.catch(() => undefined);
    for (let passed = 0; passed < 600_000; passed += 10) {
      await this.settle();
      if (done) return watched;
      await this.advance(10);
    }
    throw new Error("not settled after ten minutes of virtual time");
  }
}
