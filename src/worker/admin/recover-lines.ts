/**
 * The lines of a recovery from R2: which line is main, and where it starts (recover-route.ts).
 *
 * RECOVERLINES1. If D1 knows as many switches of main as R2, its directory counts. If it knows none, and has nothing else
 *     either, R2's last switch says which line is main (SWITCH1). Anything between is refused: it is neither whole nor
 *     empty.
 * RECOVERLINES2. A moment before main's start is one of an earlier line. This line becomes main again, and the switch is
 *     recorded before its operator opens.
 * RECOVERLINES3. Lines that main doesn't start from don't come back. Their objects stay in R2.
 * RECOVERLINES4. R2 still has what that line logged above main's start, and the promotion gave that up. So once the line
 *     is main again, no other operator comes back as of a later moment than that start, or of its last snapshot.
 */
import { earliestRecovery, hasPlacements } from "../../adapters/catalogue.ts";
import {
  type RebuiltDirectory,
  type RebuiltLine,
  storeDirectory,
  storeLines,
  storeStarts,
} from "../../adapters/rebuilt-directory.ts";
import { Damage } from "../../engine/base/errors.ts";
import { lastStampOf, stampTime } from "../../engine/base/hybrid-clock.ts";
import { FIRST_LINE, stamp, type Stamp } from "../../engine/base/ids.ts";
import { type Ancestors, partsIn, type Split } from "../../engine/base/records.ts";
import { readSwitch, recordSwitch, type SwitchName, switchesInStore } from "../../engine/history/switch-object.ts";
import { ancestorsOf } from "../../engine/history/timelines.ts";
import { listNames } from "../../engine/snapshot/object-reader.ts";
import type { Env } from "../env.ts";
import { LAST_STAMP, type Lineage, partsOf } from "../lineage.ts";
import { problem } from "../problem.ts";
import { requestClock } from "../request-clock.ts";
import { databasesOf, switchFiles, timelinesAtRest } from "../timelines.ts";

/** Main, as D1 or R2 knows it. */
export interface RecoveredLines {
  /** Main with its past. */
  readonly lineage: Lineage;
  readonly switches: number;
  /** The number of the switch that replaced each former main. */
  readonly replaced: ReadonlyMap<number, number>;
  /** D1 has lost which line is main. */
  readonly isLost: boolean;
  /** The line that main's past begins with, if it was removed, or nothing of it was ever saved. */
  readonly removed: number | null;
}

/** @throws Failure store_unavailable, unknown_format */
export async function linesToRecover(env: Env): Promise<RecoveredLines | Response> {
  const timelines = await timelinesAtRest(env);
  const { main, all } = timelines;
  if (main.state !== "idle") return unclear("a promotion is under way: wait until it is over, and send it again");
  const inStore = await switchesInStore(switchFiles(env));
  const last = inStore.at(-1);
  if (last === undefined || last.switches <= main.switches) {
    const replaced = new Map(all.map((one) => [one.line, one.replaced]));
    const ancestors = ancestorsOf(timelines, main.line);
    const removed = ancestors.find(({ line }) => !replaced.has(line))?.line ?? null;
    return { lineage: { line: main.line, ancestors }, switches: main.switches, replaced, isLost: false, removed };
  }
  if (main.switches > 0 || all.length > 1 || (await hasPlacements(databasesOf(env)[0]!)))
    return unclear(
      `R2 knows ${last.switches} switches of main, and LOG_0 knows ${main.switches} and isn't empty: restore LOG_0 to its newest state, or make it anew, empty and migrated`,
    );
  try {
    const { line, starts, switches } = await readSwitch(switchFiles(env), last);
    const { ancestors, removed } = await inThisStore(env, starts);
    return { lineage: { line, ancestors }, switches, replaced: replacedBy(inStore), isLost: true, removed };
  } catch (error) {
    if (!(error instanceof Damage)) throw error;
    return unclear(`R2 can't say where main starts: ${error.message}: restore LOG_0 by D1's time travel`);
  }
}

export const unclear = (detail: string): Response => problem({ status: 409, code: "line_not_recoverable", detail });

const replacedBy = (inStore: readonly SwitchName[]): ReadonlyMap<number, number> =>
  new Map(inStore.map(({ switches }, i) => [inStore[i - 1]?.line ?? FIRST_LINE, switches]));

/** Cuts the past after the first line of which R2 has nothing. */
async function inThisStore(
  env: Env,
  starts: Ancestors,
): Promise<Pick<RecoveredLines, "removed"> & Pick<Lineage, "ancestors">> {
  for (const [i, { line }] of starts.entries()) {
    const { names } = await listNames(switchFiles(env), `${line}/`, "");
    if (names.length === 0) return { ancestors: starts.slice(0, i + 1), removed: line };
  }
  return { ancestors: starts, removed: null };
}

/** Returns the line that has a moment of main, with its past. */
export function lineAt({ line, ancestors }: Lineage, at: Stamp): Lineage {
  const found = partsOf({ line, ancestors }).find(({ upTo }) => at <= upTo)!;
  const index = ancestors.findIndex((one) => one.line === found.line);
  return { line: found.line, ancestors: ancestors.slice(index + 1) };
}

/**
 * Returns the reason why an operator without a placement can't come back as of that moment, or null (RECOVERLINES4).
 * `at`: null for its last snapshot.
 */
export async function bringsBackGivenUp(
  env: Env,
  { lineage, switches, isLost }: RecoveredLines,
  at: Stamp | null,
): Promise<Response | null> {
  if (isLost) return null;
  try {
    const inStore = await switchesInStore(switchFiles(env));
    // R2 hears of the recovery's own switch when the first operator is back.
    const isUnrecorded = switches > (inStore.at(-1)?.switches ?? 0);
    for (const { line, upTo } of partsOf(lineage)) {
      const last = await lastKept(env, line, inStore, isUnrecorded && line === lineage.line);
      if (last === null || Math.min(upTo, at ?? LAST_STAMP) <= last) continue;
      return unclear(
        `a recovery has made an earlier line main again, and a promotion gave up what this line logged above stamp ${last}, ${stampTime(last)}: send {"to": MOMENT} with the moment of the other operators, or make the databases anew`,
      );
    }
    return null;
  } catch (error) {
    if (!(error instanceof Damage)) throw error;
    return unclear(`R2 can't say what a promotion gave up: ${error.message}: make the databases anew`);
  }
}

/**
 * Returns the last stamp of a line that no promotion gave up, if a recovery has made the line main again.
 *
 * @throws Damage; Failure store_unavailable, unknown_format
 */
async function lastKept(
  env: Env,
  line: number,
  inStore: readonly SwitchName[],
  isUnrecorded: boolean,
): Promise<Stamp | null> {
  const own = isUnrecorded ? inStore.length : inStore.findLastIndex((one) => one.line === line);
  const former = inStore[own - 1];
  const earliest = former === undefined ? null : await earliestRecovery(databasesOf(env)[0]!, line);
  if (former === undefined || (earliest === null && !isUnrecorded)) return null;
  const { starts } = await readSwitch(switchFiles(env), former);
  const part = partsOf({ line: former.line, ancestors: starts }).find((one) => one.line === line);
  if (part === undefined) return null;
  return isUnrecorded || earliest! <= part.upTo ? part.upTo : null;
}

/** Writes the lines of main's past, and which line is main if D1 has lost that, before any partition (DIRECTORY1). */
export async function storeRecoveredLines(
  env: Env,
  { lineage, switches, replaced, isLost, removed }: RecoveredLines,
  target: Lineage,
): Promise<void> {
  const databases = databasesOf(env);
  const now = requestClock.now();
  const lines = [{ line: target.line }, ...target.ancestors]
    .map(({ line }, i): RebuiltLine => {
      const { line: parent = null, at = stamp(0) } = target.ancestors[i] ?? {};
      const isMain = i === 0;
      const split = apart(target.ancestors[i]?.split, target.ancestors[i - 1]?.split);
      return {
        line,
        parent,
        at,
        isMain,
        replaced: isMain ? 0 : (replaced.get(line) ?? 0),
        ...(split === null ? {} : { split }),
      };
    })
    .filter(({ line }) => line !== removed);
  // The first line is in every new database, also if it isn't in main's past any more.
  const first = isLost && !lines.some(({ line }) => line === FIRST_LINE) ? [FIRST_LINE] : [];
  const rebuilt: RebuiltDirectory = {
    lines,
    removed: [...new Set([...(removed === null ? [] : [removed]), ...first])],
    switches: target.line === lineage.line ? switches : switches + 1,
    highest: isLost ? await highestLine(env) : 0,
  };
  await Promise.all(databases.map((db) => storeLines(db, rebuilt, lastStampOf(now))));
  await storeStarts(databases, rebuilt, now);
  if (isLost) await storeDirectory(databases, rebuilt, now);
}

/** Returns the split from a line to the next one, of the splits from both to a later one. Null if nothing is split. */
function apart(from: Split = {}, to: Split = {}): Split | null {
  const found = Object.entries(from).map(([operator, parts]) => [operator, parts / partsIn(to, operator)] as const);
  const split = Object.fromEntries(found.filter(([, parts]) => parts > 1));
  return Object.keys(split).length === 0 ? null : split;
}

/**
 * Returns the lines on which an operator has the partitions that it has on the last one. Partitions of the lines before
 * don't come back: a partition that was split is needed only by parts without a snapshot of their own, and these refuse
 * by name (PAST6).
 */
export function unsplit({ line, ancestors }: Lineage, operator: string): Lineage {
  const first = ancestors.findIndex(({ split }) => partsIn(split, operator) > 1);
  return { line, ancestors: first < 0 ? ancestors : ancestors.slice(0, first) };
}

/** Records the line that a recovery made main, before its first operator opens (RECOVERLINES2). */
export async function recordRecovered(env: Env, { line, ancestors }: Lineage): Promise<void> {
  const { main } = await timelinesAtRest(env);
  const last = (await switchesInStore(switchFiles(env))).at(-1);
  if (main.line !== line || (last?.line ?? FIRST_LINE) === line) return;
  await recordSwitch(switchFiles(env), { switches: main.switches, line, starts: ancestors });
}

/** Numbers go on above those that R2 shows, if D1 has lost which were given (DIRECTORY2). */
export async function reserveNumbers(env: Env): Promise<void> {
  const { all } = await timelinesAtRest(env);
  const highest = await highestLine(env);
  if (all.length > 1 || highest === FIRST_LINE) return;
  const lines = [{ line: FIRST_LINE, parent: null, at: stamp(0), replaced: 0, isMain: true }];
  await storeDirectory(databasesOf(env), { switches: 0, lines, removed: [], highest }, requestClock.now());
}

/** Returns the highest number of a line that a name in R2 shows. */
async function highestLine(env: Env): Promise<number> {
  const files = switchFiles(env);
  let highest = FIRST_LINE;
  // Lines come first in the order of names, and the savepoints' names have those that have no objects of their own.
  for (let after = "0"; ;) {
    const [name] = (await listNames(files, "", after)).names;
    const [, line] = /^([1-9]\d*)\//.exec(name ?? "") ?? [];
    if (line === undefined) break;
    highest = Math.max(highest, Number(line));
    after = `${line}/~`;
  }
  for (let after = ""; ;) {
    const { names, more } = await listNames(files, "savepoints/", after);
    for (const name of names)
      for (const [, line] of name.matchAll(/[/@](\d+)(?=\/)/g)) highest = Math.max(highest, Number(line));
    after = names.at(-1) ?? after;
    if (!more) return highest;
  }
}
