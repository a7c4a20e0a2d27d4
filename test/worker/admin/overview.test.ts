/** The overview and the dashboard's files: what they tell, what they cost, and whom they wake (nobody, SNAP9). */
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { App } from "../../../src/worker/app.ts";
import type { Env } from "../../../src/worker/env.ts";
import { routesOf } from "../../../src/worker/routes.ts";
import { all } from "../app.ts";
import { add, postEvents, postJson, readAnswer, type Answer } from "../http.ts";

interface Shown {
  readonly name: string;
  readonly partitions: readonly Record<string, unknown>[];
}

const PATH = "/v1/overview";
const http = routesOf(new App(all));

const ask = async (around: Partial<Env> = {}, path = PATH, headers: Record<string, string> = {}): Promise<Answer> =>
  readAnswer(await http.fetch(new Request(`http://localhost${path}`, { headers }), { ...env, ...around }));

/** A namespace without objects: whoever asks for one breaks. */
const nobody = new Proxy({} as Env["PARTITION"], {
  get: () => {
    throw new Error("a partition was asked");
  },
});

async function partitionsOf(operator: string): Promise<readonly Record<string, unknown>[]> {
  const { status, body } = await ask({ PARTITION: nobody });
  expect(status).toBe(200);
  return (body["operators"] as Shown[]).find(({ name }) => name === operator)!.partitions;
}

/** The database, and how many rows each of its statements reads. */
function counted(db: D1Database): { readonly db: D1Database; readonly rows: number[] } {
  const rows: number[] = [];
  const statement = (of: D1PreparedStatement): unknown => ({
    bind: (...values: unknown[]) => statement(of.bind(...values)),
    all: async () => {
      const found = await of.all();
      rows.push(found.meta.rows_read);
      return found;
    },
  });
  return { db: { prepare: (sql: string) => statement(db.prepare(sql)) } as D1Database, rows };
}

const sum = (partitions: readonly Record<string, unknown>[], member: string): number =>
  partitions.reduce((total, one) => total + (one[member] as number), 0);

describe("the overview", () => {
  it("SNAP9: tells of tails and snapshots as they grow, from D1 alone", async () => {
    const before = sum(await partitionsOf("tally"), "appliedSeq");
    const keys = Array.from({ length: 20 }, (_, i) => `overview-${i}`);
    await postEvents(keys.map((key) => add(key, 1)));
    const after = await partitionsOf("tally");
    expect(sum(after, "appliedSeq") - before).toBe(20);
    const fed = after.find((one) => (one["tailEvents"] as number) > 0)!;
    expect(fed).toMatchObject({ epoch: expect.any(Number) as number, lastRecovery: { phases: {} } });
    expect(Date.now() - Date.parse(fed["tailSince"] as string)).toBeLessThan(60_000);
    expect(fed["lastEventAt"]).toBeDefined();

    await postJson(`/v1/operators/tally/partitions/${String(fed["partition"])}/snapshot`, {});
    const saved = (await partitionsOf("tally"))[fed["partition"] as number]!;
    expect(saved).toMatchObject({
      tailEvents: 0,
      snapshotSeq: fed["appliedSeq"],
      keys: fed["keys"],
      stateBytes: fed["stateBytes"],
      lastSnapshot: { manifest: 1, kind: "full", bytes: expect.any(Number) as number },
    });
    expect(saved).not.toHaveProperty("tailSince");
  });

  it("says when an operator was placed, and the oldest moment that retention keeps", async () => {
    await postEvents([add("overview-oldest", 1)]);
    const { body } = await ask({ PARTITION: nobody });
    const { since } = (body["operators"] as { name: string; since: string }[]).find(({ name }) => name === "tally")!;
    const { results } = await env.LOG_0.prepare("SELECT created_at FROM operators WHERE operator = 'tally'").all();
    expect(since).toBe(results[0]!["created_at"]);
    const partition = (await partitionsOf("tally")).findIndex((one) => (one["appliedSeq"] as number) > 0);
    expect((await partitionsOf("tally"))[partition]).not.toHaveProperty("oldest");
    const stamp = Date.parse("2026-01-31T12:00:00.000Z") * 1_024;
    const keep = (from: number): Promise<unknown[]> =>
      Promise.all(
        [env.LOG_0, env.LOG_1].map((db) =>
          db
            .prepare("UPDATE partitions SET retain_from = ?2 WHERE partition = ?1")
            .bind(`1/tally/${String(partition).padStart(4, "0")}`, from)
            .run(),
        ),
      );
    await keep(stamp);
    expect((await partitionsOf("tally"))[partition]).toMatchObject({ oldest: "2026-01-31T12:00:00.000Z" });
    await keep(0);
  });

  it("begins charts with a past: what each minute of the last hour counted", async () => {
    const hourOf = async (): Promise<Record<string, number[]>> => {
      const { body } = await ask({ PARTITION: nobody });
      return (body["operators"] as { name: string; lastHour: Record<string, number[]> }[]).find(
        ({ name }) => name === "tally",
      )!.lastHour;
    };
    const total = (counts: number[]): number => counts.reduce((a, b) => a + b, 0);
    const before = await hourOf();
    await postEvents([add("overview-hour", 1), add("overview-hour", 1), { ...add("overview-hour", 1), id: "twice" }]);
    await postEvents([add("overview-hour", 1), { ...add("overview-hour", 1), id: "twice" }]);
    const after = await hourOf();
    expect(after["applied"]).toHaveLength(61);
    expect(total(after["applied"]!) - total(before["applied"]!)).toBe(4);
    expect(total(after["duplicates"]!) - total(before["duplicates"]!)).toBe(1);
    expect(total(after["commits"]!)).toBeGreaterThan(0);
    // A snapshot takes the hour along.
    const { partition } = (
      await readAnswer(
        await http.fetch(new Request("http://localhost/v1/operators/tally/state?key=overview-hour"), env),
      )
    ).body as { partition: number };
    await postJson(`/v1/operators/tally/partitions/${partition}/snapshot`, {});
    expect(total((await hourOf())["applied"]!)).toBe(total(after["applied"]!));
  });

  it("reads no more rows where tails are longer", async () => {
    const rowsRead = async (): Promise<number> => {
      const [first, second] = [counted(env.LOG_0), counted(env.LOG_1)];
      expect((await ask({ LOG_0: first.db, LOG_1: second.db } as Partial<Env>)).status).toBe(200);
      return [...first.rows, ...second.rows].reduce((a, b) => a + b, 0);
    };
    await postEvents([add("overview-tail", 1)]);
    const few = await rowsRead();
    // One after the other, so that each is a segment of its own.
    for (let i = 0; i < 30; i++) await postEvents([add("overview-tail", 1)]);
    const { results } = await env.LOG_0.prepare("SELECT partition FROM partitions").all();
    const { results: others } = await env.LOG_1.prepare("SELECT partition FROM partitions").all();
    expect(await rowsRead()).toBe(few);
    expect(few).toBeLessThanOrEqual(4 * (results.length + others.length));
  });

  it("a database that doesn't answer takes nobody with it", async () => {
    const broken = { prepare: () => ({ bind: () => ({ all: () => Promise.reject(new Error("D1 is away")) }) }) };
    const { status, body } = await ask({ LOG_1: broken as unknown as D1Database } as Partial<Env>);
    expect(status).toBe(200);
    const all = (body["operators"] as Shown[]).flatMap(({ partitions }) => partitions);
    const unknown = all.filter((one) => one["unknown"] === "store_unavailable");
    expect(unknown.length).toBeGreaterThan(0);
    // A zero would be an answer.
    for (const one of unknown) expect(Object.keys(one)).toEqual(["partition", "unknown"]);
    expect(unknown.length).toBeLessThan(all.length);
  });

  it("says that a manifest can't be read, and continues", async () => {
    await postEvents([add("overview-broken", 1)]);
    const name = "1/tally/0000";
    for (const db of [env.LOG_0, env.LOG_1])
      await db.prepare("UPDATE partitions SET manifest = '{broken' WHERE partition = ?1").bind(name).run();
    expect((await partitionsOf("tally"))[0]).toMatchObject({
      lastSnapshot: { unreadable: expect.any(String) as string },
    });
  });
});

describe("the dashboard's files", () => {
  const raw = (path: string, around: Partial<Env> = {}, headers: Record<string, string> = {}, host = "localhost") =>
    http.fetch(new Request(`http://${host}${path}`, { headers }), { ...env, ...around });

  it.each([
    ["/", "text/html; charset=utf-8"],
    ["/dashboard.js", "text/javascript; charset=utf-8"],
    ["/dashboard.css", "text/css; charset=utf-8"],
  ])("%s comes with a strict policy, and once", async (path, type) => {
    const answer = await raw(path);
    expect(answer.headers.get("content-type")).toBe(type);
    const policy = answer.headers.get("content-security-policy")!;
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toMatch(/unsafe|https?:|\*/);
    const etag = answer.headers.get("etag")!;
    expect((await answer.text()).length).toBeGreaterThan(100);
    for (const known of [etag, `W/${etag}`, `"other", ${etag}`])
      expect((await raw(path, {}, { "if-none-match": known })).status).toBe(304);
    expect((await raw(path, {}, { "if-none-match": '"other"' })).status).toBe(200);
  });

  it("are open where the app decides by itself who may what: they hold nothing of it, and what they ask for it decides", async () => {
    const own = routesOf(new App(all), () => null);
    for (const path of ["/", "/dashboard.js", "/dashboard.css"])
      expect((await own.fetch(new Request(`https://keyframe.example.com${path}`), env)).status).toBe(200);
    expect((await own.fetch(new Request(`https://keyframe.example.com${PATH}`), env)).status).toBe(401);
  });

  it("U1: are open where tokens are set, since a page can't send one, and shut with the app", async () => {
    for (const path of ["/", "/dashboard.js", "/dashboard.css"]) {
      expect((await raw(path, { ADMIN_TOKEN: "secret" }, {}, "keyframe.example.com")).status).toBe(200);
      expect((await raw(path, {}, {}, "keyframe.example.com")).status).toBe(401);
    }
    expect((await raw(PATH, { ADMIN_TOKEN: "secret" }, {}, "keyframe.example.com")).status).toBe(401);
  });
});
