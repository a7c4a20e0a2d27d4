/** JSON pointers (RFC 6901): the path to a member of a JSON value. */

/** The names and indexes on the way, from the outside in. */
export type Pointer = readonly string[];

/** Returns null if the text is no pointer. "" points to the whole value. */
export function parsePointer(text: string): Pointer | null {
  if (text === "") return [];
  if (!text.startsWith("/") || /~(?![01])/.test(text)) return null;
  return text
    .slice(1)
    .split("/")
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** Returns undefined if the value has no such member. */
export function memberAt(value: unknown, pointer: Pointer): unknown {
  let at = value;
  for (const part of pointer) {
    if (typeof at !== "object" || at === null) return undefined;
    if (Array.isArray(at) ? !/^(0|[1-9]\d*)$/.test(part) : !Object.hasOwn(at, part)) return undefined;
    at = (at as Readonly<Record<string, unknown>>)[part];
  }
  return at;
}
