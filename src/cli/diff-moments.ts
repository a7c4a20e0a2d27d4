/**
 * The keys that differ between two moments of the app, line by line.
 *
 * CLIDIFF2. The last line of the app's answer says that the answer is complete. If the line is missing, or its count
 *     differs, or a moment can't be read, the exit status is 2: neither equal nor different.
 */
import { jsonMembers } from "../engine/base/json-text.ts";
import { isObject, isWhole } from "../engine/base/json.ts";
import { stampTime } from "../engine/base/hybrid-clock.ts";
import { stamp } from "../engine/base/ids.ts";
import { AppClient, withQuery, type AppOptions } from "./app.ts";
import { INEXACT } from "./at.ts";
import { CommandError, No, type Cli } from "./command.ts";
import type { KeyChange } from "./layers.ts";
import { quoted } from "./text.ts";

export interface DiffChoice {
  readonly operator?: string;
  readonly prefix?: string;
  readonly key?: string;
}

/** A change, and the operator if several may have the key. */
export type ShownChange = KeyChange & { readonly operator?: string };

/** @throws CommandError */
export async function* differencesAt(
  from: string,
  to: string | undefined,
  { operator, prefix, key, ...options }: AppOptions & DiffChoice,
  cli: Cli,
): AsyncGenerator<ShownChange> {
  const { screen } = cli;
  const query = { from, to, operator, prefix, key };
  const path = withQuery("/v1/diff", Object.fromEntries(Object.entries(query).flatMap(given)));
  let keys = 0;
  let last = "";
  try {
    for await (const line of new AppClient(options, cli).lines(path, "application/x-ndjson")) {
      if (last === "") screen.say(headShown(parsed(line)));
      else if (line.startsWith(KEY)) {
        keys += 1;
        const { change, unmigrated } = changeOf(line);
        if (unmigrated !== null) screen.say(unmigrated);
        yield change;
      }
      if (line !== "") last = line;
    }
  } catch (error) {
    // Status 1 says that something differs.
    throw error instanceof No ? new CommandError(error.message) : error;
  }
  const end = parsed(last);
  if (end["end"] !== true) throw new CommandError(`the diff broke off after ${keys} keys: ask again`);
  if (end["complete"] !== true)
    throw new CommandError(`the diff isn't complete, ${JSON.stringify(end["detail"] ?? null)}; ${keys} keys arrived`);
  if (end["keys"] !== keys)
    throw new CommandError(`the app counted ${JSON.stringify(end["keys"])} keys, but ${keys} arrived: ask again`);
  if (end["exact"] === false) screen.say(INEXACT);
}

const given = ([name, value]: readonly [string, string | undefined]): [string, string][] =>
  value === undefined ? [] : [[name, value]];

/** The beginning of a line with a key. */
const KEY = '{"operator":';

function headShown({ format, v, from, to }: Readonly<Record<string, unknown>>): string {
  if (format !== "keyframe.diff" || v !== 1 || !isWhole(from) || !isWhole(to))
    throw new CommandError("the answer isn't a diff in version 1: update the app or this command");
  return `from stamp ${from}, ${stampTime(stamp(from))}\nto stamp ${to}, ${stampTime(stamp(to))}`;
}

/** The states are taken as they are written. */
function changeOf(line: string): { readonly change: ShownChange; readonly unmigrated: string | null } {
  const texts = new Map(jsonMembers(line).map(({ name, text }) => [name, text]));
  const [operator, key] = ["operator", "key"].map((name) => JSON.parse(texts.get(name)!) as string) as [string, string];
  const stateOf = (name: string): string | null => {
    const text = texts.get(name) ?? texts.get(`${name}Unmigrated`) ?? "null";
    return text === "null" ? null : text;
  };
  const [before, after] = [stateOf("from"), stateOf("to")];
  const old = texts.get("fromVersion") ?? texts.get("toVersion");
  const unmigrated =
    old === undefined ? null : `the state of ${quoted(key)} is of version ${old} and can't be migrated`;
  if (before === null) return { change: { tag: "added", operator, key, after: after ?? "null" }, unmigrated };
  if (after === null) return { change: { tag: "removed", operator, key, before }, unmigrated };
  return { change: { tag: "changed", operator, key, before, after }, unmigrated };
}

function parsed(line: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(line);
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}
