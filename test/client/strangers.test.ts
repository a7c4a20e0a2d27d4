/** A11: answers that aren't the app's, whatever their status, and redirects; for the client and the command line alike. */
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { judge, lacking, mayCount, type Head } from "../../src/client/answer.ts";
import { client, KeyframeError } from "../../src/client/client.ts";
import type { credits } from "../../src/operators/credits.ts";
import { run } from "../cli/run.ts";
import { asProblem } from "./problem.ts";

const LOGIN = "<!doctype html><title>Log in to this network</title>";
const HTML = { "content-type": "text/html; charset=utf-8" };

let server: Server | null = null;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

type Handler = (response: ServerResponse, path: string) => void;

/** Where it listens, and the lines of what it was asked. */
async function serve(handle: Handler): Promise<{ readonly url: string; readonly asked: string[] }> {
  const asked: string[] = [];
  server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    request.resume();
    request.on("end", () => handle(response, request.url!));
  });
  await new Promise<void>((resolve) => server!.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

const login: Handler = (response) => void response.writeHead(200, HTML).end(LOGIN);
/** Everything is led to a login page, which answers 200. */
const led =
  (status: number): Handler =>
  (response, path) =>
    path === "/login" ? login(response, path) : void response.writeHead(status, { location: "/login" }).end();

const failureOf = async (promise: Promise<unknown>): Promise<KeyframeError> =>
  promise.then(
    () => Promise.reject(new Error("it resolved")),
    (error: unknown) => error as KeyframeError,
  );

describe("the client", () => {
  const creditsAt = (url: string) => client({ url, retry: { overallMs: 100 } }).operator<typeof credits>("credits");
  const CALLS: readonly (readonly [string, (of: ReturnType<typeof creditsAt>) => Promise<unknown>])[] = [
    ["ask", (of) => of.ask("credits.take", { account: "ada", n: 1 }, { id: "mine" })],
    ["get", (of) => of.get("ada")],
    ["getMany", (of) => of.getMany(["ada"])],
    ["scan", (of) => of.scan().next()],
    ["history", (of) => of.history("ada").next()],
    ["blame", (of) => of.blame("ada")],
    ["watch", (of) => of.watch("ada").next()],
  ];

  it.each(CALLS)("takes a login page for no answer: %s", async (name, call) => {
    const { url } = await serve(login);
    const error = await failureOf(call(creditsAt(url)));
    expect(error).toBeInstanceOf(KeyframeError);
    expect([error.code, error.status]).toEqual(["unexpected_answer", 200]);
    expect(error.detail).toContain("status 200, text/html; charset=utf-8, from http://127.0.0.1:");
    expect(error.ids).toEqual(name === "ask" ? ["mine"] : []);
  });

  it.each([
    ["ask", { value: { left: 1 }, key: "ada", partition: 0, seq: 7 }],
    ["get", { value: { left: 1 } }],
    ["getMany", { items: [{ key: "ada", value: 1 }], missing: [] }],
    ["scan", []],
    ["history", { items: [] }],
    ["blame", { item: {} }],
  ])("takes JSON that lacks something for no answer: %s", async (name, body) => {
    const { url } = await serve((response) => void response.end(JSON.stringify(body)));
    const call = CALLS.find(([one]) => one === name)![1];
    expect((await failureOf(call(creditsAt(url)))).detail).toMatch(/it lacks `|is not/);
  });

  it("takes a message of a stream that isn't the app's for none", async () => {
    const { url } = await serve((response) => {
      response.writeHead(200, { "content-type": "text/event-stream" }).write('data: {"hello":1}\n\n');
    });
    expect((await failureOf(creditsAt(url).watch("ada").next())).detail).toContain("it lacks `key`");
  });

  it("send: one page for all, and the ids of what may count", async () => {
    const { url } = await serve(login);
    const error = await failureOf(client({ url }).send([{ type: "a", id: "1" }, { type: "a" }]));
    expect([error.code, error.ids.length, error.ids[0]]).toEqual(["unexpected_answer", 2, "1"]);
  });

  it.each([301, 302, 303, 307, 308])("%i: a POST goes nowhere else, and says where it was led", async (status) => {
    const { url, asked } = await serve(led(status));
    const error = await failureOf(creditsAt(url).ask("credits.take", { account: "ada", n: 1 }));
    expect(asked).toEqual(["POST /v1/operators/credits/ask"]);
    expect([error.code, error.status, error.detail]).toEqual([
      "unexpected_answer",
      status,
      expect.stringContaining("it redirects to /login, and only a GET is sent elsewhere") as unknown,
    ]);
  });

  it("a GET is led on, and what it is led to must be an answer", async () => {
    const entry = { operator: "credits", key: "ada", value: { left: 1 }, partition: 0, seq: 7, time: "t" };
    const moved = await serve((response, path) =>
      path.startsWith("/moved")
        ? void response.end(JSON.stringify(entry))
        : void response.writeHead(308, { location: "/moved" }).end(),
    );
    expect(await creditsAt(moved.url).get("ada")).toEqual(entry);
    const { url } = await serve(led(302));
    const { detail } = await failureOf(creditsAt(url).get("ada"));
    expect(detail).toContain(`from ${url}/login, where GET /v1/operators/credits/state?key=ada was redirected`);
  });

  it("a gateway's own words are no problem document", async () => {
    const body = JSON.stringify({ code: "no_state", detail: "no route to that" });
    const { url } = await serve((response) => void response.writeHead(404).end(body));
    expect(await failureOf(creditsAt(url).get("ada"))).toMatchObject({ code: "unexpected_answer", status: 404 });
  });
});

// Some wait between their attempts.
describe("the command line", { timeout: 180_000 }, () => {
  const COMMANDS: readonly (readonly string[])[] = [
    ["ask", "credits", '{"type":"t","id":"mine"}'],
    ["get", "credits", "ada"],
    ["scan", "credits"],
    ["history", "credits", "ada"],
    ["watch", "credits", "ada"],
    ["export", "credits"],
    ["status"],
    ["doctor"],
    ["snapshot", "credits", "0"],
    ["manifests", "credits", "0"],
    ["pins", "credits", "0"],
    ["pin", "credits", "0", "1"],
    ["unpin", "credits", "0", "1"],
    ["verify-partition", "credits", "0"],
    ["evict", "credits", "0"],
    ["quarantine", "credits"],
    ["quarantine", "credits", "retry", "0-1"],
    ["quarantine", "credits", "delete", "0-1"],
    ["recover", "credits", "--from-r2"],
    ["adopt", "credits", "0", "d1"],
    ["fork", "fix"],
    ["timelines"],
    ["unfork", "fix"],
    ["promote", "fix", "--yes"],
    ["promote", "fix", "--abort"],
    ["rollback", "--to", "-1h", "--yes"],
  ];

  it.each(COMMANDS)("%s %s %s: status 2 for a login page, at once and after a redirect", async (...args) => {
    for (const handle of [login, led(302)]) {
      const { url } = await serve(handle);
      const { status, out, err } = await run([...args.filter((arg) => arg !== undefined), "--url", url]);
      expect([status, out]).toEqual([2, []]);
      expect(err).toMatch(/isn't Keyframe's: status (200, text\/html|302)/);
      server!.closeAllConnections();
    }
  });

  it("ask says the id to send again if it isn't known whether the event counts, with or without one of its own", async () => {
    const { url } = await serve((response) => void response.destroy());
    const ran = await run(["ask", "credits", '{"type":"t"}', "--url", url]);
    expect([ran.status, ran.err]).toEqual([
      2,
      expect.stringMatching(
        /outcome is unknown: send the event again with the same id, "id":"[0-9a-f-]{36}"\n$/,
      ) as unknown,
    ]);
  });

  it.each([
    [["adopt", "credits", "0", "d1"], true],
    [["quarantine", "credits", "retry", "0-1"], true],
    [["status"], false],
  ])("%j: a broken connection says whether it is known what was done: %s", async (args, unknown) => {
    const { url } = await serve((response) => void response.destroy());
    const { status, err } = await run([...args, "--url", url]);
    expect([status, err.includes("The outcome is unknown.")]).toEqual([2, unknown]);
  });

  it("ask says nothing of that where nothing was sent, or the app says no", async () => {
    const { url } = await serve(
      (response) => void response.writeHead(422).end(JSON.stringify(asProblem(422, { code: "invalid_data" }))),
    );
    expect((await run(["ask", "credits", '{"type":"t"}', "--url", url])).err).not.toContain("not known");
    server!.close();
    await new Promise((resolve) => setImmediate(resolve));
    server!.closeAllConnections();
    const nobody = await run(["ask", "credits", '{"type":"t"}', "--url", url]);
    expect([nobody.status, nobody.err]).toEqual([2, expect.stringContaining("no answer from") as unknown]);
    expect(nobody.err).not.toContain("not known");
  });
});

describe("an answer", () => {
  const head = (status: number, more: Partial<Head> = {}): Head => ({
    status,
    url: "https://app.test/x",
    redirected: false,
    type: "basic",
    headers: new Headers({ "content-type": "application/json" }),
    ...more,
  });
  const evict = { method: "POST", path: "/v1/operators/usage/partitions/0/evict" } as const;

  it("of a browser that hides where it was led is foreign", () => {
    const hidden = head(0, { type: "opaqueredirect", url: "" });
    expect(judge(evict, hidden, "")).toMatchObject({ tag: "foreign", why: expect.stringContaining("it redirects") });
  });

  it.each([
    [200, { partition: 0, evicted: true, more: 1 }, "good"],
    [200, { partition: 0, evicted: false }, "foreign"],
    [200, { partition: "0", evicted: true }, "foreign"],
    [200, [], "foreign"],
    [204, "", "foreign"],
    [304, "", "foreign"],
    [503, asProblem(503, { code: "fenced", detail: "moving" }), "problem"],
    [503, { code: "fenced" }, "foreign"],
    [503, { type: "urn:keyframe:problem:other", code: "fenced" }, "foreign"],
  ])("%i %j is %s", (status, body, tag) => {
    expect(judge(evict, head(status), typeof body === "string" ? body : JSON.stringify(body)).tag).toBe(tag);
  });

  it.each([
    [503, { code: "store_unavailable" }, true],
    [500, { code: "internal_error" }, true],
    [429, { code: "quota_exceeded" }, true],
    [429, { code: "rate_limited" }, false],
    [503, { code: "log_not_migrated" }, false],
    [503, { code: "log_not_migrated", accepted: 1 }, true],
    [401, { code: "bad_token" }, false],
    [422, { code: "invalid_data" }, false],
    [413, { code: "gzip_bomb", accepted: 3 }, true],
    [404, "<html>", true],
  ])("%i %j: may it count? %s", (status, body, may) => {
    const text = typeof body === "string" ? body : JSON.stringify(asProblem(status, body));
    expect(mayCount(judge(evict, head(status), text))).toBe(may);
  });

  it.each([
    [{ a: ["a number"] }, { a: [1, "2"] }, "`a[1]` is not a number"],
    [{ "a?": "a text" }, {}, null],
    [{ "a?": "a text" }, { a: null }, "`a` is not a text"],
    [{ a: { b: "true" } }, { a: { b: 1 } }, "`a.b` is not true"],
    [{ a: "anything" }, { __proto__: { a: 1 } }, "it lacks `a`"],
    ["a number or null", undefined, "it is not a number or null"],
  ] as const)("%j of %j: %s", (shape, value, flaw) => expect(lacking(shape, value, "")).toBe(flaw));
});
