/** The differences between two JSON values: the members that differ, by path. */
export interface MemberChange {
  readonly path: string;
  /** JSON texts, or null if the member is missing on that side. */
  readonly before: string | null;
  readonly after: string | null;
}

export function changesOf(before: unknown, after: unknown, path = ""): MemberChange[] {
  if (JSON.stringify(before) === JSON.stringify(after)) return [];
  if (!isBranch(before) || !isBranch(after) || Array.isArray(before) !== Array.isArray(after))
    return [{ path, before: textOf(before), after: textOf(after) }];
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].flatMap((name) => changesOf(member(before, name), member(after, name), joined(path, name)));
}

/** The changes of a key's whole state, in which null means no state. A new state shows its members. */
export const stateChanges = (before: unknown, after: unknown): MemberChange[] =>
  before === null && isBranch(after)
    ? changesOf(Array.isArray(after) ? [] : {}, after)
    : changesOf(before ?? undefined, after ?? undefined);

const isBranch = (value: unknown): value is object => typeof value === "object" && value !== null;
const member = (of: object, name: string): unknown =>
  Object.hasOwn(of, name) ? (of as Record<string, unknown>)[name] : undefined;
const joined = (path: string, name: string): string => (path === "" ? name : `${path}.${name}`);
const textOf = (value: unknown): string | null => (value === undefined ? null : JSON.stringify(value));
