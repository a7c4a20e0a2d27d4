/** The routes for admins on a timeline: status, snapshot, pins, quarantine and eviction of a partition. */
import { beforeEach, describe, expect, test } from "vitest";
import { call, get, type Answer } from "../http.ts";
import { fuse } from "../operators.ts";

const PARTITION = "/v1/operators/fragile/partitions/0";
const QUARANTINE = "/v1/operators/fragile/quarantine";

const post = (path: string, body?: unknown): Promise<Answer> =>
  call(path, {
    method: "POST",
    ...(body === undefined ? {} : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
  });
const remove = (path: string): Promise<Answer> => call(path, { method: "DELETE" });
const start = (name: string): Promise<Answer> => call(`/v1/timelines/${name}`, { method: "PUT" });
const on = (path: string, timeline: string): string => `${path}${path.includes("?") ? "&" : "?"}timeline=${timeline}`;

let made = 0;
const send = (key: string, what: string, timeline = "main"): Promise<Answer> =>
  post(on("/v1/events", timeline), [{ type: "fragile.do", id: `line-${++made}`, key, data: { what } }]);
const done = async (key: string, timeline: string): Promise<unknown> =>
  ((await get(on(`/v1/operators/fragile/state?key=${key}`, timeline))).body["value"] as { done: number } | undefined)
    ?.done;
const quarantined = async (key: string, timeline: string): Promise<string[]> =>
  ((await get(on(QUARANTINE, timeline))).body["items"] as { id: string; key: string }[])
    .filter((one) => one.key === key)
    .map(({ id }) => id);

beforeEach(() => {
  fuse.lit = true;
});

describe("on a timeline", () => {
  test("a partition that has logged nothing there says so, and what it holds when it is asked itself", async () => {
    await send("st", "well");
    await start("st-fix");
    expect((await get(PARTITION)).body).not.toHaveProperty("inherited");
    const status = on(PARTITION, "st-fix");
    expect((await get(status)).body).toMatchObject({ inherited: true, quarantined: null });
    const live = (await get(`${status}&live=true`)).body;
    expect(live).not.toHaveProperty("inherited");
    expect(live["keys"]).toBeGreaterThan(0);
    await send("st", "well", "st-fix");
    const own = (await get(status)).body;
    expect(own).not.toHaveProperty("inherited");
    expect(own["appliedSeq"]).toBe((live["appliedSeq"] as number) + 1);
    await remove("/v1/timelines/st-fix");
  });

  test("a snapshot and its pins are the timeline's own", async () => {
    await send("sn", "well");
    await start("sn-fix");
    await send("sn", "well", "sn-fix");
    const before = (await get(`${PARTITION}/manifests`)).body;
    const taken = await post(on(`${PARTITION}/snapshot`, "sn-fix"));
    expect(taken).toMatchObject({ status: 200, body: { number: 1 } });
    const line = (await get("/v1/timelines/sn-fix")).body["line"];
    expect(taken.body["line"]).toBe(line);
    expect((await get(`${PARTITION}/manifests`)).body, "main's are as before").toEqual(before);
    const pin = on(`${PARTITION}/manifests/1/pin?name=audit`, "sn-fix");
    expect(await post(pin)).toMatchObject({ status: 200, body: { pinned: true } });
    expect((await get(on(`${PARTITION}/pins`, "sn-fix"))).body).toMatchObject([{ manifest: 1, name: "audit" }]);
    expect((await get(`${PARTITION}/pins`)).body).toEqual([]);
    expect(await remove(pin)).toMatchObject({ status: 200, body: { pinned: false } });
    expect(await post(on(`${PARTITION}/evict`, "sn-fix"))).toMatchObject({ status: 200, body: { evicted: true } });
    expect([await done("sn", "sn-fix"), await done("sn", "main")]).toEqual([2, 1]);
    await remove("/v1/timelines/sn-fix");
  });

  test("a snapshot of the timeline that it starts from can't be pinned there", async () => {
    await send("fo", "well");
    const { number } = (await post(`${PARTITION}/snapshot`)).body as { number: number };
    await start("fo-fix");
    expect(await post(on(`${PARTITION}/manifests/${number}/pin`, "fo-fix"))).toMatchObject({
      status: 404,
      body: { code: "no_restore_point" },
    });
    await remove("/v1/timelines/fo-fix");
  });

  test("the quarantine begins as at the start, and both are steered alone", async () => {
    await send("qu", "boom");
    await start("qu-fix");
    const [id] = await quarantined("qu", "qu-fix");
    expect(await quarantined("qu", "main")).toEqual([id]);
    fuse.lit = false;
    expect(await post(on(`${QUARANTINE}/${id}/retry`, "qu-fix"))).toMatchObject({
      status: 200,
      body: { status: "applied" },
    });
    expect([await quarantined("qu", "qu-fix"), await quarantined("qu", "main")]).toEqual([[], [id]]);
    expect([await done("qu", "qu-fix"), await done("qu", "main")]).toEqual([1, undefined]);
    expect(await remove(`${QUARANTINE}/${id}`)).toMatchObject({ status: 200 });
    await remove("/v1/timelines/qu-fix");
  });

  test.each([
    ["POST", `${PARTITION}/evict`],
    ["GET", `${PARTITION}/pins`],
    ["GET", PARTITION],
    ["GET", `${QUARANTINE}/groups`],
  ])("that isn't there, %s %s is 404", async (method, path) => {
    expect(await call(on(path, "nobody"), { method })).toMatchObject({ status: 404, body: { code: "no_timeline" } });
  });
});

test("a former main shows what it has, and refuses every change", async () => {
  await send("fm", "boom");
  const [id] = await quarantined("fm", "main");
  const { number } = (await post(`${PARTITION}/snapshot`)).body as { number: number };
  await start("fm-next");
  const promoted = await call("/v1/timelines/fm-next/promotion", { method: "POST", headers: { "if-match": "*" } });
  expect(promoted.status).toBe(200);
  const { operators } = (await get("/v1/overview")).body as {
    operators: { name: string; partitions: Record<string, unknown>[] }[];
  };
  const [glance] = operators.find(({ name }) => name === "fragile")!.partitions;
  expect(glance, "nothing was sent to the new main yet").toMatchObject({ partition: 0, inherited: true });
  const changes: readonly (readonly [string, string])[] = [
    ["POST", `${PARTITION}/snapshot`],
    ["POST", `${PARTITION}/manifests/${number}/pin`],
    ["DELETE", `${PARTITION}/manifests/${number}/pin`],
    ["POST", `${QUARANTINE}/${id}/retry`],
    ["DELETE", `${QUARANTINE}/${id}`],
    ["POST", `${QUARANTINE}/retry`],
    ["POST", `${QUARANTINE}/delete?all=true`],
    ["PUT", "/v1/operators/fragile/state?key=fm"],
  ];
  for (const [method, path] of changes)
    expect([path, await call(on(path, "main~1"), { method })]).toMatchObject([
      path,
      { status: 409, body: { code: "timeline_sealed" } },
    ]);
  expect(await quarantined("fm", "main~1")).toEqual([id]);
  expect((await get(on(PARTITION, "main~1"))).body).toMatchObject({ lastSnapshot: { manifest: number } });
  expect((await get(on(`${PARTITION}/pins`, "main~1"))).body).toEqual([]);
  expect(await post(on(`${PARTITION}/evict`, "main~1"))).toMatchObject({ status: 200 });
  expect(await get(on(`${QUARANTINE}/groups`, "main~1"))).toMatchObject({ status: 200 });
});
