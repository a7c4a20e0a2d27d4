/** Changes of a committed state as a layer makes them, for tests that have none. */
import type { Seq } from "../../../src/engine/base/ids.ts";
import type { KeyEntry, KeyedState } from "../../../src/engine/state/keyed-state.ts";
import type { Former } from "../../../src/engine/state/timers.ts";

const before = (state: KeyedState, key: string): Former => state.find(key) ?? { text: null };

export const put = (state: KeyedState, key: string, entry: KeyEntry): void =>
  state.apply(key, entry, entry.seq, before(state, key));

export const remove = (state: KeyedState, key: string, at: Seq): void => state.apply(key, null, at, before(state, key));

/** Everything in memory. */
export const all = (state: KeyedState): [string, KeyEntry][] =>
  state.overlay("", "").map(([key, entry]) => [key, entry!] as [string, KeyEntry]);
