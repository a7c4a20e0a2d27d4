/** The history of a key, from newest to oldest: a page is asked for when the one before it is used up. */
import { KeyframeError } from "./keyframe-error.ts";

/** An event that touched the key. */
export type HistoryEntry<State> = Touched & After<State>;

interface Touched {
  readonly seq: number;
  /** When it was received, RFC 3339. */
  readonly time: string;
  /** As its handler saw it: a CloudEvent, or a command on the quarantine. */
  readonly event: {
    readonly type: string;
    readonly id: string;
    readonly source: string;
    readonly [member: string]: unknown;
  };
  readonly outcome:
    /** Without `reply` it isn't known any more, or never was. */
    | { readonly status: "applied"; readonly reply?: unknown }
    | { readonly status: "refused"; readonly code: string; readonly detail: unknown }
    | { readonly status: "quarantined"; readonly error: string };
  /** The operator's version that ran. */
  readonly operatorVersion: number;
}

/** The key's value after the event; null: no state, or why it can't be said for sure. */
type After<State> =
  { readonly value: State | null; readonly unknown?: undefined } | { readonly value: null; readonly unknown: string };

export interface HistoryOptions {
  /** Events below this seq. Default: from the newest on. */
  readonly before?: number;
  /** Events of a page, up to 1,000. */
  readonly limit?: number;
}

/** How a history ends: `expired`, where there was more and retention has given it up. */
export interface HistoryEnd {
  readonly expired: boolean;
}

interface Page<State> {
  readonly items: readonly HistoryEntry<State>[];
  readonly before?: number;
  readonly expired?: boolean;
}

/** `ask` fetches what stands behind a path. @throws KeyframeError */
export async function* history<State>(
  ask: (path: string) => Promise<unknown>,
  path: string,
  key: string,
  { before: first, limit = 100 }: HistoryOptions,
): AsyncGenerator<HistoryEntry<State>, HistoryEnd> {
  let before = first;
  for (;;) {
    const query = new URLSearchParams({ key, limit: String(limit) });
    if (before !== undefined) query.set("before", String(before));
    const page = (await ask(`${path}/history?${query.toString()}`)) as Page<State>;
    yield* page.items;
    if (page.before === undefined) return { expired: page.expired === true };
    // Else it would never end.
    if (before !== undefined && page.before >= before)
      throw new KeyframeError("unexpected_answer", `the page before seq ${before} goes on at ${page.before}`);
    ({ before } = page);
  }
}
