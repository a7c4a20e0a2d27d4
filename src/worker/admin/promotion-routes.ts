/**
 * `/v1/timelines/{name}/promotion`: what a promotion would give up, and the promotion itself
 * (engine/history/promotion.ts). The events that main gives up stay readable on `main~1`.
 */
import { messageOf } from "../../engine/base/errors.ts";
import { stampTime } from "../../engine/base/hybrid-clock.ts";
import type { Stamp } from "../../engine/base/ids.ts";
import type { Timeline } from "../../engine/base/records.ts";
import { eventTexts } from "../../engine/history/event-texts.ts";
import { promote, type Promoted, settlePromotion } from "../../engine/history/promotion.ts";
import { timelineOf, type Timelines } from "../../engine/history/timelines.ts";
import type { App } from "../app.ts";
import { byteStream } from "../byte-stream.ts";
import type { Env } from "../env.ts";
import { problem } from "../problem.ts";
import { noTimeline, settledAt, timelineSealed } from "../read/moments.ts";
import { keysThatDiffer } from "./promotion-keys.ts";
import { getRescalePromotion, promoteRescale } from "./rescale-promotion.ts";
import { getReplayPromotion, promoteReplay } from "./replay-promotion.ts";
import { isReplaying } from "./replays.ts";
import { requestClock } from "../request-clock.ts";
import { promotionStores, readTimelines } from "../timelines.ts";
import { hexDigest } from "./digest.ts";
import { type FoundErasures, hasErasures } from "./erasures-on-lines.ts";
import { listOf, type LineStretches, partedAt, stretchesSince, KnownStarts } from "./stretches.ts";

interface Preview {
  readonly etag: string;
  readonly parted: Stamp;
  readonly givesUp: LineStretches;
  readonly takes: LineStretches;
}

export async function getPromotion(request: Request, env: Env, app: App, name: string): Promise<Response> {
  const target = await targetOf(env, name);
  if (target instanceof Response) return target;
  if (isReplaying(target)) return getReplayPromotion(request, env, app, target);
  if (target.unstarted === true) return getRescalePromotion(request, env, app, target);
  const found = target.line;
  const preview = await previewOf(env, app, found, name, new KnownStarts());
  if (preview instanceof Response) return preview;
  const headers = { etag: `"${preview.etag}"` };
  if (request.headers.get("accept")?.includes("application/x-ndjson") !== true)
    return Response.json({ ...shown(name, preview), keys: await keysOf(env, app, name, preview) }, { headers });
  return new Response(byteStream(givenUpTexts(preview)), {
    headers: { ...headers, "content-type": "application/x-ndjson" },
  });
}

/** Aborts a promotion that would give up an erasure (LINEERASURE3). */
const ERASED_MEANWHILE = new Error("the target lacks an erasure");

export async function postPromotion(request: Request, env: Env, app: App, name: string): Promise<Response> {
  // A proxy that compresses an answer makes its ETag a weak one.
  const match = /^(?:\*|(?:W\/)?"([0-9a-f]{64})")$/.exec(request.headers.get("if-match")?.trim() ?? "");
  if (match === null)
    return problem({
      status: 428,
      code: "promotion_unseen",
      detail:
        "send If-Match with the ETag of GET …/promotion, which says what main gives up, or * to accept whatever it is",
    });
  const timelines = await readTimelines(env);
  const again = isAgain(timelines, name, match[1] ?? null);
  const target = again ? null : await targetOf(env, name);
  if (target instanceof Response) return target;
  if (target !== null && isReplaying(target)) {
    const replayed = await promoteReplay(env, app, target, match[1] ?? "*");
    return replayed instanceof Response ? replayed : answerTo(app, name, replayed);
  }
  if (target?.unstarted === true) {
    const rescaled = await promoteRescale(env, app, target, match[1] ?? "*");
    return rescaled instanceof Response ? rescaled : answerTo(app, name, rescaled);
  }
  const found = target?.line ?? timelines.main.line;
  const wish = { target: found, accepted: match[1] ?? "*" };
  const starts = new KnownStarts();
  // Before the lines are sealed, so that writers wait for the heads alone.
  const before = again ? null : await previewOf(env, app, found, name, starts);
  if (before instanceof Response) return before;
  const erasures: FoundErasures = new Set();
  const areErased = async ({ parted }: Preview): Promise<boolean> => {
    const [main, target] = [await app.routes(env), await app.timeline(env, name)];
    return target !== null && hasErasures(env, app, main, target, parted, erasures);
  };
  if (before !== null && !(await areErased(before))) return erasureMissing(name);
  const promoting = promote(requestClock, promotionStores(env), wish, async () => {
    const preview = await previewOf(env, app, found, name, starts);
    if (preview instanceof Response) throw new Error(`timeline "${name}" was removed while it was promoted`);
    if (!(await areErased(preview))) throw ERASED_MEANWHILE;
    return { etag: preview.etag, done: JSON.stringify(shown(name, preview)) };
  });
  let promoted: Promoted;
  try {
    promoted = await promoting;
  } catch (error) {
    if (error !== ERASED_MEANWHILE) throw error;
    return erasureMissing(name);
  }
  return answerTo(app, name, promoted);
}

function answerTo(app: App, name: string, promoted: Promoted): Response {
  app.forget();
  switch (promoted.tag) {
    case "promoted": {
      const { switches } = promoted.main;
      return Response.json({ ...(JSON.parse(promoted.done) as object), promoted: true, switches, former: "main~1" });
    }
    case "moved":
      return problem({
        status: 412,
        code: "promotion_moved",
        detail:
          "other events would be given up or changed than those of the preview: look at it again, or send If-Match: *",
        more: { etag: `"${promoted.etag}"` },
      });
    case "busy":
      return problem({
        status: 409,
        code: "promotion_busy",
        detail: `another promotion is ${promoted.main.state === "idle" ? "done" : `in the state "${promoted.main.state}"`}: look at the timelines, and try again`,
      });
    case "no_target":
      return noTimeline(name);
  }
}

const erasureMissing = (name: string): Response =>
  problem({
    status: 409,
    code: "erasure_missing",
    detail: `main has erased a key that timeline "${name}" still shows, and an erasure is never given up: send PUT /v1/timelines/${name} again, which repeats it, then promote`,
  });

/** Was the last promotion this one? A timeline has lost its name when it is main. */
function isAgain(timelines: Timelines, name: string, etag: string | null): boolean {
  const { main } = timelines;
  if (main.done === null) return false;
  if (etag !== null) return main.etag === etag;
  return (JSON.parse(main.done) as Shown).timeline === name && timelineOf(timelines, name) === null;
}

/** Aborts the promotion that is under way, or finishes it if main was switched already. */
export async function deletePromotion(env: Env, app: App, name: string): Promise<Response> {
  const { switches } = await settlePromotion(requestClock, promotionStores(env));
  app.forget();
  return Response.json({ name, state: "idle", switches });
}

/** Returns a timeline that may be promoted. */
async function targetOf(env: Env, name: string): Promise<Timeline | Response> {
  const timelines = await readTimelines(env);
  const found = timelineOf(timelines, name);
  if (found === null) return noTimeline(name);
  if (found.line === timelines.main.line)
    return problem({ status: 409, code: "timeline_is_main", detail: `timeline "${name}" is main` });
  if (found.replaced === 0) return found;
  return timelineSealed(name);
}

async function previewOf(
  env: Env,
  app: App,
  target: number,
  name: string,
  starts: KnownStarts,
): Promise<Preview | Response> {
  // The list must be of what is main now, whatever this isolate heard of last.
  app.forget();
  const [main, timelines, other] = [await app.routes(env), await readTimelines(env), await app.timeline(env, name)];
  if (other?.line !== target) return noTimeline(name);
  const parted = partedAt(main, other);
  // Without the line that both have in common, nobody knows where they parted.
  if (parted === null || !timelines.all.some(({ line }) => line === parted.line))
    return problem({
      status: 409,
      code: "timeline_unrelated",
      detail: `timeline "${name}" and main have no line in common, or it was removed`,
    });
  const givesUp = await stretchesSince(env, app, main, parted, starts);
  const takes = await stretchesSince(env, app, other, parted, starts);
  const facts = [
    timelines.main.line,
    timelines.main.switches,
    target,
    "give_up",
    parted.at,
    listOf(givesUp.stretches),
    listOf(takes.stretches),
  ];
  return { etag: await hexDigest(JSON.stringify(facts)), parted: parted.at, givesUp, takes };
}

/** Only partitions with events on one line alone can have keys that differ. */
async function keysOf(env: Env, app: App, name: string, { givesUp, takes }: Preview): Promise<object[]> {
  const [main, other] = [await app.routes(env), await app.timeline(env, name)];
  if (other === null) return [];
  const [here, there] = await Promise.all([main, other].map((routes) => settledAt(env, routes, "now")));
  const sides =
    here instanceof Response || there instanceof Response
      ? { flaw: "the present isn't settled yet" }
      : ([
          { routes: main, at: here! },
          { routes: other, at: there! },
        ] as const);
  const changed = [...givesUp.stretches, ...takes.stretches];
  return keysThatDiffer(env, main.byOperator.values(), sides, (operator, partition, partitions) =>
    changed.some(
      ({ env: { id }, of }) => id.operator === operator && id.partition === Math.floor((partition * of) / partitions),
    ),
  );
}

interface Shown {
  readonly timeline: string;
  readonly [member: string]: unknown;
}

function shown(timeline: string, { parted, givesUp, takes }: Preview): Shown {
  return { timeline, mode: "give_up", parted, partedTime: stampTime(parted), givesUp: sum(givesUp), takes: sum(takes) };
}

function sum({ stretches: all, newest }: LineStretches): object {
  return {
    events: all.reduce((count, { above, upTo }) => count + upTo - above, 0),
    // A line that has logged nothing of its own has its events from the lines that it starts from.
    ...(all.length === 0 || newest === 0 ? {} : { last: stampTime(newest) }),
    partitions: all.map(({ env: { id }, above, upTo }) => ({
      operator: id.operator,
      partition: id.partition,
      first: above + 1,
      last: upTo,
    })),
  };
}

/**
 * Yields the events that main gives up, as they were sent, in the order of each partition. The last line says whether
 * they are complete: the status is sent long before.
 */
async function* givenUpTexts({ givesUp }: Preview): AsyncGenerator<string> {
  let events = 0;
  for (const { env, above, upTo } of givesUp.stretches) {
    try {
      for await (const texts of eventTexts(env, above, upTo)) {
        events += texts.split("\n").length - 1;
        yield texts;
      }
    } catch (error) {
      const { operator, partition } = env.id;
      const detail = `the events of partition ${partition} of "${operator}" could not be read to their end: ${messageOf(error)}`;
      return yield `${JSON.stringify({ end: true, complete: false, code: "events_interrupted", detail })}\n`;
    }
  }
  yield `${JSON.stringify({ end: true, complete: true, events })}\n`;
}
