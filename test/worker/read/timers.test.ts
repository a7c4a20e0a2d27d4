/** Pending timers and expiry over HTTP: what is read now and as of a moment, and a firing in the history of its key. */
import { beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { operator } from "../../../src/keyframe.ts";
import { App } from "../../../src/worker/app.ts";
import { routesOf } from "../../../src/worker/routes.ts";
import { env } from "cloudflare:workers";
import { deploy, type Deployment } from "../deployment.ts";

const PAST = "2001-01-01T00:00:00.000Z";
const FAR = "2125-01-01T00:00:00.000Z";
const FARTHER = "2125-06-01T00:00:00.000Z";
const HOUR_MS = 3_600_000;

const Set = z.object({ set: z.record(z.string(), z.string()).optional(), clear: z.string().optional() });

const cart = operator("cart", {
  version: 1,
  partitions: 2,
  events: { "cart.set": Set, "cart.gone": z.object({}) },
  initial: () => ({ fired: [] as string[] }),
  on: {
    "cart.set"(_state, event, ctx) {
      for (const [name, at] of Object.entries(event.data.set ?? {})) ctx.timers.set(name as "abandon", { at });
      if (event.data.clear !== undefined) ctx.timers.clear(event.data.clear as "abandon");
    },
    "cart.gone": (_state, _event, ctx) => ctx.remove(),
  },
  timers: {
    abandon: (state, { name }) => void state.fired.push(name),
    remind: (state, { name }) => void state.fired.push(name),
    broken() {
      throw new Error("broken");
    },
  },
});
/** Its keys expire an hour after their last event. */
const session = operator("session", {
  version: 1,
  events: { "session.seen": z.object({}) },
  initial: () => ({ seen: 0 }),
  on: { "session.seen": (state) => void (state.seen += 1) },
  expire: "1h",
});

let app: Deployment;
let sent = 0;
const send = async (type: string, key: string, data: object = {}): Promise<void> => {
  expect((await app.call("/v1/events", { type, id: `t${++sent}`, key, data })).status).toBe(200);
};
const set = (key: string, timers: Readonly<Record<string, string>>): Promise<void> =>
  send("cart.set", key, { set: timers });
const timersOf = (key: string, more = "", op = "cart") =>
  app.call(`/v1/operators/${op}/timers?key=${encodeURIComponent(key)}${more}`);

beforeAll(async () => {
  app = await deploy(cart, session);
});

describe("GET /timers", () => {
  it("has the timers of a key, the first to fire first", async () => {
    await set("é/1", { remind: FAR, abandon: FARTHER });
    const { status, body } = await timersOf("é/1");
    expect(status).toBe(200);
    expect(body).toEqual({
      operator: "cart",
      key: "é/1",
      timers: [
        { name: "remind", due: FAR },
        { name: "abandon", due: FARTHER },
      ],
      expires: null,
      partition: expect.any(Number) as unknown,
      seq: expect.any(Number) as unknown,
      time: expect.stringMatching(/^20\d\d-.*Z$/) as unknown,
    });
    await set("é/1", { abandon: FAR });
    await send("cart.set", "é/1", { clear: "remind" });
    const after = await timersOf("é/1");
    expect(after.body["timers"]).toEqual([{ name: "abandon", due: FAR }]);
    expect(after.body["seq"]).toBeGreaterThan(body["seq"] as number);
  });

  it("has when a key expires, which an edit renews", async () => {
    await send("session.seen", "s", {});
    const { body } = await timersOf("s", "", "session");
    expect(body["timers"]).toEqual([]);
    const expiresMs = Date.parse(body["expires"] as string);
    expect(expiresMs).toBeGreaterThanOrEqual(Date.parse(body["time"] as string));
    const put = { "if-match": "*" };
    const edited = await app.call("/v1/operators/session/state?key=s", { seen: 7 }, put, "PUT");
    expect(edited.status).toBe(200);
    const renewed = await timersOf("s", "", "session");
    expect(renewed.body["seq"]).toBe(edited.body["seq"]);
    expect(Date.parse(renewed.body["expires"] as string)).toBeGreaterThanOrEqual(expiresMs);
    expect(Date.parse(renewed.body["time"] as string) + HOUR_MS).toBeGreaterThan(expiresMs - HOUR_MS);
  });

  it("an edit leaves the timers of its key, and a deletion clears them", async () => {
    await set("edited", { remind: FAR });
    const path = "/v1/operators/cart/state?key=edited";
    expect((await app.call(path, { fired: [] }, { "if-match": "*" }, "PUT")).status).toBe(200);
    expect((await timersOf("edited")).body["timers"]).toEqual([{ name: "remind", due: FAR }]);
    expect((await app.call(path, undefined, { "if-match": "*" }, "DELETE")).status).toBe(200);
    expect((await timersOf("edited")).status).toBe(404);
    expect((await app.call(path, { fired: [] }, { "if-none-match": "*" }, "PUT")).status).toBe(200);
    expect((await timersOf("edited")).body["timers"]).toEqual([]);
  });

  it("reads the past, from the stores alone", async () => {
    await set("then", { remind: FAR });
    const { body } = await timersOf("then", "&at=now");
    expect(body).toMatchObject({ timers: [{ name: "remind", due: FAR }], at: expect.any(Number) as unknown });
    await send("cart.set", "then", { clear: "remind" });
    expect((await timersOf("then")).body["timers"]).toEqual([]);
    for (const n of [0, 1]) await app.call(`/v1/operators/cart/partitions/${n}/snapshot`, {});
    const around = { ...env, PARTITION: null as unknown as typeof env.PARTITION };
    const asked = new Request(`http://localhost/v1/operators/cart/timers?key=then&at=${String(body["at"])}`);
    const again = await routesOf(new App([cart, session])).fetch(asked, around);
    expect(await again.json()).toEqual(body);
    expect(await timersOf("then", `&at=${PAST}`)).toMatchObject({
      status: 404,
      body: { code: "no_state", key: "then", at: expect.any(Number) as unknown },
    });
  });

  it("reads a timeline, whose timers are its own", async () => {
    await set("forked", { remind: FAR });
    expect((await app.call("/v1/timelines/t1", { from: "now" }, {}, "PUT")).status).toBe(201);
    await send("cart.set", "forked", { clear: "remind" });
    expect((await timersOf("forked")).body["timers"]).toEqual([]);
    expect((await timersOf("forked", "&timeline=t1")).body["timers"]).toEqual([{ name: "remind", due: FAR }]);
    expect((await timersOf("forked", "&at=t1@now")).body["timers"]).toEqual([{ name: "remind", due: FAR }]);
  });

  it("is no_state for a key without state", async () => {
    expect(await timersOf("nobody")).toMatchObject({ status: 404, body: { code: "no_state", key: "nobody" } });
    await set("left", { remind: FAR });
    await send("cart.gone", "left");
    expect(await timersOf("left")).toMatchObject({ status: 404, body: { code: "no_state" } });
  });

  it.each([
    ["/v1/operators/cart/timers", 400, "invalid_key"],
    ["/v1/operators/cart/timers?key=", 400, "invalid_key"],
    ["/v1/operators/cart/timers?key=k&at=someday%20", 400, "invalid_moment"],
    ["/v1/operators/cart/timers?key=k&at=2225-01-01T00:00:00Z", 409, "not_settled"],
    ["/v1/operators/nothing/timers?key=k", 404, "no_operator"],
  ])("%s is %i %s", async (path, status, code) => {
    expect(await app.call(path)).toMatchObject({ status, body: { code } });
  });

  it("binds a caller to its keys, and wants the role", async () => {
    await set("acme/1", { remind: FAR });
    const bound = routesOf(new App([cart, session]), () => ({ may: ["read"], keyPrefix: "acme/" }));
    const statuses = ["acme/1", "other", "ac"].map(async (key) => {
      const asked = new Request(`http://localhost/v1/operators/cart/timers?key=${encodeURIComponent(key)}`);
      return (await bound.fetch(asked, env)).status;
    });
    expect(await Promise.all(statuses)).toEqual([200, 403, 403]);
    const sender = routesOf(new App([cart, session]), () => ({ may: ["ingest"] }));
    expect((await sender.fetch(new Request("http://localhost/v1/operators/cart/timers?key=k"), env)).status).toBe(403);
  });
});

describe("GET /history", () => {
  it("shows that a timer fired, and what it left", async () => {
    await set("fires", { abandon: PAST });
    await send("cart.set", "fires", {});
    const { body } = await app.call("/v1/operators/cart/history?key=fires");
    const items = body["items"] as { event: { type: string }; value: unknown; outcome: unknown }[];
    expect(items.map(({ event, value }) => [event.type, value])).toEqual([
      ["cart.set", { fired: ["abandon"] }],
      ["keyframe.timer", { fired: ["abandon"] }],
      ["cart.set", { fired: [] }],
    ]);
    const { due } = (items[1]!.event as unknown as { data: { due: number } }).data;
    expect(items[1]).toMatchObject({
      event: { source: "keyframe:timer", id: `abandon@${due}`, data: { timer: "abandon", due } },
      outcome: { status: "applied" },
    });
    const blamed = await app.call("/v1/operators/cart/blame?key=fires&path=/fired/0");
    expect(blamed.body["item"]).toMatchObject({ event: { type: "keyframe.timer" }, to: "abandon" });
  });

  it("shows a timer that threw, and its retry", async () => {
    await set("threw", { broken: PAST });
    await send("cart.set", "threw", {});
    const { body } = await app.call("/v1/operators/cart/history?key=threw");
    expect(body["items"]).toMatchObject([
      { event: { type: "cart.set" }, value: { fired: [] } },
      {
        event: { type: "keyframe.timer", data: { timer: "broken" } },
        outcome: { status: "quarantined", error: "broken" },
        value: { fired: [] },
      },
      { event: { type: "cart.set" }, value: { fired: [] } },
    ]);
    expect((await timersOf("threw")).body["timers"]).toEqual([]);
  });
});

describe("GET /metrics", () => {
  it("counts timers that fired", async () => {
    const fired = async (): Promise<number> => {
      const text = await (await routesOf(new App([cart])).fetch(new Request("http://localhost/metrics"), env)).text();
      const samples = [...text.matchAll(/^keyframe_timers_fired_total\{[^}]*operator="cart"[^}]*\} (\d+)$/gm)];
      return samples.reduce((sum, [, count]) => sum + Number(count), 0);
    };
    const before = await fired();
    await set("counted", { abandon: PAST });
    await send("cart.set", "counted", {});
    expect(await fired()).toBe(before + 1);
  });
});
