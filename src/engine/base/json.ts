/**
 * JSON as the engine understands it: the values that a state may hold, and the length of a text in UTF-8.
 *
 * SNAP8: live state and the state from a snapshot are the same. So `toJson` refuses a value that JSON would change
 * (NaN, Date, Map, …), and says where the value stands.
 *
 * A number beyond ±(2^53 - 1) is refused too, as `unsafe_integer`. Doubles of that size are whole numbers with gaps
 * between them. A sum or a product of that size is no longer exact, and adding 1 changes nothing.
 */
import { Damage } from "./errors.ts";
import { STATE_BYTES, STATE_DEPTH } from "./limits.ts";

export const isText = (value: unknown): value is string => typeof value === "string";

type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };

export type JsonObject = { [name: string]: Json };

/** T if T is JSON. Places that are not JSON become `never`. A state type must be assignable to its own Jsonable. */
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

/** Returns true for a safe integer from 0. JSON doesn't write -0 as it is, so -0 is none. */
export const isWhole = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && !Object.is(value, -0);

/** A number, or the type of another value, for a message. The text of an unknown value may be long or endless. */
export const shown = (value: unknown): string => (typeof value === "number" ? String(value) : typeof value);

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** `exact`: reading the text back gives an equal value. If false (see JsonFinding), use the value that is read back. */
type JsonText =
  | { readonly tag: "json"; readonly text: string; readonly exact: boolean }
  | { readonly tag: "not_json"; readonly why: string };

/** Returns the JSON text of a value, or why the value can't be kept, in words that follow its name. */
export function toJson(value: unknown): JsonText {
  const { why, inexact } = inspectJson(value);
  if (why !== null) return { tag: "not_json", why };
  return { tag: "json", text: JSON.stringify(value), exact: !inexact };
}

/** Returns the JSON text of a state, or why the value is no state, in words that follow its name. */
export function toState(value: unknown): JsonText {
  if (value === null) return { tag: "not_json", why: NULL_STATE };
  const json = toJson(value);
  if (json.tag === "json" && exceeds(json.text, STATE_BYTES)) return { tag: "not_json", why: LARGE_STATE };
  return json;
}

/** Readers, watchers and histories say "no state" with null. */
export const NULL_STATE = "is null, which means no state; delete the key, or call ctx.remove() in a handler";

export const LARGE_STATE = `would have more than ${STATE_BYTES} bytes`;

/** The result of inspecting a value without writing it. */
interface JsonFinding {
  /** Why the value can't be kept, in words that follow its name ("isn't JSON, at .n: NaN is not JSON"). Null if it can
   *  be kept. */
  why: string | null;
  /** JSON carries the value, but reading it back gives another one (−0, an undefined property, an object without
   *  prototype). */
  inexact: boolean;
  /** Approximate size: one for each value, and one more for each 64 characters of a text or a name. */
  weight: number;
}

export function inspectJson(value: unknown): JsonFinding {
  const finding = { inexact: false, why: null, isExact: true, weight: 0, path: [] } as Search;
  inspect(value, 1, finding);
  if (finding.why === null) return finding;
  const at = finding.path.length === 0 ? "" : `at ${pathText(finding.path)}: `;
  return { ...finding, why: `${finding.isExact ? "isn't JSON" : "isn't exact"}, ${at}${finding.why}` };
}

/** Joins the steps, from the flaw outwards, into a path from the outside in. The middle of a long path is cut out. */
function pathText(steps: readonly string[]): string {
  const path = steps.toReversed().join("");
  return path.length <= 200 ? path : `${path.slice(0, 150)}…${path.slice(-40)}`;
}

interface Search extends JsonFinding {
  /** False if the flaw is a number that has lost its last digits. */
  isExact: boolean;
  readonly path: string[];
}

/** Copies a value that JSON can carry. */
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
      // One comparison for valid numbers, because every event pays for it.
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
  // An object that is read back has a prototype, so a handler would see the difference.
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
  // The native search is much faster than a loop over the units, and most texts are ASCII.
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

/** Returns true if the text is longer than `limit` UTF-8 bytes. Reads the characters only if the length alone can't
 *  tell. */
export function exceeds(text: string, limit: number): boolean {
  return text.length > limit || (text.length * 3 > limit && utf8Length(text) > limit);
}

/** Compares by UTF-8 bytes, which is the order of code points. UTF-16 order differs above U+D7FF. */
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

/** Parses a JSON text. @throws Damage if the text isn't JSON */
export function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Damage(`${what} isn't JSON`);
  }
}

/** Parses the JSON text of an object. @throws Damage if the text is no JSON object */
export function parseObject(text: string, what: string): Readonly<Record<string, unknown>> {
  const value = parseJson(text, what);
  if (!isObject(value)) throw new Damage(`${what} isn't an object`);
  return value;
}
