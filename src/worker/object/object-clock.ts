/**
 * The clock of one Durable Object. Every call has a time limit, nearly always cancelled. A timer of the platform costs
 * as much as a dozen events. So waits of a second and more share one timer, which ticks only while a wait is pending.
 * Such a wait may be late by a tick, which a limit of seconds allows.
 */
import type { Clock } from "../../engine/base/ports.ts";

const TICK_MS = 250;
const SHARED_FROM_MS = 1_000;

export class ObjectClock implements Clock {
  readonly #waits = new Map<number, { readonly dueMs: number; readonly expire: () => void }>();
  #next = 0;
  #ticking = false;

  now(): number {
    return Date.now();
  }

  after(ms: number, then: () => void): () => void {
    if (ms < SHARED_FROM_MS) {
      const timer = setTimeout(then, ms);
      return () => clearTimeout(timer);
    }
    const id = this.#next++;
    this.#waits.set(id, { dueMs: Date.now() + ms, expire: then });
    if (!this.#ticking) this.#tick();
    return () => this.#waits.delete(id);
  }

  jitter(): number {
    return Math.random();
  }

  #tick(): void {
    this.#ticking = true;
    setTimeout(() => {
      const now = Date.now();
      for (const [id, { dueMs, expire }] of this.#waits) {
        if (dueMs > now) continue;
        this.#waits.delete(id);
        expire();
      }
      if (this.#waits.size > 0) this.#tick();
      else this.#ticking = false;
    }, TICK_MS);
  }
}
