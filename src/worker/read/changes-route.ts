/**
 * `GET /v1/operators/{op}/changes?after=`: the state after each event that changed one, as NDJSON in pages, or as
 * server-sent events that continue. It reads D1 and R2 alone: no partition is woken (SNAP9).
 *
 * CHANGESROUTE1. Each line has the cursor to continue from, and so has the end of a page.
 * CHANGESROUTE2. A cursor is of a line of history. If the line parted from this one before the cursor's place, the
 *     reader has seen changes that don't count here, and is told where the lines parted.
 * CHANGESROUTE3. A stream ends if anything goes wrong, or if another line is main. The reader comes back with its
 *     cursor, and hears the reason as the status of an answer.
 */
import { Damage, Failure } from "../../engine/base/errors.ts";
import { stampTime } from "../../engine/base/hybrid-clock.ts";
import { stamp, type Stamp } from "../../engine/base/ids.ts";
import { WATCH_BEAT_MS, WATCH_MS } from "../../engine/base/limits.ts";
import { sleep } from "../../engine/base/retry.ts";
import { type FeedCursor, type FeedPlace, placeAfter, readFeedCursor } from "../../engine/history/feed-place.ts";
import { timelineIn } from "../../engine/history/moment.ts";
import type { StateChange } from "../../engine/history/state-changes.ts";
import type { Route } from "../../engine/operator/routing.ts";
import type { Gone } from "../../engine/recovery/past-state.ts";
import { CHANGES_MOST } from "../api/changes.ts";
import type { App } from "../app.ts";
import { byteStream } from "../byte-stream.ts";
import type { Env } from "../env.ts";
import { keyNotAllowed, type Grant } from "../http/access.ts";
import { badCursor } from "../http/answers.ts";
import { lineageOf, type Lineage, partsOf } from "../lineage.ts";
import { notAllowed, problem } from "../problem.ts";
import { requestClock } from "../request-clock.ts";
import { readTimelines } from "../timelines.ts";
import { ChangesFeed, type FeedPage } from "./changes-feed.ts";
import { settledAt } from "./moments.ts";

const FORMAT = "keyframe.changes";
const VERSION = 1;
const STREAM = "text/event-stream";

/** A reader that waits looks so often. */
const LOOK_MS = 1_000;
/** A request that found nothing yet, though there is more to look at, is answered after this time. */
const WORK_MS = 10_000;
/** A reader of a stream waits this long before it comes back. */
const RETRY_MS = 1_000;

interface Asked {
  readonly after: string | undefined;
  readonly prefix: string | undefined;
  readonly limit: number | undefined;
  readonly wait: number | undefined;
}

export async function getChanges(
  request: Request,
  env: Env,
  app: App,
  route: Route,
  { after, prefix: asking = "", limit = CHANGES_MOST, wait = 0 }: Asked,
  { keyPrefix = "" }: Grant,
): Promise<Response> {
  if (request.method !== "GET") return notAllowed(["GET"], "changes are read with GET");
  // Narrow the requested prefix to the keys that the caller may see.
  const prefix = keyPrefix.startsWith(asking) ? keyPrefix : asking;
  if (!prefix.startsWith(keyPrefix)) return keyNotAllowed(asking);
  if (route.replay !== undefined) return stillReplays();
  const isStream = (request.headers.get("accept") ?? "").includes(STREAM);
  const from = await placeOf(env, route, (isStream ? request.headers.get("last-event-id") : null) ?? after);
  if (from instanceof Response) return from;
  const feed = new ChangesFeed(env, route, prefix, isStream || wait > 0);
  const reader = new FeedReader(env, app, route, feed, from, limit);
  if (isStream) return reader.stream();
  const page = await reader.page(wait * 1_000);
  if (page.tag === "gone") return changesGone(page);
  const { name, version } = route.operator;
  const head = JSON.stringify({ format: FORMAT, v: VERSION, operator: name, operatorVersion: version, prefix });
  const lines = page.changes.map((one) => `${lineOf(feed, one)}\n`);
  const { more, exact } = page;
  const end = JSON.stringify({ end: true, cursor: feed.cursor(page.end), more, ...(exact ? {} : { exact }) });
  return new Response(`${head}\n${lines.join("")}${end}\n`, { headers: { "content-type": "application/x-ndjson" } });
}

/** One reader, in the request that it belongs to. */
class FeedReader {
  readonly #env: Env;
  readonly #app: App;
  readonly #route: Route;
  readonly #feed: ChangesFeed;
  readonly #limit: number;
  #place: FeedPlace;

  constructor(env: Env, app: App, route: Route, feed: ChangesFeed, place: FeedPlace, limit: number) {
    this.#env = env;
    this.#app = app;
    this.#route = route;
    this.#feed = feed;
    this.#place = place;
    this.#limit = limit;
  }

  /** Returns the next page with a change, or one without after the wait. @throws Damage, Failure */
  async page(waitMs: number): Promise<FeedPage | Gone> {
    const begun = requestClock.now();
    for (;;) {
      const page = await this.#feed.next(this.#place, this.#limit);
      if (page.tag === "gone") return page;
      this.#place = page.end;
      const passed = requestClock.now() - begun;
      if (page.changes.length > 0 || passed >= (page.more ? WORK_MS : waitMs)) return page;
      if (page.more) continue;
      await sleep(requestClock, LOOK_MS);
      if (!(await this.#isMain())) return page;
    }
  }

  async stream(): Promise<Response> {
    const first = await this.page(0);
    if (first.tag === "gone") return changesGone(first);
    const headers = {
      "content-type": `${STREAM}; charset=utf-8`,
      "cache-control": "no-store",
      // Without this, nginx would hold the stream back until its buffers are full, possibly forever.
      "x-accel-buffering": "no",
    };
    return new Response(byteStream(this.#messages(first)), { headers });
  }

  async *#messages(first: FeedPage): AsyncGenerator<string> {
    yield `retry: ${RETRY_MS}\n\n`;
    const endMs = requestClock.now() + WATCH_MS;
    for (let page: FeedPage | Gone | null = first; page?.tag === "page"; page = await this.#nextPage()) {
      const messages = page.changes.map((one) => messageOf(this.#feed, one));
      // The last one is a sign of life, and says up to which place nothing more has to be read.
      yield `${messages.join("")}id: ${this.#feed.cursor(page.end)}\n\n`;
      if (requestClock.now() >= endMs || !(await this.#isMain())) return;
    }
  }

  /** Returns null if it can't be read (CHANGESROUTE3). */
  async #nextPage(): Promise<FeedPage | Gone | null> {
    try {
      return await this.page(WATCH_BEAT_MS);
    } catch (error) {
      if (error instanceof Failure || error instanceof Damage) return null;
      throw error;
    }
  }

  /** Returns false if the reader asked for main, and another line is main now. */
  async #isMain(): Promise<boolean> {
    if (this.#route.addresses[0]?.named !== undefined) return true;
    const routes = await this.#app.current(this.#env).catch(() => null);
    return routes === null || routes.line === this.#route.line;
  }
}

/** A state's text is spliced in without parsing. */
function lineOf(feed: ChangesFeed, change: StateChange): string {
  const { key, text, version, seq, partition, stamp: at, event, line } = change;
  // As in an export, a state of an older version stands under another name.
  const value = version === undefined ? '"value"' : `"version":${version},"unmigrated"`;
  const rest = JSON.stringify({
    partition,
    seq,
    stamp: at,
    time: stampTime(at),
    event,
    cursor: feed.cursor(change, line),
  });
  return `{"key":${JSON.stringify(key)},${value}:${text ?? "null"},${rest.slice(1)}`;
}

const messageOf = (feed: ChangesFeed, change: StateChange): string =>
  `id: ${feed.cursor(change, change.line)}\ndata: ${lineOf(feed, change)}\n\n`;

/** Returns the place that a cursor or a moment names, or the problem. Without both, the beginning. */
async function placeOf(env: Env, route: Route, after: string | undefined): Promise<FeedPlace | Response> {
  if (after === undefined) return placeAfter(stamp(0));
  const read = readFeedCursor(route.operator.name, after);
  if (read === null) return placeOfMoment(env, route, after);
  switch (read.tag) {
    case "invalid":
      return badCursor();
    case "version":
      return problem({
        status: 400,
        code: "unknown_cursor",
        detail: `the cursor is of version ${read.version}, and this code reads version 1: deploy the code that gave it, or begin anew`,
      });
    case "cursor": {
      const parted = await partedAt(env, route, read);
      return parted === null ? read.place : lineParted(parted);
    }
  }
}

async function placeOfMoment(env: Env, route: Route, text: string): Promise<FeedPlace | Response> {
  if (timelineIn(text) !== null)
    return problem({
      status: 400,
      code: "invalid_moment",
      detail: "name the timeline with `timeline`, and in `after` the moment alone",
    });
  const at = await settledAt(env, route, text);
  return at instanceof Response ? at : placeAfter(at);
}

/** Where another line of history parted from this one. Null stamp: it isn't known any more. */
interface Parted {
  readonly at: Stamp | null;
}

/** Returns null if the cursor's place is in the past of this line (CHANGESROUTE2). */
async function partedAt(env: Env, route: Route, { line, place }: FeedCursor): Promise<Parted | null> {
  const own = partsOf(route).find((part) => part.line === line);
  if (own !== undefined) return place.stamp <= own.upTo ? null : { at: own.upTo };
  const timelines = await readTimelines(env);
  if (!timelines.all.some((one) => one.line === line)) return { at: null };
  const at = commonUpTo(lineageOf(timelines, line), lineageOf(timelines, route.line));
  return at !== null && place.stamp <= at ? null : { at };
}

/** Returns the last stamp of the past that two lines have in common, or null if they have none. */
function commonUpTo(a: Lineage, b: Lineage): Stamp | null {
  const [left, right] = [partsOf(a), partsOf(b)];
  let common: Stamp | null = null;
  for (const [i, one] of left.entries()) {
    const other = right[i];
    if (other?.line !== one.line) break;
    common = stamp(Math.min(one.upTo, other.upTo));
    if (one.upTo !== other.upTo) break;
  }
  return common;
}

const ANEW =
  "begin anew: export with at=now, replace all that you have, and go on with after= the stamp `at` of the export";

const lineParted = ({ at }: Parted): Response =>
  problem({
    status: 409,
    code: "line_parted",
    detail:
      at === null
        ? `the cursor is of a line of history that isn't there any more: ${ANEW}`
        : `the cursor is of a line of history that parted from this one at stamp ${at}, ${stampTime(at)}, and what it changed later doesn't count here: ${ANEW}`,
    ...(at === null ? {} : { more: { parted: at, partedTime: stampTime(at) } }),
  });

const changesGone = ({ oldest }: Gone): Response =>
  problem({
    status: 410,
    code: "moment_gone",
    detail: `retention has given up changes behind this place; the oldest stamp to go on from is ${oldest}, ${stampTime(oldest)}: ${ANEW}`,
    more: { oldest, oldestTime: stampTime(oldest) },
  });

const stillReplays = (): Response =>
  problem({
    status: 409,
    code: "timeline_replays",
    detail: "the timeline replays another one's log, and may begin again: read its changes once it is main",
  });
