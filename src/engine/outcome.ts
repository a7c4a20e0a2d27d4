/**
 * What became of an event: applied (perhaps with a reply), refused by its handler, or quarantined because it threw.
 *
 * Decided once, when the seq is assigned, and honoured by every replay (ONE6). In the log, in snapshots and for repeats
 * it is one JSON array: ["a",reply] ["r",code,detail] ["q",error]; an applied event without a kept reply has none.
 */

export type Outcome =
  | { readonly tag: "applied"; /** JSON text. */ readonly reply: string }
  | { readonly tag: "refused"; readonly code: string; /** JSON text. */ readonly detail: string }
  | { readonly tag: "quarantined"; readonly error: string };

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

/** @throws where the text is no outcome: it was checked by its container's checksum, so this is a bug */
export function parseOutcome(text: string): Outcome {
  const parsed = JSON.parse(text) as unknown;
  const [tag, first, second] = Array.isArray(parsed) ? (parsed as unknown[]) : [];
  if (tag === "a") return { tag: "applied", reply: JSON.stringify(first ?? null) };
  if (tag === "r" && typeof first === "string")
    return { tag: "refused", code: first, detail: JSON.stringify(second ?? null) };
  if (tag === "q" && typeof first === "string") return { tag: "quarantined", error: first };
  throw new Error(`not an outcome: ${text.slice(0, 100)}`);
}

const REFUSED = /^\["r",("(?:[^"\\]|\\.)*"),/;
const ERROR_GONE = outcomeText({ tag: "quarantined", error: "no longer kept; see the quarantine" });

/** The text of the same outcome of an event that isn't applied, without what explains it: a refusal has its code still. */
export function bareOutcome(text: string): string {
  const code = REFUSED.exec(text)?.[1];
  if (code === undefined) return ERROR_GONE;
  const bare = `["r",${code},${NO_REPLY}]`;
  // Parsed and written again: a piece of a text would keep the whole of it in memory.
  return bare === text ? text : outcomeText({ tag: "refused", code: JSON.parse(code) as string, detail: NO_REPLY });
}
