/** The code that replays another line's log. Worker and Durable Object compare it, since one may run newer code. */
import type { App } from "./app.ts";
import { codeId, type Env } from "./env.ts";

/** Returns the deployed version, and the versions of its operators. */
export const replayCode = (env: Env, app: App): string =>
  [codeId(env), ...app.operators.map(({ name, version }) => `${name} ${version}`)].join(", ");

export const OTHER_CODE = {
  code: "replay_other_code",
  message: "other code was deployed since the replay began: it starts again, from its moment on",
} as const;
