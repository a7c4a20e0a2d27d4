/** More partitions: a timeline that starts where main ends, its promotion, and what every key keeps over it. */
import { env } from "cloudflare:workers";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { operator } from "../../../src/keyframe.ts";
import { installedApp } from "../../../src/worker/app.ts";
import { runCron } from "../../../src/worker/cron.ts";
import { loseD1 } from "../lose-d1.ts";
import { deploy } from "../deployment.ts";
import { fuse } from "../operators.ts";
import { add, call, fetchApp, get, postEvents } from "../http.ts";

const put = (name: string, body: unknown) =>
  call(`/v1/timelines/${name}`, {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
const preview = (name: string) => get(`/v1/timelines/${name}/promotion`);
const promote = (name: string, ifMatch: string) =>
  call(`/v1/timelines/${name}/promotion`, { method: "POST", headers: { "if-match": ifMatch } });

let ids = 0;
const act = (key: string, what: string) => ({
  id: `rescale-${++ids}`,
  source: "test",
  type: "fragile.do",
  key,
  data: { what },
});
const KEYS = Array.from({ length: 40 }, (_, i) => `k-${i}`);
const stampNow = async (): Promise<number> =>
  Number((await get("/v1/operators/tally/state?at=now&limit=1")).body["at"]);

/** All keys with their values, read page by page as a client does. */
async function all(operator: string, query = ""): Promise<Record<string, unknown>> {
  const found: Record<string, unknown> = {};
  for (let cursor = ""; ;) {
    const { body, status } = await get(`/v1/operators/${operator}/state?limit=7&${query}${cursor}`);
    expect(status, JSON.stringify(body)).toBe(200);
    for (const { key, value } of body["items"] as { key: string; value: unknown }[]) {
      expect(found, "each key once").not.toHaveProperty([key]);
      found[key] = value;
    }
    const next = body["cursor"] as string | null | undefined;
    if (next == null) return found;
    cursor = `&cursor=${encodeURIComponent(next)}`;
  }
}
const diff = async (from: string, to: string): Promise<Record<string, unknown>[]> =>
  (await (await fetchApp(`/v1/diff?from=${from}&to=${to}`)).text())
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
const numbered = (events: unknown, number: number) =>
  postEvents(events, { "producer-id": "rescaler", "producer-epoch": "1", "producer-seq": String(number) });

describe("other partitions", () => {
  const sent = { plain: [] as unknown[], second: [] as unknown[], numbered: [] as unknown[], boom: act("k-3", "boom") };
  let before: Record<string, Record<string, unknown>>;
  let parted: number;

  beforeAll(async () => {
    sent.plain.push(...KEYS.map((key, i) => add(key, i)));
    await postEvents(sent.plain);
    for (const partition of [0, 1, 2])
      await call(`/v1/operators/tally/partitions/${partition}/snapshot`, { method: "POST" });
    sent.second.push(...KEYS.slice(0, 20).map((key) => add(key, 100)), ...KEYS.map((key) => act(key, "ok")), sent.boom);
    await postEvents(sent.second);
    sent.numbered.push(...KEYS.slice(0, 5).map((key) => add(key, 1000)));
    await numbered(sent.numbered, 7);
    parted = await stampNow();
    before = { tally: await all("tally"), fragile: await all("fragile") };
    expect(Object.keys(before["tally"]!).length).toBe(40);
  });

  afterAll(() => {
    fuse.lit = true;
  });

  test("must be a multiple, of an operator that is there, and others than main's", async () => {
    expect(await put("wide", { from: "end", partitions: { tally: 6 } })).toMatchObject({
      status: 409,
      body: { code: "partitions_unsplit" },
    });
    expect(await put("wide", { from: "end", partitions: { tally: 4 } })).toMatchObject({
      status: 409,
      body: { code: "partitions_same" },
    });
    expect(await put("wide", { from: "end", partitions: { nobody: 4 } })).toMatchObject({ status: 404 });
    for (const body of [
      { from: "end" },
      { from: "end", partitions: { tally: 0 } },
      { from: "end", partitions: { tally: 260 } },
      { from: "end", partitions: { tally: 8 }, replay: "logged" },
    ])
      expect(await put("wide", body)).toMatchObject({ status: 400, body: { code: "invalid_body" } });
  });

  test("are shown before the promotion, and nothing can be read of them or sent to them", async () => {
    const made = await put("wide", { from: "end", partitions: { tally: 8, fragile: 3 } });
    expect(made).toMatchObject({ status: 201, body: { state: "unstarted", split: { tally: 2, fragile: 3 } } });
    expect(made.body).not.toHaveProperty("at");
    expect((await put("wide", { from: "end", partitions: { tally: 8, fragile: 3 } })).status).toBe(200);
    const other = await put("wide", { from: "end", partitions: { tally: 16 } });
    expect(other).toMatchObject({ status: 409, body: { code: "timeline_exists" } });
    expect(other.body["detail"]).toContain("where main ends");
    for (const path of ["/v1/operators/tally/state?key=k-1&timeline=wide", "/v1/diff?from=main@now&to=wide@now"])
      expect(await get(path)).toMatchObject({ status: 409, body: { code: "timeline_unstarted" } });
    expect(await postEvents([add("k-1", 1)], {}, "?timeline=wide")).toMatchObject({
      status: 409,
      body: { code: "timeline_unstarted" },
    });
    expect(await put("more", { from: "wide@now" })).toMatchObject({
      status: 409,
      body: { code: "timeline_unstarted" },
    });
    expect((await preview("wide")).body).toEqual({
      timeline: "wide",
      mode: "rescale",
      partitions: { tally: { from: 4, to: 8 }, fragile: { from: 1, to: 3 } },
    });
    const accept = { headers: { accept: "application/x-ndjson" } };
    const givenUp = await fetchApp("/v1/timelines/wide/promotion", accept);
    expect(await givenUp.text()).toBe('{"end":true,"complete":true,"events":0}\n');
  });

  test("a promotion keeps every state, id, mark and quarantined event, and every moment before it", async () => {
    const { headers } = await preview("wide");
    // Events of main don't move the tag.
    const late = KEYS.slice(30).map((key) => add(key, 7));
    expect((await postEvents(late)).body).toMatchObject({ accepted: 10 });
    const now = await all("tally");
    expect(await promote("wide", `"${"0".repeat(64)}"`)).toMatchObject({ status: 412 });
    const answer = await promote("wide", headers.get("etag")!);
    expect(answer).toMatchObject({ status: 200, body: { promoted: true, mode: "rescale", former: "main~1" } });
    expect(await promote("wide", headers.get("etag")!)).toMatchObject({ status: 200, body: answer.body });
    expect((await get("/v1/timelines/main")).body).toMatchObject({ from: "main~1", split: { tally: 2, fragile: 3 } });
    const { partitions } = (await get("/v1/overview")).body["operators"]
      ? ((await get("/v1/overview")).body["operators"] as { name: string; partitions: unknown[] }[]).find(
          ({ name }) => name === "tally",
        )!
      : { partitions: [] };
    expect(partitions.length).toBe(8);

    expect(await all("tally")).toEqual(now);
    expect(await all("fragile")).toEqual(before["fragile"]);
    for (const at of [`at=${parted}`, `timeline=main~1&at=${parted}`]) {
      expect(await all("tally", at)).toEqual(before["tally"]);
      expect(await all("fragile", at)).toEqual(before["fragile"]);
    }
    expect(await all("tally", "timeline=main~1")).toEqual(now);
    // Every repeat is known, wherever its key is now.
    expect((await postEvents(sent.plain)).body).toMatchObject({ accepted: 0, duplicates: 40 });
    expect((await postEvents([...late, ...sent.second])).body).toMatchObject({ accepted: 0, duplicates: 71 });
    expect((await numbered(sent.numbered, 7)).body).toMatchObject({ accepted: 0, duplicates: 5 });
    const { id, source } = sent.plain[1] as { id: string; source: string };
    expect((await postEvents([{ ...add("k-1", 9), id, source }])).body).toMatchObject({ rejected: 1 });
    expect(await all("tally")).toEqual(now);

    const quarantine = (await get("/v1/operators/fragile/quarantine")).body["items"] as { id: string; key: string }[];
    expect(quarantine.map(({ key }) => key)).toEqual(["k-3"]);
    fuse.lit = false;
    expect(await call(`/v1/operators/fragile/quarantine/${quarantine[0]!.id}/retry`, { method: "POST" })).toMatchObject(
      {
        status: 200,
      },
    );
    const history = (await get("/v1/operators/tally/history?key=k-1")).body["items"] as unknown[];
    expect(history.length).toBe(3);
  });

  test("the cron opens the partitions that nobody has opened, and then nothing reads the earlier ones", async () => {
    const rows = async (): Promise<number> => {
      const counts = [env.LOG_0, env.LOG_1].map((db) =>
        db
          .prepare("SELECT COUNT(*) AS count FROM partitions WHERE line = 2 AND manifest IS NOT NULL")
          .first<{ count: number }>(),
      );
      return (await Promise.all(counts)).reduce((sum, one) => sum + one!.count, 0);
    };
    await runCron(installedApp(), env);
    await vi.waitFor(async () => expect(await rows()).toBe(11), { timeout: 60_000, interval: 200 });
  });

  test("each partition counts its own keys once it has a snapshot, and comes back from that alone", async () => {
    await postEvents(KEYS.map((key) => add(key, 1)));
    const now = await all("tally");
    let keys = 0;
    for (let partition = 0; partition < 8; partition++) {
      const path = `/v1/operators/tally/partitions/${partition}`;
      expect(await call(`${path}/snapshot`, { method: "POST" })).toMatchObject({ status: 200 });
      expect((await call(`${path}/verify`, { method: "POST" })).body).toMatchObject({ equal: true });
      keys += (await get(path)).body["keys"] as number;
      await call(`${path}/evict`, { method: "POST" });
    }
    expect(keys).toBe(Object.keys(now).length);
    expect(await all("tally")).toEqual(now);
    const lines = await diff("main~1@now", "main@now");
    expect(lines.at(-1)).toMatchObject({ complete: true });
    expect(
      lines
        .slice(1, -1)
        .map(({ key }) => key as string)
        .sort(),
    ).toEqual([...KEYS, "k-3"].sort());
    expect((await diff(String(parted), `main~1@${parted}`)).length).toBe(2);
  });

  test("a fork may have more of them, and a second promotion splits once more", async () => {
    const now = await all("tally");
    expect(await put("try", { from: "now", partitions: { tally: 24 } })).toMatchObject({
      status: 201,
      body: { state: "ready", split: { tally: 3 } },
    });
    expect(await all("tally", "timeline=try")).toEqual(now);
    expect((await postEvents([add("k-2", 5)], {}, "?timeline=try")).body).toMatchObject({ accepted: 1 });
    expect((await diff("main@now", "try@now")).slice(1, -1)).toMatchObject([{ key: "k-2" }]);
    expect((await preview("try")).body).toMatchObject({
      mode: "give_up",
      givesUp: { events: 0 },
      takes: { events: 1 },
    });
    await put("wider", { from: "end", partitions: { tally: 16 } });
    expect(await promote("wider", "*")).toMatchObject({ status: 200 });
    expect(await all("tally")).toEqual(now);
    expect(await all("tally", `at=${parted}`)).toEqual(before["tally"]);
    expect((await postEvents([...sent.plain, ...sent.second])).body).toMatchObject({ accepted: 0, duplicates: 101 });
  });

  test("the way back gives up what came since, each event once", async () => {
    const extra = KEYS.slice(0, 9).map((key) => add(key, 3));
    await postEvents(extra);
    const start = `main~2@now`;
    expect(await put("undo", { from: start, replay: "logged" })).toMatchObject({
      status: 409,
      body: { code: "timeline_unrelated" },
    });
    expect((await put("undo", { from: start })).status).toBe(201);
    const seen = await preview("undo");
    // 40 on the line between, 9 on main, and the retry of the quarantined event.
    expect(seen.body).toMatchObject({ mode: "give_up", givesUp: { events: 50 } });
    const file = await fetchApp("/v1/timelines/undo/promotion", { headers: { accept: "application/x-ndjson" } });
    const lines = (await file.text()).trim().split("\n");
    expect(lines.length).toBe(49 + 1);
    expect(await promote("undo", seen.headers.get("etag")!)).toMatchObject({ status: 200 });
    expect((await postEvents(extra)).body).toMatchObject({ accepted: 9 });
    expect(Object.keys(await all("tally")).length).toBe(40);
  });
});

test("PROMOTION8: an app that never logged anything is split as of now, not of 1970", async () => {
  const { objects } = await env.SNAPSHOTS.list();
  if (objects.length > 0) await env.SNAPSHOTS.delete(objects.map(({ key }) => key));
  await loseD1(env.LOG_0, env.LOG_1);
  // An operator of its own: the objects of the others remember a log that is gone.
  const fresh = operator("fresh", {
    version: 1,
    partitions: 2,
    events: { "fresh.add": z.object({ n: z.int() }) },
    initial: () => ({ sum: 0 }),
    on: { "fresh.add": (state, { data }) => void (state.sum += data.n) },
  });
  const app = await deploy(fresh);
  const states = async (query: string) => (await app.call(`/v1/operators/fresh/state?${query}`)).body;
  const before = (await states("at=now"))["at"];
  await app.call("/v1/timelines/wide", { from: "end", partitions: { fresh: 4 } }, {}, "PUT");
  const promoted = await app.call("/v1/timelines/wide/promotion", undefined, { "if-match": "*" }, "POST");
  expect(promoted.status).toBe(200);
  const { at } = (await app.call("/v1/timelines/main")).body;
  expect(at).toBeGreaterThanOrEqual(before as number);
  const events = KEYS.map((key) => ({ type: "fresh.add", key, data: { n: 1 } }));
  expect((await app.call("/v1/events", events)).body).toMatchObject({ accepted: 40 });
  expect((await states("limit=1000"))["items"]).toHaveLength(40);
  expect((await states(`at=${String(at)}`))["items"]).toEqual([]);
  await app.call("/v1/timelines/back", { from: "main~1@now" }, {}, "PUT");
  const seen = await app.call("/v1/timelines/back/promotion");
  expect(seen.body).toMatchObject({ parted: at, givesUp: { events: 40 }, takes: { events: 0 } });
});
