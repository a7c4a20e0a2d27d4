/** The deploy gate: code in a Worker of its own, without partitions, against the stores of the app that runs. */
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { operator, type Env, type Operator } from "../../../src/keyframe.ts";
import { App } from "../../../src/worker/app.ts";
import { requestClock } from "../../../src/worker/request-clock.ts";
import { routesOf } from "../../../src/worker/routes.ts";
import { all } from "../app.ts";
import { add, call, get, postEvents, readAnswer, type Answer } from "../http.ts";
import { tally } from "../operators.ts";

/** So many that each of four partitions has some, wherever the random seed of the placement puts them. */
const KEYS = Array.from({ length: 48 }, (_, n) => `check-${n}`);

type Line = Readonly<Record<string, unknown>>;

/** The same operator by other code, which counts 3 as 4 and rejects what is above 50. */
const changed = operator("tally", {
  version: 1,
  partitions: 4,
  events: { "tally.add": z.object({ n: z.int().max(50) }) },
  initial: () => ({ n: 0, events: 0 }),
  on: {
    "tally.add"(state, event) {
      state.n += event.data.n === 3 ? 4 : event.data.n;
      state.events += 1;
      return { n: state.n };
    },
  },
});

const { PARTITION: _, ...stores } = env as unknown as Env;

/** A Worker of this code that has the stores alone. */
async function ask(operators: readonly Operator[], path: string, init?: RequestInit): Promise<Response> {
  const ctx = createExecutionContext();
  const http = routesOf(new App(operators));
  const response = await http.fetch(new Request(`http://localhost${path}`, init), stores, ctx);
  await waitOnExecutionContext(ctx);
  return response;
}

async function lines(operators: readonly Operator[], query: string): Promise<Line[]> {
  const response = await ask(operators, `/v1/check?${query}`);
  expect([response.status, response.headers.get("content-type")]).toEqual([200, "application/x-ndjson"]);
  return (await response.text())
    .split("\n")
    .filter((text) => text !== "")
    .map((text) => JSON.parse(text) as Line);
}

const refused = async (path: string, init?: RequestInit): Promise<Answer> =>
  readAnswer(await ask([changed], path, init));
const findings = (all: readonly Line[]): Line[] => all.filter((one) => "finding" in one);

async function snapshots(): Promise<void> {
  for (const n of [0, 1, 2, 3]) await call(`/v1/operators/tally/partitions/${n}/snapshot`, { method: "POST" });
}

let from = 0;

beforeAll(async () => {
  await postEvents(KEYS.map((key) => add(key, 1)));
  await snapshots();
  from = (await get("/v1/operators/tally/state?at=now")).body["at"] as number;
  await postEvents(KEYS.map((key, n) => add(key, n === 4 ? 3 : 2)));
  await postEvents([add(KEYS[7]!, 99)]);
  await snapshots();
});

afterEach(() => void vi.restoreAllMocks());

describe("a check", () => {
  test("of the code that ran finds nothing, and says what it compared", async () => {
    const told = await lines(all, `from=${from}&operator=tally`);
    expect(told[0]).toEqual({ format: "keyframe.check", v: 1, from, operators: ["tally"] });
    expect(findings(told)).toEqual([]);
    expect(told.at(-1)).toMatchObject({
      end: true,
      complete: true,
      findings: 0,
      counts: { keys: 48, differing: 0, events: 49, states: 48, statesDiffering: 0, open: 0 },
    });
    const decided = told.filter((one) => "log" in one);
    expect(decided.length).toBe(4);
    for (const { log } of decided) expect(log).toMatchObject({ afterTime: expect.stringMatching(/Z$/) as string });
  });

  test("of changed code names the events and the keys", async () => {
    const told = await lines([changed], `from=${from}`);
    expect(findings(told)).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ finding: "state", key: KEYS[4], operator: "tally", path: "/n", logged: 4, now: 5 }),
        expect.objectContaining({
          finding: "outcome",
          key: KEYS[7],
          type: "tally.add",
          now: expect.objectContaining({ status: "rejected", code: "invalid_data" }) as unknown,
        }),
        expect.objectContaining({ finding: "state", key: KEYS[7], path: "/n", logged: 102, now: 3 }),
      ]),
    );
    expect(told.at(-1)).toMatchObject({ complete: true, findings: 3, counts: { differing: 2, statesDiffering: 2 } });
  });

  test("writes nothing, also if the code has an operator that the app doesn't have", async () => {
    const tables = ["operators", "partitions", "segments", "restore_points", "pins", "savepoints"];
    const stored = async (): Promise<unknown> => [
      await Promise.all(
        [env.LOG_0, env.LOG_1].flatMap((db) =>
          tables.map(async (name) => (await db.prepare(`SELECT * FROM ${name}`).all()).results),
        ),
      ),
      (await env.SNAPSHOTS.list()).objects.map(({ key }) => key),
    ];
    const before = await stored();
    const fresh = operator("fresh", {
      version: 1,
      events: { "fresh.made": z.unknown() },
      initial: () => ({}),
      on: { "fresh.made": () => undefined },
    });
    const told = await lines([changed, fresh], "from=-1h");
    expect(told).toContainEqual({ operator: "fresh", gaps: ["new_operator"] });
    expect(await stored()).toEqual(before);
  });

  test("continues where the answer before ended, and finds the same", async () => {
    const whole = await lines([changed], `from=${from}`);
    let now = 0;
    vi.spyOn(requestClock, "now").mockImplementation(() => (now += 60_000));
    const found: Line[] = [];
    const counts: Record<string, number> = {};
    let requests = 0;
    for (let cursor: string | undefined = ""; cursor !== undefined; requests++) {
      const told = await lines(
        [changed],
        `from=${from}${cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`}`,
      );
      found.push(...findings(told));
      const end = told.at(-1)!;
      for (const [name, n] of Object.entries(end["counts"] as Record<string, number>))
        counts[name] = (counts[name] ?? 0) + n;
      expect(end["complete"]).toBe(!("cursor" in end));
      cursor = end["cursor"] as string | undefined;
    }
    expect(requests).toBeGreaterThan(3);
    expect(found).toEqual(findings(whole));
    expect(counts).toEqual(whole.at(-1)!["counts"]);
  });

  test("of a sample decides the same keys each time", async () => {
    const one = await lines([tally], `from=${from}&sample=1`);
    expect(one.at(-1)).toMatchObject({ complete: true, counts: { keys: 4 } });
    expect(await lines([tally], `from=${from}&sample=1`)).toEqual(one);
  });

  test.each([
    ["/v1/check", 400, "invalid_moment"],
    ["/v1/check?from=yesterday%20evening", 400, "invalid_moment"],
    ["/v1/check?from=fix@-1h", 400, "invalid_moment"],
    ["/v1/check?from=-1h&to=fix@now", 400, "invalid_moment"],
    ["/v1/check?from=-1h&to=no-such-savepoint", 404, "no_savepoint"],
    ["/v1/check?from=other@-1h", 400, "invalid_moment"],
    ["/v1/check?from=-1h&to=main~1@now", 400, "invalid_moment"],
    ["/v1/check?from=-1h&timeline=other", 400, "unsupported_parameter"],
    ["/v1/check?from=-1h&operator=tally,none", 404, "no_operator"],
    ["/v1/check?from=-1h&sample=0", 400, "invalid_sample"],
    ["/v1/check?from=-1h&cursor=x", 400, "invalid_cursor"],
    ['/v1/check?from=-1h&cursor=["tally",9,"states","",0]', 400, "invalid_cursor"],
    ['/v1/check?from=-1h&cursor=["tally",0,"all","",0]', 400, "invalid_cursor"],
    ["/v1/check?from=-1h&at=now", 400, "unsupported_parameter"],
  ])("%s is %i %s", async (path, status, code) => {
    const answer = await refused(path);
    expect([answer.status, answer.body["code"]]).toEqual([status, code]);
  });

  test("isn't read with HEAD", async () => {
    expect((await ask([changed], "/v1/check?from=-1h", { method: "HEAD" })).status).toBe(405);
  });
});

test.each([
  ["GET", "/v1/operators/tally/state?key=a"],
  ["GET", "/v1/operators/tally/state?key=a&at=now"],
  ["POST", "/v1/events"],
  ["PUT", "/v1/savepoints/here"],
  ["POST", "/v1/operators/tally/recover"],
])("a Worker without partitions serves nothing else: %s %s is 503 check_only", async (method, path) => {
  const answer = await refused(path, { method, ...(method === "GET" ? {} : { body: "{}" }) });
  expect([answer.status, answer.body["code"]]).toEqual([503, "check_only"]);
});
