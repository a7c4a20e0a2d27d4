/** `/v1/timelines`: a line of history from any moment, and its promotion to main. */
import { createExecutionContext, evictDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { type FoundErasures, hasErasures } from "../../../src/worker/admin/erasures-on-lines.ts";
import { sweepTimelines } from "../../../src/worker/admin/timeline-routes.ts";
import { App } from "../../../src/worker/app.ts";
import { routesOf } from "../../../src/worker/routes.ts";
import type { Calls } from "../../../src/worker/rpc.ts";
import { all } from "../app.ts";
import { EventSource } from "../watch/event-source.ts";
import { add, BASE, call, fetchApp, get, postEvents } from "../http.ts";

const put = (name: string, body: unknown = {}) =>
  call(`/v1/timelines/${name}`, {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
const remove = (name: string) => call(`/v1/timelines/${name}`, { method: "DELETE" });
const promote = (name: string, ifMatch?: string) =>
  call(`/v1/timelines/${name}/promotion`, {
    method: "POST",
    ...(ifMatch === undefined ? {} : { headers: { "if-match": ifMatch } }),
  });
const preview = (name: string) => get(`/v1/timelines/${name}/promotion`);

const valueOf = async (key: string, query = ""): Promise<unknown> =>
  (await get(`/v1/operators/tally/state?key=${key}${query}`)).body["value"] ?? null;
const n = async (key: string, query = ""): Promise<unknown> => ((await valueOf(key, query)) as { n: number } | null)?.n;
const send = async (timeline: string, events: unknown) => {
  const answer = await call(`/v1/events?timeline=${timeline}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(events),
  });
  return answer;
};

describe("a timeline", () => {
  test("begins with the state of its moment, and both go their own ways", async () => {
    await postEvents([add("t-a", 1), add("t-b", 2), add("t-c", 3)]);
    const made = await put("what-if");
    expect(made).toMatchObject({ status: 201, body: { name: "what-if", from: "main", state: "ready" } });
    expect(await put("what-if")).toMatchObject({ status: 200, body: { line: made.body["line"] } });
    await postEvents([add("t-a", 10)]);
    expect((await send("what-if", [add("t-a", 100), add("t-new", 7)])).body).toMatchObject({ accepted: 2 });
    expect([await n("t-a"), await n("t-a", "&timeline=what-if")]).toEqual([11, 101]);
    expect([await n("t-b", "&timeline=what-if"), await n("t-new")]).toEqual([2, undefined]);
    expect(await n("t-a", "&at=what-if@now")).toBe(101);
    const scan = await get("/v1/operators/tally/state?prefix=t-&timeline=what-if");
    expect((scan.body["items"] as { key: string }[]).map(({ key }) => key)).toEqual(["t-a", "t-b", "t-c", "t-new"]);
    const history = await get("/v1/operators/tally/history?key=t-a&timeline=what-if");
    expect((history.body["items"] as { value: { n: number } }[]).map(({ value }) => value.n)).toEqual([101, 1]);
    for (let i = 0; i < 4; i++)
      await call(`/v1/operators/tally/partitions/${i}/snapshot?timeline=what-if`, { method: "POST" });
    expect([await n("t-a", "&timeline=what-if"), await n("t-a")]).toEqual([101, 11]);
    const text = (await fetchText(`/v1/diff?from=main@now&to=what-if@now&prefix=t-`)).split("\n");
    expect(
      text.flatMap((line) => (line.includes('"key"') ? [(JSON.parse(line) as { key: string }).key] : [])).sort(),
    ).toEqual(["t-a", "t-new"]);
    expect((await get("/v1/timelines")).body).toMatchObject([{ name: "main", state: "main" }, { name: "what-if" }]);
    expect(await remove("what-if")).toMatchObject({ status: 200, body: { removed: true } });
    expect(await get("/v1/operators/tally/state?key=t-a&timeline=what-if")).toMatchObject({ status: 404 });
    const left = await env.SNAPSHOTS.list({ prefix: `${String(made.body["line"])}/` });
    expect(left.objects).toEqual([]);
    expect(await n("t-a")).toBe(11);
  });

  test("is looked up while the state is read there, and another line under its name is noticed", async () => {
    const { seen, bindings } = watchedBindings();
    const ask = isolate(bindings);
    const [state, byPath] = ["state?key=l-a&", "state/l-a?"].map(
      (path) => `/v1/operators/tally/${path}timeline=looked-up`,
    ) as [string, string];
    await postEvents([add("l-a", 1)]);
    await put("looked-up");
    expect(await ask(state)).toMatchObject({ value: { n: 1 } });
    seen.calls.length = 0;
    seen.held = true;
    expect(await ask(state)).toMatchObject({ value: { n: 1 } });
    expect(seen.calls.slice(0, 2)).toEqual(["object", "D1"]);

    await remove("looked-up");
    expect(await ask(state)).toMatchObject({ code: "no_timeline" });
    expect(await ask(state), "and it stays so").toMatchObject({ code: "no_timeline" });
    await put("looked-up");
    expect(await ask(byPath)).toMatchObject({ value: { n: 1 } });
    await remove("looked-up");
    await postEvents([add("l-a", 10)]);
    await put("looked-up");
    expect(await ask(byPath), "another line has the name").toMatchObject({ value: { n: 11 } });
    expect(await ask(byPath)).toMatchObject({ value: { n: 11 } });
    await remove("looked-up");
  });

  test("wakes no partition, and costs the same rows for any number of keys", async () => {
    const rows = async (): Promise<unknown> =>
      (await env.LOG_0.prepare("SELECT partition, epoch, version FROM partitions ORDER BY partition").all()).results;
    const before = await rows();
    await put("quiet");
    expect(await rows()).toEqual(before);
    await remove("quiet");
  });

  test("counts a retry of what was logged before its start once, and a later event again", async () => {
    const [before, after] = [add("t-once", 1), add("t-once", 2)];
    await postEvents([before]);
    await put("ids");
    await postEvents([after]);
    expect((await send("ids", [before, after])).body).toMatchObject({ duplicates: 1, accepted: 1 });
    expect([await n("t-once"), await n("t-once", "&timeline=ids")]).toEqual([3, 3]);
    await remove("ids");
  });

  test("a savepoint's moment may name its timeline", async () => {
    await postEvents([add("t-save", 1)]);
    await put("saving");
    await send("saving", [add("t-save", 10)]);
    const save = (name: string, at: string) =>
      call(`/v1/savepoints/${name}`, {
        method: "PUT",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ at }),
      });
    expect(await save("of-fork", "saving@now")).toMatchObject({ status: 201 });
    expect(await n("t-save", "&at=saving@of-fork")).toBe(11);
    expect(await get("/v1/savepoints/of-fork")).toMatchObject({ status: 404 });
    expect(await save("of-none", "nobody@now")).toMatchObject({ status: 404, body: { code: "no_timeline" } });
    await remove("saving");
  });

  test("a timeline starts from a timeline; that one stays as long", async () => {
    await postEvents([add("t-deep", 1)]);
    await put("outer");
    await send("outer", [add("t-deep", 10)]);
    await put("inner", { from: "outer@now" });
    await send("inner", [add("t-deep", 100)]);
    expect([await n("t-deep", "&timeline=outer"), await n("t-deep", "&timeline=inner")]).toEqual([11, 111]);
    expect(await remove("outer")).toMatchObject({ status: 409, body: { code: "timeline_in_use" } });
    expect(await remove("inner")).toMatchObject({ status: 200 });
    expect(await remove("outer")).toMatchObject({ status: 200 });
  });

  test.each([
    ["main", {}, 400, "invalid_name"],
    ["Fix", {}, 400, "invalid_name"],
    ["a", { from: "yesterday evening" }, 400, "invalid_moment"],
    ["a", { from: "nobody@now" }, 404, "no_timeline"],
    ["a", { from: "no-such" }, 404, "no_savepoint"],
    ["a", { expires: "soon" }, 400, "invalid_body"],
    ["a", [], 400, "invalid_body"],
    ["a", { from: "2125-01-01T00:00:00Z" }, 409, "not_settled"],
  ])("PUT %s %j: %i %s", async (name, body, status, code) => {
    expect(await put(name, body)).toMatchObject({ status, body: { code } });
  });

  test("a moment and a parameter that name two timelines are refused, as is one that isn't there", async () => {
    const state = "/v1/operators/tally/state?key=a";
    expect(await get(`${state}&timeline=main&at=other@now`)).toMatchObject({ status: 400 });
    expect(await get(`${state}&timeline=other`)).toMatchObject({ status: 404, body: { code: "no_timeline" } });
    expect(await get(`/v1/timelines?timeline=main`)).toMatchObject({ status: 400 });
  });
});

const fetchText = async (path: string): Promise<string> => {
  return (await fetchApp(path)).text();
};

describe("a promotion", () => {
  test("goes back to a moment: gives up what came after, keeps it as main~1, and can be undone", async () => {
    await postEvents([add("p-a", 1), add("p-b", 1)]);
    await call("/v1/savepoints/before-bug", { method: "PUT" });
    const bad = [add("p-a", 1_000), add("p-c", 5)];
    await postEvents(bad);
    await put("back", { from: "before-bug" });
    await send("back", [add("p-b", 20)]);
    expect(await promote("back")).toMatchObject({ status: 428, body: { code: "promotion_unseen" } });
    const seen = await preview("back");
    expect(seen).toMatchObject({
      status: 200,
      body: { mode: "give_up", givesUp: { events: 2 }, takes: { events: 1 } },
    });
    expect(seen.body["keys"]).toMatchObject([{ operator: "tally", count: 3 }]);
    const [{ first }] = seen.body["keys"] as [{ first: string[] }];
    expect(first.toSorted()).toEqual(["p-a", "p-b", "p-c"]);
    expect(await preview("back"), "the same list, whatever the keys are").toMatchObject({
      body: { keys: [{ operator: "tally" }] },
    });
    const lines = await fetchNdjson("/v1/timelines/back/promotion");
    expect(lines.pop()).toEqual({ end: true, complete: true, events: 2 });
    expect(new Set(lines.map(({ id }) => id))).toEqual(new Set(bad.map(({ id }) => id)));
    await postEvents([add("p-d", 1)]);
    const stale = seen.headers.get("etag")!;
    expect(await promote("back", stale)).toMatchObject({ status: 412, body: { code: "promotion_moved" } });
    expect((await postEvents([add("p-e", 1)])).body, "main takes events again").toMatchObject({ accepted: 1 });
    const fresh = (await preview("back")).headers.get("etag")!;
    const done = await promote("back", fresh);
    expect(done).toMatchObject({ status: 200, body: { promoted: true, givesUp: { events: 4 }, former: "main~1" } });
    expect((await promote("back", fresh)).body, "the same again").toEqual(done.body);
    expect((await promote("back", `W/${fresh}`)).body, "a proxy made it weak").toEqual(done.body);

    expect([await n("p-a"), await n("p-b"), await n("p-c")]).toEqual([1, 21, undefined]);
    expect([await n("p-a", "&timeline=main~1"), await n("p-a", "&at=main~1@now")]).toEqual([1_001, 1_001]);
    expect(await n("p-a", "&at=before-bug"), "the savepoint is of both").toBe(1);
    expect((await send("main~1", [add("p-a", 1)])).body).toMatchObject({ code: "timeline_sealed" });
    expect((await postEvents(bad)).body, "given-up ids are free again").toMatchObject({ accepted: 2, duplicates: 0 });
    expect([await n("p-a"), await n("p-c")]).toEqual([1_001, 5]);
    expect(await remove("main~1")).toMatchObject({ status: 409, body: { code: "timeline_in_use" } });
    expect(await remove("main")).toMatchObject({ status: 409, body: { code: "timeline_in_use" } });
    expect((await get("/v1/timelines/main")).body).toMatchObject({ name: "main", state: "main", from: "main~1" });

    expect(await promote("main~1", "*")).toMatchObject({ status: 409, body: { code: "timeline_sealed" } });
    await put("undo", { from: "main~1@now" });
    const undone = await promote("undo", "*");
    expect(undone).toMatchObject({ status: 200, body: { givesUp: { events: 3 }, takes: { events: 4 } } });
    const { takes } = undone.body as { takes: object };
    expect(takes, "the line has logged nothing of its own").not.toHaveProperty("last");
    expect((await promote("undo", "*")).body, "the same again").toEqual(undone.body);
    expect(await promote("other", "*")).toMatchObject({ status: 404, body: { code: "no_timeline" } });
    expect([await n("p-a"), await n("p-b"), await n("p-d")]).toEqual([1_001, 1, 1]);
    expect((await get("/v1/timelines")).body).toMatchObject([{ name: "main~2" }, { name: "main~1" }, { name: "main" }]);
    expect((await postEvents([add("p-a", 1)])).body).toMatchObject({ accepted: 1 });
  });

  test("an object of the former main answers no repeat as if it still counted, and no read", async () => {
    const event = add("q-a", 1);
    await put("empty");
    await postEvents([event]);
    const former = (await get("/v1/timelines/main")).body["line"] as number;
    await promote("empty", "*");
    expect((await postEvents([event])).body).toMatchObject({ accepted: 1, duplicates: 0 });
    const stub = env.PARTITION.getByName(`${former}/tally/${await partitionOf("q-a")}`) as unknown as Calls;
    const address = { line: former, operator: "tally", partition: 0, seed: 0, database: "LOG_0" };
    // An object may answer from memory for a moment after it heard of D1 last.
    await expect
      .poll(() => stub.read(address, ["q-a"]), { timeout: 30_000 })
      .toMatchObject({ tag: "busy", code: "line_sealed" });
    expect(await stub.read({ ...address, named: true }, ["q-a"])).toMatchObject({ tag: "ok" });
    expect(await n("q-a")).toBe(1);
    expect(await n("q-a", "&timeline=main~1")).toBe(1);
  });

  test("is noticed by an isolate that knew the former main", async () => {
    const [early, late] = [isolate(), isolate()];
    await postEvents([add("r-a", 1)]);
    const stream = await EventSource.open("tally", "r-a");
    expect(await stream.next()).toMatchObject({ value: { n: 1 } });
    const state = "/v1/operators/tally/state?key=r-a&at=now";
    for (const ask of [early, late]) expect(await ask(state)).toMatchObject({ value: { n: 1 } });
    await put("r-back");
    await postEvents([add("r-a", 10)]);
    expect(await stream.next()).toMatchObject({ value: { n: 11 } });
    await promote("r-back", "*");
    await put("r-next");
    expect(await early("/v1/timelines/r-next/promotion"), "of main now").toMatchObject({ givesUp: { events: 0 } });
    await expect.poll(() => late(state), { timeout: 30_000 }).toMatchObject({ value: { n: 1 } });
    await expect(stream.next(), "no reader is left on the former main").rejects.toThrow("the stream ended");
    await remove("r-next");
  }, 60_000);

  test("never gives an erasure up: timelines erase with main, and one from before repeats it", async () => {
    await postEvents([add("e-a", 1), add("e-b", 1)]);
    await call("/v1/savepoints/before-erasure", { method: "PUT" });
    await put("open", {});
    const answer = await call("/v1/erasures", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ operator: "tally", key: "e-a" }),
    });
    expect(answer.status).toBe(202);
    const holders = answer.body["holders"] as { where: string; names?: string[] }[];
    expect(holders.find(({ where }) => where === "savepoints")?.names).toContain("before-erasure");
    expect(holders.find(({ where }) => where === "timelines")?.names).toContain("open");
    expect([await n("e-a", "&timeline=open"), await n("e-b", "&timeline=open")]).toEqual([undefined, 1]);
    expect(await put("earlier", { from: "before-erasure" })).toMatchObject({ status: 201 });
    expect([await n("e-a", "&timeline=earlier"), await n("e-b", "&timeline=earlier")]).toEqual([undefined, 1]);
    expect(await promote("earlier", "*")).toMatchObject({ status: 200 });
    expect([await n("e-a"), await n("e-b")]).toEqual([undefined, 1]);
    expect((await get(`/v1/erasures/${String(answer.body["id"])}`)).body).toMatchObject({
      state: "erased",
      complete: false,
    });
    await remove("open");
  });

  test("waits for an erasure that the timeline lacks", async () => {
    await postEvents([add("w-a", 1)]);
    await put("lacking", {});
    const line = (await get("/v1/timelines/main")).body["line"] as number;
    const { partition } = (await get("/v1/operators/tally/state?key=w-a")).body as { partition: number };
    await call("/v1/erasures", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ operator: "tally", key: "w-a" }),
    });
    const app = new App(all);
    const has = async (known: FoundErasures) => {
      const [main, target] = [await app.routes(env), (await app.timeline(env, "lacking"))!];
      return hasErasures(env, app, main, target, target.ancestors[0]!.at, known);
    };
    const known: FoundErasures = new Set();
    expect([await has(known), known.size]).toEqual([true, 1]);
    // As if the timeline had been made between the command and its record: its rows are gone.
    const db = partition % 2 === 0 ? env.LOG_0 : env.LOG_1;
    const name = `${String((await get("/v1/timelines/lacking")).body["line"])}/tally/${String(partition).padStart(4, "0")}`;
    await evictDurableObject(env.PARTITION.getByName(name));
    await db
      .prepare("DELETE FROM segments WHERE place >> 43 = (SELECT number FROM partitions WHERE partition = ?1)")
      .bind(name)
      .run();
    expect(await promote("lacking", "*")).toMatchObject({ status: 409, body: { code: "erasure_missing" } });
    expect([await has(known), await has(new Set())], "one that was found isn't looked for again").toEqual([
      true,
      false,
    ]);
    expect((await postEvents([add("w-b", 1)])).body, "main takes events").toMatchObject({ accepted: 1 });
    expect((await get("/v1/timelines/main")).body["line"]).toBe(line);
    await remove("lacking");
  });

  test("LINE6: what was main expires, unless a savepoint or a line that reads it keeps it", async () => {
    const keys = Array.from({ length: 12 }, (_, n) => `x-${n}`);
    await postEvents(keys.map((key) => add(key, 1)));
    const former = (await get("/v1/timelines/main")).body["line"] as number;
    await put("x-next");
    expect(await promote("x-next", "*")).toMatchObject({ status: 200 });
    const found = async () => (await get("/v1/timelines/main~1")).body;
    expect(await found()).toMatchObject({ line: former, state: "sealed" });
    const days = (Date.parse((await found())["expires"] as string) - Date.now()) / 86_400_000;
    expect(days).toBeGreaterThan(6.9);
    expect(days).toBeLessThanOrEqual(7);
    await env.LOG_0.prepare("UPDATE timelines SET expires_at = 1 WHERE line = ?1").bind(former).run();
    const saved = await call("/v1/savepoints/x-keep", {
      method: "PUT",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ at: "main~1@now" }),
    });
    expect(saved).toMatchObject({ status: 201 });
    await sweepTimelines(env);
    const keptFor = async () => (await found())["keptFor"] as { savepoints: string[] };
    expect(await keptFor()).toMatchObject({ timelines: [{ name: "main", first: "tally/0000" }] });
    expect((await keptFor()).savepoints).toContain("x-keep");
    expect(await remove("main~1")).toMatchObject({ status: 409, body: { code: "timeline_in_use" } });
    expect((await get("/v1/timelines")).body).toMatchObject(
      expect.arrayContaining([expect.objectContaining({ line: former, keptFor: expect.anything() })]),
    );

    // As if the retention of every partition had passed the start.
    const { line, at } = (await get("/v1/timelines/main")).body as { line: number; at: number };
    await postEvents(keys.map((key) => add(key, 1)));
    for (let i = 0; i < 4; i++) await call(`/v1/operators/tally/partitions/${i}/snapshot`, { method: "POST" });
    for (const db of [env.LOG_0, env.LOG_1])
      await db
        .prepare("UPDATE partitions SET retain_from = ?2, archive_from = 2 WHERE line = ?1 AND manifest IS NOT NULL")
        .bind(line, at + 1)
        .run();
    await sweepTimelines(env);
    expect(await found(), "the savepoint").toMatchObject({ line: former, keptFor: { timelines: [] } });
    for (const name of (await keptFor()).savepoints)
      await call(`/v1/savepoints/${name}?timeline=main~1`, { method: "DELETE" });
    await sweepTimelines(env);
    expect((await get("/v1/timelines/main")).body, "the start is kept").toMatchObject({ from: `line ${former}`, at });
    expect((await env.SNAPSHOTS.list({ prefix: `${former}/` })).objects).toEqual([]);
    expect(await get(`/v1/operators/tally/state?key=x-0&at=${at}`)).toMatchObject({
      status: 410,
      body: { code: "moment_gone", oldest: at + 1 },
    });
    for (let i = 0; i < 4; i++)
      await evictDurableObject(env.PARTITION.getByName(`${line}/tally/${String(i).padStart(4, "0")}`));
    expect(await Promise.all(keys.map((key) => n(key)))).toEqual(keys.map(() => 2));
  });

  test("of a timeline that isn't there, or of main itself, is refused", async () => {
    expect(await promote("nobody", "*")).toMatchObject({ status: 404, body: { code: "no_timeline" } });
    expect(await promote("main", "*")).toMatchObject({ status: 409, body: { code: "timeline_is_main" } });
    expect(await call("/v1/timelines/main/promotion", { method: "DELETE" })).toMatchObject({ status: 200 });
  });
});

/** The app in another isolate: it hears of nothing that requests of this one did. */
function isolate(bindings: typeof env = env): (path: string) => Promise<unknown> {
  const http = routesOf(new App(all));
  return async (path) => (await http.fetch(new Request(`${BASE}${path}`), bindings, createExecutionContext())).json();
}

/** The app's bindings. Once `held` is set, D1 answers after an object was asked for states, or after a while. */
function watchedBindings() {
  const seen = { calls: [] as string[], held: false };
  let asked = (): void => undefined;
  const reading = new Promise<void>((resolve) => (asked = resolve));
  const member = (target: object, name: string | symbol): unknown => {
    const found = Reflect.get(target, name, target) as unknown;
    return typeof found === "function" ? (found as (...args: unknown[]) => unknown).bind(target) : found;
  };
  const LOG_0 = new Proxy(env.LOG_0, {
    get: (target, name) =>
      name !== "batch"
        ? member(target, name)
        : async (statements: D1PreparedStatement[]) => {
            if (seen.held) await Promise.race([reading, new Promise((resolve) => setTimeout(resolve, 5_000))]);
            seen.calls.push("D1");
            return target.batch(statements);
          },
  });
  const watched = (stub: object): object =>
    new Proxy(stub, {
      get: (target, name) =>
        name !== "read"
          ? (Reflect.get(target, name, target) as unknown)
          : (...args: Parameters<Calls["read"]>) => {
              seen.calls.push("object");
              if (seen.held) asked();
              return (target as Calls).read(...args);
            },
    });
  const PARTITION = new Proxy(env.PARTITION, {
    get: (target, name) =>
      name === "getByName" ? (of: string) => watched(target.getByName(of)) : member(target, name),
  });
  return { seen, bindings: { ...env, LOG_0, PARTITION } as unknown as typeof env };
}

const partitionOf = async (key: string): Promise<string> =>
  String((await get(`/v1/operators/tally/state?key=${key}`)).body["partition"]).padStart(4, "0");

async function fetchNdjson(path: string): Promise<{ id: string }[]> {
  const text = await (await fetchApp(path, { headers: { accept: "application/x-ndjson" } })).text();
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as { id: string });
}
