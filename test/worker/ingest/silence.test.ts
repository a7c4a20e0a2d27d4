/** A D1 that stays silent for longer than a request lives (LOG3), in the real runtime and in real time. */
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { App } from "../../../src/worker/app.ts";
import { routesOf } from "../../../src/worker/routes.ts";
import { all } from "../app.ts";
import { d1 } from "../gated-partition.ts";
import { add, call, get, postEvents, stateOf } from "../http.ts";

/** A key with state in the same partition: an object that sits idle for so long would be gone, and could not open. */
async function neighbourOf(key: string): Promise<string> {
  const events = [key, ...Array.from({ length: 20 }, (_, i) => `silence-${i}`)].map((one) => add(one, 1));
  const { body } = await postEvents(events, { prefer: "return=representation" });
  const [own, ...others] = body["results"] as { key: string; partition: number }[];
  return others.find((other) => other.partition === own!.partition)!.key;
}

const never = (): Promise<never> => new Promise(() => undefined);

describe("a D1 that doesn't answer", () => {
  it("LOG3: callers hear 503, committed state is served, and the retry counts once", async () => {
    const known = await neighbourOf("silence-caught");
    const caught = add("silence-caught", 5);
    d1.silent = true;
    const answer = await call("/v1/events", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify([caught]),
    });
    // The event is answered at all, though D1 is silent still.
    expect(answer.status).toBe(503);
    expect(answer.headers.get("retry-after")).not.toBeNull();
    expect(answer.body).toMatchObject({ accepted: 0, through: 0 });
    expect(await stateOf("tally", known)).toEqual({ n: 1, events: 1 });
    expect((await get("/v1/operators/tally/state?key=silence-caught")).body["value"]).toEqual({ n: 1, events: 1 });
    d1.silent = false;
    const repeat = await postEvents([caught]);
    expect(repeat.body).toMatchObject({ received: 1, accepted: 0, duplicates: 1 });
    expect(await stateOf("tally", "silence-caught")).toEqual({ n: 6, events: 2 });
  });

  it("a Worker that can't even read the catalogue says so in time, and recovers", async () => {
    const mute = { prepare: () => mute, bind: () => mute, first: never, all: never, run: never, batch: never };
    const http = routesOf(new App(all));
    const ask = (log: unknown) =>
      http.fetch(new Request("http://localhost/v1/operators"), { ...env, LOG_0: log as D1Database, LOG_1: env.LOG_1 });
    const silent = await ask(mute);
    expect(silent.status).toBe(503);
    expect(await silent.json()).toMatchObject({ code: "store_unavailable" });
    expect((await ask(env.LOG_0)).status).toBe(200);
  });
});
