/**
 * The state that a line starts from, opened before it is known whether the line needs it: while D1 is asked for the
 * line's own row, and while a new row is made.
 *
 * AHEAD1. Only reads are made ahead. D1's own row decides what of them is used, so a wrong guess costs calls and nothing
 *     else.
 * AHEAD2. The state is given once, since the replay of the line's own log changes it. Where that log begins is read
 *     before.
 */
import type { LogStart } from "../base/records.ts";
import type { Prefetched } from "../base/ports.ts";
import type { Origin } from "../operator/environment.ts";
import { type OpenOrigin, openPast, startOfLog, toldStart } from "./past-state.ts";

export class OriginAhead {
  readonly #origin: Origin;
  readonly #told: ReturnType<typeof toldStart> | null;
  #opened: ReturnType<OpenOrigin> | null;

  /** Begins at once. `isNew`: the partition probably has no row, so D1 is also asked where its log begins. */
  constructor(origin: Origin, apart: boolean, isNew: boolean, seed: number) {
    this.#origin = origin;
    this.#opened = openPast(origin.env, origin.at, apart, null, seed);
    this.#told = isNew ? toldStart(origin) : null;
    // A failure that nobody waits for is no error.
    for (const one of [this.#opened, this.#told]) one?.catch(() => undefined);
  }

  /** Returns where the log of the line begins. */
  start(): Promise<LogStart> {
    const opened = this.#opened;
    return startOfLog(this.#origin, this.#told ?? undefined, opened === null ? undefined : () => opened);
  }

  /** Returns the state, or null if it was given before. */
  take(): ReturnType<OpenOrigin> | null {
    const opened = this.#opened;
    this.#opened = null;
    return opened;
  }
}

/** Returns an origin whose files, and those of the lines before it, may come from `ahead`. */
export function withFiles({ at, env }: Origin, ahead: Prefetched): Origin {
  const { origin } = env;
  return { at, env: { ...env, ahead, ...(origin === undefined ? {} : { origin: withFiles(origin, ahead) }) } };
}
