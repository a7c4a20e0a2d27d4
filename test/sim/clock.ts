/**
 * The clock of one instance: what it takes for the time may be off, stand still, jump or go back; its timers run on the
 * world's true time, and die with it.
 */
import type { Clock } from "../../src/engine/base/ports.ts";
import type { VirtualClock } from "../../src/testkit/virtual-clock.ts";
import type { Random } from "./random.ts";

export class InstanceClock implements Clock {
  readonly #world: VirtualClock;
  readonly #random: Random;
  readonly #alive: () => boolean;
  #offsetMs: number;
  #frozen: { readonly atMs: number; readonly untilMs: number } | null = null;

  constructor(world: VirtualClock, random: Random, alive: () => boolean, offsetMs: number) {
    this.#world = world;
    this.#random = random;
    this.#alive = alive;
    this.#offsetMs = offsetMs;
  }

  now(): number {
    if (this.#frozen !== null) {
      if (this.#world.now() < this.#frozen.untilMs) return this.#frozen.atMs;
      this.#frozen = null;
    }
    return this.#world.now() + this.#offsetMs;
  }

  after(ms: number, then: () => void): () => void {
    return this.#world.after(ms, () => {
      if (this.#alive()) then();
    });
  }

  jitter(): number {
    return this.#random.unit();
  }

  /** Forward, or back where negative. */
  jump(ms: number): void {
    this.#offsetMs += ms;
  }

  freeze(ms: number): void {
    this.#frozen = { atMs: this.now(), untilMs: this.#world.now() + ms };
  }
}
