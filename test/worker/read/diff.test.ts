/** `GET /v1/diff`: what differs between two moments, from D1 and R2 alone, and a last line that says so. */
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { App } from "../../../src/worker/app.ts";
import type { Env } from "../../../src/worker/env.ts";
import { getDiff } from "../../../src/worker/read/diff-route.ts";
import { routesOf } from "../../../src/worker/routes.ts";
import { all } from "../app.ts";
import { add, call, fetchApp, get, postEvents } from "../http.ts";

interface Line {
  readonly operator?: string;
  readonly key?: string;
  readonly from?: unknown;
  readonly to?: unknown;
  readonly [member: string]: unknown;
}

const linesOf = (text: string): Line[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Line);

/** In a Worker that can't reach any object: nothing is woken (SNAP9). */
const asleep = { ...env, PARTITION: null } as unknown as Env;
const app = new App(all);
const http = routesOf(app);
const ask = async (query: string): Promise<Response> =>
  http.fetch(new Request(`http://localhost/v1/diff${query}`), asleep);

async function diff(query: string): Promise<Line[]> {
  const response = await ask(query);
  const text = await response.text();
  expect([response.status, response.headers.get("content-type")], text).toEqual([200, "application/x-ndjson"]);
  return linesOf(text);
}

const KEYS = ["d-a", "d-b", "d-c", "d-😀", "e-d"];
const snapshots = async (): Promise<void> => {
  for (const n of [0, 1, 2, 3]) await call(`/v1/operators/tally/partitions/${n}/snapshot`, { method: "POST" });
};
const now = async (): Promise<number> => (await get("/v1/operators/tally/state?limit=1&at=now")).body["at"] as number;

let first: number;
let second: number;

beforeAll(async () => {
  await postEvents(KEYS.map((key) => add(key, 1)));
  first = await now();
  await snapshots();
  await postEvents([add("d-a", 5), add("d-new", 7), { type: "left.noted", key: "d-left", data: { text: "said" } }]);
  await call("/v1/operators/tally/state?key=d-b", { method: "DELETE", headers: { "if-match": "*" } });
  await postEvents({ type: "fragile.do", key: "d-boom", data: { what: "boom" } });
  second = await now();
  await snapshots();
  await postEvents(add("d-c", 100));
});

const DIFFERENT: readonly Line[] = [
  { operator: "tally", key: "d-a", from: { n: 1, events: 1 }, to: { n: 6, events: 2 } },
  { operator: "tally", key: "d-b", from: { n: 1, events: 1 }, to: null },
  { operator: "tally", key: "d-new", from: null, to: { n: 7, events: 1 } },
];
const sorted = (lines: readonly Line[]): Line[] =>
  lines
    .flatMap(({ operator, key, from, to }) => (key === undefined ? [] : [{ operator: operator!, key, from, to }]))
    .sort((a, b) => (`${a.operator} ${a.key}` < `${b.operator} ${b.key}` ? -1 : 1));

describe("a diff", () => {
  test("has each key that differs, of all operators, between a first and a last line", async () => {
    const lines = await diff(`?from=${first}&to=${second}`);
    const [head] = lines;
    expect(head).toMatchObject({ format: "keyframe.diff", v: 1, from: first, to: second, prefix: "" });
    expect(head!["operators"]).toEqual(all.map(({ name, version }) => ({ operator: name, operatorVersion: version })));
    const left = { operator: "left", key: "d-left", from: null };
    expect(sorted(lines.slice(1))).toMatchObject([left, ...DIFFERENT]);
    expect(lines.at(-1)).toEqual({ end: true, complete: true, keys: 4 });
    for (const { key, operator, partition } of lines.slice(1, -1)) {
      const read = await get(`/v1/operators/${operator!}/state?key=${encodeURIComponent(key!)}`);
      if (read.status === 200) expect(read.body["partition"]).toBe(partition);
    }
  });

  test("is the same for ever, and turned round if the moments are", async () => {
    const lines = await diff(`?from=${first}&to=${second}&operator=tally`);
    expect(await diff(`?from=${first}&to=${second}&operator=tally`)).toEqual(lines);
    expect(sorted(lines)).toEqual(DIFFERENT);
    const back = await diff(`?from=${second}&to=${first}&operator=tally`);
    expect(sorted(back)).toEqual(DIFFERENT.map(({ from, to, ...rest }) => ({ ...rest, from: to, to: from })));
  });

  test("goes up to now if no other moment is named, and takes a savepoint's name", async () => {
    const lines = await diff(`?from=${second}&operator=tally`);
    expect(lines[0]!["to"]).toBeGreaterThan(second);
    expect(sorted(lines)).toMatchObject([{ key: "d-c", from: { n: 1 }, to: { n: 101 } }]);
    const put = { method: "PUT", headers: { "content-type": "application/json" }, body: JSON.stringify({ at: first }) };
    expect((await call("/v1/savepoints/diff-first", put)).status).toBe(201);
    expect(sorted(await diff(`?from=diff-first&to=${second}&operator=tally`))).toEqual(DIFFERENT);
  });

  test.each([
    ["&prefix=d-n", ["d-new"]],
    ["&key=d-a", ["d-a"]],
    ["&key=d-a&operator=left", []],
    ["&key=e-d", []],
    ["&prefix=d-&key=e-d", []],
    ["&operator=left", ["d-left"]],
    ["&operator=fragile", []],
  ])("of %s", async (query, keys) => {
    const lines = await diff(`?from=${first}&to=${second}${query}`);
    expect(lines.flatMap(({ key }) => key ?? []).sort()).toEqual(keys);
    expect(lines.at(-1)).toEqual({ end: true, complete: true, keys: keys.length });
  });

  test("of a moment and itself is empty", async () => {
    expect((await diff(`?from=${first}&to=${first}`)).slice(1)).toEqual([{ end: true, complete: true, keys: 0 }]);
  });

  test("shows a caller with a key prefix its own keys alone", async () => {
    const routes = await app.routes(asleep);
    const asked = { from: String(first), to: String(second), operator: "tally", prefix: undefined, key: undefined };
    const as = async (more: { readonly prefix?: string; readonly key?: string }): Promise<Response> =>
      getDiff(
        new Request("http://localhost/"),
        asleep,
        app,
        routes,
        { ...asked, ...more },
        {
          may: ["read"],
          keyPrefix: "d-n",
        },
      );
    for (const more of [{}, { prefix: "d-" }, { prefix: "d-ne" }, { key: "d-new" }])
      expect(sorted(linesOf(await (await as(more)).text())).map(({ key }) => key)).toEqual(["d-new"]);
    for (const more of [{ prefix: "e" }, { key: "d-a" }]) {
      const refused = await as(more);
      expect([refused.status, (await refused.json<Line>())["code"]]).toEqual([403, "key_not_allowed"]);
    }
  });

  test.each([
    ["", 400, "invalid_moment"],
    ["?from=last%20Tuesday", 400, "invalid_moment"],
    ["?from=-1h&to=", 400, "invalid_moment"],
    ["?from=-1h&key=", 400, "invalid_key"],
    ["?from=-1h&at=now", 400, "unsupported_parameter"],
    ["?from=-1h&operator=nobody", 404, "no_operator"],
    ["?from=no-such-savepoint", 404, "no_savepoint"],
    ["?from=-1h&to=2125-01-01T00:00:00Z", 409, "not_settled"],
  ])("IN1: %s is %i %s", async (query, status, code) => {
    const answer = await get(`/v1/diff${query}`);
    expect([answer.status, answer.body["code"]]).toEqual([status, code]);
  });

  test("asks nobody for HEAD", async () => {
    const response = await fetchApp(`/v1/diff?from=${first}`, { method: "HEAD" });
    expect([response.status, response.headers.get("allow")]).toEqual([405, "GET"]);
  });

  test("that breaks off says so in its last line", async () => {
    const names = (await env.SNAPSHOTS.list({ prefix: "1/tally/" })).objects.map(({ key }) => key);
    const kept = new Map<string, ArrayBuffer>();
    for (const name of names) kept.set(name, await (await env.SNAPSHOTS.get(name))!.arrayBuffer());
    await env.SNAPSHOTS.delete(names);
    const lines = await diff(`?from=${first}&to=${second}&operator=tally`);
    expect(lines.at(-1)).toEqual({
      end: true,
      complete: false,
      code: "diff_interrupted",
      detail: expect.stringMatching(/^partition \d of "tally" could not be compared to its end; ask again$/) as unknown,
    });
    for (const [name, bytes] of kept) await env.SNAPSHOTS.put(name, bytes);
    expect(sorted(await diff(`?from=${first}&to=${second}&operator=tally`))).toEqual(DIFFERENT);
  });

  test("with a moment that retention has given up is 410, with the oldest that is left", async () => {
    await env.LOG_0.prepare("UPDATE partitions SET retain_from = ?1").bind(second).run();
    await env.LOG_1.prepare("UPDATE partitions SET retain_from = ?1").bind(second).run();
    expect(await get(`/v1/diff?from=${first - 1}&to=${second}`)).toMatchObject({
      status: 410,
      body: { code: "moment_gone", oldest: second },
    });
    // A savepoint stays, and all keys are compared.
    expect(sorted(await diff(`?from=diff-first&to=${second}&operator=tally`))).toEqual(DIFFERENT);
    expect(sorted(await diff(`?from=diff-first&to=${second}&operator=tally&key=d-a`))).toHaveLength(1);
  });
});
