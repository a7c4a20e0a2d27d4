/** The reason why an event is rejected (IN1): a code, a message, and the attribute that is to blame, if any. */

/** The attributes that a CloudEvent must have. */
export const REQUIRED = ["specversion", "id", "source", "type"] as const;
/** Members of an event to which the standard, or an extension that it documents, gives a meaning. */
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
  // For events in the standard's own content types, the code names the attribute.
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

/** Rejects an event for a member that the code names. `why` follows the member's name. */
export function invalid(name: string, why: string): Rejected {
  const known = KNOWN.find((one) => one === name);
  const code = known === undefined ? "invalid_extension" : (`invalid_${known}` as const);
  const shown = name.slice(0, 60);
  return rejected(code, `${JSON.stringify(shown)} ${why}`, null, shown);
}

/** Returns why a text is no time, in words that follow the attribute's name. */
export const timeText = (text: string, why: string): string =>
  `must be an RFC 3339 time; ${JSON.stringify(text.slice(0, 60))} ${why}`;

/** Returns the kind of a wrong value, in words. */
export function kind(value: unknown): string {
  if (value === null) return "null";
  if (value === "") return "an empty string";
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
