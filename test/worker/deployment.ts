/** Deploying other code under running objects: another list of operators, and the objects dropped from memory. */
import { evictAllDurableObjects } from "cloudflare:test";
import { env } from "cloudflare:workers";
import type { Operator } from "../../src/keyframe.ts";
import { App, install } from "../../src/worker/app.ts";
import { routesOf } from "../../src/worker/routes.ts";
import { sweep } from "../../src/worker/sweep.ts";

export interface Deployment {
  call(path: string, body?: unknown): Promise<{ readonly status: number; readonly body: Record<string, unknown> }>;
  sweep(): Promise<void>;
}

/** From here on the Worker and every object that starts run these operators. */
export async function deploy(...operators: readonly Operator[]): Promise<Deployment> {
  const app = install(new App(operators));
  await evictAllDurableObjects();
  const http = routesOf(app);
  return {
    call: async (path, body) => {
      const init =
        body === undefined
          ? {}
          : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
      const response = await http.fetch(new Request(`http://localhost${path}`, init), env);
      return { status: response.status, body: await response.json<Record<string, unknown>>() };
    },
    sweep: () => sweep(app, env),
  };
}
