/** Why an event is none that can be taken in (IN1), and how that is said: a code, words, and the attribute where one is to blame. */

/** What a CloudEvent must have. */
export const REQUIRED = ["specversion", "id", "source", "type"] as const;
/** Members of an event that the standard, or an extension that it documents, gives a meaning. */
const KNOWN = [
  ...REQUIRED,
  "datacontenttype",
  "dataschema",
  "subject",
  "time",
  "partitionkey",
  "data",
  "data_base64",
] as const;
type Required = (typeof REQUIRED)[number];
type Known = (typeof KNOWN)[number];

export type RejectionCode =
  | "malformed_json"
  | "invalid_utf8"
  | "not_an_object"
  | "event_too_large"
  | "too_deep"
  | "unsafe_integer"
  | "invalid_attribute"
  | "unknown_type"
  | "missing_key"
  | "invalid_key"
  | "key_not_allowed"
  | "id_reused"
  | "migration_failed"
  // Of events in the standard's own content types: the code names the attribute.
  | `missing_${Required}`
  | `invalid_${Known}`
  | "invalid_extension";

export interface Rejected {
  readonly tag: "rejected";
  readonly code: RejectionCode;
  readonly message: string;
  readonly id: string | null;
  /** The attribute that is to blame, if one is. */
  readonly attribute: string | null;
}

export const rejected = (
  code: RejectionCode,
  message: string,
  id: string | null = null,
  attribute: string | null = null,
): Rejected => ({ tag: "rejected", code, message, id, attribute });

export const missing = (attribute: Required): Rejected =>
  rejected(`missing_${attribute}`, `the event has no "${attribute}"`, null, attribute);

/** The flaw of a member whose code names it; `why` goes on after its name. */
export function invalid(name: string, why: string): Rejected {
  const known = KNOWN.find((one) => one === name);
  const code = known === undefined ? "invalid_extension" : (`invalid_${known}` as const);
  const shown = name.slice(0, 60);
  return rejected(code, `${JSON.stringify(shown)} ${why}`, null, shown);
}

/** Why a text is no time, to go on after the attribute's name. */
export const timeText = (text: string, why: string): string =>
  `must be an RFC 3339 time; ${JSON.stringify(text.slice(0, 60))} ${why}`;

/** What stands in the place of something else, in words. */
export function kind(value: unknown): string {
  if (value === null) return "null";
  if (value === "") return "an empty string";
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
