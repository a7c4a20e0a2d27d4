/** `keyframe diff` between moments of the app: what it asks for, what it shows, and its exit status. */
import { describe, expect, it } from "vitest";
import { run } from "./run.ts";
import { against, type Given } from "./scripted-server.ts";

const [FROM, TO] = [1_838_629_852_437_504, 1_838_629_952_437_504];
const SAID = `from stamp ${FROM}, 2026-11-24T16:16:05.271Z\nto stamp ${TO}, 2026-11-24T16:17:42.927Z\n`;
const HEAD = `{"format":"keyframe.diff","v":1,"from":${FROM},"to":${TO},"prefix":"","operators":[]}`;
const LINES = [
  '{"operator":"usage","key":"ada","from":{"n":1.50},"to":{"n":2},"partition":0}',
  '{"operator":"usage","key":"b\\n","from":null,"to":{"n":7},"partition":1}',
  '{"operator":"credits","key":"ada","from":{"left":1},"to":null,"partition":0}',
];
const end = (keys: number, more: object = {}): string => JSON.stringify({ end: true, complete: true, keys, ...more });
const ndjson = (...lines: readonly string[]): Given => ({
  headers: { "content-type": "application/x-ndjson" },
  body: lines.map((line) => `${line}\n`).join(""),
});
const full = ndjson(HEAD, ...LINES, end(3));

describe("keyframe diff of moments", () => {
  it("prints each key that differs, by operator, and says which stamps they are", async () => {
    expect(await against([full], "diff", "-1h", "now")).toMatchObject({
      status: 1,
      out: ['~ usage "ada"', '+ usage "b\\n"', '- credits "ada"'],
      err: `${SAID}1 added, 1 removed, 1 changed\n`,
      requests: ["GET /v1/diff?from=-1h&to=now"],
    });
    const values = await against([full], "diff", "-1h", "--values");
    expect(values.requests).toEqual(["GET /v1/diff?from=-1h"]);
    expect(values.out.slice(0, 3)).toEqual(['~ usage "ada"', '    - {"n":1.50}', '    + {"n":2}']);
    const json = await against([full], "diff", "-1h", "--values", "--json");
    expect(json.out).toEqual([
      '{"change":"changed","operator":"usage","key":"ada","before":{"n":1.50},"after":{"n":2}}',
      '{"change":"added","operator":"usage","key":"b\\n","after":{"n":7}}',
      '{"change":"removed","operator":"credits","key":"ada","before":{"left":1}}',
    ]);
  });

  it("is status 0 if nothing differs, and says if another version's events were read", async () => {
    const ran = await against([ndjson(HEAD, end(0, { exact: false }))], "diff", "month-end", "2026-12-01T00:00:00Z");
    expect([ran.status, ran.out]).toEqual([0, []]);
    expect(ran.err).toMatch(/^from stamp .*\nto stamp .*\nanother version .*\n0 added, 0 removed, 0 changed\n$/);
  });

  it("asks for one operator, a prefix or a key", async () => {
    const given = ["--operator", "usage", "--prefix", "a/", "--key", "a/é"];
    const { requests } = await against([full], "diff", String(FROM), "now", ...given);
    expect(requests).toEqual([`GET /v1/diff?from=${FROM}&to=now&operator=usage&prefix=a%2F&key=a%2F%C3%A9`]);
  });

  it("says of a state that can't be migrated which version it is of", async () => {
    const old = '{"operator":"usage","key":"k","fromVersion":1,"fromUnmigrated":{"old":1},"to":{"n":1},"partition":0}';
    const ran = await against([ndjson(HEAD, old, end(1))], "diff", "-1h", "--values");
    expect(ran.out).toEqual(['~ usage "k"', '    - {"old":1}', '    + {"n":1}']);
    expect(ran.err).toContain('the state of "k" is of version 1 and can\'t be migrated\n');
  });

  it.each<[string, Given, RegExp]>([
    ["no last line", ndjson(HEAD, LINES[0]!), /broke off after 1 keys/],
    [
      "a last line that says so",
      ndjson(HEAD, LINES[0]!, '{"end":true,"complete":false,"detail":"why"}'),
      /isn't complete, "why"; 1 keys/,
    ],
    ["another count", ndjson(HEAD, LINES[0]!, end(2)), /counted 2 keys, but 1 arrived/],
    ["another first line", ndjson(HEAD.replace('"v":1', '"v":2'), end(0)), /isn't a diff in version 1/],
    ["a moment that is gone", { status: 410, body: { code: "moment_gone", detail: "why" } }, /410 moment_gone: why/],
    ["one ahead", { status: 409, body: { code: "not_settled", detail: "why" } }, /409 not_settled: why/],
    ["an unknown savepoint", { status: 404, body: { code: "no_savepoint", detail: "why" } }, /404 no_savepoint/],
  ])("CLIDIFF2: %s is status 2", async (_, answer, message) => {
    const ran = await against([answer], "diff", "-1h", "now");
    expect(ran.status).toBe(2);
    expect(ran.err).toMatch(message);
  });

  it.each([
    [["-1h", "./file"], /-1h is a moment, \.\/file is a file: name two of one kind/],
    [["monday.kfs", "monday"], /monday\.kfs is a file, monday is a moment/],
    [["monday.kfs"], /monday\.kfs is a file, the other, now, is a moment/],
    [["-1h", "now", "--on", "x.kfs"], /--on is for files/],
    [["a.kfs", "b.kfs", "--key", "k"], /--operator, --prefix and --key are for moments/],
    [["-1h", "--valeus"], /--valeus is no option and no moment/],
    [["--valeus"], /--valeus is no option and no moment/],
    [["-1h", "now", "now"], /too many arguments/],
    [[], /missing required argument/],
  ])("CLIDIFF1: %j is refused", async (args, message) => {
    const ran = await run(["diff", ...args]);
    expect([ran.status, ran.out]).toEqual([2, []]);
    expect(ran.err).toMatch(message);
  });
});
