/** GET /v1/doctor: how far the stores are, measured in the Worker, without a partition being reached. */
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { App } from "../../../src/worker/app.ts";
import type { Env } from "../../../src/worker/env.ts";
import { routesOf } from "../../../src/worker/routes.ts";
import { all } from "../app.ts";

const ask = async (more: Readonly<Record<string, unknown>> = {}) => {
  const around = { ...env, PARTITION: null, ...more } as unknown as Env;
  const response = await routesOf(new App(all)).fetch(new Request("http://localhost/v1/doctor"), around);
  return { status: response.status, body: await response.json<Record<string, unknown>>() };
};
const times = [0, 1, 2].map(() => expect.any(Number) as unknown);

describe("GET /v1/doctor", () => {
  it("measures each database and the bucket, and says which code it is and where", async () => {
    const { status, body } = await ask({
      REGION: "weur",
      VERSION: { id: "4f1c", tag: "", timestamp: "2026-01-01T00:00:00Z" },
    });
    expect([status, body]).toEqual([
      200,
      {
        code: "4f1c",
        deployedAt: "2026-01-01T00:00:00Z",
        region: "weur",
        jurisdiction: null,
        colo: null,
        stores: [
          { name: "LOG_0", kind: "d1", ms: times, region: null, bytes: expect.any(Number) as unknown },
          { name: "LOG_1", kind: "d1", ms: times, region: null, bytes: expect.any(Number) as unknown },
          { name: "SNAPSHOTS", kind: "r2", ms: times },
        ],
      },
    ]);
    expect((await env.SNAPSHOTS.list()).objects.map(({ key }) => key)).toEqual([]);
  });

  it("names a store that fails, beside those that answer", async () => {
    const down = {
      ...env.SNAPSHOTS,
      list: env.SNAPSHOTS.list.bind(env.SNAPSHOTS),
      head: () => Promise.reject(new Error("R2 is down")),
    };
    const { status, body } = await ask({ SNAPSHOTS: down });
    const stores = body["stores"] as { name: string; error?: string; ms: number[] }[];
    expect(status).toBe(200);
    expect(stores.map(({ name, error }) => [name, error])).toEqual([
      ["LOG_0", undefined],
      ["LOG_1", undefined],
      ["SNAPSHOTS", "R2 is down"],
    ]);
    expect(stores[2]!.ms).toEqual([]);
  });
});
