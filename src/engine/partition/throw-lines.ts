/**
 * Writes lines to the platform's log for handlers that throw. A line says where the handler threw, without the message.
 * Messages may hold data, so they stand in the quarantine alone.
 *
 * THROWLINES1. Each type of event and class of error gets one line a minute. The line says how many errors there were
 *     since the line before. At most KINDS kinds get a line in a minute. Errors without a line are in the quarantine
 *     all the same.
 */
import type { Environment } from "../operator/environment.ts";
import type { Quarantined } from "../state/quarantine.ts";

const EVERY_MS = 60_000;
const KINDS = 20;

interface Kind {
  readonly notedMs: number;
  /** Errors since `notedMs`. */
  events: number;
}

export class ThrowLines {
  readonly #env: Environment;
  readonly #kinds = new Map<string, Kind>();

  constructor(env: Environment) {
    this.#env = env;
  }

  threw({ type, errorName = "", stack = "", operatorVersion }: Quarantined): void {
    const { clock, host, id } = this.#env;
    const name = `${type} ${errorName}`;
    const now = clock.now();
    const kind = this.#kinds.get(name);
    if (kind !== undefined && now - kind.notedMs < EVERY_MS) {
      kind.events += 1;
      return;
    }
    if (kind === undefined && !this.#hasRoom(now)) return;
    this.#kinds.set(name, { notedMs: now, events: 0 });
    const { partition, operator } = id;
    const events = (kind?.events ?? 0) + 1;
    host.note("a handler threw", { partition, operator, type, errorName, stack, operatorVersion, events });
  }

  #hasRoom(now: number): boolean {
    if (this.#kinds.size < KINDS) return true;
    for (const [name, { notedMs }] of this.#kinds) if (now - notedMs >= EVERY_MS) this.#kinds.delete(name);
    return this.#kinds.size < KINDS;
  }
}
