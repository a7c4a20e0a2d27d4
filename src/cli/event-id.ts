/**
 * Reads or adds the id of an event in a text. The rest of the text stays byte for byte: parsing would change large
 * numbers.
 */
import { isObject } from "../engine/base/json.ts";

/** Is it an event without an id? The app rejects any other text, and says what is wrong with it. */
export function lacksId(text: string): boolean {
  const event = parsed(text);
  if (event === null || Object.keys(event).length === 0) return false;
  return event["id"] === undefined || event["id"] === null;
}

/** Adds the id to an event that lacks it. The id comes last, so that it wins over an id that is null. */
export const putId = (text: string, id: string): string =>
  `${text.slice(0, text.lastIndexOf("}"))},"id":${JSON.stringify(id)}}`;

/** Returns null if the text has no id, or isn't an event. */
export function idOf(text: string): string | null {
  const id = parsed(text)?.["id"];
  return typeof id === "string" ? id : null;
}

function parsed(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text.replace(/^\uFEFF/, ""));
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}
