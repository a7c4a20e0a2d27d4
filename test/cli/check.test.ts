/** `keyframe check`: what it asks, how it follows cursors, what it prints, and its exit status. */
import { describe, expect, it } from "vitest";
import { NO_COUNTS } from "../../src/engine/history/findings.ts";
import { against, type Given } from "./scripted-server.ts";

const FROM = 1_838_629_852_437_504;
const NDJSON = { "content-type": "application/x-ndjson" };
const HEAD = { format: "keyframe.check", v: 1, from: FROM, operators: ["usage"] };
const FINDING = {
  operator: "usage",
  partition: 0,
  finding: "outcome",
  key: "ada",
  seq: 12,
  id: "e12",
  source: "/",
  type: "used",
  time: "2026-11-24T16:16:05.271Z",
  logged: { status: "applied", reply: { n: 4 } },
  now: { status: "refused", code: "over_limit", detail: null },
  operatorVersion: 1,
  code: "c1",
};
const STATE = { operator: "usage", partition: 0, finding: "state", key: "ada", seq: 14, path: "/n", logged: 4, now: 3 };
const counts = (given: object): object => ({ ...NO_COUNTS, ...given });
const SAME = { operator: "usage", partition: 0, counts: counts({ keys: 2, events: 5, replies: 5, states: 2 }) };
const DIFFERS = { ...SAME, counts: counts({ keys: 2, differing: 1, events: 5, eventsDiffering: 1, states: 2 }) };

/** An answer of these lines, with an end that counts them. */
function answer(lines: readonly object[], end: object = { complete: true }): Given {
  const findings = lines.filter((line) => "finding" in line).length;
  const all = [HEAD, ...lines, { end: true, findings, counts: NO_COUNTS, ...end }];
  return { body: `\n${all.map((line) => `${JSON.stringify(line)}\n`).join("\n")}`, headers: NDJSON };
}

const check = async (...answers: readonly Given[]) => against(answers, "check", "--from", "-24h");

describe("keyframe check", () => {
  it("without a difference ends with 0, and says what was compared", async () => {
    const ran = await check(answer([SAME]));
    expect(ran).toMatchObject({ status: 0, requests: ["GET /v1/check?from=-24h"] });
    expect(ran.out.join("\n")).toContain("usage: 0 of 2 keys differ");
    expect(ran.out.join("\n")).toContain("5 events decided anew, 0 differ");
    expect(ran.err).toContain(`from stamp ${FROM}`);
  });

  it("with a difference ends with 1, and names event, key and state", async () => {
    const ran = await check(answer([FINDING, STATE, DIFFERS]));
    expect(ran.status).toBe(1);
    expect(ran.out.slice(0, 2)).toEqual([
      'outcome usage 0 "ada": seq 12, used "e12", applied {"n":4}, now refused over_limit null; logged by version 1, code c1',
      'state usage 0 "ada": in the snapshot at seq 14, /n is 4, now 3',
    ]);
    const json = await against([answer([FINDING, DIFFERS])], "check", "--from", "-24h", "--json");
    expect(json).toMatchObject({ status: 1, out: [JSON.stringify(FINDING), JSON.stringify(DIFFERS)] });
  });

  it("with a difference that no line lists ends with 1 as well", async () => {
    expect((await check(answer([DIFFERS]))).status).toBe(1);
  });

  it("follows the cursor with the stamp of the first answer, and adds up", async () => {
    const ran = await against(
      [answer([SAME], { complete: false, cursor: '["usage",1]' }), answer([{ ...SAME, partition: 1 }])],
      "check",
      "usage",
      "credits",
      "--from=-24h",
      "--to=-1h",
      "--sample=9",
    );
    const query = "to=-1h&operator=usage%2Ccredits&sample=9";
    expect(ran.requests).toEqual([
      `GET /v1/check?from=-24h&${query}`,
      `GET /v1/check?from=${FROM}&${query}&cursor=%5B%22usage%22%2C1%5D`,
    ]);
    expect(ran.out.join("\n")).toContain("usage: 0 of 4 keys differ");
  });

  it.each([
    ["one_snapshot", 0],
    ["unused", 0],
    ["moment_gone", 2],
    ["snapshot_unreadable", 2],
  ])("names %s, and ends with %i", async (gap, status) => {
    const ran = await check(answer([SAME, { operator: "usage", partition: 1, gaps: [gap] }]));
    expect(ran.status).toBe(status);
    expect(ran.out.join("\n") + ran.err).toContain("not compared, 1 (usage 1): ");
  });

  it("ends with 2 if nothing was compared, and if a partition can't be read", async () => {
    const nothing = await check(answer([{ operator: "usage", partition: 0, gaps: ["no_events"] }]));
    expect([nothing.status, nothing.err]).toEqual([2, expect.stringContaining("nothing could be compared")]);
    const failed = { operator: "usage", partition: 1, failed: { code: "log_broken", detail: "a gap" } };
    const broken = await check(answer([SAME, failed]));
    expect([broken.status, broken.err]).toEqual([2, expect.stringContaining("usage 1 can't be checked: log_broken")]);
    expect((await check(answer([FINDING, DIFFERS, failed]))).status).toBe(1);
  });

  it.each<[string, Given]>([
    ["an answer without its end", { body: `${JSON.stringify(HEAD)}\n`, headers: NDJSON }],
    ["a finding that got lost", answer([SAME], { complete: true, findings: 1 })],
    ["an end that is no end", answer([SAME], { complete: false })],
    ["another version", { body: '{"format":"keyframe.check","v":2}\n', headers: NDJSON }],
    ["no JSON", { body: "oops\n", headers: NDJSON }],
    ["a problem", { status: 404, body: { code: "no_operator", detail: "there is none" } }],
    ["a moment that can't be", { status: 409, body: { code: "not_settled", detail: "ahead" } }],
  ])("ends with 2 after %s", async (_, given) => {
    const ran = await check(given);
    expect(ran.status).toBe(2);
    expect(ran.err).toContain("keyframe:");
  });

  it("needs --from, and a sample that is a number", async () => {
    expect((await against([], "check")).status).toBe(2);
    expect((await against([], "check", "--from", "now", "--sample", "few")).status).toBe(2);
  });
});
