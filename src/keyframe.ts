/**
 * Keyframe: stateful stream processing that never loses its place. The package's face.
 *
 * @example
 * import { keyframe } from "keyframe";
 * export { Partition } from "keyframe";
 * export default keyframe({ operators: [myOperator] });
 */
import type { Operator } from "./engine/operator.ts";
import { App, install, type Env } from "./worker/app.ts";
import { routesOf } from "./worker/routes.ts";
import { sweep } from "./worker/sweep.ts";

export { operator } from "./engine/operator.ts";
export type { Context, Duration, Event, Operator, Refusal, Retain, SnapshotPolicy, Spec } from "./engine/operator.ts";
export { Partition } from "./worker/partition-object.ts";
export type { Env } from "./worker/app.ts";

export interface KeyframeOptions {
  readonly operators: readonly Operator[];
}

export interface Keyframe {
  fetch(request: Request, env: Env, ctx: ExecutionContext): Response | Promise<Response>;
  scheduled(controller: ScheduledController, env: Env, ctx: ExecutionContext): Promise<void>;
}

/**
 * A Worker's handlers for these operators. Call it once, in the Worker's main module, and export `Partition` beside it.
 *
 * @throws where two operators have one name
 */
export function keyframe({ operators }: KeyframeOptions): Keyframe {
  const app = install(new App(operators));
  const http = routesOf(app);
  return {
    fetch: (request, env, ctx) => http.fetch(request, env, ctx),
    scheduled: (_controller, env) => sweep(app, env),
  };
}
