/**
 * JSON as the engine understands it: what a state may hold, and how long a text is in UTF-8.
 *
 * SNAP8: what live state shows and what a snapshot gives back are the same. `toJson` therefore refuses what JSON would
 * change (NaN, Date, Map, …) instead of writing something else, and says where it stands.
 *
 * A number beyond ±(2^53 - 1) is refused too, as `unsafe_integer`: doubles of that size are whole numbers with gaps between them,
 * so a sum or a product that gets there is no longer what was added up, and 1 more changes nothing.
 */
import { Damage } from "./errors.ts";
import { STATE_BYTES, STATE_DEPTH } from "./limits.ts";

export const isText = (value: unknown): value is string => typeof value === "string";

export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };

export type JsonObject = { [name: string]: Json };

/** T where it is JSON, `never` in the places where it is not; a state type must be assignable to its own Jsonable. */
export type Jsonable<T> = T extends string | number | boolean | null
  ? T
  : T extends (...args: never[]) => unknown
    ? never
    : T extends bigint | symbol | undefined
      ? never
      : T extends Date | Map<unknown, unknown> | Set<unknown> | RegExp | Uint8Array
        ? never
        : T extends object
          ? { [K in keyof T]: K extends string | number ? Jsonable<T[K]> : never }
          : never;

/** Not negative, exact, and written as it is (-0 is not). */
export const isWhole = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && !Object.is(value, -0);

/** A number, or what else stands in its place, for a message: the text of an unknown value may be long, or have no end. */
export const shown = (value: unknown): string => (typeof value === "number" ? String(value) : typeof value);

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** `exact`: reading the text back gives an equal value; else (see Finding) use what is read back. */
export type JsonText =
  | { readonly tag: "json"; readonly text: string; readonly exact: boolean }
  | { readonly tag: "not_json"; readonly why: string };

/** The JSON text of a value, or why it can't be kept, as words that follow its name. */
export function toJson(value: unknown): JsonText {
  const { why, inexact } = inspectJson(value);
  if (why !== null) return { tag: "not_json", why };
  return { tag: "json", text: JSON.stringify(value), exact: !inexact };
}

/** The JSON text of a state, or why it is none, as words that follow its name. */
export function toState(value: unknown): JsonText {
  if (value === null) return { tag: "not_json", why: NULL_STATE };
  const json = toJson(value);
  if (json.tag === "json" && exceeds(json.text, STATE_BYTES)) return { tag: "not_json", why: LARGE_STATE };
  return json;
}

/** Readers, watchers and histories say "no state" with null. */
export const NULL_STATE = "is null, which says that there is no state; delete it, or in a handler call ctx.remove()";

export const LARGE_STATE = `would have more than ${STATE_BYTES} bytes`;

/** What stands in a value, without writing it. */
export interface Finding {
  /** Why it can't be kept, as words that follow its name ("isn't JSON, at .n: NaN is not JSON"); null if it can. */
  why: string | null;
  /** JSON carries it, but what is read back differs (−0, a property that is undefined, an object without prototype). */
  inexact: boolean;
  /** About how much there is: values, and 64 characters of a text or a name count as one more. */
  weight: number;
}

export function inspectJson(value: unknown): Finding {
  const finding = { inexact: false, why: null, isExact: true, weight: 0, path: [] } as Search;
  inspect(value, 1, finding);
  if (finding.why === null) return finding;
  const at = finding.path.length === 0 ? "" : `at ${pathText(finding.path)}: `;
  return { ...finding, why: `${finding.isExact ? "isn't JSON" : "isn't exact"}, ${at}${finding.why}` };
}

/** Steps from the flaw outwards, as a path from the outside in; the middle of a long one tells nothing. */
function pathText(steps: readonly string[]): string {
  const path = steps.toReversed().join("");
  return path.length <= 200 ? path : `${path.slice(0, 150)}…${path.slice(-40)}`;
}

interface Search extends Finding {
  /** What is found is no number that has lost its last digits. */
  isExact: boolean;
  readonly path: string[];
}

/** A copy of a value that JSON can carry. */
export function copyJson(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(copyJson);
  const copy: Record<string, unknown> = { ...value };
  for (const name in copy) {
    const member = copy[name];
    if (typeof member === "object" && member !== null) copy[name] = copyJson(member);
  }
  return copy;
}

function inspect(value: unknown, depth: number, finding: Search): void {
  finding.weight += 1;
  switch (typeof value) {
    case "string":
      finding.weight += value.length >> 6;
      return;
    case "boolean":
      return;
    case "number":
      // One comparison for the numbers that are fine, since every event pays for it.
      if (!(Math.abs(value) <= Number.MAX_SAFE_INTEGER)) refuseNumber(value, finding);
      else if (value === 0 && Object.is(value, -0)) finding.inexact = true;
      return;
    case "object":
      if (value !== null) inspectObject(value, depth, finding);
      return;
    default:
      finding.why = `a value of type ${typeof value} is not JSON`;
  }
}

function refuseNumber(value: number, finding: Search): void {
  finding.isExact = !Number.isFinite(value);
  finding.why = finding.isExact
    ? `${value} is not JSON`
    : `${value} is an unsafe_integer, numbers go to 2^53 - 1: bound what is added and multiplied, or keep a string`;
}

function inspectObject(value: object, depth: number, finding: Search): void {
  if (depth > STATE_DEPTH) {
    finding.why = `nested deeper than ${STATE_DEPTH}, or in a circle`;
    return;
  }
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      inspect(value[i], depth + 1, finding);
      if (finding.why !== null) return void finding.path.push(`[${i}]`);
    }
    return;
  }
  const proto: unknown = Object.getPrototypeOf(value);
  if (proto !== Object.prototype && proto !== null) {
    finding.why = `an object of class ${value.constructor?.name ?? "?"} is not JSON`;
    return;
  }
  // Read back, it has one: a handler would see the difference.
  if (proto === null) finding.inexact = true;
  for (const name of Object.keys(value)) {
    finding.weight += name.length >> 6;
    const member = (value as Record<string, unknown>)[name];
    if (member === undefined) {
      finding.inexact = true;
      continue;
    }
    inspect(member, depth + 1, finding);
    if (finding.why !== null) return void finding.path.push(`.${name}`);
  }
}

// oxlint-disable-next-line no-control-regex -- all of ASCII is meant
const BEYOND_ASCII = /[^\u0000-\u007f]/;

/** Length in UTF-8 bytes. A lone surrogate counts as the three bytes of U+FFFD, as encoders write it. */
export function utf8Length(text: string): number {
  let bytes = text.length;
  // The native search is much faster than looking at each unit, and most texts are ASCII.
  if (!BEYOND_ASCII.test(text)) return bytes;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    if (unit < 0x800) bytes += 1;
    else if (unit >= 0xd800 && unit < 0xdc00 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) {
      bytes += 2;
      i++;
    } else bytes += 2;
  }
  return bytes;
}

/** Is the text longer than `limit` UTF-8 bytes? Looks at characters only where the length alone can't tell. */
export function exceeds(text: string, limit: number): boolean {
  return text.length > limit || (text.length * 3 > limit && utf8Length(text) > limit);
}

/** Order of the UTF-8 bytes, which is the order of code points. UTF-16 order differs above U+D7FF. */
export function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return rank(x) - rank(y);
  }
  return a.length - b.length;
}

/** Surrogates stand for code points above U+FFFF, so they sort after U+E000..U+FFFF. */
const rank = (unit: number): number => (unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800);

/** The value of a JSON text. @throws Damage */
export function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Damage(`${what} isn't JSON`);
  }
}

/** The object that a JSON text says. @throws Damage */
export function parseObject(text: string, what: string): Readonly<Record<string, unknown>> {
  const value = parseJson(text, what);
  if (!isObject(value)) throw new Damage(`${what} is no object`);
  return value;
}
