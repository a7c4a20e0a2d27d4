/** `keyframe changes`: what it asks for, what it shows, the cursor for the next command, and its exit status. */
import { describe, expect, it } from "vitest";
import { against, type Given } from "./scripted-server.ts";

const HEAD = { format: "keyframe.changes", v: 1, operator: "usage", operatorVersion: 1, prefix: "" };
const change = (n: number, value: unknown) => ({
  key: `k ${n}`,
  value,
  partition: 0,
  seq: n,
  stamp: n,
  time: "2026-01-01T00:00:00.000Z",
  event: { type: "credits.take", id: `e${n}`, source: "/" },
  cursor: `v1.1.${n}`,
});
const page = (cursor: string, more: boolean, ...changes: readonly object[]): Given => ({
  body: [HEAD, ...changes, { end: true, cursor, more }].map((line) => `${JSON.stringify(line)}\n`).join(""),
  headers: { "content-type": "application/x-ndjson" },
});

describe("keyframe changes", () => {
  it("prints each change of every page, and the cursor behind the last one", async () => {
    const answers = [page("v1.a", true, change(1, { n: 1 }), change(2, null)), page("v1.b", false, change(3, 7))];
    const ran = await against(answers, "changes", "usage", "--after", "-1h", "--prefix", "k ");
    expect(ran).toMatchObject({
      status: 0,
      out: [
        '2026-01-01T00:00:00.000Z\t"k 1"\t{"n":1}\t"credits.take" "e1"',
        '2026-01-01T00:00:00.000Z\t"k 2"\tno state\t"credits.take" "e2"',
        '2026-01-01T00:00:00.000Z\t"k 3"\t7\t"credits.take" "e3"',
      ],
      err: "for the next command: --after v1.b\n",
    });
    const asked = "GET /v1/operators/usage/changes?prefix=k+";
    expect(ran.requests).toEqual([`${asked}&after=-1h`, `${asked}&after=v1.a`]);
  });

  it("prints the lines as they are with --json, and says what isn't exact", async () => {
    const [first, second] = [change(1, { n: 1 }), change(2, null)];
    const lines = [HEAD, first, second, { end: true, cursor: "v1.a", more: false, exact: false }];
    const body = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
    const given = { body, headers: { "content-type": "application/x-ndjson" } };
    const ran = await against([given], "changes", "usage", "--json");
    expect(ran.out.map((line) => JSON.parse(line) as unknown)).toEqual([first, second]);
    expect(ran.err).toMatch(/^another version of the operator .*\nfor the next command: --after v1\.a\n$/);
  });

  it("waits for further changes with --follow, as long as the app answers", async () => {
    const gone = { status: 410, body: { code: "moment_gone", detail: "gone" } };
    const ran = await against([page("v1.a", false, change(1, 1)), gone], "changes", "usage", "--follow");
    expect(ran.out).toHaveLength(1);
    expect(ran.requests).toEqual([
      "GET /v1/operators/usage/changes?wait=30",
      "GET /v1/operators/usage/changes?wait=30&after=v1.a",
    ]);
    expect(ran).toMatchObject({ status: 1 });
  });

  it.each<[number, string, number]>([
    [410, "moment_gone", 1],
    [409, "line_parted", 1],
    [400, "unknown_cursor", 2],
    [404, "no_operator", 2],
    [401, "no_token", 2],
  ])("%i %s is status %i", async (answered, code, status) => {
    const ran = await against([{ status: answered, body: { code, detail: "why" } }], "changes", "usage");
    expect([ran.status, ran.out]).toEqual([status, []]);
    expect(ran.err).toMatch(new RegExp(`the app answers ${answered} ${code}: why`));
  });
});
