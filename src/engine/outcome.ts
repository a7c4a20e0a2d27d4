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
