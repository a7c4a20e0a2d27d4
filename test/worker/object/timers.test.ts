/** Timers in the real runtime: an alarm fires them, the cron stands in for a lost alarm, a promotion leaves none behind. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { z } from "zod";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { operator } from "../../../src/keyframe.ts";
import { deploy, type Deployment } from "../deployment.ts";
import { patiently } from "../patiently.ts";

const carts = operator("carts", {
  version: 1,
  events: { "cart.changed": z.object({ afterMs: z.int() }), "cart.paid": z.object({}) },
  initial: () => ({ abandoned: false }),
  on: {
    "cart.changed": (_cart, event, ctx) => ctx.timers.set("abandon", { after: event.data.afterMs }),
    "cart.paid": (_cart, _event, ctx) => ctx.timers.clear("abandon"),
  },
  timers: { abandon: (cart) => void (cart.abandoned = true) },
});

let app: Deployment;
beforeAll(async () => {
  app = await deploy(carts);
});
afterEach(() => void vi.useRealTimers());

const HOUR = 3_600_000;
let ids = 0;
const send = async (key: string, type: string, data: object): Promise<void> => {
  const { body } = await app.call("/v1/events", { id: `timer-${++ids}`, type, key, data });
  expect(body).toMatchObject({ accepted: 1 });
};
const cart = async (key: string): Promise<unknown> =>
  (await app.call(`/v1/operators/carts/state?key=${key}`)).body["value"];
/** The partition clock doesn't go back with the one that a test has set, so what is due says how late it is. */
const past = async (key: string): Promise<number> => {
  const { timers } = (await app.call(`/v1/operators/carts/timers?key=${key}`)).body as { timers: { due: string }[] };
  return Date.parse(timers[0]!.due) + 300_000;
};
const stub = (line = 1) => env.PARTITION.getByName(`${line}/carts/0000`);
const armed = (): Promise<number | null> => runInDurableObject(stub(), (_, state) => state.storage.getAlarm());
/** The object is gone, and its alarm was lost. */
const lose = async (): Promise<void> => {
  await runInDurableObject(stub(), (_, state) => state.storage.deleteAlarm());
  await evictDurableObject(stub());
};

describe("a timer", () => {
  it("fires without any other call, and once it is cleared never", async () => {
    await send("paid", "cart.changed", { afterMs: 1_500 });
    await send("left", "cart.changed", { afterMs: 1_500 });
    await send("paid", "cart.paid", {});
    await patiently(async () => expect(await cart("left")).toEqual({ abandoned: true }));
    expect(await cart("paid")).toEqual({ abandoned: false });
  });

  it("wakes nobody before it is due", async () => {
    await send("far", "cart.changed", { afterMs: 24 * HOUR });
    await patiently(async () => expect(Math.abs((await armed())! - Date.now() - 24 * HOUR)).toBeLessThan(HOUR));
  });

  it.each(["a tail", "a snapshot alone"])("SNAP6: is found by the cron if its alarm was lost, from %s", async (how) => {
    const key = `lost ${how}`;
    await send(key, "cart.changed", { afterMs: HOUR });
    if (how !== "a tail") await app.call("/v1/operators/carts/partitions/0/snapshot", {});
    await lose();
    await app.cron();
    expect(await cart(key)).toEqual({ abandoned: false });
    vi.setSystemTime(await past(key));
    await lose();
    await app.cron();
    await patiently(async () => expect(await cart(key)).toEqual({ abandoned: true }));
  });

  it("fires on a line that became main, though nobody has called the partition there", async () => {
    await send("rolled back", "cart.changed", { afterMs: 2 * HOUR });
    const due = await past("rolled back");
    const put = await app.call("/v1/timelines/back", { from: "now", expires: null }, {}, "PUT");
    expect(put.status, JSON.stringify(put.body)).toBe(201);
    const promoted = await app.call("/v1/timelines/back/promotion", undefined, { "if-match": "*" }, "POST");
    expect(promoted.status, JSON.stringify(promoted.body)).toBe(200);
    vi.setSystemTime(due);
    await app.cron();
    await patiently(async () => expect(await cart("rolled back")).toEqual({ abandoned: true }));
  });
});
