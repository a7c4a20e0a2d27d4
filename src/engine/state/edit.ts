/**
 * Edits change the state of a key by hand. Edits are commands that are logged and count once, like the commands on the
 * quarantine.
 *
 * EDIT1. The condition of an edit is decided once, in the order of seqs, against the state that the events before it
 *     left. Replay honours that decision, even if other code arrives at another state (ONE6).
 * EDIT2. A put names the version of its state. Newer code migrates the state, and keeps it unchanged if that fails
 *     (MIGRATION1 of migration.ts). Older code can't read the state and quarantines the edit (IN4); newer code may
 *     retry it.
 * EDIT3. A put leaves the key's timers, and the key's expiry counts from it. A deletion clears them (TIMER1 of
 *     timers.ts).
 */
import { renewed, thrown, type EventContext } from "./handler.ts";
import { hashGroup } from "../base/hash.ts";
import { exceeds, toState } from "../base/json.ts";
import { STALE, type Last, type DirtyKey } from "./overlay.ts";
import { STATE_BYTES } from "../base/limits.ts";
import { assertNotNewer, migrated, migrationFailed } from "../operator/migration.ts";
import type { Event } from "../event/event.ts";
import type { Operator } from "../operator/operator.ts";
import { APPLIED, NO_REPLY, type Outcome } from "../log/outcome.ts";

/** Types of the logged events. `data` is an Edit. */
export const PUT = "keyframe.state.put";
export const REMOVE = "keyframe.state.delete";

/** Deletes the state without a condition, and the key's events in the quarantine. */
export const ERASE = "keyframe.state.erase";

export const isEdit = (type: string): boolean => type === PUT || type === REMOVE || type === ERASE;

/** An edit counts if there is a state ("any"), if there is none ("none"), or if the state has one of these tags. */
export type Condition = "any" | "none" | readonly Tag[];

/** An ETag: the last event that changed the key, and the print of the text that it left. */
export type Tag = readonly [seq: number, print: number];

export interface Edit {
  readonly if: Condition;
  /** The operator's version, whose shape `state` has. */
  readonly version: number;
  /** Only in a PUT. */
  readonly state?: unknown;
}

/**
 * The seq names the event, not the value. Other code (a migration, a fixed handler at replay) makes another value of
 * the event, so the tag has a print of the text.
 */
export const tagOf = ({ seq, text }: { readonly seq: number; readonly text: string }): Tag => [seq, hashGroup(text, 0)];

/** Returns true if the condition holds. `last` is the result of the key's last change. */
function holds(condition: Condition, last: Last): boolean {
  if (last.text === null) return condition === "none";
  if (condition === "any" || condition === "none") return condition === "any";
  const [seq, print] = tagOf({ seq: last.seq, text: last.text });
  return condition.some((tag) => tag[0] === seq && tag[1] === print);
}

/**
 * Applies an edit. `last` is the result of the key's last change, which the condition is about. `last` is null at
 * replay, which doesn't decide again (EDIT1).
 */
export function edit(
  operator: Operator,
  dirtyKey: DirtyKey,
  command: Event,
  { key, seq: at, now }: Pick<EventContext, "key" | "seq" | "now">,
  last: Last | null,
): Outcome {
  const { if: condition, version, state } = command.data as Edit;
  if (last !== null && command.type !== ERASE && !holds(condition, last))
    return { tag: "refused", code: "precondition_failed", detail: NO_REPLY };
  try {
    const put = command.type === PUT ? stateOf(operator, version, state) : NO_STATE;
    if (last !== null && put.version !== undefined) throw new Error(migrationFailed(operator, key, version, put.text!));
    dirtyKey.text = put.text;
    dirtyKey.version = put.version;
    dirtyKey.timers = put.text === null ? undefined : renewed(operator, dirtyKey.timers, now);
  } catch (error) {
    return thrown(error);
  }
  dirtyKey.value = STALE;
  dirtyKey.dirty = false;
  dirtyKey.seq = at;
  return APPLIED;
}

const NO_STATE = { text: null, version: undefined };

/** Returns the state's text, and its version if it can't be migrated. @throws if this code can't use the state */
function stateOf(operator: Operator, version: number, state: unknown): Pick<DirtyKey, "text" | "version"> {
  const json = toState(state);
  if (json.tag === "not_json") throw new TypeError(`the state ${json.why}`);
  assertNotNewer(operator, version);
  const result = version === operator.version ? null : migrated(operator, version, json.text);
  if (result?.tag === "failed") return { text: json.text, version };
  const text = result?.text ?? json.text;
  if (exceeds(text, STATE_BYTES)) throw new RangeError(`the state would have more than ${STATE_BYTES} bytes`);
  return { text, version: undefined };
}
