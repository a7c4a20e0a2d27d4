/** Deploying other code under running objects: another list of operators, and the objects dropped from memory. */
import { evictAllDurableObjects } from "cloudflare:test";
import { env } from "cloudflare:workers";
import type { Operator } from "../../src/keyframe.ts";
import { App, install } from "../../src/worker/app.ts";
import { routesOf } from "../../src/worker/routes.ts";
import { runCron } from "../../src/worker/cron.ts";
import { expectDocumented } from "./documented.ts";

interface Called {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

export interface Deployment {
  /** A body that is a text is sent as it is, any other as JSON. */
  call(path: string, body?: unknown, headers?: Record<string, string>, method?: string): Promise<Called>;
  cron(): Promise<void>;
}

/** From now on the Worker and every object that starts run these operators. */
export async function deploy(...operators: readonly Operator[]): Promise<Deployment> {
  const app = install(new App(operators));
  await evictAllDurableObjects();
  const http = routesOf(app);
  return {
    call: async (path, body, more = {}, method = body === undefined ? "GET" : "POST") => {
      const text = typeof body === "string" ? body : JSON.stringify(body);
      const init =
        body === undefined
          ? { method, headers: more }
          : { method, headers: { "content-type": "application/json", ...more }, body: text };
      const response = await http.fetch(new Request(`http://localhost${path}`, init), env);
      const answer = await response.text();
      expectDocumented(init.method, path, response, answer);
      return {
        status: response.status,
        headers: response.headers,
        body: answer === "" ? {} : (JSON.parse(answer) as Record<string, unknown>),
      };
    },
    cron: () => runCron(app, env),
  };
}
