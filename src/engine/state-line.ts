/**
 * One key in a state block of a snapshot: `"key" TAB seq TAB stamp TAB state`, or in a delta `"key" TAB 0 TAB 0` for a key
 * that is gone (docs/spec.md).
 *
 * E1. The texts of states are taken as they are, since parsing all of them would double the time of a recovery: that a block
 *     is what was written, its checksum says, and JSON is all that is ever written.
 * E2. States of an older version are migrated as they are read, one entry of `migrate` for each step.
 */
import { parseJson } from "./blocks.ts";
import { Damage, Failure, messageOf } from "./errors.ts";
import { seq, stamp } from "./ids.ts";
import { toState, type JsonObject } from "./json.ts";
import type { Operator } from "./operator.ts";
import type { Footer } from "./snapshot-footer.ts";
import type { Entry } from "./state.ts";

export const stateLine = (key: string, entry: Entry | null): string =>
  entry === null
    ? `${JSON.stringify(key)}${GONE}`
    : `${JSON.stringify(key)}\t${entry.seq}\t${entry.stamp}\t${entry.text}`;

/** What follows the key in a line that says it is gone. */
const GONE = "\t0\t0";
// oxlint-disable-next-line no-control-regex -- what JSON escapes
const PLAIN_KEY = /^"[^"\\\u0000-\u001f]+"$/;

/** @throws Damage */
export function keyOfLine(line: string): string {
  const quoted = line.slice(0, line.indexOf("\t"));
  const key = PLAIN_KEY.test(quoted) ? quoted.slice(1, -1) : parseJson(quoted, "a key of the snapshot");
  if (typeof key !== "string" || key === "") throw new Damage("a state block holds a line that is no state");
  return key;
}

/** What the line says of its key; null: it is gone. @throws Damage; Failure where its state can't be migrated */
export function entryOfLine(line: string, key: string, footer: Footer, migrate: Migrate): Entry | null {
  const a = line.indexOf("\t");
  if (footer.base > 0 && line.length === a + GONE.length && line.endsWith(GONE)) return null;
  const b = line.indexOf("\t", a + 1);
  const c = line.indexOf("\t", b + 1);
  if (a < 0 || b < 0 || c < 0) throw new Damage("a state block holds a line that is no state");
  const [at, by] = [numberOf(line.slice(a + 1, b)), numberOf(line.slice(b + 1, c))];
  const text = line.slice(c + 1);
  if (at <= footer.base || at > footer.seq || by < 0 || by > footer.stamp || text === "")
    throw new Damage("a state block holds a line that is no state");
  return { text: migrate === null ? own(text) : migrate(text, key), seq: seq(at), stamp: stamp(by) };
}

/** A text of its own: a slice would keep the whole block in memory. */
export const own = (text: string): string => ` ${text}`.slice(1);

/** Of digits and nothing else; -1: it is none. By hand, since there are two in every line. */
export function numberOf(text: string): number {
  let value = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return text !== "" && Number.isSafeInteger(value) ? value : -1;
}

export type Migrate = ((text: string, key: string) => string) | null;

/** The way from a state of an older version to the operator's, or null where there is nothing to do (E2). */
export function migration(operator: Operator, from: number): Migrate {
  if (from === operator.version) return null;
  if (from > operator.version)
    throw new Failure(
      "state_newer",
      `the snapshot holds state of version ${from}, and operator "${operator.name}" is at version ${operator.version}: deploy version ${from} or newer`,
    );
  const steps = Array.from({ length: operator.version - from }, (_, i) => operator.migrate.get(from + i + 1)!);
  return (text, key) => {
    const refuse = (why: string): never => {
      throw new Failure(
        "snapshot_unreadable",
        `migrating key ${JSON.stringify(key)} from version ${from} to ${operator.version} ${why}: mend the migration and deploy again`,
      );
    };
    let state = parseJson(text, `the state of key ${JSON.stringify(key)}`);
    try {
      for (const step of steps) state = step(state as JsonObject);
    } catch (error) {
      return refuse(`throws, ${messageOf(error)}`);
    }
    const json = toState(state);
    return json.tag === "json" ? json.text : refuse(`gives a state that ${json.why}`);
  };
}
