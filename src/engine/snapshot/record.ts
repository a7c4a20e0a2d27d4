/**
 * A record is one key in a state block of a snapshot: `"key" TAB seq TAB stamp TAB state`. A key that is gone in a
 * delta is `"key" TAB 0 TAB 0` (docs/reference/formats.md). A state that couldn't be migrated has `v`, its version and
 * TAB before it. A state with timers has `@`, their list and TAB before it.
 *
 * RECORD1. Texts of states are taken as they are, since parsing all of them would double the time of a recovery. The
 *     block's checksum says that the block is what was written, and only JSON is ever written.
 * RECORD2. States of an older version are migrated as they are read (migration.ts). A state that can't be migrated
 *     keeps its text and version.
 */
import { parseJson } from "../base/json.ts";
import { Damage } from "../base/errors.ts";
import { seq, stamp } from "../base/ids.ts";
import { migrated } from "../operator/migration.ts";
import type { Operator } from "../operator/operator.ts";
import type { Footer } from "./file-footer.ts";
import type { KeyEntry } from "../state/keyed-state.ts";
import { readTimers, timersText } from "../state/timers.ts";

export const stateLine = (key: string, entry: KeyEntry | null): string =>
  entry === null
    ? `${JSON.stringify(key)}${GONE}`
    : `${JSON.stringify(key)}\t${entry.seq}\t${entry.stamp}\t${entry.version === undefined ? "" : `v${entry.version}\t`}${timersText(entry.timers)}${entry.text}`;

/** The rest of a line whose key is gone. */
const GONE = "\t0\t0";
// oxlint-disable-next-line no-control-regex -- what JSON escapes
const PLAIN_KEY = /^"[^"\\\u0000-\u001f]+"$/;

/** @throws Damage if the line has no key */
export function keyOfLine(line: string): string {
  const quoted = line.slice(0, line.indexOf("\t"));
  const key = PLAIN_KEY.test(quoted) ? quoted.slice(1, -1) : parseJson(quoted, "a key of the snapshot");
  if (typeof key !== "string" || key === "") throw new Damage("a state block holds an invalid line");
  return key;
}

/**
 * Returns the entry of a line, or null if the key is gone. If `operator` is null, the state stays as it stands.
 *
 * @throws Damage if the line is corrupt
 */
export function entryOfLine(line: string, footer: Footer, operator: Operator | null): KeyEntry | null {
  const a = line.indexOf("\t");
  if (footer.base > 0 && line.length === a + GONE.length && line.endsWith(GONE)) return null;
  const b = line.indexOf("\t", a + 1);
  const c = line.indexOf("\t", b + 1);
  if (a < 0 || b < 0 || c < 0) throw new Damage("a state block holds an invalid line");
  const [at, by] = [numberOf(line.slice(a + 1, b)), numberOf(line.slice(b + 1, c))];
  // No JSON begins with `v`.
  const marked = line.charCodeAt(c + 1) === MARK;
  const d = marked ? line.indexOf("\t", c + 1) : c;
  const version = marked ? numberOf(line.slice(c + 2, d)) : footer.operatorVersion;
  if (marked && (d < 0 || version < 1 || version >= footer.operatorVersion))
    throw new Damage("a state block holds a state whose version isn't older than the snapshot's");
  const pending = line.charCodeAt(d + 1) === TIMERS_MARK;
  const e = pending ? line.indexOf("\t", d + 1) : d;
  const timers = pending && e > 0 ? readTimers(parseJson(line.slice(d + 2, e), "a key's timers")) : null;
  if (pending && timers === null) throw new Damage("a state block holds timers that are invalid");
  const text = line.slice(e + 1);
  if (at <= footer.base || at > footer.seq || by < 0 || by > footer.stamp || text === "")
    throw new Damage("a state block holds an invalid line");
  const [kept, when] = [own(text), { seq: seq(at), stamp: stamp(by), ...(timers === null ? {} : { timers }) }];
  if (version === operator?.version || (operator === null && !marked)) return { text: kept, ...when };
  const result = operator === null ? null : migrated(operator, version, kept);
  return result?.tag === "migrated" ? { text: result.text, ...when } : { text: kept, ...when, version };
}

/** `v` */
const MARK = 118;

/** `@`, which no JSON begins with either. */
const TIMERS_MARK = 64;

/** Copies a text, since a slice would keep the whole block in memory. */
export const own = (text: string): string => ` ${text}`.slice(1);

/**
 * Reads a number of digits and nothing else. Returns -1 if the text is none. Written by hand, since there are two in
 * every line.
 */
export function numberOf(text: string): number {
  let value = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return text !== "" && Number.isSafeInteger(value) ? value : -1;
}
