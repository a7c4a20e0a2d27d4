/** `/v1/savepoints`: named moments over all operators (engine/history/savepoints.ts). No partition is woken. */
import { isObject } from "../../engine/base/json.ts";
import { stampTime } from "../../engine/base/hybrid-clock.ts";
import type { Savepoint } from "../../engine/base/records.ts";
import { SAVEPOINTS } from "../../engine/base/limits.ts";
import { listSavepoints, removeSavepoint, takeSavepoint, unarchivedSince } from "../../engine/history/savepoints.ts";
import { limited } from "../../engine/base/retry.ts";
import type { Env } from "../env.ts";
import { BodyError, bodyText } from "../http/body.ts";
import { problem } from "../problem.ts";
import { noSavepoint, savepointFiles, savepointStores, settledAt } from "../read/moments.ts";
import { requestClock } from "../request-clock.ts";

const BODY_BYTES = 4_096;

export async function putSavepoint(request: Request, env: Env, name: string): Promise<Response> {
  const at = await momentIn(request);
  if (at instanceof Response) return at;
  const stamp = await settledAt(env, at ?? "now");
  if (stamp instanceof Response) return stamp;
  const taken = await takeSavepoint(savepointFiles(env), savepointStores(env), name, stamp, at !== null);
  switch (taken.tag) {
    case "taken":
      return Response.json((await shown(env, [taken.savepoint]))[0], { status: taken.isNew ? 201 : 200 });
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
  let body: unknown;
  try {
    const text = await bodyText(request, BODY_BYTES);
    body = text.trim() === "" ? {} : JSON.parse(text);
  } catch (error) {
    if (error instanceof BodyError) return problem({ status: error.status, code: error.code, detail: error.message });
    return problem({ status: 400, code: "malformed_json", detail: "the body isn't valid JSON" });
  }
  const at = isObject(body) ? (body["at"] ?? null) : undefined;
  if (at === null || typeof at === "string") return at;
  if (typeof at === "number") return String(at);
  return problem({ status: 400, code: "invalid_body", detail: 'the body must be {"at"?: a moment}' });
}

export async function getSavepoints(env: Env): Promise<Response> {
  return Response.json(await shown(env, await listSavepoints(savepointFiles(env), savepointStores(env))));
}

export async function getSavepoint(env: Env, name: string): Promise<Response> {
  const rows = await limited(requestClock, "D1", () => savepointStores(env)[0].all());
  const found = rows.find((row) => row.name === name && row.state === "held");
  return found === undefined ? noSavepoint(name) : Response.json((await shown(env, [found]))[0]);
}

/** Removing a savepoint that isn't there succeeds. */
export async function deleteSavepoint(env: Env, name: string): Promise<Response> {
  await removeSavepoint(savepointFiles(env), savepointStores(env), name);
  return Response.json({ name, removed: true });
}

async function shown(env: Env, savepoints: readonly Savepoint[]): Promise<object[]> {
  const since = savepoints.length === 0 ? [] : await unarchivedSince(savepointFiles(env), savepointStores(env));
  return savepoints.map(({ name, at, createdMs }) => {
    const unarchived = since.filter((first) => first <= at).length;
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
