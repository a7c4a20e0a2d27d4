/** Commands are the engine's own events: edits, what steers the quarantine, and timers that fire. */
import type { Event } from "../event/event.ts";
import type { Seq } from "../base/ids.ts";
import type { Outcome } from "../log/outcome.ts";
import { MIGRATION_FAILED } from "../operator/migration.ts";
import { RESERVED_TYPE } from "../operator/operator.ts";
import { DELETE, RETRY } from "./quarantine.ts";

/** One of the engine's own events: its type, and its target in the quarantine, or null if it has none. */
export interface Command {
  readonly type: string;
  readonly target: Seq | null;
}

/** Returns null for a user's event. */
export function commandOf(event: Event): Command | null {
  if (!event.type.startsWith(RESERVED_TYPE)) return null;
  return { type: event.type, target: isSteering(event.type) ? targetOf(event) : null };
}

export const isSteering = (type: string): boolean => type === RETRY || type === DELETE;

export const targetOf = (command: Event): Seq => (command.data as { readonly seq: Seq }).seq;

/** Returns the outcome of an event that was applied once: it isn't refused afterwards, but quarantined. */
export function appliedAgain(command: Command | null, outcome: Outcome): Outcome {
  // This code applied the command's target, which other code had quarantined.
  if (outcome.tag !== "refused" || (command?.target != null && spares(outcome))) return outcome;
  const error = `it was applied when it was logged, but the code that runs now refuses it: ${outcome.code}`;
  return { tag: "quarantined", error };
}

/** True if the target of a command stays in the quarantine. */
export const spares = (outcome: Outcome): boolean => outcome.tag === "refused" && SPARING.has(outcome.code);
const SPARING = new Set(["not_quarantined", "too_many_keys", "key_gone", MIGRATION_FAILED]);

/** True for a refusal that no handler decided (MACHINE5). */
export const stands = (logged: Outcome | undefined, command: Command | null): boolean =>
  logged?.tag === "refused" && (SPARING.has(logged.code) || (command !== null && command.type !== RETRY));
