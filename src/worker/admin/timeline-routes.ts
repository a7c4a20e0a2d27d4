/** `/v1/timelines`: lines of history under names (engine/history/timelines.ts). No partition is woken. */
import { keptLog } from "../../adapters/kept-logs.ts";
import { R2Store } from "../../adapters/r2-store.ts";
import { stampTime } from "../../engine/base/hybrid-clock.ts";
import { isObject, isText, isWhole } from "../../engine/base/json.ts";
import { PARTITIONS, TIMELINES } from "../../engine/base/limits.ts";
import { stamp, type Stamp } from "../../engine/base/ids.ts";
import type { Replay, Split, Timeline } from "../../engine/base/records.ts";
import { parseMoment, timelineIn } from "../../engine/history/moment.ts";
import {
  isNamed,
  makeTimeline,
  MAIN,
  nameOf,
  readersOf,
  removeTimeline,
  type Start,
  timelineOf,
  type Timelines,
} from "../../engine/history/timelines.ts";
import type { App, Routes } from "../app.ts";
import type { Env } from "../env.ts";
import { jsonBody } from "../http/json-body.ts";
import { problem } from "../problem.ts";
import { LAST_STAMP, lineageOf, partsOf } from "../lineage.ts";
import { noTimeline, settledAt, timelineReplays, timelineUnstarted } from "../read/moments.ts";
import { replayCode } from "../replay-code.ts";
import { limited, persistent } from "../../engine/base/retry.ts";
import { requestClock } from "../request-clock.ts";
import { databasesOf, floorsOf, readTimelines, savepointStores, timelineStores } from "../timelines.ts";
import { ERASED, repeatErasures } from "./erasures-on-lines.ts";
import {
  advance,
  changedSums,
  isReplaying,
  type ReplayProgress,
  progressOf,
  type Replaying,
  underThisCode,
} from "./replays.ts";

const BODY_BYTES = 4_096;
const DAY_MS = 86_400_000;
/** A timeline expires after this long, unless the request says otherwise. */
const EXPIRES_MS = 7 * DAY_MS;

export async function putTimeline(request: Request, env: Env, app: App, name: string): Promise<Response> {
  const body = await jsonBody(request, BODY_BYTES);
  if (body instanceof Response) return body;
  const wanted = wishOf(body);
  if (typeof wanted === "string") return problem({ status: 400, code: "invalid_body", detail: wanted });
  const timelines = await readTimelines(env);
  const parentName = timelineIn(wanted.from) ?? MAIN;
  const parent = timelineOf(timelines, parentName);
  if (parent === null) return noTimeline(parentName);
  if (isReplaying(parent)) return timelineReplays(parentName);
  if (parent.unstarted === true) return timelineUnstarted(parentName);
  if (wanted.from === END) return putUnstarted(env, app, name, timelines, wanted);
  const on = lineageOf(timelines, parent.line);
  const at = await settledAt(env, on, wanted.from);
  if (at instanceof Response) return at;
  // Before its start, a line's past is that of the line that it starts from, which keeps it.
  const from = [{ line: parent.line, at }, ...on.ancestors.filter((one) => at <= one.at)].at(-1)!;
  const moment = parseMoment(wanted.from)!;
  const exact = moment.tag === "stamp" || moment.tag === "savepoint";
  const expiresMs = wanted.expiresMs === null ? null : requestClock.now() + wanted.expiresMs;
  const begin = wanted.replay === null ? at : await startOfReplay(env, timelines, from, at);
  if (begin === null)
    return problem({
      status: 409,
      code: "timeline_unrelated",
      detail: `main doesn't continue from stamp ${at} of ${nameOfLine(timelines, from.line)}: replay from a moment of main, or from the end of what was main before a replay`,
    });
  const isThere = timelines.all.some((one) => one.name === name);
  const oldest = wanted.replay === null || isThere ? null : await oldestReplay(env, timelines, from.line, begin);
  if (oldest !== null)
    return problem({
      status: 410,
      code: "moment_gone",
      detail: `retention has given up a part of main's log above stamp ${begin}, and a replay needs all of it; the oldest moment that one can start from is stamp ${oldest}, ${stampTime(oldest)}`,
      more: { oldest, oldestTime: stampTime(oldest) },
    });
  const { main } = timelines;
  const replay =
    wanted.replay === null
      ? {}
      : { replay: { source: main.line, outcomes: wanted.replay, code: replayCode(env, app) } };
  const split = splitOf(await app.onLine(env, timelines, from.line), wanted.partitions);
  if (split instanceof Response) return split;
  return make(env, app, timelines, { name, parent: from.line, at: begin, exact, expiresMs, ...replay, ...split });
}

/** Makes a line with other partitions that starts where main ends, when it is promoted (LINE7). */
async function putUnstarted(
  env: Env,
  app: App,
  name: string,
  timelines: Timelines,
  { partitions, expiresMs }: Wish,
): Promise<Response> {
  const { line } = timelines.main;
  const split = splitOf(await app.onLine(env, timelines, line), partitions);
  if (split instanceof Response) return split;
  if (!("split" in split))
    return problem({
      status: 409,
      code: "partitions_same",
      detail: "main has these partitions already: there is nothing to promote",
    });
  const expires = expiresMs === null ? null : requestClock.now() + expiresMs;
  const start = {
    name,
    parent: line,
    at: LAST_STAMP,
    exact: true,
    expiresMs: expires,
    unstarted: true,
    ...split,
  } as const;
  return make(env, app, timelines, start);
}

/** Returns how many partitions each operator gets for one on that line. */
function splitOf({ byOperator }: Routes, partitions: Wish["partitions"]): { readonly split?: Split } | Response {
  const split: Record<string, number> = {};
  for (const [name, wanted] of Object.entries(partitions)) {
    const route = byOperator.get(name);
    if (route === undefined)
      return problem({
        status: 404,
        code: "no_operator",
        detail: `there is no operator ${JSON.stringify(name.slice(0, 100))}`,
      });
    const { partitions: now } = route.placement;
    if (wanted % now !== 0)
      return problem({
        status: 409,
        code: "partitions_unsplit",
        detail: `operator "${name}" has ${now} partitions there, and a partition can only be split: take a multiple of ${now}, not ${wanted}`,
      });
    if (wanted !== now) split[name] = wanted / now;
  }
  return Object.keys(split).length === 0 ? {} : { split };
}

async function make(env: Env, app: App, timelines: Timelines, start: Start): Promise<Response> {
  const { name, at } = start;
  const made = await makeTimeline(requestClock, timelineStores(env), start);
  switch (made.tag) {
    case "made": {
      const { line, at: started, unstarted } = made.timeline;
      // A replay takes in the erasures with the log, and a line that is unstarted starts after them.
      const hasAll = isReplaying(made.timeline) || unstarted === true;
      const erased = hasAll ? ERASED : await repeatErasures(env, app, line, started);
      if (erased === "unknown")
        return problem({
          status: 409,
          code: "erasure_unreadable",
          detail: `a key was erased after stamp ${started}, and the log that says which one is given up: delete timeline "${name}", and start at a later moment`,
        });
      if (erased.tag === "busy") return problem({ status: 503, code: erased.code, detail: erased.why });
      return Response.json(shown(await readTimelines(env), made.timeline), { status: made.isNew ? 201 : 200 });
    }
    case "conflict": {
      const { state, parent, at: other, unstarted } = made.timeline;
      const of = nameOfLine(timelines, parent!);
      const start = unstarted === true ? `where ${of} ends` : `at stamp ${other}, ${stampTime(other)}, of ${of}`;
      const detail =
        state === "removing"
          ? `timeline "${name}" is being removed: delete it again, then make it`
          : `timeline "${name}" starts ${start}: delete it, or take another name`;
      return problem({ status: 409, code: "timeline_exists", detail });
    }
    case "gone":
      return problem({
        status: 410,
        code: "moment_gone",
        detail: `retention has given up stamp ${at}, ${stampTime(at)}, in some partition: start at a later moment`,
      });
    case "full":
      return problem({
        status: 409,
        code: "too_many_timelines",
        detail: `there are ${TIMELINES} timelines, or as many savepoints as there may be: remove one`,
      });
  }
}

/**
 * Returns the stamp at which a replay of main's log starts on that line, or null if main's log doesn't continue from
 * there.
 */
async function startOfReplay(
  env: Env,
  timelines: Timelines,
  { line }: { readonly line: number },
  at: Stamp,
): Promise<Stamp | null> {
  const { main, all } = timelines;
  const parts = partsOf(lineageOf(timelines, main.line));
  // Rows of other partitions can't be taken in.
  if (parts.some((part) => part.line === line && part.split !== undefined)) return null;
  if (parts.some((part) => part.line === line && at <= part.upTo)) return at;
  const own = all.find((one) => one.line === main.line);
  if (own?.replayed !== line || own.parent === null) return null;
  // After the undo of an undo, more than one list of changed outcomes lies between the two.
  const { parent, at: parted } = own;
  if (!partsOf(lineageOf(timelines, line)).some((part) => part.line === parent && parted <= part.upTo)) return null;
  // Main has the same events as the line that it replayed, up to the end of that line. Its own stamps begin above it.
  const newest = await Promise.all(
    floorsOf(env, line).map((floor) => persistent(requestClock, "D1", () => floor.newest())),
  );
  const end = stamp(Math.max(...newest));
  return end <= at ? end : null;
}

/** Returns the oldest stamp from which main's log is whole, or null if it is whole above the given one. */
async function oldestReplay(env: Env, timelines: Timelines, line: number, begin: Stamp): Promise<Stamp | null> {
  let [start, oldest, broken] = [stamp(0), begin, false];
  for (const part of partsOf(lineageOf(timelines, timelines.main.line))) {
    const above = stamp(Math.max(begin, start));
    start = part.upTo;
    if (part.upTo <= begin) continue;
    for (const db of databasesOf(env)) {
      const saved = part.line === line && above === begin;
      const kept = await limited(requestClock, "D1", () => keptLog(db, part.line, above, saved));
      broken ||= kept.broken;
      // The end of a line is held, since a later one starts there.
      oldest = stamp(Math.max(oldest, Math.min(kept.oldest ?? 0, part.upTo)));
    }
  }
  return broken ? oldest : null;
}

interface Wish {
  readonly from: string;
  /** Null for a timeline that takes events of its own. */
  readonly replay: Replay["outcomes"] | null;
  /** By operator. Operators that aren't named keep theirs. */
  readonly partitions: Readonly<Record<string, number>>;
  readonly expiresMs: number | null;
}

/** The end of main, wherever it is when the timeline is promoted. */
const END = "end";

/** Returns why the body is none, if it is none. */
function wishOf(body: unknown): Wish | string {
  if (!isObject(body))
    return 'the body must be {"from": a moment, "replay"?: "logged" or "decide", "partitions"?: {operator: number}, "expires"?: "7d" or null}';
  const { from = "now", expires, replay = null, partitions = {} } = body;
  if (!isText(from) && typeof from !== "number") return '"from" must be a moment';
  if (replay !== null && replay !== "logged" && replay !== "decide") return '"replay" must be "logged" or "decide"';
  if (!isCounts(partitions))
    return `"partitions" must be an object with a number of partitions, 1 to ${PARTITIONS}, for each operator`;
  const isRescaled = Object.keys(partitions).length > 0;
  if (replay !== null && isRescaled) return '"replay" and "partitions" can\'t be combined: do one after the other';
  if (from === END && !isRescaled) return '"from": "end" needs "partitions"';
  const wish: Omit<Wish, "expiresMs"> = { from: String(from), replay, partitions };
  if (expires === null) return { ...wish, expiresMs: null };
  if (expires === undefined) return { ...wish, expiresMs: EXPIRES_MS };
  const [, count, unit] = (isText(expires) ? /^([1-9]\d{0,3})(h|d)$/.exec(expires) : null) ?? [];
  if (count === undefined) return '"expires" must be a time as "12h" or "7d", or null';
  return { ...wish, expiresMs: Number(count) * (unit === "h" ? DAY_MS / 24 : DAY_MS) };
}

const isCounts = (value: unknown): value is Wish["partitions"] =>
  isObject(value) && Object.values(value).every((count) => isWhole(count) && count > 0 && count <= PARTITIONS);

export async function getTimelines(env: Env): Promise<Response> {
  const timelines = await readTimelines(env);
  const all = timelines.all.filter(({ state, name }) => state !== "making" && (state !== "removing" || name !== null));
  return Response.json(await Promise.all(all.map((one) => shownWhole(env, timelines, one))));
}

export async function getTimeline(env: Env, app: App, name: string): Promise<Response> {
  const timelines = await readTimelines(env);
  const found = timelineOf(timelines, name);
  if (found === null) return noTimeline(name);
  if (!isReplaying(found)) return Response.json(await shownWhole(env, timelines, found));
  const target = await app.onLine(env, timelines, found.line);
  const progress = await progressOf(env, target, lineageOf(timelines, found.replay.source));
  return Response.json(await shownReplay(env, timelines, found, progress));
}

/** One request takes in for about this long. */
const ADVANCE_MS = 10_000;

/** Takes in more of the log that the timeline replays. */
export async function advanceTimeline(env: Env, app: App, name: string): Promise<Response> {
  const found = timelineOf(await readTimelines(env), name);
  if (found === null) return noTimeline(name);
  if (!isReplaying(found))
    return problem({ status: 409, code: "no_replay", detail: `timeline "${name}" replays nothing` });
  const line = await underThisCode(env, app, found);
  const progress = await advance(env, app, line, ADVANCE_MS);
  return Response.json(await shownReplay(env, await readTimelines(env), line, progress));
}

async function shownReplay(
  env: Env,
  timelines: Timelines,
  line: Replaying,
  { lag, behind, trouble }: ReplayProgress,
): Promise<object> {
  const { source, outcomes } = line.replay;
  const changed = (await changedSums(env, line.line)).reduce((sum, [, count]) => sum + count, 0);
  return {
    ...shown(timelines, line),
    replay: {
      of: nameOfLine(timelines, source),
      outcomes,
      lag,
      behind: behind.length,
      changed,
      ...(trouble === null ? {} : { trouble }),
    },
  };
}

/** Removing a timeline that isn't there succeeds. */
export async function deleteTimeline(env: Env, name: string): Promise<Response> {
  const timelines = await readTimelines(env);
  const found = timelines.all.find((one) => nameOf(timelines, one) === name);
  if (found === undefined) return Response.json({ name, removed: true });
  const removed = await removeTimeline(requestClock, timelineStores(env), new R2Store(env.SNAPSHOTS), found);
  if (removed.tag === "removed") return Response.json({ name, removed: true });
  if (removed.tag === "removing") return Response.json({ name, removed: false }, { status: 202 });
  const children = removed.why === "parent" ? (await keptFor(env, timelines, found)).timelines : [];
  const reads = children.map((one) => `${one.name} (${one.partitions} partitions, as ${one.first ?? "all"})`);
  const detail = {
    main: "main can't be removed: promote another timeline first",
    parent: `${reads.join(", ")} starts from timeline "${name}", and reads what it has: remove those first`,
    promotion: "a promotion of it is under way: wait, or abort the promotion",
    saved: "it has savepoints",
  }[removed.why];
  return problem({ status: 409, code: "timeline_in_use", detail });
}

/** Removes timelines that have expired, and those whose removal or making broke off, as far as one run may go. */
export async function sweepTimelines(env: Env): Promise<void> {
  const now = requestClock.now();
  const { all } = await readTimelines(env);
  for (const one of all) {
    const expired = one.expiresMs !== null && one.expiresMs <= now;
    const abandoned = one.state === "making" && now - one.createdMs > DAY_MS / 24;
    if (one.state === "removing" || expired || abandoned)
      await removeTimeline(requestClock, timelineStores(env), new R2Store(env.SNAPSHOTS), one, one.replaced > 0);
  }
}

interface KeptFor {
  /** Timelines that start from it and read it. */
  readonly timelines: readonly { readonly name: string; readonly partitions: number; readonly first: string | null }[];
  readonly savepoints: readonly string[];
}

/** Returns what keeps a timeline from being removed (LINE6). */
async function keptFor(env: Env, timelines: Timelines, { line, replaced }: Timeline): Promise<KeptFor> {
  const readers = await readersOf(requestClock, timelineStores(env), line);
  const saved = replaced === 0 ? [] : await limited(requestClock, "D1", () => savepointStores(env, line)[0].all());
  return {
    timelines: readers
      .filter(({ partitions }) => partitions > 0)
      .map(({ line: reader, partitions, first }) => ({ name: nameOfLine(timelines, reader), partitions, first })),
    savepoints: saved.filter(isNamed).map((one) => one.name),
  };
}

/** Also says why a timeline that has expired is still there. */
async function shownWhole(env: Env, timelines: Timelines, one: Timeline): Promise<object> {
  const { expiresMs, state } = one;
  const isOver = state === "ready" && expiresMs !== null && expiresMs <= requestClock.now();
  return { ...shown(timelines, one), ...(isOver ? { keptFor: await keptFor(env, timelines, one) } : {}) };
}

const nameOfLine = (timelines: Timelines, line: number): string =>
  nameOf(timelines, timelines.all.find((one) => one.line === line) ?? { line, name: `line ${line}` });

function shown(timelines: Timelines, one: Timeline): object {
  const { line, parent, at, createdMs, expiresMs, split, unstarted } = one;
  const start = unstarted === true ? {} : { at, time: stampTime(at) };
  return {
    name: nameOf(timelines, one),
    line,
    state: stateOf(timelines, one),
    ...(parent === null ? {} : { from: nameOfLine(timelines, parent), ...start }),
    ...(split === undefined ? {} : { split }),
    ...(createdMs === 0 ? {} : { created: new Date(createdMs).toISOString() }),
    ...(expiresMs === null ? {} : { expires: new Date(expiresMs).toISOString() }),
  };
}

function stateOf({ main }: Timelines, one: Timeline): string {
  if (one.line === main.line) return "main";
  if (one.replaced > 0) return "sealed";
  if (one.state === "ready" && one.unstarted === true) return "unstarted";
  return one.state === "ready" && isReplaying(one) ? "replaying" : one.state;
}
