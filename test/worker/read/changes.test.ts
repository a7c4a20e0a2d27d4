/** `GET /v1/operators/{op}/changes`: every change once and in order, over pages, waits, promotions and splits. */
import { createExecutionContext, evictAllDurableObjects } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { EventStream } from "../../../src/client/event-stream.ts";
import { App } from "../../../src/worker/app.ts";
import { routesOf } from "../../../src/worker/routes.ts";
import app, { all } from "../app.ts";
import { add, BASE, call, fetchApp, get, postEvents, readAnswer } from "../http.ts";

interface Line {
  readonly key: string;
  readonly value: { readonly n: number } | null;
  readonly partition: number;
  readonly seq: number;
  readonly stamp: number;
  readonly time: string;
  readonly event: { readonly type: string; readonly id: string; readonly source: string };
  readonly cursor: string;
}

interface Page {
  readonly head: Record<string, unknown>;
  readonly lines: readonly Line[];
  readonly end: { readonly end: true; readonly cursor: string; readonly more: boolean };
}

const PATH = "/v1/operators/tally/changes";

function pageIn(text: string): Page {
  const [head, ...rest] = text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as unknown);
  const end = rest.pop() as Page["end"];
  expect(end.end).toBe(true);
  return { head: head as Page["head"], lines: rest as Line[], end };
}

async function page(query: Record<string, string | number> = {}): Promise<Page> {
  const text = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)])).toString();
  const response = await fetchApp(`${PATH}?${text}`);
  if (response.status !== 200) expect.fail(`${response.status}: ${await response.text()}`);
  expect(response.headers.get("content-type")).toBe("application/x-ndjson");
  return pageIn(await response.text());
}

/** All pages from a place on. */
async function follow(query: Record<string, string | number> = {}): Promise<{ lines: Line[]; cursor: string }> {
  const lines: Line[] = [];
  for (let after = query; ;) {
    const one = await page(after);
    lines.push(...one.lines);
    if (!one.end.more) return { lines, cursor: one.end.cursor };
    after = { ...query, after: one.end.cursor };
  }
}

const refused = async (query: string, path = PATH): Promise<unknown[]> => {
  const { status, body } = await get(`${path}?${query}`);
  return [status, body["code"]];
};

function folded(lines: readonly Line[]): Record<string, unknown> {
  const states = new Map<string, unknown>();
  for (const { key, value } of lines)
    if (value === null) states.delete(key);
    else states.set(key, value);
  return sorted(states);
}

/** In one order, so that two can be compared. */
const sorted = (states: Iterable<readonly [string, unknown]>): Record<string, unknown> =>
  Object.fromEntries([...states].sort(([a], [b]) => (a < b ? -1 : 1)));

interface Exported {
  readonly at: number;
  readonly states: Record<string, unknown>;
}

async function exported(query = "at=now"): Promise<Exported> {
  const lines = (await (await fetchApp(`/v1/operators/tally/export?${query}`)).text()).trimEnd().split("\n");
  const parsed = lines.map((line) => JSON.parse(line) as { key?: string; value?: unknown; at?: number });
  const states = parsed.flatMap(({ key, value }) => (key === undefined ? [] : [[key, value] as const]));
  return { at: parsed[0]!.at!, states: sorted(states) };
}

const edit = (method: string, key: string, body?: unknown) =>
  call(`/v1/operators/tally/state?key=${key}`, {
    method,
    headers: { "if-match": "*", "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });

const snapshots = async (): Promise<void> => {
  for (const n of [0, 1, 2, 3]) await call(`/v1/operators/tally/partitions/${n}/snapshot`, { method: "POST" });
};

async function open(
  headers: Record<string, string> = {},
  query = "",
): Promise<ReadableStreamDefaultReader<Uint8Array>> {
  const request = new Request(`${BASE}${PATH}${query}`, { headers: { accept: "text/event-stream", ...headers } });
  const response = await app.fetch(request, env, createExecutionContext());
  expect([response.status, response.headers.get("content-type")]).toEqual([200, "text/event-stream; charset=utf-8"]);
  return (response.body as ReadableStream<Uint8Array>).getReader();
}

const put = (name: string, body: unknown) =>
  call(`/v1/timelines/${name}`, {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
const promote = (name: string) =>
  call(`/v1/timelines/${name}/promotion`, { method: "POST", headers: { "if-match": "*" } });

const KEYS = ["a", "b/1", "b/2", "c", "ü"];

beforeAll(async () => {
  for (const round of [1, 10, 100]) {
    await postEvents(KEYS.map((key) => add(key, round)));
    if (round === 10) await snapshots();
  }
  await edit("PUT", "c", { n: 7, events: 0 });
  await edit("DELETE", "a");
});

describe("changes", () => {
  test("are every state that every key had, in order, with what changed it and where to go on", async () => {
    const { head, lines, end } = await page();
    expect(head).toEqual({ format: "keyframe.changes", v: 1, operator: "tally", operatorVersion: 1, prefix: "" });
    expect(lines).toHaveLength(3 * KEYS.length + 2);
    expect(end).toEqual({ end: true, cursor: expect.any(String), more: false });
    const of = (key: string) => lines.filter((line) => line.key === key).map(({ value }) => value?.n ?? null);
    expect([of("a"), of("b/1"), of("c")]).toEqual([
      [1, 11, 111, null],
      [1, 11, 111],
      [1, 11, 111, 7],
    ]);
    const last = lines.findLast(({ key }) => key === "b/2")!;
    const { body } = await get("/v1/operators/tally/state?key=b/2");
    expect({ operator: "tally", ...last }).toMatchObject(body);
    expect(last.event).toEqual({ type: "tally.add", id: expect.any(String), source: expect.any(String) });
    const stamps = lines.map(({ stamp }) => stamp);
    expect(stamps).toEqual(stamps.toSorted((a, b) => a - b));
    expect(folded(lines)).toEqual((await exported()).states);
  });

  test("come in pages, and go on from any line and from a page's end; nothing is woken", async () => {
    await snapshots();
    await evictAllDurableObjects();
    const { lines, cursor } = await follow();
    for (const limit of [1, 4, 1_000]) expect((await follow({ limit })).lines).toEqual(lines);
    for (const [i, line] of lines.entries())
      expect((await page({ after: line.cursor })).lines, line.cursor).toEqual(lines.slice(i + 1));
    expect((await page({ after: cursor })).lines).toEqual([]);
    expect((await follow({ prefix: "b/", limit: 2 })).lines).toEqual(lines.filter(({ key }) => key.startsWith("b/")));
    const asleep = {
      ...env,
      PARTITION: {
        getByName: () => {
          throw new Error("a partition was woken");
        },
      },
    } as unknown as typeof env;
    const http = routesOf(new App(all));
    const answer = await http.fetch(new Request(`${BASE}${PATH}`), asleep);
    expect(pageIn(await answer.text()).lines).toEqual(lines);
  });

  test("go on from the moment of an export: both together are all there is", async () => {
    const { at, states } = await exported();
    await postEvents([add("late", 1), add("b/1", 1_000)]);
    const { lines } = await follow({ after: at });
    expect(lines.map(({ key, value }) => [key, value?.n])).toEqual(
      expect.arrayContaining([
        ["late", 1],
        ["b/1", 1_111],
      ]),
    );
    expect(lines).toHaveLength(2);
    expect(sorted(Object.entries({ ...states, ...folded(lines) }))).toEqual((await exported()).states);
    expect((await follow({ after: "now" })).lines).toEqual([]);
  });

  test("of one busy partition don't pass the others: a page ends where every partition's page does", async () => {
    const { cursor } = await follow();
    const busy = Array.from({ length: 150 }, () => add("busy", 1));
    await postEvents(busy);
    await postEvents(Array.from({ length: 12 }, (_, i) => add(`other-${i}`, 1)));
    // Each of the four partitions gives up to 100 changes for such a page.
    const { lines } = await follow({ after: cursor, limit: 200 });
    expect(lines).toEqual((await page({ after: cursor })).lines);
    expect(lines.slice(0, 150).every(({ key }) => key === "busy")).toBe(true);
    expect(lines).toHaveLength(162);
  });

  test("are waited for, and a feed without any writes nothing", async () => {
    await postEvents([add("settled", 1)]);
    const { lines: read, cursor } = await follow();
    const floors = async () => (await env.LOG_0.prepare("SELECT floor FROM lines").all<{ floor: number }>()).results;
    await page({ after: cursor });
    const before = await floors();
    expect(before[0]!.floor, "nothing can come any more before what was read").toBeGreaterThanOrEqual(
      read.at(-1)!.stamp,
    );
    expect((await page({ after: cursor, wait: 2 })).lines).toEqual([]);
    expect(await floors()).toEqual(before);
    await postEvents([add("waited", 3)]);
    const { lines, end } = await page({ after: cursor, wait: 30 });
    expect(lines.map(({ key, value }) => [key, value?.n])).toEqual([["waited", 3]]);
    expect((await page({ after: end.cursor })).lines).toEqual([]);
  });

  test("are a stream of events, which resumes behind the last id", async () => {
    const { lines, cursor } = await follow();
    const take = async (reader: ReadableStreamDefaultReader<Uint8Array>, stream: EventStream, count: number) => {
      const seen: Line[] = [];
      const decoder = new TextDecoder();
      while (seen.length < count) {
        const text = decoder.decode((await reader.read()).value, { stream: true });
        seen.push(...stream.push(text).map(({ data }) => JSON.parse(data) as Line));
      }
      return seen;
    };
    const first = await open();
    const stream = new EventStream();
    expect(await take(first, stream, lines.length)).toEqual(lines);
    expect(stream.lastId, "all of it was read").toBe(cursor);
    await postEvents([add("streamed", 5)]);
    expect((await take(first, stream, 1)).map(({ key }) => key)).toEqual(["streamed"]);
    await first.cancel();
    const again = await open({ "last-event-id": lines.at(-1)!.cursor });
    expect((await take(again, new EventStream(), 1)).map(({ key }) => key)).toEqual(["streamed"]);
    await again.cancel();
  });

  test("of a prefix alone are shown to a caller who may see no others", async () => {
    const http = routesOf(new App(all), () => ({ may: ["read"], keyPrefix: "b/" }));
    const ask = async (query: string) => http.fetch(new Request(`${BASE}${PATH}${query}`), env);
    const { lines } = pageIn(await (await ask("")).text());
    expect(new Set(lines.map(({ key }) => key))).toEqual(new Set(["b/1", "b/2"]));
    expect((await readAnswer(await ask("?prefix=c"))).body["code"]).toBe("key_not_allowed");
  });

  test.each([
    ["after=v1.1.5.x", 400, "invalid_cursor"],
    ["after=v1.1.1806200000000000.0", 400, "invalid_cursor"],
    ["after=v2.anything", 400, "unknown_cursor"],
    ["after=yesterday%20evening", 400, "invalid_moment"],
    ["after=main@now", 400, "invalid_moment"],
    ["after=no-such-savepoint", 404, "no_savepoint"],
    ["after=2125-01-01T00:00:00Z", 409, "not_settled"],
    ["limit=0", 400, "invalid_limit"],
    ["limit=10001", 400, "invalid_limit"],
    ["wait=31", 400, "invalid_wait"],
    ["at=now", 400, "unsupported_parameter"],
    ["timeline=nobody", 404, "no_timeline"],
  ])("%s is %i %s", async (query, status, code) => {
    expect(await refused(query)).toEqual([status, code]);
  });

  test("a cursor of another operator is refused, and so is HEAD", async () => {
    const { cursor } = await follow();
    expect(await refused(`after=${cursor}`, "/v1/operators/left/changes")).toEqual([400, "invalid_cursor"]);
    expect((await fetchApp(PATH, { method: "HEAD" })).status).toBe(405);
  });
});

describe("over a promotion", () => {
  test("changes of a timeline are its parent's up to its start, and its own", async () => {
    const { at } = await exported();
    await put("what-if", { from: String(at) });
    await postEvents([add("only-main", 1)]);
    await postEvents([add("only-fork", 2)], {}, "?timeline=what-if");
    const [main, fork] = [await follow(), await follow({ timeline: "what-if" })];
    const upTo = (lines: readonly Line[]) => lines.filter(({ stamp }) => stamp <= at);
    expect(upTo(fork.lines)).toEqual(upTo(main.lines));
    expect(fork.lines.filter(({ stamp }) => stamp > at).map(({ key }) => key)).toEqual(["only-fork"]);
    const parted = { status: 409, body: { code: "line_parted", parted: at } };
    expect(await get(`${PATH}?after=${fork.cursor}`)).toMatchObject(parted);
    expect(await get(`${PATH}?after=${main.cursor}&timeline=what-if`)).toMatchObject(parted);
    const shared = upTo(main.lines).at(-1)!.cursor;
    expect((await follow({ after: shared, timeline: "what-if" })).lines.map(({ key }) => key)).toEqual(["only-fork"]);

    const stream = await open({}, `?after=${main.cursor}`);
    await stream.read();
    expect(await promote("what-if")).toMatchObject({ status: 200 });
    // It ends, and the reader comes back to be told.
    while (!(await stream.read()).done);
    expect(await get(`${PATH}?after=${main.cursor}`), "main continued elsewhere").toMatchObject(parted);
    expect((await page({ after: main.cursor, timeline: "main~1" })).lines).toEqual([]);
    expect((await follow({ after: shared })).lines.map(({ key }) => key)).toContain("only-fork");
    expect((await follow({ after: fork.cursor })).lines.map(({ key }) => key)).not.toContain("only-fork");
    const { lines } = await follow();
    expect(folded(lines)).toEqual((await exported()).states);
  });

  test("more partitions change nothing of the feed, and it continues", async () => {
    const before = await follow();
    expect(await put("wide", { from: "end", partitions: { tally: 8 } })).toMatchObject({ status: 201 });
    expect(await refused("timeline=wide")).toEqual([409, "timeline_unstarted"]);
    expect(await promote("wide")).toMatchObject({ status: 200 });
    expect((await page({ after: before.cursor })).lines).toEqual([]);
    await postEvents(KEYS.map((key) => add(key, 5)));
    const { lines } = await follow({ limit: 70 });
    expect(lines.slice(0, before.lines.length)).toEqual(before.lines);
    expect(
      lines
        .slice(before.lines.length)
        .map(({ key }) => key)
        .sort(),
    ).toEqual([...KEYS].sort());
    for (const from of [before.cursor, before.lines.at(-1)!.cursor, before.lines.at(4)!.cursor])
      expect((await follow({ after: from, limit: 60 })).lines).toEqual(
        lines
          .slice(lines.findIndex(({ cursor }) => cursor === from) + 1)
          .slice(from === before.cursor ? before.lines.length : 0),
      );
    expect(folded(lines)).toEqual((await exported()).states);
  });

  test("a place that retention has given up is 410, with the oldest to go on from, and the export's moment is there", async () => {
    const early = (await follow()).lines[0]!.cursor;
    const { at } = await exported();
    await postEvents(KEYS.map((key) => add(key, 1)));
    for (const db of [env.LOG_0, env.LOG_1]) await db.prepare("UPDATE partitions SET retain_from = ?1").bind(at).run();
    expect(await get(`${PATH}?after=${early}`)).toMatchObject({ status: 410, body: { code: "moment_gone" } });
    expect(await refused("")).toEqual([410, "moment_gone"]);
    expect((await follow({ after: at })).lines).toHaveLength(KEYS.length);
  });
});
