/**
 * Reads one event: from its JSON text to a checked CloudEvent, or to the reason why it is rejected (IN1).
 *
 * EVENT1. The text that is kept is the client's own. A missing `id` is written into the text, so that the log stands
 *     alone. Attributes that are null are taken out, because JSON says with null that they aren't set.
 * EVENT2. Any text gives an event or a named rejection. Nothing here throws.
 * EVENT3. Integers beyond 2^53 are refused, never rounded. A number that JSON.parse makes infinite is refused too.
 */
import { exceeds } from "../base/json.ts";
import { EVENT_BYTES, EVENT_DEPTH, NAME_BYTES } from "../base/limits.ts";
import { standardFlaw } from "./cloudevent.ts";
import { kind, missing, type Rejected, rejected, timeText } from "./rejection.ts";
import { timeFlaw } from "./rfc3339.ts";

export type ReadEvent =
  /** `timed`: the sender gave the time. */
  { readonly tag: "event"; readonly event: Event; readonly text: string; readonly timed: boolean } | Rejected;

/** The values for attributes that an event leaves out. */
export interface Defaults {
  /** RFC 3339 time of receipt. */
  readonly time: string;
  /** Id for the event at this index of the request. */
  id(index: number): string;
}

/** Reads the event in `text`, the event at `index` of its request. `standard`: the event must be a CloudEvent to the
 *  letter. `value`: the parsed text, if the caller has it. It becomes the event. */
export function readEvent(
  text: string,
  index: number,
  defaults: Defaults,
  standard = false,
  value?: unknown,
): ReadEvent {
  if (exceeds(text, EVENT_BYTES)) return rejected("event_too_large", `the event has more than ${EVENT_BYTES} bytes`);
  let parsed = value;
  try {
    parsed ??= JSON.parse(text);
  } catch {
    const why = text.startsWith("\ufeff") ? ": it begins with a byte order mark, which only a body may" : "";
    return rejected("malformed_json", `the event is not valid JSON${why}`);
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    return rejected("not_an_object", `an event is a JSON object, not ${kind(parsed)}`);
  }
  return checkEvent(parsed as Record<string, unknown>, text, index, defaults, standard);
}

function checkEvent(
  parsed: Record<string, unknown>,
  text: string,
  index: number,
  defaults: Defaults,
  standard: boolean,
): ReadEvent {
  const id = typeof parsed["id"] === "string" ? parsed["id"] : null;
  const unset = text.includes("null") && dropUnset(parsed);
  const flaw = (standard ? standardFlaw(parsed, text) : plainFlaw(parsed)) ?? soundFlaw(parsed, text);
  if (flaw) return { ...flaw, id };
  const timed = parsed["time"] !== undefined;
  const kept = unset ? JSON.stringify(parsed) : text;
  // A text that is written again may say something else (0 for -0), and that text counts.
  const event = unset ? (JSON.parse(kept) as Record<string, unknown>) : parsed;
  if (id !== null) return { tag: "event", event: fill(event, defaults.time), text: kept, timed };
  const made = defaults.id(index);
  event["id"] = made;
  // An `id` that is there but no string was refused above, so the new `id` overrides nothing.
  const at = kept.lastIndexOf("}");
  return {
    tag: "event",
    event: fill(event, defaults.time),
    text: `${kept.slice(0, at)},"id":${JSON.stringify(made)}}`,
    timed,
  };
}

/** Takes out the attributes that are null, except `data`. Returns true if there was any. */
function dropUnset(event: Record<string, unknown>): boolean {
  const unset = Object.keys(event).filter((name) => event[name] === null && name !== "data");
  for (const name of unset) delete event[name];
  return unset.length > 0;
}

/** Completes the event as handlers see it. At replay `time` is the logged time of receipt. Changes and returns its
 *  argument. */
export function fill(event: Record<string, unknown>, time: string): Event {
  event["source"] ??= "/";
  event["time"] ??= time;
  const key = event["key"];
  // In the standard's types an extension named "key" may differ from the partitionkey, or be no valid key.
  if (typeof key === "string" && key !== "" && (event["partitionkey"] ?? key) === key) {
    event["partitionkey"] = key;
    // Deleting the member would turn the object into a slow one.
    event["key"] = undefined;
  }
  event["data"] ??= null;
  return event as unknown as Event;
}

/** A flawed time has a code of its own, as in the standard's types, because every operator that tells times apart meets
 *  it. */
const flaw = (attribute: string, message: string): Rejected =>
  rejected(attribute === "time" ? "invalid_time" : "invalid_attribute", message, null, attribute.slice(0, 60));

/** Checks an event of the plain types. */
const plainFlaw = (event: Record<string, unknown>): Rejected | null => memberFlaw(event) ?? wholeFlaw(event);

/** Checks each member by itself, in one pass, because every event pays for it. */
function memberFlaw(event: Record<string, unknown>): Rejected | null {
  for (const name in event) {
    const value = event[name];
    switch (name) {
      case "data":
        break;
      case "type":
      case "id":
      case "source":
      case "subject":
      case "key":
      case "partitionkey":
      case "datacontenttype":
      case "dataschema":
      case "time":
        if (typeof value !== "string" || value === "")
          return flaw(name, `"${name}" must be a string that isn't empty, not ${kind(value)}`);
        if (exceeds(value, NAME_BYTES) || !value.isWellFormed())
          return flaw(name, `"${name}" must be well-formed Unicode of at most ${NAME_BYTES} bytes`);
        if (name === "time") {
          const why = timeFlaw(value);
          if (why !== null) return flaw(name, `"time" ${timeText(value, why)}`);
        }
        break;
      case "data_base64":
        if (typeof value !== "string") return flaw(name, `"data_base64" must be a string, not ${kind(value)}`);
        break;
      case "specversion":
        if (value !== "1.0") return flaw(name, '"specversion" must be "1.0"');
        break;
      default:
        if (typeof value === "object")
          return flaw(name, `"${name}" must be a string, a number or a boolean, not ${kind(value)}`);
    }
  }
  return null;
}

/** Checks the event as a whole: missing members and contradictions. */
function wholeFlaw(event: Record<string, unknown>): Rejected | null {
  if (event["type"] === undefined) return missing("type");
  if (event["key"] !== undefined && event["partitionkey"] !== undefined && event["key"] !== event["partitionkey"])
    return flaw("partitionkey", '"key" and "partitionkey" differ; "key" is short for "partitionkey"');
  if (event["data"] !== undefined && event["data_base64"] !== undefined)
    return flaw("data_base64", 'an event has "data" or "data_base64", not both');
  return null;
}

/** Checks depth and numbers. */
function soundFlaw(event: Record<string, unknown>, text: string): Rejected | null {
  const worst = soundness(event, 1);
  if (worst === TOO_DEEP) return rejected("too_deep", `the event is nested deeper than ${EVENT_DEPTH}`);
  if (worst !== BIG_NUMBER) return null;
  const literal = unsafeLiteral(text);
  if (literal === null) return null;
  return rejected(
    "unsafe_integer",
    `${literal.slice(0, 40)} can't be held exactly: integers go to 2^53 - 1; send it as a string`,
  );
}

const SOUND = 0;

const BIG_NUMBER = 1;

const TOO_DEEP = 2;

/** Returns the worst flaw in a value. `for … in` over an array walks its indexes too, but more slowly. */
function soundness(value: object, depth: number): number {
  if (depth > EVENT_DEPTH) return TOO_DEEP;
  let worst = SOUND;
  if (Array.isArray(value)) {
    for (const item of value) worst = Math.max(worst, soundnessOf(item, depth));
  } else {
    for (const name in value) worst = Math.max(worst, soundnessOf((value as Record<string, unknown>)[name], depth));
  }
  return worst;
}

function soundnessOf(value: unknown, depth: number): number {
  if (typeof value === "number")
    return value <= Number.MAX_SAFE_INTEGER && value >= -Number.MAX_SAFE_INTEGER ? SOUND : BIG_NUMBER;
  return typeof value === "object" && value !== null ? soundness(value, depth + 1) : SOUND;
}

/**
 * Returns the first number in the text that a double can't hold. Such a number is a large one without exponent, an
 * infinite one, or one whose digits differ from the double's.
 */
export function unsafeLiteral(text: string): string | null {
  const tokens = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/gs;
  for (const [token] of text.matchAll(tokens)) {
    if (token.startsWith('"')) continue;
    const value = Number(token);
    if (!Number.isFinite(value)) return token;
    if (Math.abs(value) <= Number.MAX_SAFE_INTEGER) continue;
    if (!/[eE]/.test(token) || digits(token) !== digits(String(value))) return token;
  }
  return null;
}

/** Returns the digits of a number from the first to the last that isn't 0, without sign, point and exponent. */
function digits(literal: string): string {
  const all = literal.replace(/[eE].*/s, "").replaceAll(/[-.]/g, "");
  let [from, to] = [0, all.length];
  while (all[from] === "0") from += 1;
  while (to > from && all[to - 1] === "0") to -= 1;
  return all.slice(from, to);
}

/** A CloudEvent as a handler sees it. A missing `time` or `source` is filled in. */
export interface Event<Type extends string = string, Data = unknown> {
  readonly id: string;
  readonly source: string;
  readonly type: Type;
  /** RFC 3339. */
  readonly time: string;
  readonly subject?: string;
  readonly partitionkey?: string;
  readonly data: Data;
  readonly [extension: string]: unknown;
}
