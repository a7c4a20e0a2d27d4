/** `keyframe({ authorize })` in place of tokens: every route with every grant, and what a key prefix lets through (U4). */
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { keyframe, type Env, type Grant } from "../../../src/keyframe.ts";
import { all } from "../app.ts";
import { expectProblem, readAnswer, type Answer } from "../http.ts";

const CALLERS: Readonly<Record<string, Grant | null>> = {
  nobody: null,
  idle: { may: [] },
  sender: { may: ["ingest"] },
  reader: { may: ["read"] },
  both: { may: ["read", "ingest"] },
  admin: { may: ["admin"] },
  tenant: { may: ["ingest", "read"], keyPrefix: "acme/" },
  owner: { may: ["admin"], keyPrefix: "acme/" },
};

/** Tokens of the environment, which an app with `authorize` doesn't look at. */
const around = { ...(env as unknown as Env), ADMIN_TOKEN: "secret", INGEST_TOKEN: "i", READ_TOKEN: "r" };
const app = keyframe({
  operators: all,
  async authorize(request) {
    const caller = request.headers.get("x-caller") ?? "nobody";
    if (caller === "broken") throw new Error("no answer from our own service");
    return CALLERS[caller] ?? null;
  },
});

async function as(caller: string, method: string, path: string, body?: unknown, headers = {}): Promise<Answer> {
  const ctx = createExecutionContext();
  const text = body === undefined ? null : JSON.stringify(body);
  const sent = { "x-caller": caller, "content-type": "application/json", ...headers };
  const request = new Request(`https://keyframe.example${path}`, { method, headers: sent, body: text });
  const answer = await readAnswer(await app.fetch(request, around, ctx));
  await waitOnExecutionContext(ctx);
  if (answer.status >= 400) expectProblem(answer);
  return answer;
}

const code = ({ status, body }: Answer): string => (status === 401 || status === 403 ? String(body["code"]) : "in");

const event = (account: string, id: string) => ({ type: "credits.bought", id, data: { account, n: 1 } });

beforeAll(async () => {
  for (const account of ["acme/ada", "acme/bob", "acmeother", "other/ada"])
    expect((await as("admin", "POST", "/v1/operators/credits/ask", event(account, `seed-${account}`))).status).toBe(
      200,
    );
});

const INGEST = {
  nobody: "unknown_caller",
  idle: "wrong_role",
  sender: "in",
  reader: "wrong_role",
  both: "in",
  admin: "in",
};
const READ = { ...INGEST, sender: "wrong_role", reader: "in" };
const ADMIN = { ...INGEST, sender: "wrong_role", both: "wrong_role", tenant: "wrong_role", owner: "key_not_allowed" };
const shut = { tenant: "key_not_allowed", owner: "key_not_allowed" };
const open = { tenant: "in", owner: "in" };
const credits = "/v1/operators/credits";

/** method, path, body, what each caller hears */
const ROUTES: readonly (readonly [string, string, unknown, Readonly<Record<string, string>>])[] = [
  ["POST", "/v1/events", [event("acme/ada", "r1")], { ...INGEST, ...open }],
  ["POST", `${credits}/ask`, event("acme/ada", "r2"), { ...INGEST, ...open }],
  ["POST", `${credits}/ask`, event("other/ada", "r3"), { ...INGEST, ...shut }],
  ["POST", `${credits}/ask`, event("acmeother", "r4"), { ...INGEST, ...shut }],
  ["GET", "/v1/check?from=-1h", undefined, { ...ADMIN }],
  ["GET", "/v1/operators", undefined, { ...READ, ...open }],
  ["GET", `${credits}/state?key=acme%2Fada`, undefined, { ...READ, ...open }],
  ["GET", `${credits}/state?key=other%2Fada`, undefined, { ...READ, ...shut }],
  ["GET", `${credits}/state?key=acme`, undefined, { ...READ, ...shut }],
  ["GET", `${credits}/state?key=nobody-has-this`, undefined, { ...READ, ...shut }],
  ["GET", `${credits}/state/acme%2Fada`, undefined, { ...READ, ...open }],
  ["GET", `${credits}/state/other%2Fada`, undefined, { ...READ, ...shut }],
  ["POST", `${credits}/state/batch`, { keys: ["acme/ada", "acme/none"] }, { ...READ, ...open }],
  ["POST", `${credits}/state/batch`, { keys: ["acme/ada", "other/ada"] }, { ...READ, ...shut }],
  ["GET", `${credits}/state`, undefined, { ...READ, ...open }],
  ["GET", `${credits}/state?prefix=acme`, undefined, { ...READ, ...open }],
  ["GET", `${credits}/state?prefix=acme%2Fa`, undefined, { ...READ, ...open }],
  ["GET", `${credits}/state?prefix=other`, undefined, { ...READ, ...shut }],
  ["GET", `${credits}/export`, undefined, { ...READ, ...open }],
  ["GET", `${credits}/export?prefix=acme%2Fa`, undefined, { ...READ, ...open }],
  ["GET", `${credits}/export?prefix=other`, undefined, { ...READ, ...shut }],
  ["GET", `${credits}/blame?key=acme%2Fada&path=/left`, undefined, { ...READ, ...open }],
  ["GET", `${credits}/blame?key=other%2Fada&path=/left`, undefined, { ...READ, ...shut }],
  ["GET", "/v1/diff?from=-1h", undefined, { ...READ, ...open }],
  ["GET", "/v1/diff?from=-1h&prefix=other", undefined, { ...READ, ...shut }],
  ["GET", "/v1/diff?from=-1h&key=acme%2Fada", undefined, { ...READ, ...open }],
  ["GET", "/v1/diff?from=-1h&key=other%2Fada", undefined, { ...READ, ...shut }],
  ["PUT", `${credits}/state?key=acme%2Fada`, {}, ADMIN],
  ["DELETE", `${credits}/state?key=acme%2Fada`, undefined, ADMIN],
  ["GET", `${credits}/partitions/0/pins`, undefined, ADMIN],
  ["POST", `${credits}/partitions/0/manifests/1/pin`, undefined, ADMIN],
  ["DELETE", `${credits}/partitions/0/manifests/1/pin`, undefined, ADMIN],
  ["POST", `${credits}/partitions/0/adopt`, undefined, ADMIN],
  ["GET", `${credits}/history?key=acme%2Fada`, undefined, { ...READ, ...open }],
  ["GET", `${credits}/history?key=other%2Fada`, undefined, { ...READ, ...shut }],
  ["GET", `${credits}/history?key=nobody-has-this`, undefined, { ...READ, ...shut }],
  ["GET", "/v1/doctor", undefined, ADMIN],
  ["GET", `${credits}/partitions`, undefined, ADMIN],
  ["GET", `${credits}/partitions/0`, undefined, ADMIN],
  ["POST", `${credits}/partitions/0/snapshot`, undefined, ADMIN],
  ["GET", `${credits}/partitions/0/manifests`, undefined, ADMIN],
  ["GET", `${credits}/partitions/0/manifests/1`, undefined, ADMIN],
  ["POST", `${credits}/partitions/0/verify`, undefined, ADMIN],
  ["POST", `${credits}/partitions/0/evict`, undefined, ADMIN],
  ["POST", `${credits}/recover`, undefined, ADMIN],
  ["GET", `${credits}/quarantine`, undefined, ADMIN],
  ["POST", `${credits}/quarantine/0-1/retry`, undefined, ADMIN],
  ["DELETE", `${credits}/quarantine/0-1`, undefined, ADMIN],
  ["POST", "/v1/erasures", { operator: "credits", key: "acme/erased" }, ADMIN],
  ["GET", "/v1/erasures/credits.0.1.0.a", undefined, ADMIN],
  ["GET", "/v1/nothing", undefined, ADMIN],
  ["GET", "/v1/overview", undefined, ADMIN],
];

test.each(ROUTES)("%s %s %j", async (method, path, body, expected) => {
  const heard: Record<string, string> = {};
  for (const caller of Object.keys(expected)) heard[caller] = code(await as(caller, method, path, body));
  expect(heard).toEqual(expected);
});

describe("a caller with a key prefix", () => {
  test("has its events taken and the others rejected, and nothing of the others happens", async () => {
    const events = [event("acme/zoe", "p1"), event("other/zoe", "p2"), event("acme/zoe", "p3")];
    const { status, body } = await as("tenant", "POST", "/v1/events", events);
    expect(status).toBe(207);
    expect(body).toMatchObject({ accepted: 2, rejected: 1, errors: [{ index: 1, id: "p2", code: "key_not_allowed" }] });
    expect((await as("admin", "GET", `${credits}/state?key=other%2Fzoe`)).status).toBe(404);
    const alone = await as("tenant", "POST", "/v1/events", event("other/zoe", "p4"));
    expect([alone.status, alone.body["code"]]).toEqual([422, "key_not_allowed"]);
  });

  test.each(["", "?prefix=acme", "?prefix=acme%2F", "?limit=1"])("scans its own keys alone: %s", async (query) => {
    const seen: string[] = [];
    let cursor = "";
    do {
      const page = `${query}${query === "" ? "?" : "&"}${cursor === "" ? "" : `cursor=${cursor}`}`;
      const { body } = await as("tenant", "GET", `${credits}/state${page}`);
      seen.push(...(body["items"] as { key: string }[]).map(({ key }) => key));
      cursor = (body["cursor"] as string | undefined) ?? "";
    } while (cursor !== "");
    expect(seen).toEqual(expect.arrayContaining(["acme/ada", "acme/bob"]));
    expect(seen.filter((key) => !key.startsWith("acme/"))).toEqual([]);
  });

  test("numbers its requests under names of its own", async () => {
    const numbered = (id: string) => ({ "producer-id": id, "producer-epoch": "0", "producer-seq": "0" });
    const mine = await as("tenant", "POST", "/v1/events", [event("acme/p", "n1")], numbered("acme/meter"));
    expect(mine.body).toMatchObject({ accepted: 1 });
    const foreign = await as("tenant", "POST", "/v1/events", [event("acme/p", "n2")], numbered("other/meter"));
    expect([foreign.status, foreign.body["code"]]).toEqual([403, "producer_not_allowed"]);
  });
});

describe("U4: a key prefix that would open keys of others lets nobody in", () => {
  const credits = (account: string) => `/v1/operators/credits/state?key=${encodeURIComponent(account)}`;
  test.each<[string, unknown]>([
    ["a name without a separator", "ac"],
    ["one that ends with a digit", "acme/1"],
    ["one that ends with a letter of another alphabet", "фирма"],
    ["nothing", ""],
    ["what is no text", null],
  ])("%s", async (_, keyPrefix) => {
    const careless = keyframe({ operators: all, authorize: () => ({ may: ["read"], keyPrefix: keyPrefix as string }) });
    for (const path of [credits("acme/ada"), "/v1/operators/credits/state?prefix=a", "/v1/operators"]) {
      const ctx = createExecutionContext();
      const answer = await readAnswer(
        await careless.fetch(new Request(`https://keyframe.example${path}`), around, ctx),
      );
      await waitOnExecutionContext(ctx);
      expect([answer.status, JSON.stringify(answer.body).includes("acme")]).toEqual([500, false]);
    }
  });

  test("names that are encoded before the separator: none begins with another", async () => {
    const prefixOf = (tenant: string): string => `${encodeURIComponent(tenant)}/`;
    const tenants = keyframe({
      operators: all,
      authorize: (request) => ({ may: ["ingest", "read"], keyPrefix: prefixOf(request.headers.get("x-tenant")!) }),
    });
    const ask = async (tenant: string, key: string): Promise<number> => {
      const ctx = createExecutionContext();
      const request = new Request(`https://keyframe.example${credits(key)}`, { headers: { "x-tenant": tenant } });
      const { status } = await readAnswer(await tenants.fetch(request, around, ctx));
      await waitOnExecutionContext(ctx);
      return status;
    };
    const key = `${prefixOf("a/b")}c`;
    expect([await ask("a/b", key), await ask("a", key), await ask("a%2Fb", key), await ask("", "/x")]).toEqual([
      404, 403, 403, 404,
    ]);
  });
});

test("keyframe() takes no option that nobody reads: a misspelt authorize would guard nothing", () => {
  expect(() => keyframe({ operators: all, authorise: () => null } as never)).toThrow(
    /no "authorise"; it has operators, /,
  );
  expect(() => keyframe({ operators: all, authorize: {} } as never)).toThrow(/authorize must be a function/);
});

test("an authorize that throws opens nothing, and its words stay inside", async () => {
  const { status, body } = await as("broken", "GET", `${credits}/state?key=acme%2Fada`);
  expect([status, body["code"]]).toEqual([500, "internal_error"]);
  expect(JSON.stringify(body)).not.toContain("our own service");
});

test("tokens don't count beside it, and health needs nobody", async () => {
  const token = await as("nobody", "GET", "/v1/operators", undefined, { authorization: "Bearer secret" });
  expect(code(token)).toBe("unknown_caller");
  expect((await as("nobody", "GET", "/healthz")).status).toBe(200);
});
