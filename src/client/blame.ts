/** The newest event that changed a member of a key's state. The app looks at a part of the history at a time. */
import type { Touched } from "./history.ts";
import { KeyframeError } from "./keyframe-error.ts";

export interface BlameOptions {
  /** Looks only at events below this seq. Default: from the newest on. */
  readonly before?: number;
}

export interface BlamedEvent extends Touched {
  /** The member before the event. Absent if the state had no such member. */
  readonly from?: unknown;
  /** The member after the event. Absent if the state has no such member. */
  readonly to?: unknown;
  /** Why it isn't known whether this event changed the member. Later events didn't. */
  readonly unknown?: string;
}

export interface Blamed {
  /** Null if no event that is kept changed the member. */
  readonly event: BlamedEvent | null;
  /** True if retention has deleted older events. */
  readonly expired: boolean;
}

interface Answered {
  readonly item: BlamedEvent | null;
  readonly before?: number;
  readonly expired?: boolean;
}

/**
 * `ask` fetches the answer at a path.
 * @throws KeyframeError
 */
export async function blamedEvent(
  ask: (path: string) => Promise<unknown>,
  path: string,
  key: string,
  member: string,
  { before: first }: BlameOptions,
): Promise<Blamed> {
  let before = first;
  for (;;) {
    const query = new URLSearchParams({ key, path: member });
    if (before !== undefined) query.set("before", String(before));
    const found = (await ask(`${path}/blame?${query.toString()}`)) as Answered;
    if (found.item !== null) return { event: found.item, expired: false };
    if (found.before === undefined) return { event: null, expired: found.expired === true };
    // Without this check an answer that repeats would never end the loop.
    if (before !== undefined && found.before >= before)
      throw new KeyframeError("unexpected_answer", `the search below seq ${before} continues at ${found.before}`);
    ({ before } = found);
  }
}
