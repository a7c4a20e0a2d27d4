/**
 * Whoever wants to hear of changes of keys.
 *
 * W1. They hear of a change in the turn in which it becomes visible, never before (LOG1), and of each key's changes in order.
 * W2. What an instance didn't settle itself it replays when it opens: so nothing that is in the log goes by unheard.
 */
import type { Seq } from "./ids.ts";
import type { KeyedState } from "./state.ts";

export interface Watchers {
  /** The keys that are watched, each once. */
  readonly keys: Iterable<string>;
  /** The event at `at` left this; null: no state. Called for any key, watched or not. Does nothing that takes long, and never
   *  throws. */
  changed(key: string, text: string | null, at: Seq): void;
  /** The log ends at `head` as an instance finds it. Who heard of more heard of what was given up when D1 was set back and adopted. */
  opened(head: Seq): void;
}

/** After a replay (W2): of what changed since the current snapshot, the newest. Perhaps they have heard of it. */
export function tellReplayed(watchers: Watchers | null, { seq: head, state }: { seq: Seq; state: KeyedState }): void {
  if (watchers === null) return;
  watchers.opened(head);
  for (const key of watchers.keys) {
    const change = state.change(key);
    // One that can't be migrated is no state to show; who asks hears why.
    if (change !== null && change.version === undefined) watchers.changed(key, change.text, change.seq);
  }
}
