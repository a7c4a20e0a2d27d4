/** The OpenAPI document and the app that answers: the same routes, the same refusals, the same tokens, the same answers. */
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import { App } from "../../../src/worker/app.ts";
import type { Env } from "../../../src/worker/env.ts";
import { openApi, templateOf, type Document, type Operation, type Parameter } from "../../../src/worker/api/openapi.ts";
import { routesOf } from "../../../src/worker/routes.ts";
import { checker } from "../../openapi/schemas.ts";
import { all } from "../app.ts";
import { expectDocumented } from "../documented.ts";
import { ask, BASE, bytes, call, fetchApp, get, postEvents, postLines } from "../http.ts";

const document = openApi(all);
const http = routesOf(new App(all));

interface Route {
  readonly method: string;
  readonly path: string;
  readonly operation: Operation;
}
const routes: readonly Route[] = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
);
const titled = routes.map((route) => [`${route.method} ${route.path}`, route] as const);

/** The path with its examples, or with what the test says instead. */
const filled = ({ path, operation }: Route, instead: Readonly<Record<string, string>> = {}): string =>
  operation.parameters
    .filter((one) => one.in === "path")
    .reduce(
      (text, { name, example }) => text.replace(`{${name}}`, instead[name] ?? encodeURIComponent(String(example))),
      path,
    );

describe("the document", () => {
  it("is answered as JSON, and is what the operators give", async () => {
    const { status, body, headers } = await get("/openapi.json");
    expect(status).toBe(200);
    expect(headers.get("content-type")).toBe("application/json");
    expect(body).toEqual(JSON.parse(JSON.stringify(document)) as Document);
  });

  it("has every route that is registered, and no other", () => {
    const registered = new Set(
      http.routes.filter(({ method }) => method !== "ALL").map(({ method, path }) => `${method} ${templateOf(path)}`),
    );
    expect(registered.size).toBeGreaterThan(20);
    expect([...registered].sort()).toEqual(titled.map(([title]) => title).sort());
  });

  it("is shown on a page", async () => {
    const response = await fetchApp("/docs");
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(await response.text()).toContain(`curl '${BASE}/healthz'`);
  });
});

const TOKENS = { ingest: "INGEST_TOKEN", read: "READ_TOKEN", admin: "ADMIN_TOKEN" } as const;

const TRIED = [
  "",
  "-1",
  "0.5",
  "1e3",
  "99999999999999999999",
  "1001",
  "No Such",
  "x/y",
  "\u00e4".repeat(1_000),
  "k".repeat(1_025),
];

describe.each(titled)("%s", (_, route) => {
  const { method, operation } = route;
  const { parameters, requestBody } = operation;

  it("opens to the tokens that the document names, and to no other", async () => {
    const tokens = { INGEST_TOKEN: "ingest", READ_TOKEN: "read", ADMIN_TOKEN: "admin" };
    const letsIn = async (token: string | null): Promise<boolean> => {
      const headers: Record<string, string> = token === null ? {} : { authorization: `Bearer ${token}` };
      // The route's work isn't wanted here: no partition has this number, and no operator this name.
      const path = filled(route, { n: "999", op: "nobody" });
      const response = await http.fetch(new Request(`https://app.example${path}`, { method, headers }), {
        ...(env as unknown as Env),
        ...tokens,
      });
      return response.status !== 401 && response.status !== 403;
    };
    const named = operation.security.flatMap((one) => Object.keys(one));
    for (const role of Object.keys(TOKENS))
      expect(await letsIn(role), role).toBe(named.length === 0 || named.includes(role));
    expect(await letsIn(null)).toBe(named.length === 0);
  });

  const refused = parameters.map((one) => [`${one.in} ${one.name}`, one, forbidden(one)] as const);
  it.each(refused.filter(([, , values]) => values.length > 0))(
    "refuses what the document forbids: %s",
    async (__, parameter, values) => {
      for (const value of values) {
        const instead = parameter.in === "path" ? { [parameter.name]: encodeURIComponent(value) } : {};
        const query = parameter.in === "query" ? `?${parameter.name}=${encodeURIComponent(value)}` : "";
        const { status } = await call(filled(route, instead) + query, { method });
        expect([400, 404], `${parameter.name}=${value.slice(0, 50)}: ${status}`).toContain(status);
      }
    },
  );

  it.each(Object.keys(requestBody?.content ?? {}).filter((type) => /[/+]json$/.test(type)))(
    "refuses a body that the document forbids: %s",
    async (type) => {
      const check = checker(document, requestBody!.content[type]!.schema!);
      for (const body of BODIES.filter((one) => check(one) !== null)) {
        const init = { method, headers: { "content-type": type }, body: JSON.stringify(body) };
        const { status } = await call(filled(route), init);
        expect([400, 413, 422], `${init.body.slice(0, 100)}: ${status}`).toContain(status);
      }
    },
  );
});

/** Values that the schema of a parameter doesn't allow. Headers have tests of their own. */
function forbidden({ schema, in: place }: Parameter): readonly string[] {
  if (place === "header") return [];
  const check = checker(document, schema);
  // In a path an empty place is another path.
  const tried = place === "path" ? TRIED.filter((text) => text !== "") : TRIED;
  return tried.filter((text) => {
    const number = schema["type"] === "integer" && /^-?\d+(\.\d+)?$/.test(text);
    return check(number ? Number(text) : text) !== null;
  });
}

const BODIES: readonly unknown[] = [
  null,
  7,
  "text",
  {},
  { keys: "all" },
  { keys: [""] },
  { keys: ["k".repeat(1_025)] },
  { keys: [7] },
  { keys: Array.from({ length: 501 }, (_, n) => `k${n}`) },
  { truth: "d2" },
  { truth: null },
  { type: "" },
  { type: 7 },
  { type: "tally.add", key: "k", data: { n: 0.5 } },
  { type: "tally.add", key: "k", data: {} },
  { type: "tally.add", key: "k" },
  { type: "tally.add", key: "", data: { n: 1 } },
  { type: "tally.add", id: 7, key: "k", data: { n: 1 } },
  { type: "tally.add", extension: [], key: "k", data: { n: 1 } },
  { specversion: "1.0", id: "", source: "/", type: "tally.add", partitionkey: "k", data: { n: 1 } },
  { specversion: "0.3", id: "1", source: "/", type: "tally.add", partitionkey: "k", data: { n: 1 } },
  { specversion: "1.0", id: "1", source: "/", type: "tally.add", partitionkey: "k", Upper: "x", data: { n: 1 } },
  [],
];

describe("what the document gives as an example is taken", () => {
  // An edit needs a condition as well: see edit.test.ts.
  const taken = routes.filter(({ operation }) => operation.operationId !== "putState");
  const bodies = taken.flatMap((route) =>
    Object.entries(route.operation.requestBody?.content ?? {})
      .filter(([, { example }]) => example !== undefined)
      .map(([type, { example }]) => [`${route.operation.operationId} ${type}`, route, type, example] as const),
  );
  it.each(bodies)("%s", async (_, route, type, example) => {
    const body = typeof example === "string" ? example : JSON.stringify(example);
    const path = filled(route, { op: route.operation.operationId === "ask" ? "credits" : "tally" });
    const { status, body: answer } = await call(path, {
      method: route.method,
      headers: { "content-type": type },
      body,
    });
    // Nothing was restored to an older point here, so there is nothing to adopt; the request itself is understood.
    if (route.operation.operationId === "adoptPartition") expect(answer["code"]).toBe("not_rewound");
    else expect([200, 201, 202], JSON.stringify(answer)).toContain(status);
  });
});

/**
 * Tests of their own compare their answers with the document: of a database that was restored to an older point, a
 * stream, edits, erasures.
 */
const UNWALKED = [
  "adoptPartition",
  "watch",
  "putState",
  "deleteState",
  "export",
  "changes",
  "diff",
  "check",
  "erase",
  "getErasure",
  "dashboard",
  "dashboardScript",
  "dashboardStyle",
];

/**
 * Every route is walked, so that its answers are compared with the document (http.ts does): those that are good, and
 * those that aren't.
 */
describe("answers are as they are documented", () => {
  const seen = new Set<string>();
  const walk = async (method: string, path: string, init: RequestInit = {}): Promise<number> => {
    const response = await fetchApp(path, { ...init, method });
    const text = await response.text();
    expectDocumented(method, path, response, text);
    seen.add(`${method} ${path.replace(/\?.*/, "")} ${response.status}`);
    return response.status;
  };
  const json = (body: unknown, headers: Record<string, string> = {}): RequestInit => ({
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  const P = "/v1/operators/tally/partitions/0";

  beforeAll(async () => {
    const keys = Array.from({ length: 40 }, (_, n) => ({ type: "tally.add", id: `w${n}`, key: `k${n}`, data: { n } }));
    expect((await postEvents(keys)).status).toBe(200);
    expect((await ask("fragile", { type: "fragile.do", id: "q1", key: "q", data: { what: "boom" } })).status).toBe(422);
    expect((await ask("fragile", { type: "fragile.do", id: "q2", key: "q", data: { what: "boom" } })).status).toBe(422);
  });

  it.each([
    ["GET", "/healthz", undefined, 200],
    ["GET", "/docs", undefined, 200],
    ["GET", "/openapi.json", undefined, 200],
    ["GET", "/openapi.json?timeline=other", undefined, 404],
    ["GET", "/v1/operators", undefined, 200],
    ["GET", "/v1/operators?at=2026-01-01T00:00:00Z", undefined, 400],
    ["PUT", "/v1/savepoints/documented", { body: "{}", headers: { "content-type": "application/json" } }, 201],
    ["PUT", "/v1/savepoints/documented", { body: "{}", headers: { "content-type": "application/json" } }, 200],
    ["GET", "/v1/savepoints/documented", undefined, 200],
    ["GET", "/v1/savepoints", undefined, 200],
    ["GET", "/v1/operators/tally/state?key=k1&at=documented", undefined, 200],
    ["GET", "/v1/operators/tally/state?limit=2&at=documented", undefined, 200],
    ["DELETE", "/v1/savepoints/documented", undefined, 200],
    ["PUT", "/v1/timelines/documented", { body: "{}", headers: { "content-type": "application/json" } }, 201],
    ["PUT", "/v1/timelines/documented", { body: "{}", headers: { "content-type": "application/json" } }, 200],
    ["GET", "/v1/timelines/documented", undefined, 200],
    ["GET", "/v1/timelines", undefined, 200],
    ["GET", "/v1/operators/tally/state?key=k1&timeline=documented", undefined, 200],
    ["GET", "/v1/timelines/documented/promotion", undefined, 200],
    ["POST", "/v1/timelines/documented/promotion", undefined, 428],
    ["DELETE", "/v1/timelines/documented/promotion", undefined, 200],
    ["DELETE", "/v1/timelines/documented", undefined, 200],
    ["PUT", "/v1/timelines/replaying", json({ replay: "logged" }), 201],
    ["POST", "/v1/timelines/replaying/replay", undefined, 200],
    ["GET", "/v1/timelines/replaying", undefined, 200],
    ["GET", "/v1/timelines/replaying/promotion", undefined, 200],
    ["DELETE", "/v1/timelines/replaying", undefined, 200],
    ["GET", "/v1/operators/tally/state?key=k1", undefined, 200],
    ["GET", "/v1/operators/tally/state?key=k1", { headers: { "if-none-match": "*" } }, 304],
    ["GET", "/v1/operators/tally/state?key=nobody", undefined, 404],
    ["GET", "/v1/operators/tally/state?key=", undefined, 400],
    ["GET", "/v1/operators/tally/state?limit=3", undefined, 200],
    ["GET", "/v1/operators/tally/state?cursor=!", undefined, 400],
    ["GET", "/v1/operators/nobody/state", undefined, 404],
    ["GET", "/v1/operators/tally/state/k1", undefined, 200],
    ["GET", "/v1/operators/tally/state/%ff", undefined, 400],
    ["GET", "/v1/operators/tally/state/nobody", undefined, 404],
    ["POST", "/v1/operators/tally/state/batch", json({ keys: ["k1", "nobody"] }), 200],
    ["POST", "/v1/operators/tally/state/batch", json("{"), 400],
    ["POST", "/v1/operators/tally/state/batch", json("x".repeat(2_000_001)), 413],
    ["POST", "/v1/operators/tally/state/batch", json("{}", { "content-encoding": "br" }), 415],
    ["GET", "/v1/operators/tally/partitions", undefined, 200],
    ["GET", "/v1/operators/tally/partitions?live=true", undefined, 200],
    ["GET", P, undefined, 200],
    ["GET", `${P}?live=true`, undefined, 200],
    ["GET", "/v1/operators/tally/partitions/4", undefined, 404],
    ["POST", `${P}/snapshot`, undefined, 200],
    ["POST", "/v1/operators/shelves/partitions/0/snapshot", undefined, 409],
    ["GET", P, undefined, 200],
    ["GET", `${P}/manifests`, undefined, 200],
    ["GET", `${P}/manifests/1`, undefined, 200],
    ["GET", `${P}/manifests/2`, undefined, 404],
    ["GET", `${P}/manifests/one`, undefined, 404],
    ["POST", `${P}/manifests/1/pin?name=walk`, undefined, 200],
    ["POST", `${P}/manifests/7/pin`, undefined, 404],
    ["POST", `${P}/manifests/1/pin?name=No`, undefined, 400],
    ["GET", `${P}/pins`, undefined, 200],
    ["DELETE", `${P}/manifests/1/pin?name=walk`, undefined, 200],
    ["POST", `${P}/verify`, undefined, 200],
    ["POST", "/v1/operators/shelves/partitions/0/verify", undefined, 409],
    ["POST", `${P}/evict`, undefined, 200],
    ["POST", `${P}/adopt`, json({ truth: "d1" }), 409],
    ["POST", `${P}/adopt`, json({}), 400],
    ["GET", "/v1/operators/tally/timers?key=k1", undefined, 200],
    ["GET", "/v1/operators/tally/timers?key=k1&at=now", undefined, 200],
    ["GET", "/v1/operators/tally/timers?key=nobody", undefined, 404],
    ["GET", "/v1/operators/tally/timers", undefined, 400],
    ["GET", "/v1/operators/tally/watch", undefined, 400],
    ["GET", "/v1/operators/tally/history?key=k&limit=2", undefined, 200],
    ["GET", "/v1/operators/tally/history?key=k&before=0", undefined, 400],
    ["GET", "/v1/operators/tally/blame?key=k1&path=/n", undefined, 200],
    ["GET", "/v1/operators/tally/blame?key=nobody", undefined, 200],
    ["GET", "/v1/operators/tally/blame?key=k1&path=n", undefined, 400],
    ["GET", "/v1/diff?from=-1h&operator=nobody", undefined, 404],
    ["GET", "/v1/diff", undefined, 400],
    ["GET", "/v1/doctor", undefined, 200],
    ["GET", "/v1/overview", undefined, 200],
    ["GET", "/metrics", undefined, 200],
    ["GET", "/metrics?from=2", undefined, 400],
    ["GET", "/metrics?operator=nobody", undefined, 404],
    ["GET", "/v1/operators/tally/partitions/0/pins", undefined, 200],
    ["POST", "/v1/operators/tally/recover", undefined, 200],
    ["PUT", "/v1/timelines/promoted", { body: "{}", headers: { "content-type": "application/json" } }, 201],
    ["POST", "/v1/timelines/promoted/promotion", { headers: { "if-match": "*" } }, 200],
    ["POST", "/v1/operators/nobody/recover", undefined, 404],
    ["GET", "/v1/operators/fragile/quarantine?limit=1", undefined, 200],
    ["GET", "/v1/operators/fragile/quarantine?cursor=7", undefined, 400],
    ["GET", "/v1/operators/fragile/quarantine/groups", undefined, 200],
    ["POST", "/v1/operators/fragile/quarantine/0-1/retry", undefined, 200],
    ["POST", "/v1/operators/fragile/quarantine/0-9/retry", undefined, 404],
    ["DELETE", "/v1/operators/fragile/quarantine/0-2", undefined, 200],
    ["DELETE", "/v1/operators/fragile/quarantine/0-2", undefined, 200],
    ["POST", "/v1/operators/fragile/quarantine/0-2/retry", undefined, 409],
    ["DELETE", "/v1/operators/fragile/quarantine/two", undefined, 404],
    ["POST", "/v1/operators/fragile/quarantine/retry?limit=5", undefined, 200],
    ["POST", "/v1/operators/fragile/quarantine/retry?cursor=7", undefined, 400],
    ["POST", "/v1/operators/fragile/quarantine/delete?all=true", undefined, 200],
    ["POST", "/v1/operators/fragile/quarantine/delete", undefined, 400],
  ] as const)("%s %s %j: %i", async (method, path, init, status) => {
    expect(await walk(method, path, init)).toBe(status);
  });

  it("of events, whatever becomes of them", async () => {
    const add = (id: string, more: object = {}): object => ({
      type: "tally.add",
      id,
      key: "e",
      data: { n: 1 },
      ...more,
    });
    const take = { type: "credits.take", id: "too much", data: { account: "nobody", n: 1_000 } };
    const full = { prefer: "return=representation" };
    const events = async (body: unknown, headers: Record<string, string> = {}): Promise<number> =>
      walk("POST", "/v1/events", json(body, headers));
    const producer = { "producer-id": "p", "producer-epoch": "1" };
    expect(await events(add("e1"), full)).toBe(200);
    expect(await events([add("e1"), add("e2"), take, { type: "nobody's" }, 7], full)).toBe(207);
    expect(await events(take, full)).toBe(409);
    expect(await events(add("e1", { data: { n: 2 } }))).toBe(409);
    expect(await events(add("e3", { data: { n: "two" } }))).toBe(422);
    expect(await events([add("e4"), 7], { prefer: "handling=strict" })).toBe(422);
    expect(await events({ type: "fragile.do", id: "e5", key: "q", data: { what: "boom" } }, full)).toBe(200);
    expect(await events("[{]")).toBe(400);
    expect(await events("x".repeat(1_000_001), { prefer: "handling=strict" })).toBe(413);
    expect(await events("{}", { "content-type": "text/plain" })).toBe(415);
    expect(await events([add("e6")], { ...producer, "producer-epoch": "2", "producer-seq": "5000" })).toBe(200);
    expect(await events([add("e7")], { ...producer, "producer-seq": "0" })).toBe(403);
    expect(await events([add("e8")], { ...producer, "producer-epoch": "2", "producer-seq": "1" })).toBe(409);
    expect(await events([add("e9")], { "producer-id": "p" })).toBe(400);
    expect((await postLines([add("e10"), 7])).status).toBe(207);
    const broken = bytes(JSON.stringify(add("e11")), "\n", [0xff], "\n");
    expect(
      await walk("POST", "/v1/events", { headers: { "content-type": "application/x-ndjson" }, body: broken }),
    ).toBe(207);
  });

  it("of an ask, whatever becomes of it", async () => {
    const asking = async (op: string, body: unknown): Promise<number> =>
      walk("POST", `/v1/operators/${op}/ask`, json(body));
    expect(await asking("tally", { type: "tally.add", id: "a1", key: "a", data: { n: 1 } })).toBe(200);
    expect(await asking("tally", { type: "tally.add", id: "a1", key: "a", data: { n: 2 } })).toBe(409);
    expect(await asking("tally", { type: "nobody's", key: "a" })).toBe(422);
    expect(await asking("credits", { type: "credits.take", id: "a2", data: { account: "no", n: 9 } })).toBe(409);
    expect(await asking("fragile", { type: "fragile.do", id: "a3", key: "q", data: { what: "boom" } })).toBe(422);
    expect(await asking("tally", "[]")).toBe(400);
    expect(await asking("nobody", {})).toBe(404);
  });

  it("of every route: each has answered well above", () => {
    const walked = [...seen].filter((one) => one.endsWith(" 200"));
    const missed = routes
      .filter(({ operation }) => !UNWALKED.includes(operation.operationId))
      .filter(({ method, path }) => {
        const pattern = new RegExp(`^${method} ${path.replaceAll(/\{\w+\}/g, "[^/]+")} 200$`);
        return !walked.some((one) => pattern.test(one));
      });
    expect(missed.map(({ method, path }) => `${method} ${path}`)).toEqual([]);
  });
});
