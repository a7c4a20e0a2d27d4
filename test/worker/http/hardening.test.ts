/** Headers of every answer, pages that may call, and how much a caller may send. */
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { keyframe, type Cors, type Env } from "../../../src/keyframe.ts";
import { z } from "zod";
import { operator } from "../../../src/engine/operator/operator.ts";
import { all } from "../app.ts";
import { deploy } from "../deployment.ts";
import { BASE, fetchApp, readAnswer } from "../http.ts";

const PAGE = "https://app.example.com";

/** An app of its own beside the one under test, with what the test says in its environment. */
async function ask(
  options: { readonly cors?: Cors },
  path: string,
  init: RequestInit = {},
  more: Partial<Env> = {},
): Promise<Response> {
  const app = keyframe({ operators: all, ...options });
  const ctx = createExecutionContext();
  const around = { ...(env as unknown as Env), ...more };
  const response = await app.fetch(new Request(`${BASE}${path}`, init), around, ctx);
  await waitOnExecutionContext(ctx);
  return response;
}

describe("headers of every answer", () => {
  test.each([
    ["health", "/healthz", {}, 200],
    ["a list", "/v1/operators", {}, 200],
    ["a problem", "/v1/nothing", {}, 404],
    ["a state that isn't there", "/v1/operators/tally/state?key=nobody", {}, 404],
    ["what isn't changed", "/v1/operators/tally/state?key=there", { "if-none-match": "*" }, 304],
    ["an export", "/v1/operators/tally/export", {}, 200],
  ])("%s", async (_, path, headers, status) => {
    await fetchApp("/v1/events", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"type":"tally.add","id":"hardening-there","key":"there","data":{"n":1}}',
    });
    const response = await fetchApp(path, { headers });
    await response.text();
    expect(response.status).toBe(status);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
      "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
      "cross-origin-resource-policy": "same-origin",
      "cache-control": "private, no-cache",
    });
  });
});

describe("CORS", () => {
  const asking = {
    origin: PAGE,
    "access-control-request-method": "PUT",
    "access-control-request-headers": "authorization, if-match",
  };
  const corsOf = ({ headers }: Response): Record<string, string> =>
    Object.fromEntries([...headers].filter(([name]) => name.startsWith("access-control-")));

  test("is off: a page hears nothing, asked or not", async () => {
    const before = await ask({}, "/v1/operators", { method: "OPTIONS", headers: asking });
    expect([before.status, corsOf(before)]).toEqual([403, {}]);
    const read = await ask({}, "/v1/operators", { headers: { origin: PAGE } });
    expect([read.status, corsOf(read)]).toEqual([403, {}]);
  });

  test("lets the pages in that the app names, and nobody else", async () => {
    const cors = { origins: [PAGE] };
    const before = await ask({ cors }, "/v1/operators/tally/state?key=k", { method: "OPTIONS", headers: asking });
    expect([before.status, await before.text()]).toEqual([204, ""]);
    expect(corsOf(before)).toEqual({
      "access-control-allow-origin": PAGE,
      "access-control-allow-methods": "GET, POST, PUT, DELETE",
      "access-control-allow-headers": "authorization, if-match",
      "access-control-max-age": "600",
      "access-control-expose-headers": "etag, keyframe-stamp, retry-after",
    });
    const read = await ask({ cors }, "/v1/operators", { headers: { origin: PAGE } });
    expect([read.status, read.headers.get("access-control-allow-origin")]).toEqual([200, PAGE]);
    expect(read.headers.get("vary")).toMatch(/Origin/);
    expect(corsOf(read)["access-control-allow-credentials"]).toBeUndefined();
    for (const origin of ["https://evil.example", `${PAGE}.evil.example`, "http://app.example.com", "null"]) {
      const other = await ask({ cors }, "/v1/operators", { headers: { origin } });
      expect([corsOf(other), other.headers.get("vary")]).toEqual([{}, "Origin"]);
      const asked = await ask({ cors }, "/v1/operators", { method: "OPTIONS", headers: { ...asking, origin } });
      expect([asked.status, corsOf(asked)]).toEqual([403, {}]);
    }
  });

  test("opens no route: a token is asked for all the same, and the page may read why not", async () => {
    const read = await ask(
      { cors: { origins: ["*"] } },
      "/v1/operators",
      { headers: { origin: PAGE } },
      { READ_TOKEN: "r" },
    );
    expect([read.status, corsOf(read)["access-control-allow-origin"]]).toEqual([401, "*"]);
  });

  test.each(["app.example.com", `${PAGE}/`, `${PAGE}/path`, "", "*.example.com"])("%j is no origin", (origin) => {
    expect(() => keyframe({ operators: all, cors: { origins: [origin] } })).toThrow(/cors.origins/);
  });
});

describe("INGEST_LIMIT", () => {
  const keys: string[] = [];
  const limit = (success: boolean | Error): Partial<Env> => ({
    INGEST_LIMIT: {
      limit: async ({ key }) => {
        keys.push(key);
        if (success instanceof Error) throw success;
        return { success };
      },
    },
  });
  const event = {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"type":"tally.add","key":"limited","data":{"n":1}}',
  };

  test.each(["/v1/events", "/v1/operators/tally/ask"])("429 beyond it: %s", async (path) => {
    const answer = await readAnswer(await ask({}, path, event, limit(false)));
    expect([answer.status, answer.body["code"], answer.headers.get("retry-after")]).toEqual([
      429,
      "rate_limited",
      "10",
    ]);
    expect((await ask({}, path, event, limit(true))).status).toBe(200);
    expect((await ask({}, path, event, limit(new Error("no answer")))).status).toBe(200);
  });

  test("doesn't count reads, nor who isn't let in; and its key shows no token", async () => {
    keys.length = 0;
    expect((await ask({}, "/v1/operators", {}, limit(false))).status).toBe(200);
    expect((await ask({}, "/v1/events", event, { ...limit(false), INGEST_TOKEN: "secret" })).status).toBe(401);
    expect(keys).toEqual([]);
    const headers = { ...event.headers, authorization: "Bearer secret" };
    expect(
      (await ask({}, "/v1/events", { ...event, headers }, { ...limit(false), INGEST_TOKEN: "secret" })).status,
    ).toBe(429);
    expect(keys).toEqual([expect.stringMatching(/^token [0-9a-f]{32}$/)]);
  });

  test("counts by the prefix of the caller, where it has one", async () => {
    keys.length = 0;
    const app = keyframe({ operators: all, authorize: () => ({ may: ["ingest"], keyPrefix: "acme/" }) });
    const around = { ...(env as unknown as Env), ...limit(false) };
    const response = await app.fetch(new Request(`${BASE}/v1/events`, event), around, createExecutionContext());
    expect([response.status, keys]).toEqual([429, ["prefix acme/"]]);
  });
});

describe("quotas", () => {
  const thrifty = operator("thrifty", {
    version: 1,
    events: { "thrifty.take": z.unknown() },
    maxEventsPerDay: 3,
    maxKeys: 2,
    initial: () => ({ n: 0 }),
    on: { "thrifty.take": (state) => void (state.n += 1) },
  });
  const take = (id: string, key: string) => ({ type: "thrifty.take", id, key });

  test("429 quota_exceeded with Retry-After, for both ways in; 409 too_many_keys", async () => {
    const app = await deploy(thrifty, ...all);
    const keys = await app.call("/v1/events", [take("1", "a"), take("2", "b"), take("3", "c")]);
    expect(keys.status).toBe(207);
    expect(keys.body).toMatchObject({
      accepted: 2,
      refused: 1,
      errors: [{ index: 2, code: "too_many_keys", detail: { keys: 2, maxKeys: 2 } }],
    });
    const sent = await app.call("/v1/events", [take("4", "a")]);
    expect([sent.status, sent.body["code"]]).toEqual([429, "quota_exceeded"]);
    expect(sent.body).toMatchObject({ received: 1, accepted: 0, through: 0 });
    const after = Number(sent.headers.get("retry-after"));
    expect(after).toBeGreaterThan(0);
    expect(after).toBeLessThanOrEqual(86_400);
    const asked = await app.call("/v1/operators/thrifty/ask", take("5", "a"));
    expect([asked.status, asked.body["code"], asked.headers.has("retry-after")]).toEqual([429, "quota_exceeded", true]);
    expect((await app.call("/v1/events", [take("1", "a")])).body).toMatchObject({ duplicates: 1 });
  });
});

test("a token of any length is no load: it isn't even looked at", async () => {
  const headers = { authorization: `Bearer ${"x".repeat(10_000)}` };
  const answer = await readAnswer(await ask({}, "/v1/operators", { headers }, { READ_TOKEN: "r" }));
  expect([answer.status, answer.body["code"]]).toEqual([401, "bad_token"]);
});
