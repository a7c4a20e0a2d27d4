/**
 * The promotion of a timeline with other partitions that starts where main ends (LINE7 of timelines.ts): main gives up
 * nothing, and no outcome changes.
 *
 * RESCALE1. Main is sealed, then its end is read. Nothing is copied: each new partition reads the one that it starts
 *     from, until it has a snapshot of its own. So writes pause for some statements, whatever the size of the state.
 */
import type { Timeline } from "../../engine/base/records.ts";
import { endOfLine, promote, type Promoted } from "../../engine/history/promotion.ts";
import type { Timelines } from "../../engine/history/timelines.ts";
import type { App } from "../app.ts";
import type { Env } from "../env.ts";
import { problem } from "../problem.ts";
import { requestClock } from "../request-clock.ts";
import { floorsOf, promotionStores, readTimelines } from "../timelines.ts";
import { hexDigest } from "./digest.ts";

interface Preview {
  readonly etag: string;
  readonly shown: object;
}

export async function getRescalePromotion(request: Request, env: Env, app: App, line: Timeline): Promise<Response> {
  const preview = await previewOf(env, app, line);
  if (preview instanceof Response) return preview;
  const headers = { etag: `"${preview.etag}"` };
  if (request.headers.get("accept")?.includes("application/x-ndjson") !== true)
    return Response.json(preview.shown, { headers });
  // The file of given-up events, which is empty.
  return new Response('{"end":true,"complete":true,"events":0}\n', {
    headers: { ...headers, "content-type": "application/x-ndjson" },
  });
}

/** `accepted`: the tag of a preview, or "*". */
export async function promoteRescale(
  env: Env,
  app: App,
  line: Timeline,
  accepted: string,
): Promise<Promoted | Response> {
  const preview = await previewOf(env, app, line);
  if (preview instanceof Response) return preview;
  const { etag } = preview;
  if (accepted !== "*" && accepted !== etag) return { tag: "moved", etag };
  const done = JSON.stringify(preview.shown);
  return promote(requestClock, promotionStores(env), { target: line.line, accepted }, async (main) => {
    const timelines = await readTimelines(env);
    const { at } = timelines.all.find((one) => one.line === main.line)!;
    return { etag, done, end: await endOfLine(requestClock, floorsOf(env, main.line), at) };
  });
}

/** No event of main moves the tag, or no promotion under traffic would get through. */
async function previewOf(
  env: Env,
  app: App,
  { line, name, parent, split = {} }: Timeline,
): Promise<Preview | Response> {
  const timelines: Timelines = await readTimelines(env);
  const { main } = timelines;
  if (main.line !== parent)
    return problem({
      status: 409,
      code: "timeline_unrelated",
      detail: `timeline "${name}" starts from line ${parent}, which isn't main any more: delete it, and make another one`,
    });
  const { byOperator } = await app.onLine(env, timelines, main.line);
  const partitions = Object.fromEntries(
    Object.entries(split).map(([operator, parts]) => {
      const from = byOperator.get(operator)?.placement.partitions;
      return [operator, from === undefined ? { parts } : { from, to: from * parts }];
    }),
  );
  return {
    etag: await hexDigest(JSON.stringify([main.line, main.switches, line, "rescale", split])),
    shown: { timeline: name, mode: "rescale", partitions },
  };
}
