/** The history of a key, from newest to oldest. Each page is requested when the one before it is used up. */
import { KeyframeError } from "./keyframe-error.ts";

/** An event that touched the key. */
export type HistoryEntry<State> = Touched & After<State>;

export interface Touched {
  readonly seq: number;
  /** The time at which the event was received, RFC 3339. */
  readonly time: string;
  /** The event as its handler saw it: a CloudEvent, or a command on the quarantine. */
  readonly event: {
    readonly type: string;
    readonly id: string;
    readonly source: string;
    readonly data?: unknown;
    readonly [member: string]: unknown;
  };
  readonly outcome:
    /** Without `reply`, the reply isn't known any more, or never was. */
    | { readonly status: "applied"; readonly reply?: unknown }
    | { readonly status: "refused"; readonly code: string; readonly detail: unknown }
    | { readonly status: "quarantined"; readonly error: string };
  /** The version of the operator that ran. */
  readonly operatorVersion: number;
}

/** The key's value after the event: null if there is no state, or the reason why the value isn't certain. */
type After<State> =
  { readonly value: State | null; readonly unknown?: undefined } | { readonly value: null; readonly unknown: string };

export interface HistoryOptions {
  /** Returns events below this seq. Default: from the newest on. */
  readonly before?: number;
  /** Events of a page, up to 1,000. */
  readonly limit?: number;
}

/** The end of a history: `expired` if retention has deleted older events. */
export interface HistoryEnd {
  readonly expired: boolean;
}

export interface EntriesPage<State> {
  readonly items: readonly HistoryEntry<State>[];
  readonly before?: number;
  readonly expired?: boolean;
}

/**
 * `ask` fetches the page at a path.
 * @throws KeyframeError
 */
export async function* historyEntries<State>(
  ask: (path: string) => Promise<unknown>,
  path: string,
  key: string,
  { before: first, limit = 100 }: HistoryOptions,
): AsyncGenerator<HistoryEntry<State>, HistoryEnd> {
  let before = first;
  for (;;) {
    const query = new URLSearchParams({ key, limit: String(limit) });
    if (before !== undefined) query.set("before", String(before));
    const page = (await ask(`${path}/history?${query.toString()}`)) as EntriesPage<State>;
    yield* page.items;
    if (page.before === undefined) return { expired: page.expired === true };
    // Without this check a page that repeats would never end the loop.
    if (before !== undefined && page.before >= before)
      throw new KeyframeError("unexpected_answer", `the page before seq ${before} continues at ${page.before}`);
    ({ before } = page);
  }
}
