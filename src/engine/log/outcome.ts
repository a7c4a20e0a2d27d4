/**
 * The outcome of an event: applied (perhaps with a reply), refused by its handler, or quarantined because the handler
 * threw.
 *
 * An outcome is decided once, when the seq is assigned, and every replay honours it (ONE6). In the log, in snapshots
 * and for duplicates an outcome is one JSON array: ["a",reply] ["r",code,detail] ["q",error]. An applied event without
 * a kept reply has none. The log holds the thrown error as well, ["q",error,errorName,stack], for the quarantine alone.
 * No sender hears it. A group writes it into its segment (partition/group.ts, segment.ts).
 */

import { parseJson } from "../base/json.ts";
import { Damage } from "../base/errors.ts";

export type Outcome =
  | { readonly tag: "applied"; /** JSON text. */ readonly reply: string }
  | { readonly tag: "refused"; readonly code: string; /** JSON text. */ readonly detail: string }
  | ({ readonly tag: "quarantined" } & Thrown);

/** The error that a handler threw. Without name and stack nothing was thrown: there is no handler, or other code had
 *  applied the event. */
export interface Thrown {
  /** Its message. */
  readonly error: string;
  /** Its class. */
  readonly errorName?: string;
  /** The top of its stack, one frame a line. The stack depends on the code that ran, so nothing compares it. */
  readonly stack?: string;
}

export const NO_REPLY = "null";
export const APPLIED: Outcome = { tag: "applied", reply: NO_REPLY };

export function outcomeText(outcome: Outcome): string {
  switch (outcome.tag) {
    case "applied":
      return `["a",${outcome.reply}]`;
    case "refused":
      return `["r",${JSON.stringify(outcome.code)},${outcome.detail}]`;
    case "quarantined":
      return `["q",${JSON.stringify(outcome.error)}]`;
  }
}

/** Returns the outcome as the log holds it. */
export function loggedText(outcome: Outcome): string {
  if (outcome.tag !== "quarantined" || outcome.errorName === undefined) return outcomeText(outcome);
  return JSON.stringify(["q", outcome.error, outcome.errorName, outcome.stack ?? ""]);
}

/** Parses the text that `outcomeText` writes. @throws Damage if the text has another form */
export function parseOutcome(text: string): Outcome {
  const outcome = outcomeOf(parseJson(text, "an outcome"));
  // `bareOutcome` finds a refusal's code by its place in the text, so the text must be exactly as written.
  const known = outcome.tag === "applied" ? text.startsWith(APPLIED_PREFIX) : text === outcomeText(outcome);
  if (!known) throw new Damage("an outcome isn't in the form that this code writes");
  return outcome;
}

/** Returns true if this text can be kept for duplicates. A reply is checked only when somebody asks for it. */
export function isKept(text: string): boolean {
  if (text.startsWith(APPLIED_PREFIX)) return text.endsWith("]");
  try {
    return parseOutcome(text).tag !== "applied";
  } catch {
    return false;
  }
}

const APPLIED_PREFIX = '["a",';

/** Reads the outcome from a value in a row. @throws Damage if the value is no outcome */
export function outcomeOf(parsed: unknown): Outcome {
  const [tag, first, second, third] = Array.isArray(parsed) ? (parsed as unknown[]) : [];
  if (tag === "a") return { tag: "applied", reply: textOf(first) };
  if (tag === "r" && typeof first === "string") return { tag: "refused", code: first, detail: textOf(second) };
  if (tag === "q" && typeof first === "string" && second === undefined) return { tag: "quarantined", error: first };
  if (tag === "q" && typeof first === "string" && typeof second === "string" && typeof third === "string")
    return { tag: "quarantined", error: first, errorName: second, stack: third };
  throw new Damage("an outcome is invalid");
}

function textOf(value: unknown): string {
  try {
    return JSON.stringify(value ?? null);
  } catch {
    throw new Damage("an outcome is nested too deep");
  }
}

const REFUSED = /^\["r",("(?:[^"\\]|\\.)*"),/;
const ERROR_GONE = outcomeText({ tag: "quarantined", error: "no longer kept; see the quarantine" });

/** Returns the text of an outcome other than applied, without its explanation. A refusal keeps its code. */
export function bareOutcome(text: string): string {
  const code = REFUSED.exec(text)?.[1];
  if (code === undefined) return ERROR_GONE;
  const bare = `["r",${code},${NO_REPLY}]`;
  // Parse and write again, because a piece of a text would keep the whole text in memory.
  return bare === text ? text : outcomeText({ tag: "refused", code: JSON.parse(code) as string, detail: NO_REPLY });
}
