/** The first place at which two JSON values differ. The order of members doesn't count. */

interface JsonDifference {
  /** JSON Pointer (RFC 6901) of the place. "" for the whole value. */
  readonly path: string;
  /** Undefined if the value has no such member. */
  readonly a: unknown;
  readonly b: unknown;
}

/** Returns null if the values are equal. */
export function jsonDifference(a: unknown, b: unknown, path = ""): JsonDifference | null {
  if (a === b) return null;
  if (
    typeof a !== "object" ||
    typeof b !== "object" ||
    a === null ||
    b === null ||
    Array.isArray(a) !== Array.isArray(b)
  )
    return { path, a, b };
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  for (const name of new Set([...Object.keys(left), ...Object.keys(right)])) {
    const found = jsonDifference(own(left, name), own(right, name), `${path}/${escaped(name)}`);
    if (found !== null) return found;
  }
  return null;
}

const own = (value: Record<string, unknown>, name: string): unknown =>
  Object.hasOwn(value, name) ? value[name] : undefined;

const escaped = (name: string): string => name.replaceAll("~", "~0").replaceAll("/", "~1");
