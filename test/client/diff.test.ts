/** `kf.diff`: line by line, and never a part for the whole. */
import { describe, expect, it } from "vitest";
import { client, type DiffEnd } from "../../src/client/client.ts";
import type { credits } from "../../src/operators/credits.ts";
import { ScriptedApp, type Fault } from "./scripted-app.ts";

const [FROM, TO] = [1_838_629_852_437_504, 1_838_629_952_437_504];
const HEAD = { format: "keyframe.diff", v: 1, from: FROM, to: TO, prefix: "", operators: [] };
const ADA = { operator: "credits", key: "ada", from: { left: 1, taken: 0 }, to: null, partition: 0 };
const BO = { operator: "credits", key: "bo", from: null, to: { left: 2, taken: 0 }, partition: 1 };

const text = (...lines: readonly unknown[]): string => lines.map((line) => `${JSON.stringify(line)}\n`).join("");
const answer = (body: string): Fault => ({
  tag: "answer",
  status: 200,
  body,
  headers: { "content-type": "application/x-ndjson" },
});
const full = answer(text(HEAD, ADA, BO, { end: true, complete: true, keys: 2 }));

/** The result: entries, and the end or the error. */
async function diffed(app: ScriptedApp, options: object = {}) {
  const kf = client({ url: "http://app.test", fetch: app.fetch, clock: app.clock, random: () => 0 });
  const lines = kf.diff<typeof credits>({ from: "-1h", operator: "credits", ...options });
  const entries: unknown[] = [];
  const read = async (): Promise<DiffEnd | Error> => {
    try {
      for (;;) {
        const { done, value } = await lines.next();
        if (done === true) return value;
        entries.push(value);
      }
    } catch (error) {
      return error as Error;
    }
  };
  return { end: await app.run(read()), entries };
}

describe("diff", () => {
  it("yields each key that differs, and ends with the stamps", async () => {
    const app = new ScriptedApp(() => full);
    expect(await diffed(app)).toEqual({ entries: [ADA, BO], end: { from: FROM, to: TO, keys: 2, exact: true } });
    expect(app.seen.map(({ path }) => path)).toEqual(["/v1/diff?from=-1h&operator=credits"]);
  });

  it("asks for what it is told", async () => {
    const app = new ScriptedApp(() => answer(text(HEAD, { end: true, complete: true, keys: 0, exact: false })));
    const kf = client({ url: "http://app.test", fetch: app.fetch, clock: app.clock });
    const moments = { from: new Date(0), to: TO, prefix: "a/", key: "a/ü" };
    expect(await app.run(kf.diff(moments).next())).toEqual({
      done: true,
      value: { from: FROM, to: TO, keys: 0, exact: false },
    });
    expect(app.seen[0]!.path).toBe(`/v1/diff?from=1970-01-01T00%3A00%3A00.000Z&to=${TO}&prefix=a%2F&key=a%2F%C3%BC`);
    expect(
      await app.run(
        kf
          .diff({ from: Number.NaN })
          .next()
          .catch((error: unknown) => error),
      ),
    ).toMatchObject({
      code: "invalid_options",
    });
  });

  it("asks again while the answer hasn't begun", async () => {
    const faults: Fault[] = [{ tag: "lost", taken: false }, { tag: "answer", status: 503, body: { code: "x" } }, full];
    const app = new ScriptedApp((_, attempt) => faults[attempt - 1]!);
    expect((await diffed(app)).entries).toEqual([ADA, BO]);
    expect(app.seen).toHaveLength(3);
  });

  it.each<[string, Fault, object]>([
    ["no last line", answer(text(HEAD, ADA)), { code: "diff_interrupted" }],
    ["a line that is cut", answer(text(HEAD, ADA).slice(0, -4)), { code: "diff_interrupted" }],
    [
      "a last line that says so",
      answer(text(HEAD, ADA, { end: true, complete: false, detail: "why" })),
      { code: "diff_interrupted", detail: "the diff broke off after 1 keys: why" },
    ],
    ["another count", answer(text(HEAD, ADA, { end: true, complete: true, keys: 2 })), { code: "diff_interrupted" }],
    ["another first line", answer(text({ ...HEAD, v: 2 }, ADA)), { code: "unexpected_answer" }],
    ["a line without a state", answer(text(HEAD, { ...ADA, from: undefined })), { code: "unexpected_answer" }],
    ["no JSON", answer("{}\nno\n"), { code: "unexpected_answer" }],
    ["a page of a proxy", { tag: "answer", status: 200, body: "<html>" }, { code: "unexpected_answer" }],
    ["a refusal", { tag: "answer", status: 410, body: { code: "moment_gone" } }, { code: "moment_gone", status: 410 }],
  ])("throws at %s", async (_, fault, error) => {
    const app = new ScriptedApp(() => fault);
    expect((await diffed(app)).end).toMatchObject(error);
    expect(app.seen).toHaveLength(1);
  });

  it("throws after all others if a state can't be migrated", async () => {
    const old = { operator: "credits", key: "old", fromVersion: 1, fromUnmigrated: 7, to: null, partition: 0 };
    const app = new ScriptedApp(() => answer(text(HEAD, old, BO, { end: true, complete: true, keys: 2 })));
    expect(await diffed(app)).toMatchObject({
      entries: [BO],
      end: { code: "migration_failed", detail: 'the state of key "old" can\'t be migrated' },
    });
  });
});
