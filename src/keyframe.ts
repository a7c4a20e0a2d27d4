/**
 * Keyframe: stateful stream processing that never loses its place. The entry module of the package.
 *
 * @example
 * import { keyframe } from "keyframe-streams";
 * export { Keyframe, Partition } from "keyframe-streams";
 * export default keyframe({ operators: [myOperator] });
 */
import type { Operator } from "./engine/operator/operator.ts";
import { onlyNames, type Fail } from "./engine/operator/settings.ts";
import type { Authorize } from "./worker/http/access.ts";
import { App, install } from "./worker/app.ts";
import type { Env } from "./worker/env.ts";
import { consume } from "./worker/ingest/queue.ts";
import { checkCors, type Cors } from "./worker/http/hardening.ts";
import { routesOf } from "./worker/routes.ts";
import { runCron } from "./worker/cron.ts";

export { operator, timeMs } from "./engine/operator/operator.ts";
export type { Context, Operator, Refusal, Spec, TimerContext } from "./engine/operator/operator.ts";
export type { Duration, Retain, SnapshotPolicy } from "./engine/operator/settings.ts";
export type { DueTimer, TimersOf } from "./engine/operator/timer-settings.ts";
export type { Event } from "./engine/event/event.ts";
export type { EventFor, ReplyOf, StateOf } from "./engine/operator/operator-types.ts";
export type { Authorize, Grant, Role } from "./worker/http/access.ts";
export type { Env } from "./worker/env.ts";
export type { Asked } from "./worker/ingest/ask.ts";
export type { Cors } from "./worker/http/hardening.ts";
export { Partition } from "./worker/object/partition-object.ts";
export { Keyframe } from "./worker/ingest/service.ts";
export type { Got, GotTimers, SendOptions, Sent, Service } from "./worker/ingest/service.ts";

export interface KeyframeOptions<E extends Env = Env> {
  readonly operators: readonly Operator[];
  /** Decides who may do what over HTTP, in place of the tokens in the environment. */
  readonly authorize?: Authorize<E>;
  /** Origins whose pages may call the app. Default: none. */
  readonly cors?: Cors;
}

/** The handlers of a Worker. */
export interface Handlers<E extends Env = Env> {
  fetch(request: Request, env: E, ctx: ExecutionContext): Response | Promise<Response>;
  /** For a cron trigger, each ten minutes or so. The handler restarts partitions that lost their alarm. */
  scheduled(controller: ScheduledController, env: E, ctx: ExecutionContext): Promise<void>;
  /** For a consumer of a Cloudflare Queue whose messages are events. */
  queue(batch: MessageBatch, env: E, ctx: ExecutionContext): Promise<void>;
}

/**
 * A Worker's handlers for these operators. Call it once, in the Worker's main module, and export `Partition` beside it.
 *
 * @example
 * import { keyframe, type Env } from "keyframe-streams";
 * interface MyEnv extends Env {
 *   readonly TENANTS: KVNamespace;
 * }
 * export default keyframe<MyEnv>({
 *   operators: [myOperator],
 *   // Every tenant has a token of its own, and keys of its own.
 *   async authorize(request, env) {
 *     const tenant = await env.TENANTS.get(request.headers.get("authorization") ?? "");
 *     // Encoded, a name holds no "/", so no tenant's prefix begins with another's.
 *     return tenant === null ? null : { may: ["ingest", "read"], keyPrefix: `${encodeURIComponent(tenant)}/` };
 *   },
 * });
 * @throws if two operators share a name, an origin is invalid, or an option is unknown: a misspelt `authorize` would
 *   protect nothing
 */
export function keyframe<E extends Env = Env>(options: KeyframeOptions<E>): Handlers<E> {
  const { operators, authorize, cors } = options;
  const fail: Fail = (why) => {
    throw new Error(`keyframe(): ${why}`);
  };
  onlyNames(options, "it", ["operators", "authorize", "cors"], fail);
  if (authorize !== undefined && typeof authorize !== "function") fail("authorize must be a function");
  const app = install(new App(operators));
  // The environment that the platform gives is the one that E says.
  const http = routesOf(app, (authorize as Authorize | undefined) ?? null, cors === undefined ? null : checkCors(cors));
  return {
    fetch: (request, env, ctx) => http.fetch(request, env, ctx),
    scheduled: (_controller, env) => runCron(app, env),
    queue: (batch, env) => consume(app, env, batch),
  };
}
