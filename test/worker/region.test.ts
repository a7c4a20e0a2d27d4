/** REGION and JURISDICTION: every object is asked for there, and a name that isn't known is refused. */
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { App } from "../../src/worker/app.ts";
import type { Env } from "../../src/worker/env.ts";
import { routesOf } from "../../src/worker/routes.ts";
import { all } from "./app.ts";
import { add, expectProblem, readAnswer } from "./http.ts";

interface Asked {
  readonly jurisdiction: string | null;
  readonly options: unknown;
}

/** The environment with these settings, whose namespace writes down how objects are asked for. */
function around(settings: Partial<Env>): { readonly env: Env; readonly asked: Asked[] } {
  const asked: Asked[] = [];
  const namespace = (jurisdiction: string | null): unknown => ({
    jurisdiction: (name: string) => namespace(name),
    getByName: (name: string, options?: DurableObjectNamespaceGetDurableObjectOptions) => {
      asked.push({ jurisdiction, options });
      return env.PARTITION.getByName(name, options);
    },
  });
  return { env: { ...env, ...settings, PARTITION: namespace(null) as Env["PARTITION"] }, asked };
}

async function call(settings: Partial<Env>, path: string, body?: unknown) {
  const { env, asked } = around(settings);
  const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  const request = new Request(`http://localhost${path}`, { ...init, headers: { "content-type": "application/json" } });
  const answer = await readAnswer(await routesOf(new App(all)).fetch(request, env));
  return { ...answer, asked };
}

const status = "/v1/operators/tally/partitions/0";

describe("where objects are", () => {
  test.each([
    [{}, null, undefined],
    [{ REGION: "", JURISDICTION: "" }, null, undefined],
    [{ REGION: "weur" }, null, { locationHint: "weur" }],
    [{ REGION: "apac-ne" }, null, { locationHint: "apac-ne" }],
    [{ JURISDICTION: "eu" }, "eu", undefined],
    [{ REGION: "eeur", JURISDICTION: "eu" }, "eu", { locationHint: "eeur" }],
  ] as const)("%j", async (settings, jurisdiction, options) => {
    const sent = await call(settings, "/v1/events", [add("r")]);
    expect(sent.body).toMatchObject({ accepted: 1 });
    expect(sent.asked).toEqual([{ jurisdiction, options }]);
    expect((await call(settings, "/v1/operators/tally/state?key=r")).asked).toEqual([{ jurisdiction, options }]);
  });

  test("is shown in the status of every partition", async () => {
    const settings = { REGION: "weur", JURISDICTION: "eu" };
    expect((await call(settings, status)).body).toMatchObject({ region: "weur", jurisdiction: "eu" });
    expect((await call({}, `${status}?live=true`)).body).toMatchObject({ region: null, jurisdiction: null });
  });

  test("is no place where the local runtime has none", async () => {
    const settings = { ...env, JURISDICTION: "eu" };
    const request = new Request("http://localhost/v1/operators/tally/state?key=nobody");
    const { status, body } = await readAnswer(await routesOf(new App(all)).fetch(request, settings));
    expect([status, body["code"]]).toEqual([404, "no_state"]);
  });
});

describe("a name that isn't known", () => {
  test.each([
    [{ REGION: "europe" }, /REGION is "europe"; it is one of wnam, enam, sam, weur, eeur, apac, .* or unset/],
    [{ REGION: "WEUR" }, /REGION is "WEUR"/],
    [{ REGION: "constructor" }, /REGION is "constructor"/],
    [{ JURISDICTION: "de" }, /JURISDICTION is "de"; it is one of eu, fedramp, or unset/],
    [{ REGION: 7 as unknown as string }, /REGION is 7/],
  ])("%j is refused with those that are, before any object is called", async (settings, detail) => {
    for (const [path, body] of [["/v1/events", [add("r")]], [status], ["/v1/operators"]] as const) {
      const answer = await call(settings, path, body);
      expectProblem(answer);
      expect(answer).toMatchObject({ status: 503, body: { code: "invalid_region" }, asked: [] });
      expect(answer.body["detail"]).toMatch(detail);
    }
  });
});
