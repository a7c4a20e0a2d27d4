/**
 * Asks D1 whether the line is open, for requests of nothing but repeats (LINE5). An append proves it by itself. But an
 * object of a line that was replaced may live on, and its repeats may be events that main has given up. So the read
 * begins after the request came. Requests that wait share one read, and count as waiting (LOG6).
 */
import type { AppendRequest } from "./protocol.ts";

export class OpenCheck {
  readonly #ask: () => Promise<boolean>;
  #running: Promise<unknown> | null = null;
  #next: Promise<boolean> | null = null;
  /** Of the requests that wait. */
  events = 0;
  bytes = 0;

  constructor(ask: () => Promise<boolean>) {
    this.#ask = ask;
  }

  /** Returns the answer of a read that begins after this call. @throws whatever the read throws */
  async isOpen({ keys, bytes }: Pick<AppendRequest, "keys" | "bytes">): Promise<boolean> {
    this.#next ??= this.#after(this.#running);
    this.events += keys.length;
    this.bytes += bytes;
    try {
      return await this.#next;
    } finally {
      this.events -= keys.length;
      this.bytes -= bytes;
    }
  }

  async #after(running: Promise<unknown> | null): Promise<boolean> {
    await running?.catch(() => undefined);
    this.#next = null;
    const asked = this.#ask();
    this.#running = asked;
    try {
      return await asked;
    } finally {
      if (this.#running === asked) this.#running = null;
    }
  }
}
