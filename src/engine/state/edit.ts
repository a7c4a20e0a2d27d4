/**
 * Editing the state of a key by hand: commands that are logged and counted once, like those on the quarantine.
 *
 * EDIT1. Whether the condition of an edit holds is decided once, in the order of seqs, on what stands below it; replay does what
 *     was done then, whatever the state is under other code (ONE6).
 * EDIT2. What is put says of which version it is. Newer code migrates it, and keeps it as it is if that fails (MIGRATION1 of migration.ts); older
 *     code can't read it, so there it goes to the quarantine (IN4), where newer code may retry it.
 * EDIT3. Messages and rows with an edit have versions of their own, which code refuses by name that doesn't know edits: to it they
 *     would be events without a handler, and what was acknowledged would be lost (CODE1).
 */
import { thrown, type EventContext } from "./handler.ts";
import { hashGroup } from "../base/hash.ts";
import { exceeds, toState } from "../base/json.ts";
import { STALE, type Last, type DirtyKey } from "./overlay.ts";
import { STATE_BYTES } from "../base/limits.ts";
import { assertNotNewer, migrated, migrationFailed } from "../operator/migration.ts";
import type { Event } from "../event/event.ts";
import type { Operator } from "../operator/operator.ts";
import { APPLIED, NO_REPLY, type Outcome } from "../log/outcome.ts";

/** Types of the logged events; `data` is an Edit. */
export const PUT = "keyframe.state.put";
export const REMOVE = "keyframe.state.delete";

/** Takes the state away whatever it is, and the key's events out of the quarantine. */
export const ERASE = "keyframe.state.erase";

export const isEdit = (type: string): boolean => type === PUT || type === REMOVE || type === ERASE;

/** What the state must be for the edit to count: there, not there, or one of these. */
export type Condition = "any" | "none" | readonly Tag[];

/** What an ETag says: the last event that changed the key, and what it left. */
export type Tag = readonly [seq: number, print: number];

export interface Edit {
  readonly if: Condition;
  /** Of the operator, whose shape `state` has. */
  readonly version: number;
  /** With PUT. */
  readonly state?: unknown;
}

/** The seq names the event, not the value: other code (a migration, a mended handler at replay) makes another one of it. */
export const tagOf = ({ seq, text }: { readonly seq: number; readonly text: string }): Tag => [seq, hashGroup(text, 0)];

/** Does it hold? `last`: what the last change left. */
export function holds(condition: Condition, last: Last): boolean {
  if (last.text === null) return condition === "none";
  if (condition === "any" || condition === "none") return condition === "any";
  const [seq, print] = tagOf({ seq: last.seq, text: last.text });
  return condition.some((tag) => tag[0] === seq && tag[1] === print);
}

/** Does what the command says. `last`: what its condition is asked of; null: that was done when it was logged (EDIT1). */
export function edit(
  operator: Operator,
  dirtyKey: DirtyKey,
  command: Event,
  { key, seq: at }: Pick<EventContext, "key" | "seq">,
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
  } catch (error) {
    return thrown(error);
  }
  dirtyKey.value = STALE;
  dirtyKey.dirty = false;
  dirtyKey.seq = at;
  return APPLIED;
}

const NO_STATE = { text: null, version: undefined };

/** `version`: of the state, if it can't be migrated. @throws where it is no state that this code can use */
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
