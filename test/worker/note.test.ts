/** Lines for the log: known, in one form, and without tokens, keys or anything of an event, whatever goes wrong. */
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { NOTES, type LogLine } from "../../src/engine/base/log-lines.ts";
import { App } from "../../src/worker/app.ts";
import { codeId, type Env } from "../../src/worker/env.ts";
import { note } from "../../src/worker/note.ts";
import { routesOf } from "../../src/worker/routes.ts";
import { all } from "./app.ts";
import { add, call, fetchApp, postEvents, postJson } from "./http.ts";
import { patiently } from "./patiently.ts";

const SECRET = "s3cr3t-of-the-sender";
let lines: string[] = [];

beforeEach(() => {
  lines = [];
  for (const method of ["log", "info", "warn", "error", "debug"] as const)
    vi.spyOn(console, method).mockImplementation((...what: unknown[]) => void lines.push(what.map(String).join(" ")));
});
afterEach(() => vi.restoreAllMocks());

interface Line {
  readonly note: LogLine;
  readonly level: string;
  readonly time: string;
  readonly app: string;
}
const read = (): Line[] => lines.map((line) => JSON.parse(line) as Line);

describe("a line of the log", () => {
  it("has time, level, name and version, and cuts what doesn't belong there", () => {
    const sets = env as unknown as Record<string, string>;
    sets["ADMIN_TOKEN"] = "the-admins";
    note("snapshot failed", {
      why: 'Unexpected token \'x\', ..."{"a":"secret-a"... is not valid JSON; Bearer the-admins',
      error: `Unexpected token 's', "secret-b" is not valid JSON`,
      long: "x".repeat(5_000),
      attempt: 3,
    });
    delete sets["ADMIN_TOKEN"];
    const [line] = read();
    expect(line).toMatchObject({ note: "snapshot failed", level: "warn", attempt: 3 });
    expect(line!.app).toBe(codeId(env));
    expect(Math.abs(Date.parse(line!.time) - Date.now())).toBeLessThan(60_000);
    expect(lines[0]).not.toMatch(/secret|the-admins/);
    expect(lines[0]!.length).toBeLessThan(2_500);
  });

  it("names an unforeseen error by class and place, and a path without its key", async () => {
    const http = routesOf(new App(all), () => {
      throw new TypeError(`it was ${SECRET}`);
    });
    const path = `/v1/operators/tally/state/${SECRET}?key=${SECRET}`;
    const answer = await http.fetch(new Request(`http://localhost${path}`), env);
    expect(answer.status).toBe(500);
    expect(await answer.text()).not.toContain(SECRET);
    expect(read()).toMatchObject([
      { note: "request failed", level: "error", error: "TypeError", method: "GET", path: "/v1/operators/tally/state" },
    ]);
    expect(lines.join("\n")).toMatch(/at /);
    expect(lines.join("\n")).not.toContain(SECRET);
  });

  it("holds no data, key, id or token of requests that fail in every way, nor of what partitions do about them", async () => {
    const headers = { authorization: `Bearer ${SECRET}`, "producer-id": SECRET, "idempotency-key": SECRET };
    const event = (more: Record<string, unknown>) => ({
      source: `/${SECRET}`,
      id: `${SECRET}-${Math.random()}`,
      key: SECRET,
      ...more,
    });
    const bodies = [
      `{"type":"${SECRET}`,
      `[{"type":"tally.add","data":{"n":"${SECRET}"}}]`,
      SECRET,
      JSON.stringify([event({ type: "tally.add", data: { n: SECRET } })]),
      JSON.stringify([event({ type: `no.${SECRET}`, data: SECRET })]),
      JSON.stringify([event({ type: "tally.add", data: { n: 1 }, time: SECRET })]),
      "[".repeat(200) + `"${SECRET}"`,
      `{"type":"tally.add","id":1e400,"data":"${SECRET}"}`,
    ];
    for (const type of ["application/json", "application/x-ndjson", "application/cloudevents+json", SECRET])
      for (const body of bodies)
        await fetchApp("/v1/events", { method: "POST", body, headers: { ...headers, "content-type": type } }).then(
          (answer) => answer.text(),
        );
    for (const what of ["boom", "throw-text", "nan", "map", "bigint", SECRET])
      await postJson("/v1/operators/fragile/ask", event({ type: "fragile.do", data: { what, more: SECRET } }));
    await postEvents([add(SECRET, 1, { id: SECRET }), add(SECRET, 2, { id: SECRET })]);
    for (const path of [
      `/v1/operators/${SECRET}/state?key=${SECRET}`,
      `/v1/${SECRET}`,
      `/v1/operators/tally/state/%ff${SECRET}`,
    ])
      await call(path, { headers: { authorization: headers.authorization } });
    await call("/v1/operators/fragile/partitions/0/evict", { method: "POST" });
    await call("/v1/operators/fragile/partitions/0/snapshot", { method: "POST" });
    // All lines meanwhile are known, and say nothing of theirs. The first test shows that lines are seen at all.
    for (const line of read()) expect(NOTES).toHaveProperty([line.note], line.level);
    expect(lines.filter((line) => line.includes(SECRET))).toEqual([]);
  });

  it("stays clean where the stores break in the middle, which is worth lines", async () => {
    const failing = {
      prepare: () => {
        throw new Error("D1_ERROR: it is away");
      },
    };
    const http = routesOf(new App(all));
    await http.fetch(new Request("http://localhost/v1/operators"), env);
    const around = { ...env, LOG_1: failing } as unknown as Env;
    await (
      await http.fetch(
        new Request("http://localhost/metrics", { headers: { authorization: `Bearer ${SECRET}` } }),
        around,
      )
    ).text();
    expect(read().map((line) => line.note)).toContain("a database didn't answer for the metrics");
    const gone = {
      getByName: () => ({
        append: () => Promise.reject(new SyntaxError(`Unexpected token 's', "${SECRET}" is not valid JSON`)),
      }),
    };
    const lost = { ...env, PARTITION: gone } as unknown as Env;
    const init = {
      method: "POST",
      body: JSON.stringify([add(SECRET, 1)]),
      headers: { "content-type": "application/json" },
    };
    const post = http.fetch(new Request("http://localhost/v1/events", init), lost);
    await patiently(() => expect(read().map((line) => line.note)).toContain("partition went away"));
    expect(lines.filter((line) => line.includes(SECRET))).toEqual([]);
    await (await post).text();
  });
});
