/**
 * Erasures and lines of history. An erasure is asked of every line that may show the key, and a promotion never gives
 * it up.
 *
 * LINEERASURE1. An erasure is logged on main and on every other line that takes events, under one id.
 * LINEERASURE2. A timeline that starts at an earlier moment repeats the erasures that came after it. If the log of one is
 *     given up, its key isn't known, and the timeline isn't used.
 * LINEERASURE3. A promotion finds each erasure that main would give up on the target too, after both are sealed. The
 *     target never loses an erasure, so those that were found before the seal aren't looked for again.
 */
import { erasuresSince } from "../../adapters/d1-status.ts";
import { stampMs } from "../../engine/base/hybrid-clock.ts";
import { parsePartitionName, partitionName, seq, type Stamp } from "../../engine/base/ids.ts";
import { limited } from "../../engine/base/retry.ts";
import { logBelow } from "../../engine/history/log-reader.ts";
import { nameOf } from "../../engine/history/timelines.ts";
import type { LogEnvironment } from "../../engine/operator/environment.ts";
import { partitionOfKey, type Address, type Route } from "../../engine/operator/routing.ts";
import { ERASE } from "../../engine/state/edit.ts";
import type { App, Routes } from "../app.ts";
import type { Env } from "../env.ts";
import { sendCommand, type CommandEvent } from "../ingest/command.ts";
import { logEnvironment } from "../read/kept-manifests.ts";
import { requestClock } from "../request-clock.ts";
import { databasesOf, readTimelines } from "../timelines.ts";

export const erasure = (id: string, key: string): CommandEvent => ({
  type: ERASE,
  source: "keyframe:erasure",
  id,
  key,
  data: { if: "any", version: 1 },
});

type Erased = { readonly tag: "erased" } | { readonly tag: "busy"; readonly code: string; readonly why: string };

export const ERASED: Erased = { tag: "erased" };

/** Erases the key on all other lines that take events (LINEERASURE1). */
export async function eraseElsewhere(env: Env, app: App, main: Route, id: string, key: string): Promise<Erased> {
  const timelines = await readTimelines(env);
  for (const one of timelines.all) {
    const { line, state, replaced, replay } = one;
    // A line that replays main takes the erasure in.
    if (line === main.line || state !== "ready" || replaced > 0 || replay?.source === main.line) continue;
    if (one.unstarted === true) continue;
    if (replay !== undefined) {
      const why = `the key is erased on main, but timeline "${nameOf(timelines, one)}" replays what is main no more and can't erase it: delete that timeline, and erase the key again`;
      return { tag: "busy", code: "timeline_replays", why };
    }
    const erased = await eraseOn(env, await app.onLine(env, timelines, line), main.operator.name, id, key);
    if (erased.tag === "busy") return erased;
  }
  return ERASED;
}

async function eraseOn(env: Env, routes: Routes, operator: string, id: string, key: string): Promise<Erased> {
  const route = routes.byOperator.get(operator);
  const partition = route === undefined ? null : partitionOfKey(route, key);
  if (route === undefined || partition === null) return ERASED;
  const result = await sendCommand(env, route, route.addresses[partition]!, erasure(id, key));
  if (result.tag === "decided") return ERASED;
  const why = `the key is erased on main, but not on line ${routes.line}: ${result.message}; erase it again`;
  return { tag: "busy", code: result.tag === "busy" ? result.code : "store_unavailable", why };
}

/** A record may be written this much later than its command, by another clock. */
const LATE_MS = 60_000;

interface Logged {
  readonly operator: string;
  readonly partition: string;
  readonly id: string;
  readonly key: string;
}

/** Repeats on a line the erasures that were logged after its start (LINEERASURE2). */
export async function repeatErasures(env: Env, app: App, line: number, at: Stamp): Promise<Erased | "unknown"> {
  const timelines = await readTimelines(env);
  const target = await app.onLine(env, timelines, line);
  const repeated = new Set<string>();
  for (const found of (await erasuresAfter(env, app, at, (other) => other !== line)).values()) {
    if (found === "unknown") return found;
    // Several lines have the same erasure.
    if (repeated.has(found.id)) continue;
    repeated.add(found.id);
    const erased = await eraseOn(env, target, found.operator, found.id, found.key);
    if (erased.tag === "busy") return erased;
  }
  return ERASED;
}

/** The records of erasures that were found on the target of a promotion. */
export type FoundErasures = Set<string>;

/** Returns true if each erasure in main's past since the stamp is on the target too (LINEERASURE3). */
export async function hasErasures(
  env: Env,
  app: App,
  main: Routes,
  target: Routes,
  parted: Stamp,
  known: FoundErasures,
): Promise<boolean> {
  // Main may have been promoted since both parted. Then lines that it starts from logged the erasures before.
  const past = new Set([main.line, ...main.ancestors.filter(({ at }) => at > parted).map(({ line }) => line)]);
  for (const [record, found] of await erasuresAfter(env, app, parted, (line) => past.has(line), known)) {
    if (found === "unknown") return false;
    const route = target.byOperator.get(found.operator);
    const partition = route === undefined ? null : partitionOfKey(route, found.key);
    if (route === undefined || partition === null) return false;
    if (!(await isLogged(logEnvironment(env, route, route.addresses[partition]!), found.id, parted))) return false;
    known.add(record);
  }
  return true;
}

async function isLogged(env: LogEnvironment, id: string, above: Stamp): Promise<boolean> {
  for await (const { row, events } of logBelow(env, null)) {
    if (row.stamp <= above) return false;
    if (events.events.some((event) => event["type"] === ERASE && event["id"] === id)) return true;
  }
  return false;
}

/**
 * Returns the recorded erasures above the stamp, on the lines asked for, except those that are known. "unknown" stands
 * for one whose log is gone.
 */
async function erasuresAfter(
  env: Env,
  app: App,
  above: Stamp,
  isAsked: (line: number) => boolean,
  known: ReadonlySet<string> = new Set(),
): Promise<ReadonlyMap<string, Logged | "unknown">> {
  const since = stampMs(above) - LATE_MS;
  const records = await Promise.all(
    databasesOf(env).map((db) => limited(requestClock, "D1", () => erasuresSince(db, since))),
  );
  const timelines = await readTimelines(env);
  const found = new Map<string, Logged | "unknown">();
  for (const { partition, seq: at, incarnation } of records.flat()) {
    const record = `${partition} ${at} ${incarnation}`;
    if (known.has(record)) continue;
    const { line, operator, partition: n } = parsePartitionName(partition);
    if (!isAsked(line) || !timelines.all.some((one) => one.line === line)) continue;
    const route = (await app.onLine(env, timelines, line)).byOperator.get(operator);
    const address = route?.addresses[n];
    if (route === undefined || address === undefined) continue;
    const logged = await loggedAt(env, route, address, at, above);
    if (logged !== null) found.set(record, logged);
  }
  return found;
}

/** Returns null if the command is at or below the stamp. */
async function loggedAt(
  env: Env,
  route: Route,
  address: Address,
  at: number,
  above: Stamp,
): Promise<Logged | "unknown" | null> {
  const log = logEnvironment(env, route, address);
  for await (const { row, events } of logBelow(log, seq(at + 1))) {
    if (row.stamp <= above) return null;
    const event = events.events[at - row.seq];
    const key = events.keys[at - row.seq];
    if (event?.["type"] !== ERASE || key === undefined) return "unknown";
    return { operator: route.operator.name, partition: partitionName(address), id: String(event["id"]), key };
  }
  return "unknown";
}
