/** The id of an event as it stands in a text. The text stays as it is but for the id: numbers mustn't change by being read. */
import { isObject } from "../engine/base/json.ts";

/** Is it an event that has no id? What isn't an event is left to the app, which says what is wrong with it. */
export function lacksId(text: string): boolean {
  const event = parsed(text);
  if (event === null || Object.keys(event).length === 0) return false;
  return event["id"] === undefined || event["id"] === null;
}

/** Of an event that lacks it. Last, so that it wins over one that is null. */
export const putId = (text: string, id: string): string =>
  `${text.slice(0, text.lastIndexOf("}"))},"id":${JSON.stringify(id)}}`;

/** Null: it has none, or isn't an event. */
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
