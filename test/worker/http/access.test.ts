/** Who may do what: every route with every token, and an app that has none. */
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { App } from "../../../src/worker/app.ts";
import type { Env } from "../../../src/worker/env.ts";
import { routesOf } from "../../../src/worker/routes.ts";
import { all } from "../app.ts";
import { expectProblem, readAnswer, type Answer } from "../http.ts";

type Role = "ingest" | "read" | "admin";
type Tokens = Partial<Record<"INGEST_TOKEN" | "READ_TOKEN" | "ADMIN_TOKEN" | "METRICS_TOKEN", string>>;

const TOKENS = { INGEST_TOKEN: "ingest-secret", READ_TOKEN: "read-secret", ADMIN_TOKEN: "admin-secret" };
const PUBLIC = "https://keyframe.example.workers.dev";

const ROUTES: readonly (readonly [method: string, path: string, role: Role])[] = [
  ["POST", "/v1/events", "ingest"],
  ["POST", "/v1/operators/tally/ask", "ingest"],
  ["GET", "/v1/operators", "read"],
  ["GET", "/v1/operators/tally/state", "read"],
  ["GET", "/v1/operators/tally/state?key=k", "read"],
  ["GET", "/v1/operators/tally/state/k", "read"],
  ["POST", "/v1/operators/tally/state/batch", "read"],
  ["GET", "/v1/operators/tally/export", "read"],
  ["PUT", "/v1/operators/tally/state?key=k", "admin"],
  ["DELETE", "/v1/operators/tally/state?key=k", "admin"],
  ["GET", "/v1/operators/tally/partitions", "admin"],
  ["GET", "/v1/operators/tally/partitions/0", "admin"],
  ["POST", "/v1/operators/tally/partitions/0/snapshot", "admin"],
  ["GET", "/v1/operators/tally/partitions/0/manifests", "admin"],
  ["GET", "/v1/operators/tally/partitions/0/manifests/1", "admin"],
  ["GET", "/v1/operators/tally/partitions/0/pins", "admin"],
  ["POST", "/v1/operators/tally/partitions/0/manifests/1/pin", "admin"],
  ["DELETE", "/v1/operators/tally/partitions/0/manifests/1/pin", "admin"],
  ["PUT", "/v1/savepoints/a", "admin"],
  ["GET", "/v1/savepoints/a", "read"],
  ["GET", "/v1/savepoints", "read"],
  ["DELETE", "/v1/savepoints/a", "admin"],
  ["POST", "/v1/operators/tally/partitions/0/verify", "admin"],
  ["POST", "/v1/operators/tally/partitions/0/evict", "admin"],
  ["POST", "/v1/operators/tally/partitions/0/adopt", "admin"],
  ["POST", "/v1/operators/tally/recover", "admin"],
  ["GET", "/v1/operators/tally/quarantine", "admin"],
  ["GET", "/v1/operators/tally/quarantine/groups", "admin"],
  ["POST", "/v1/operators/tally/quarantine/retry", "admin"],
  ["POST", "/v1/operators/tally/quarantine/delete", "admin"],
  ["POST", "/v1/operators/tally/quarantine/0-1/retry", "admin"],
  ["DELETE", "/v1/operators/tally/quarantine/0-1", "admin"],
  ["GET", "/v1/operators/tally/watch", "read"],
  ["GET", "/v1/operators/tally/history", "read"],
  ["GET", "/v1/operators/tally/timers", "read"],
  ["GET", "/v1/operators/tally/blame", "read"],
  ["GET", "/v1/operators/tally/changes", "read"],
  ["GET", "/v1/diff", "read"],
  ["GET", "/v1/check", "admin"],
  ["GET", "/v1/timelines", "read"],
  ["GET", "/v1/timelines/a", "read"],
  ["PUT", "/v1/timelines/a", "admin"],
  ["DELETE", "/v1/timelines/a", "admin"],
  ["POST", "/v1/timelines/a/replay", "admin"],
  ["GET", "/v1/timelines/a/promotion", "admin"],
  ["POST", "/v1/timelines/a/promotion", "admin"],
  ["DELETE", "/v1/timelines/a/promotion", "admin"],
  ["GET", "/v1/doctor", "admin"],
  ["GET", "/openapi.json", "admin"],
  ["GET", "/docs", "admin"],
  ["POST", "/v1/erasures", "admin"],
  ["GET", "/v1/erasures/tally.0.1.0.a", "admin"],
  ["GET", "/v1/overview", "admin"],
  ["GET", "/metrics", "admin"],
  ["GET", "/v1/nothing", "admin"],
];

const http = routesOf(new App(all));

async function send(
  tokens: Tokens,
  method: string,
  url: string,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await http.fetch(new Request(url, { method, headers }), { ...(env as unknown as Env), ...tokens });
  const answer = await readAnswer(response);
  if (answer.status >= 400) expectProblem(answer);
  return answer;
}

const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });

/** The answer to a caller: whether it was let in, else why not. */
function verdict({ status, body, headers }: Answer): string {
  if (status !== 401 && status !== 403) return "in";
  expect(headers.has("www-authenticate")).toBe(status === 401);
  return String(body["code"]);
}

test("the table has every route that there is", () => {
  const missing = http.routes.filter(({ method, path }) => {
    const pattern = new RegExp(`^${path.replaceAll(/:\w+/g, "[^/]+").replaceAll("*", ".*")}$`);
    return !ROUTES.some(([of, at]) => of === method && pattern.test(at.split("?")[0]!));
  });
  // The routes that stand for all paths, those that everybody may ask, and the files of the dashboard, which asks for
  // the token.
  expect(missing.map(({ method, path }) => `${method} ${path}`)).toEqual([
    "ALL /*",
    "GET /healthz",
    "GET /",
    "GET /dashboard.js",
    "GET /dashboard.css",
    "ALL /*",
  ]);
});

describe.each(ROUTES)("%s %s", (method, path, role) => {
  test("opens to its token and to the admin's, to nobody else", async () => {
    const ask = async (token: string | null): Promise<string> =>
      verdict(await send(TOKENS, method, PUBLIC + path, token === null ? {} : bearer(token)));
    expect({
      none: await ask(null),
      unknown: await ask("other"),
      longer: await ask("admin-secret-"),
      ingest: await ask("ingest-secret"),
      read: await ask("read-secret"),
      admin: await ask("admin-secret"),
    }).toEqual({
      none: "no_token",
      unknown: "bad_token",
      longer: "bad_token",
      ingest: role === "ingest" ? "in" : "wrong_role",
      read: role === "read" ? "in" : "wrong_role",
      admin: "in",
    });
  });

  test("is shut where its token isn't set, but another is; on the own machine too", async () => {
    const other: Tokens = role === "read" ? { INGEST_TOKEN: "only" } : { READ_TOKEN: "only" };
    for (const host of [PUBLIC, "http://localhost"]) {
      expect(verdict(await send(other, method, host + path))).toBe("no_token");
      expect(verdict(await send(other, method, host + path, bearer("only")))).toBe("wrong_role");
      expect(verdict(await send(other, method, host + path, bearer("undefined")))).toBe("bad_token");
    }
  });

  test("without any token is open to the own machine alone", async () => {
    const hosts = { "http://localhost:8787": "in", "http://127.0.0.1": "in", "http://[::1]:1": "in" };
    const strangers = [PUBLIC, "http://localhost.example.com", "http://127.0.0.1.example.com", "http://10.0.0.1"];
    for (const [host, expected] of Object.entries(hosts))
      expect(verdict(await send({}, method, host + path))).toBe(expected);
    for (const host of strangers) {
      expect(verdict(await send({}, method, host + path))).toBe("closed");
      expect(verdict(await send({ ADMIN_TOKEN: "" }, method, host + path, bearer("")))).toBe("closed");
    }
  });
});

test("U1: without tokens no page of another host may have a browser here send requests", async () => {
  const from = async (origin: string, tokens: Tokens = {}, more = {}): Promise<string> =>
    verdict(await send(tokens, "POST", "http://127.0.0.1:8787/v1/operators/tally/recover", { origin, ...more }));
  for (const origin of ["https://example.com", "null", "http://localhost.example.com"])
    expect(await from(origin)).toBe("origin_not_allowed");
  for (const origin of ["http://127.0.0.1:8787", "http://localhost:5173", "http://[::1]:1"])
    expect(await from(origin)).toBe("in");
  expect(await from("https://example.com", TOKENS, bearer("admin-secret"))).toBe("in");
});

describe("tokens", () => {
  const path = `${PUBLIC}/v1/operators`;
  const said = async (authorization: string): Promise<string> =>
    verdict(await send(TOKENS, "GET", path, { authorization }));

  test.each([
    ["bearer read-secret", "in"],
    ["BEARER   read-secret", "in"],
    ["read-secret", "no_token"],
    ["Basic read-secret", "no_token"],
    ["Bearer", "no_token"],
    ["Bearer read-secret admin-secret", "no_token"],
    ["Bearer Read-Secret", "bad_token"],
    ["Bearer read-secre", "bad_token"],
  ])("%j", async (authorization, expected) => expect(await said(authorization)).toBe(expected));

  test("don't count in the address", async () => {
    expect(verdict(await send(TOKENS, "GET", `${path}?token=read-secret&authorization=Bearer+read-secret`))).toBe(
      "no_token",
    );
  });

  test("that of a scraper opens the metrics and nothing else, and opens no app that is closed", async () => {
    const tokens = { ...TOKENS, METRICS_TOKEN: "scraper" };
    for (const [method, route, expected] of [
      ["GET", "/metrics", "in"],
      ["GET", "/v1/operators", "wrong_role"],
      ["POST", "/v1/events", "wrong_role"],
      ["GET", "/v1/operators/tally/partitions", "wrong_role"],
    ] as const)
      expect(verdict(await send(tokens, method, PUBLIC + route, bearer("scraper"))), route).toBe(expected);
    const alone = await send({ METRICS_TOKEN: "scraper" }, "GET", `${PUBLIC}/metrics`, bearer("scraper"));
    expect(verdict(alone)).toBe("closed");
  });

  test("never stand in an answer", async () => {
    const answer = await send(TOKENS, "GET", path, bearer("my-own-guess"));
    expect(JSON.stringify(answer.body)).not.toMatch(/secret|guess/);
  });

  test("health needs none", async () => {
    expect((await send(TOKENS, "GET", `${PUBLIC}/healthz`)).status).toBe(200);
    expect((await send({}, "GET", `${PUBLIC}/healthz`)).status).toBe(200);
  });
});
