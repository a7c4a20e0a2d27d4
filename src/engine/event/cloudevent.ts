/**
 * The rules of CloudEvents 1.0.2 for an event in one of the standard's own content types. The event must follow the
 * JSON event format and the type system to the letter. event.ts reads the plain types, which ask for less.
 *
 * CLOUDEVENT1. A flaw's code names the attribute: `missing_source`, `invalid_time`. Attributes without a code of their
 *     own get `invalid_extension`.
 * CLOUDEVENT2. The check changes nothing: the text that is kept is the sender's (EVENT1 of event.ts).
 */
import { exceeds } from "../base/json.ts";
import { jsonMembers } from "../base/json-text.ts";
import { NAME_BYTES } from "../base/limits.ts";
import { isJsonType, mediaType } from "./media-type.ts";
import { invalid, kind, missing, REQUIRED, timeText, type Rejected } from "./rejection.ts";
import { timeFlaw } from "./rfc3339.ts";
import { isAbsoluteUri, isUriReference } from "./uri.ts";

/** Returns the first flaw against the standard. Returns null if there is none. `event` is the parsed `text` without the
 *  attributes that are null. */
export function standardFlaw(event: Readonly<Record<string, unknown>>, text: string): Rejected | null {
  for (const name of REQUIRED) if (event[name] === undefined) return missing(name);
  for (const name in event) {
    const why = whyNot(name, event[name]);
    if (why !== null) return invalid(name, why);
  }
  return textFlaw(event, text) ?? dataFlaw(event);
}

/** Returns true for an attribute name of the standard (Naming Conventions). */
export const isAttributeName = (name: string): boolean => /^[a-z0-9]+$/.test(name);

/** Returns why the member can't have this value. Returns null if it can. */
function whyNot(name: string, value: unknown): string | null {
  switch (name) {
    case "data":
      return null;
    case "data_base64":
      return typeof value === "string" && isBase64(value) ? null : "must be base64 (RFC 4648), with its padding";
    case "specversion":
      return value === "1.0" ? null : 'must be "1.0"';
    case "id":
    case "type":
    case "subject":
    case "partitionkey":
      return named(value);
    case "source":
      return named(value, isUriReference, "a URI-reference (RFC 3986), percent-encoded if needed");
    case "dataschema":
      return named(value, isAbsoluteUri, "an absolute URI (RFC 3986, 4.3): with a scheme, without a fragment");
    case "time":
      return named(value) ?? time(value as string);
    case "datacontenttype":
      return named(value, (text) => mediaType(text) !== null, "a media type (RFC 2046) such as application/json");
    default:
      if (!isAttributeName(name)) return "can't be an attribute: names consist of a-z and 0-9";
      return extension(value);
  }
}

/** Checks a core attribute: a string that isn't empty, of the given form. */
function named(value: unknown, is: (text: string) => boolean = () => true, form = ""): string | null {
  if (typeof value !== "string" || value === "") return `must be a string that isn't empty, not ${kind(value)}`;
  if (exceeds(value, NAME_BYTES)) return `must have at most ${NAME_BYTES} bytes`;
  return is(value) ? unallowed(value) : `must be ${form}, not ${JSON.stringify(value.slice(0, 60))}`;
}

function time(text: string): string | null {
  // Readers often accept a space in the place of the T, but the grammar doesn't.
  const why = text[10] === " " ? "has a space instead of a T" : timeFlaw(text);
  return why === null ? null : timeText(text, why);
}

/** Checks an extension: a boolean, an integer, or a string that stands for a text, binary, a URI or a time. */
function extension(value: unknown): string | null {
  switch (typeof value) {
    case "string":
      return unallowed(value);
    case "boolean":
      return null;
    case "number":
      return value === (value | 0) ? null : "must be an integer from -2^31 to 2^31 - 1; send others as a string";
    default:
      return `must be a string, an integer or a boolean, not ${kind(value)}`;
  }
}

const UNALLOWED = /[\p{Cc}\p{Cs}\p{Noncharacter_Code_Point}]/u;

/** Returns why the text is no String of the standard: control characters, half surrogates and noncharacters aren't
 *  allowed. */
function unallowed(text: string): string | null {
  const found = UNALLOWED.exec(text)?.[0];
  if (found === undefined) return null;
  const code = found.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0");
  return `has the character U+${code}, which attributes can't have`;
}

/** Returns true for base64 with padding and without line breaks (RFC 4648, section 4). */
const isBase64 = (text: string): boolean => text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text);

/** Finds the flaws that parsing hides: a member that stands twice, or an integer in another form. */
function textFlaw(event: Readonly<Record<string, unknown>>, text: string): Rejected | null {
  const seen = new Set<string>();
  for (const { name, text: value } of jsonMembers(text)) {
    if (seen.has(name)) return invalid(name, "appears twice; an attribute appears at most once");
    seen.add(name);
    if (name !== "data" && typeof event[name] === "number" && !/^-?\d+$/.test(value))
      return invalid(name, `must be written as an integer, without fraction and exponent, not ${value.slice(0, 40)}`);
  }
  return null;
}

/** Checks the data against the JSON event format, 3.1. */
function dataFlaw({ data, data_base64, datacontenttype }: Readonly<Record<string, unknown>>): Rejected | null {
  if (data === undefined) return null;
  if (data_base64 !== undefined) return invalid("data_base64", 'can\'t stand beside "data"; send one of them');
  const type = typeof datacontenttype === "string" ? mediaType(datacontenttype) : null;
  if (type === null || isJsonType(type) || typeof data === "string") return null;
  return invalid("data", `must be a string if datacontenttype is ${type.name}, not ${kind(data)}`);
}
