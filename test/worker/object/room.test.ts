/**
 * LOG6: R2 is down and the log's database fills up, in workerd: refused in time, and let in again once the log could be
 * cut.
 */
import { env } from "cloudflare:workers";
import { z } from "zod";
import { afterEach, expect, it } from "vitest";
import { operator } from "../../../src/keyframe.ts";
import { logBytes, type Env } from "../../../src/worker/env.ts";
import { deploy, type Deployment } from "../deployment.ts";
import { d1, r2 } from "../gated-partition.ts";

const filler = operator("filler", {
  version: 1,
  partitions: 2,
  events: { fill: z.object({ text: z.string() }) },
  initial: () => ({ n: 0 }),
  on: { fill: (state) => void (state.n += 1) },
});
const ROOM = 400_000;

afterEach(() => {
  d1.limit = null;
  r2.down = false;
});

let ids = 0;
/** Text that doesn't pack well. */
const text = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(20_000)), (byte) => byte.toString(36)).join("");
const send = (app: Deployment, key: string) =>
  app.call("/v1/events", [{ type: "fill", id: `fill-${ids++}`, key, data: { text: text() } }]);
const sizeNow = async (): Promise<number> => (await env.LOG_0.prepare("SELECT 1").run()).meta.size_after;
const segments = async (): Promise<number> =>
  (await env.LOG_0.prepare("SELECT COUNT(*) AS n FROM segments").first<{ n: number }>())!.n;
/** Keys of the partition that lives in LOG_0. */
async function keysIn(app: Deployment): Promise<string> {
  for (let i = 0; i < 50; i++) {
    const before = await segments();
    await send(app, `k${i}`);
    if ((await segments()) > before) return `k${i}`;
  }
  throw new Error("no key lives in LOG_0");
}

it("takes no more events above the limit; opening, reading and snapshots have room, and cutting lets events in again", async () => {
  const key = await keysIn(await deploy(filler));
  d1.limit = (await sizeNow()) + ROOM;
  r2.down = true;
  let app = await deploy(filler);
  let last = await send(app, key);
  for (let i = 0; i < 100 && last.status === 200; i++) last = await send(app, key);
  expect([last.status, last.body["code"], last.headers.get("retry-after")]).toEqual([503, "log_full", "30"]);
  expect(last.body["detail"]).toMatch(/the limit is \d+/);
  const full = await sizeNow();
  expect(full).toBeLessThan(d1.limit + 100_000);
  expect((await app.call("/v1/operators/filler/partitions/0/snapshot", {})).body["code"]).toBe("snapshot_failed");

  app = await deploy(filler);
  expect((await app.call(`/v1/operators/filler/state?key=${key}`)).status).toBe(200);
  expect((await send(app, key)).body["code"], "a new object looks first").toBe("log_full");

  r2.down = false;
  expect((await app.call("/v1/operators/filler/partitions/0/snapshot", {})).status).toBe(200);
  expect(await segments()).toBe(0);
  for (let i = 0; i < 5; i++) expect((await send(app, key)).status).toBe(200);
  expect(await sizeNow(), "what was freed is used").toBeLessThanOrEqual(full);
  app = await deploy(filler);
  expect((await send(app, key)).status).toBe(200);
});

it("LOG_BYTES must be a number of bytes", () => {
  const of = (setting?: string | number): number =>
    logBytes({ ...(env as unknown as Env), ...(setting === undefined ? {} : { LOG_BYTES: setting }) });
  expect([of(), of("400000000"), of(1_000)]).toEqual([9_000_000_000, 400_000_000, 1_000]);
  for (const wrong of ["", "400MB", "-1", 0, 1.5, "1e9"]) expect(() => of(wrong)).toThrow(/LOG_BYTES/);
});
