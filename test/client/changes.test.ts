/** `changes` of an operator client: whole pages, each one once, and what ends the loop. */
import { describe, expect, it } from "vitest";
import { client, type ChangesBatch, type ChangesOptions } from "../../src/client/client.ts";
import type { credits } from "../../src/operators/credits.ts";
import { ScriptedApp, type Fault } from "./scripted-app.ts";

const HEAD = { format: "keyframe.changes", v: 1, operator: "credits", operatorVersion: 1, prefix: "" };
const change = (n: number) => ({
  key: `k${n}`,
  value: n % 3 === 0 ? null : { left: n, taken: 0 },
  partition: 0,
  seq: n,
  stamp: 1_838_629_852_437_504 + n,
  time: "2026-01-01T00:00:00.000Z",
  event: { type: "credits.bought", id: `e${n}`, source: "/" },
  cursor: `v1.1.${n}`,
});
const end = (n: number, more: boolean) => ({ end: true, cursor: `v1.1.${n}.end`, more });

const text = (...lines: readonly unknown[]): string => lines.map((line) => `${JSON.stringify(line)}\n`).join("");
const answer = (body: string): Fault => ({
  tag: "answer",
  status: 200,
  body,
  headers: { "content-type": "application/x-ndjson" },
});
const problem = (status: number, code: string): Fault => ({ tag: "answer", status, body: { code, detail: "no" } });

/** The pages, and the error that ended them. */
async function followed(app: ScriptedApp, options: ChangesOptions = {}, most = Number.POSITIVE_INFINITY) {
  const kf = client({ url: "http://app.test", fetch: app.fetch, clock: app.clock, random: () => 0 });
  const pages: ChangesBatch<unknown>[] = [];
  const read = async (): Promise<unknown> => {
    try {
      for await (const page of kf.operator<typeof credits>("credits").changes(options)) {
        pages.push(page);
        if (pages.length >= most) break;
      }
      return null;
    } catch (error) {
      return error;
    }
  };
  const error = await app.run(read());
  return { pages, error, paths: app.seen.map(({ path }) => path) };
}

const PATH = "/v1/operators/credits/changes?";

describe("changes", () => {
  it("yields page after page, and asks behind each", async () => {
    const answers = [
      answer(text(HEAD, change(1), change(2), end(2, true))),
      answer(text(HEAD, change(3), end(3, false))),
    ];
    const app = new ScriptedApp((_, attempt) => answers[attempt - 1]!);
    expect(await followed(app, { follow: false })).toEqual({
      pages: [
        { changes: [change(1), change(2)], cursor: "v1.1.2.end", exact: true },
        { changes: [change(3)], cursor: "v1.1.3.end", exact: true },
      ],
      error: null,
      paths: [PATH.slice(0, -1), `${PATH}after=v1.1.2.end`],
    });
  });

  it("waits for further changes, and yields a page without any only if the cursor moved", async () => {
    const answers = [
      answer(text(HEAD, end(1, false))),
      answer(text(HEAD, end(1, false))),
      answer(text(HEAD, { ...end(2, false), exact: false })),
      answer(text(HEAD, change(3), end(3, false))),
    ];
    const app = new ScriptedApp((_, attempt) => answers[attempt - 1]!);
    const { pages, paths } = await followed(app, { after: new Date(0), prefix: "k/", limit: 5 }, 3);
    expect(pages).toEqual([
      { changes: [], cursor: "v1.1.1.end", exact: true },
      { changes: [], cursor: "v1.1.2.end", exact: false },
      { changes: [change(3)], cursor: "v1.1.3.end", exact: true },
    ]);
    const asked = "/v1/operators/credits/changes?limit=5&prefix=k%2F&wait=30&after=";
    expect(paths.map((path) => path.replace(asked, ""))).toEqual([
      "1970-01-01T00%3A00%3A00.000Z",
      "v1.1.1.end",
      "v1.1.1.end",
      "v1.1.2.end",
    ]);
  });

  it.each<[string, Fault]>([
    ["nobody", { tag: "lost", taken: false }],
    ["a passing failure", problem(503, "store_unavailable")],
    ["an answer that broke off between lines", answer(text(HEAD, change(1)))],
    ["an answer that broke off within a line", answer(text(HEAD, change(1), change(2)).slice(0, -9))],
    ["nothing", answer("")],
  ])("asks again where it was after %s, and yields no part of a page", async (_, fault) => {
    const whole = answer(text(HEAD, change(1), end(1, false)));
    const app = new ScriptedApp((_seen, attempt) => (attempt === 1 ? fault : whole));
    const { pages, error, paths } = await followed(app, { after: "v1.1.0.x", follow: false });
    expect([pages.length, error]).toEqual([1, null]);
    expect(paths).toEqual([`${PATH}after=v1.1.0.x`, `${PATH}after=v1.1.0.x`]);
  });

  it.each<[Fault, object]>([
    [problem(410, "moment_gone"), { code: "moment_gone", status: 410 }],
    [problem(409, "line_parted"), { code: "line_parted", status: 409 }],
    [answer(text({ format: "keyframe.diff", v: 1 }, end(1, false))), { code: "unexpected_answer" }],
    [answer(text({ ...HEAD, v: 2 }, end(1, false))), { code: "unexpected_answer" }],
    [answer(text(HEAD, { key: "k" }, end(1, false))), { code: "unexpected_answer" }],
    [answer(text(HEAD, { key: "k", version: 1, unmigrated: {} }, end(1, false))), { code: "migration_failed" }],
  ])("throws what no retry fixes: %j", async (fault, expected) => {
    const app = new ScriptedApp(() => fault);
    const { pages, error } = await followed(app);
    expect(error).toMatchObject(expected);
    expect([pages, app.seen.length]).toEqual([[], 1]);
  });

  it("ends with the signal, before a page and while it waits for one", async () => {
    const app = new ScriptedApp((_, attempt) =>
      attempt === 1 ? answer(text(HEAD, change(1), end(1, false))) : { tag: "silent" },
    );
    const stop = new AbortController();
    app.clock.after(5_000, () => stop.abort());
    expect(await followed(app, { signal: stop.signal })).toMatchObject({ pages: [{}], error: null });
    expect(app.seen).toHaveLength(2);
    expect(await followed(app, { signal: AbortSignal.abort() })).toMatchObject({ pages: [], error: null });
    expect(app.seen).toHaveLength(2);
  });
});
