/**
 * The shipped app, and beside it what nobody sees from outside: how many connections an object has, and how many
 * instances it had.
 */
import { keyframe, Partition as Real, type Env } from "../../src/keyframe.ts";
import { operators } from "../../src/operators/index.ts";

export { Keyframe } from "../../src/keyframe.ts";

export class Partition extends Real {
  readonly #instance: number;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#instance = (ctx.storage.kv.get<number>("instances") ?? 0) + 1;
    ctx.storage.kv.put("instances", this.#instance);
  }

  /** `connections`: of those that watch the key. */
  counted(key: string): { readonly instance: number; readonly connections: number } {
    const keys = this.ctx.getWebSockets().map((socket) => (socket.deserializeAttachment() as { key: string }).key);
    return { instance: this.#instance, connections: keys.filter((watched) => watched === key).length };
  }
}

/** The type of its stub, since the platform's own type knows the shipped class only. */
interface Counted {
  counted(key: string): Promise<ReturnType<Partition["counted"]>>;
}

const app = keyframe({ operators });

export default {
  async fetch(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    if (!pathname.startsWith("/counted/")) return app.fetch(request, env, ctx);
    const object = env.PARTITION.getByName(decodeURIComponent(pathname.slice("/counted/".length)));
    return Response.json(await (object as unknown as Counted).counted(searchParams.get("key") ?? ""));
  },
};
