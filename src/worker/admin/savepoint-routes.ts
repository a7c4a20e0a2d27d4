/** `/v1/savepoints`: named moments over all operators (engine/history/savepoints.ts). No partition is woken. */
import { isObject } from "../../engine/base/json.ts";
import { stampTime } from "../../engine/base/hybrid-clock.ts";
import type { Stamp } from "../../engine/base/ids.ts";
import { SAVEPOINTS } from "../../engine/base/limits.ts";
import {
  listSavepoints,
  removeSavepoint,
  type Taken,
  takeSavepoint,
  unarchivedSince,
} from "../../engine/history/savepoints.ts";
import { timelineIn } from "../../engine/history/moment.ts";
import { isNamed } from "../../engine/history/timelines.ts";
import type { App, Routes } from "../app.ts";
import type { Env } from "../env.ts";
import { jsonBody } from "../http/json-body.ts";
import { problem } from "../problem.ts";
import type { Lineage } from "../lineage.ts";
import {
  type LineSavepoint,
  noSavepoint,
  noTimeline,
  savepointsOn,
  settledAt,
  timelineUnstarted,
} from "../read/moments.ts";
import { requestClock } from "../request-clock.ts";
import { savepointFiles, savepointStores } from "../timelines.ts";

const BODY_BYTES = 4_096;

export async function putSavepoint(
  request: Request,
  env: Env,
  app: App,
  asked: Routes,
  name: string,
): Promise<Response> {
  const at = await momentIn(request);
  if (at instanceof Response) return at;
  const timeline = at === null ? null : timelineIn(at);
  const on = timeline === null ? asked : await app.timeline(env, timeline);
  if (on === null) return noTimeline(timeline!);
  if (on.unstarted === true) return timelineUnstarted(timeline!);
  const stamp = await settledAt(env, on, at ?? "now");
  if (stamp instanceof Response) return stamp;
  const exact = at !== null;
  const earlier = (await savepointsOn(env, on)).get(name);
  const taken: Taken =
    earlier === undefined || earlier.line === on.line
      ? await takeSavepoint(savepointFiles(env, on.line), savepointStores(env, on.line), name, stamp, exact)
      : earlier.state === "removing" || (exact && earlier.at !== stamp)
        ? { tag: "conflict", savepoint: earlier }
        : { tag: "taken", savepoint: earlier, isNew: false };
  switch (taken.tag) {
    case "taken":
      return Response.json((await shown(env, [{ line: on.line, ...taken.savepoint }]))[0], {
        status: taken.isNew ? 201 : 200,
      });
    case "conflict": {
      const { state, at: other } = taken.savepoint;
      const detail =
        state === "removing"
          ? `savepoint "${name}" is being removed: delete it again, then save under its name`
          : `savepoint "${name}" is stamp ${other}, ${stampTime(other)}: delete it, or take another name`;
      return problem({ status: 409, code: "savepoint_exists", detail, more: { at: other } });
    }
    case "gone":
      return problem({
        status: 410,
        code: "moment_gone",
        detail: `retention has given up stamp ${stamp}, ${stampTime(stamp)}, in some partition: save a later moment`,
      });
    case "full":
      return problem({
        status: 409,
        code: "too_many_savepoints",
        detail: `there are ${SAVEPOINTS} savepoints, which is the most there may be: remove one`,
      });
  }
}

/** Returns the moment of `{"at"?}`, or null if the body is empty or names none. */
async function momentIn(request: Request): Promise<string | null | Response> {
  const body = await jsonBody(request, BODY_BYTES);
  if (body instanceof Response) return body;
  const at = isObject(body) ? (body["at"] ?? null) : undefined;
  if (at === null || typeof at === "string") return at;
  if (typeof at === "number") return String(at);
  return problem({ status: 400, code: "invalid_body", detail: 'the body must be {"at"?: a moment}' });
}

export async function getSavepoints(env: Env, on: Lineage): Promise<Response> {
  await listSavepoints(savepointFiles(env, on.line), savepointStores(env, on.line));
  const all = [...(await savepointsOn(env, on)).values()].filter((one) => isNamed(one) && one.state === "held");
  return Response.json(
    await shown(
      env,
      all.sort((a, b) => (a.name < b.name ? -1 : 1)),
    ),
  );
}

export async function getSavepoint(env: Env, on: Lineage, name: string): Promise<Response> {
  const found = (await savepointsOn(env, on)).get(name);
  return found?.state === "held" ? Response.json((await shown(env, [found]))[0]) : noSavepoint(name);
}

/** Removing a savepoint that isn't there succeeds. */
export async function deleteSavepoint(env: Env, on: Lineage, name: string): Promise<Response> {
  const line = (await savepointsOn(env, on)).get(name)?.line ?? on.line;
  await removeSavepoint(savepointFiles(env, line), savepointStores(env, line), name);
  return Response.json({ name, removed: true });
}

async function shown(env: Env, savepoints: readonly LineSavepoint[]): Promise<object[]> {
  const since = new Map<number, readonly Stamp[]>();
  for (const line of new Set(savepoints.map((one) => one.line)))
    since.set(line, await unarchivedSince({ clock: requestClock }, savepointStores(env, line)));
  return savepoints.map(({ name, at, createdMs, line }) => {
    const unarchived = since.get(line)!.filter((first) => first <= at).length;
    return {
      name,
      at,
      time: stampTime(at),
      created: new Date(createdMs).toISOString(),
      restorable: unarchived === 0,
      ...(unarchived === 0 ? {} : { unarchived }),
    };
  });
}
