/**
 * The promotion of a timeline that replays main's log: main gives up no event, but outcomes may change
 * (engine/history/promotion.ts).
 *
 * REPLAYPROMOTION1. The list that the caller accepts is of the events whose outcome differs (LINE3 of timelines.md). Each is
 *     in D1 before the row that decides it is.
 * REPLAYPROMOTION2. Main is sealed, then the timeline takes in the rest of main's log, then the lists are compared. So the
 *     new main has every event of the old one.
 * REPLAYPROMOTION3. Only a timeline that replays what is main now may be promoted. Others would give up what main logged.
 */
import type { ChangedOutcome } from "../../engine/base/records.ts";
import { parsePartitionName, partitionName, seq, type Stamp } from "../../engine/base/ids.ts";
import { persistent } from "../../engine/base/retry.ts";
import { promote, type Promoted } from "../../engine/history/promotion.ts";
import type { Timelines } from "../../engine/history/timelines.ts";
import type { App, Routes } from "../app.ts";
import { byteStream } from "../byte-stream.ts";
import type { Env } from "../env.ts";
import { problem } from "../problem.ts";
import { LAST_STAMP, partsOf } from "../lineage.ts";
import { headsOn, unlinedName } from "../read/heads.ts";
import { logOf } from "../read/kept-manifests.ts";
import { settledAt } from "../read/moments.ts";
import { requestClock } from "../request-clock.ts";
import { promotionStores, readTimelines } from "../timelines.ts";
import { hexDigest } from "./digest.ts";
import { OTHER_CODE, replayCode } from "../replay-code.ts";
import { keysThatDiffer } from "./promotion-keys.ts";
import { advance, changedSums, IN_HASTE, type ReplayProgress, type Replaying, underThisCode } from "./replays.ts";

interface Preview {
  readonly etag: string;
  readonly shown: { readonly timeline: string; readonly [member: string]: unknown };
  /** The lists, each of a line. The outcomes of a `mirrored` one were changed on main, and are changed back. */
  readonly lists: readonly {
    readonly line: number;
    readonly partitions: readonly string[];
    readonly mirrored: boolean;
  }[];
}

/** Before main is sealed, the timeline takes in for this long, and so much may be left. */
const AHEAD_MS = 15_000;
const LEFT_EVENTS = 20_000;
/** Main is sealed for no longer than this: the promotion of a caller that is gone is aborted a little later. */
const SEALED_MS = 8_000;

export async function getReplayPromotion(request: Request, env: Env, app: App, line: Replaying): Promise<Response> {
  // A look at it must not begin it again.
  if (line.replay.code !== replayCode(env, app)) return behind(line, OTHER_CODE.message);
  const timelines = await readTimelines(env);
  const unrelated = notOfMain(line, timelines);
  if (unrelated !== null) return unrelated;
  // The timeline takes in all of main's log up to here before both are compared.
  const source = await app.onLine(env, timelines, line.replay.source);
  const at = await settledAt(env, source, "now");
  const found = await ahead(env, app, line);
  if (found instanceof Response) return found;
  const preview = await previewOf(env, found.line, found.progress);
  if (preview instanceof Response) return preview;
  const headers = { etag: `"${preview.etag}"` };
  if (request.headers.get("accept")?.includes("application/x-ndjson") !== true) {
    const keys = await keysOf(env, app, found.line, source, at);
    return Response.json({ ...preview.shown, keys }, { headers });
  }
  return new Response(byteStream(changedTexts(env, app, preview)), {
    headers: { ...headers, "content-type": "application/x-ndjson" },
  });
}

/** Aborts a promotion whose timeline can't take in the rest of main's log. */
export class NotTakenIn extends Error {}

/** `accepted`: the tag of a preview, or "*". */
export async function promoteReplay(
  env: Env,
  app: App,
  line: Replaying,
  accepted: string,
): Promise<Promoted | Response> {
  const found = await ahead(env, app, line);
  if (found instanceof Response) return found;
  const before = await previewOf(env, found.line, found.progress);
  if (before instanceof Response) return before;
  // Main need not be sealed to say so.
  if (accepted !== "*" && accepted !== before.etag) return { tag: "moved", etag: before.etag };
  const wish = { target: found.line.line, accepted };
  try {
    return await promote(requestClock, promotionStores(env), wish, async () => {
      const progress = await advance(env, app, found.line, SEALED_MS, IN_HASTE);
      if (progress.behind.length > 0 || progress.trouble !== null)
        throw new NotTakenIn(progress.trouble ?? `${progress.lag} events are left`);
      const preview = await previewOf(env, found.line, progress);
      if (preview instanceof Response) throw new NotTakenIn("main was switched meanwhile");
      return { etag: preview.etag, done: JSON.stringify(preview.shown) };
    });
  } catch (error) {
    if (!(error instanceof NotTakenIn)) throw error;
    return behind(found.line, error.message);
  }
}

/** Brings the timeline near the end of main's log. */
async function ahead(
  env: Env,
  app: App,
  asked: Replaying,
): Promise<{ readonly line: Replaying; readonly progress: ReplayProgress } | Response> {
  const line = await underThisCode(env, app, asked);
  const progress = await advance(env, app, line, AHEAD_MS);
  if (progress.trouble !== null) return behind(line, progress.trouble);
  if (progress.lag > LEFT_EVENTS) return behind(line, `${progress.lag} events are left`);
  return { line, progress };
}

const behind = ({ name }: Replaying, why: string): Response =>
  problem({
    status: 409,
    code: "timeline_behind",
    detail: `timeline "${name}" hasn't taken in all of main's log: ${why}; let it go on with POST /v1/timelines/${name}/replay`,
    retryAfterSec: 5,
  });

/** Returns the problem if what the timeline replays isn't main, or null (REPLAYPROMOTION3). */
const notOfMain = ({ name, replay }: Replaying, { main }: Timelines): Response | null =>
  replay.source === main.line
    ? null
    : problem({
        status: 409,
        code: "timeline_unrelated",
        detail: `timeline "${name}" replays the log of line ${replay.source}, which isn't main any more: start a replay of main`,
      });

async function previewOf(env: Env, line: Replaying, { lag }: ReplayProgress): Promise<Preview | Response> {
  const timelines = await readTimelines(env);
  const unrelated = notOfMain(line, timelines);
  if (unrelated !== null) return unrelated;
  const { main, all } = timelines;
  const changed = await changedSums(env, line.line);
  const own = all.find((one) => one.line === main.line)!;
  // It starts from the end of the line that main replayed (startOfReplay), so what changed on main changes back.
  const isBack = own.replayed === line.parent && line.at > own.at;
  const back = isBack ? await changedSums(env, main.line) : [];
  const facts = [main.line, main.switches, line.line, "follow", line.replay.code, changed, back];
  const lists = [
    { line: line.line, partitions: changed.map(([name]) => name), mirrored: false },
    { line: main.line, partitions: back.map(([name]) => name), mirrored: true },
  ];
  return {
    etag: await hexDigest(JSON.stringify(facts)),
    shown: {
      timeline: line.name!,
      mode: "follow",
      outcomes: line.replay.outcomes,
      lag,
      changes: {
        events: [...changed, ...back].reduce((sum, [, count]) => sum + count, 0),
        partitions: [...changed, ...back].map(([name, events]) => {
          const { operator, partition } = parsePartitionName(name);
          return { operator, partition, events };
        }),
      },
    },
    lists,
  };
}

/**
 * Compares the states of main and the timeline at one stamp. Only partitions that have rows on the timeline's own line
 * can have keys that differ, or on main's, if the timeline starts where main has gone another way.
 */
async function keysOf(
  env: Env,
  app: App,
  { name, line, parent, at: start }: Replaying,
  source: Routes,
  at: Stamp | Response,
): Promise<object[]> {
  const target = await app.timeline(env, name!);
  if (target?.line !== line) return [];
  const settled = at instanceof Response ? at : await settledAt(env, target, String(at));
  const sides =
    at instanceof Response || settled instanceof Response
      ? { flaw: "the timeline hasn't taken in what main logs now" }
      : ([
          { routes: source, at },
          { routes: target, at },
        ] as const);
  const isOfMain = partsOf(source).some((part) => part.line === parent && start <= part.upTo);
  const lines = isOfMain ? [line] : [line, source.line];
  const heads = await Promise.all(lines.map((one) => headsOn(env, one, LAST_STAMP)));
  return keysThatDiffer(env, source.byOperator.values(), sides, (operator, partition) =>
    heads.some((one) => one.has(unlinedName(partitionName({ line, operator, partition })))),
  );
}

/** Rows that one statement reads. */
const PAGE = 500;

/** Yields the events whose outcome changes, and a last line that says how many they are. */
async function* changedTexts(env: Env, app: App, { lists }: Preview): AsyncGenerator<string> {
  const timelines = await readTimelines(env);
  let events = 0;
  for (const { line, partitions, mirrored } of lists) {
    const { byOperator } = await app.onLine(env, timelines, line);
    for (const name of partitions) {
      const { operator, partition } = parsePartitionName(name);
      const address = byOperator.get(operator)?.addresses[partition];
      // The operator isn't in this code any more.
      if (address === undefined) continue;
      for (let after = seq(0); ;) {
        const from = after;
        const page = await persistent(requestClock, "D1", () => logOf(env, address).changed(from, PAGE));
        for (const one of page) yield `${JSON.stringify({ operator, partition, ...shownChange(one, mirrored) })}\n`;
        events += page.length;
        if (page.length < PAGE) break;
        after = page.at(-1)!.seq;
      }
    }
  }
  yield `${JSON.stringify({ format: "keyframe.changes", v: 1, complete: true, events })}\n`;
}

const shownChange = ({ seq: at, key, id, was, now }: ChangedOutcome, mirrored: boolean): object => ({
  seq: at,
  key,
  id,
  from: mirrored ? now : was,
  to: mirrored ? was : now,
});
