/** `--at MOMENT`: what the commands ask for, the stamp that they say, and their exit status. */
import { describe, expect, it } from "vitest";
import { against, type Given } from "./scripted-server.ts";

const AT = 1_838_629_852_437_504;
const SAID = `as of stamp ${AT}, 2026-11-24T16:16:05.271Z\n`;
const INEXACT =
  "another version of the operator applied events up to then; this is what the present version makes of them\n";

const batch = (keys: readonly string[], more: object): Given => ({
  body: { items: keys.map((key) => ({ key, value: 1, seq: 4 })), missing: [], ...more },
});
const page = (keys: readonly string[], more: object): Given => ({
  body: { items: keys.map((key) => ({ key, value: 1 })), ...more },
});
const lines = (...values: unknown[]): Given => ({
  headers: { "content-type": "application/x-ndjson" },
  body: values.map((value) => `${JSON.stringify(value)}\n`).join(""),
});
const event = {
  seq: 9,
  time: "2026-01-01T00:00:00.000Z",
  event: { type: "t", id: "e", source: "/" },
  outcome: { status: "applied" },
  operatorVersion: 1,
  value: 1,
};
const history = (more: object): Given => ({ body: { operator: "usage", key: "k", items: [event], ...more } });

const timers = (more: object): Given => ({
  body: {
    operator: "usage",
    key: "k",
    timers: [{ name: "t", due: event.time }],
    expires: null,
    partition: 0,
    seq: 1,
    time: event.time,
    ...more,
  },
});
const blame = (more: object): Given => {
  const { value, ...item } = event;
  return { body: { operator: "usage", key: "k", path: "/n", item: { ...item, to: value }, ...more } };
};

/** Each command with a good answer to it, but for the moment. */
const COMMANDS: readonly (readonly [args: readonly string[], answer: (more: object) => Given, path: string])[] = [
  [["get", "usage", "a"], (more) => batch(["a"], more), "POST /v1/operators/usage/state/batch?at="],
  [["scan", "usage"], (more) => page(["a"], more), "GET /v1/operators/usage/state?at="],
  [
    ["export", "usage"],
    (more) => lines({ format: "keyframe.export", v: 1, ...more }, { end: true, complete: true, keys: 0 }),
    "GET /v1/operators/usage/export?at=",
  ],
  [["timers", "usage", "k"], timers, "GET /v1/operators/usage/timers?key=k&at="],
  [["blame", "usage", "k", "/n"], blame, "GET /v1/operators/usage/blame?key=k&path=%2Fn&at="],
  [["history", "usage", "k"], history, "GET /v1/operators/usage/history?key=k&limit=100&at="],
];

describe.each(COMMANDS)("%j --at", (args, answer, path) => {
  it.each([
    ["-90m", "-90m"],
    ["2026-11-24T17:16:05+01:00", "2026-11-24T17%3A16%3A05%2B01%3A00"],
    ["month-end", "month-end"],
  ])("%s: asks for it, and says the stamp once, on standard error", async (moment, encoded) => {
    const ran = await against([answer({ at: AT })], ...args, "--at", moment);
    expect(ran.requests[0]!.replace("&limit=1000", "")).toBe(`${path}${encoded}`);
    expect(ran.err.replace(/\d keys\n/, "")).toBe(SAID);
    expect(ran.status).toBe(0);
  });

  it.each([
    [409, "not_settled", 1],
    [410, "moment_gone", 1],
    [400, "invalid_moment", 2],
    [404, "no_savepoint", 2],
  ])("%i %s: says why, with status %3$i", async (status, code, ends) => {
    const ran = await against([{ status, body: { code, detail: "why" } }], ...args, "--at", "2125-01-01T00:00:00Z");
    expect([ran.status, ran.out, ran.err]).toEqual([ends, [], `keyframe: the app answers ${status} ${code}: why\n`]);
    expect(ran.requests).toHaveLength(1);
  });

  it("never takes the present for the past", async () => {
    const ran = await against([answer({})], ...args, "--at", "now");
    expect([ran.status, ran.out]).toEqual([2, []]);
    expect(ran.err).toMatch(/the answer names no stamp|it lacks `at`/);
  });

  it("without it, asks for the present, and says nothing of a stamp", async () => {
    const ran = await against([answer({})], ...args);
    expect([ran.status, ran.requests[0]!.includes("at=")]).toEqual([0, false]);
    expect(ran.err).not.toContain("stamp");
  });
});

describe("--at over several requests", () => {
  it("get asks for the first answer's stamp in all others", async () => {
    const keys = Array.from({ length: 501 }, (_, i) => `k${i}`);
    const ran = await against(
      [batch(["k0"], { at: AT }), batch(["k500"], { at: AT })],
      "get",
      "usage",
      ...keys,
      "--at",
      "now",
      "--json",
    );
    expect(ran.requests.map((line) => line.split("?")[1])).toEqual(["at=now", `at=${AT}`]);
    expect(ran.out).toEqual(["k0", "k500"].map((key) => JSON.stringify({ key, value: 1, seq: 4, at: AT })));
    expect(ran.err).toBe(SAID);
  });

  it("scan too, and says once that another version's events were read", async () => {
    const ran = await against(
      [
        page(["a"], { at: AT, cursor: "a" }),
        page(["b"], { at: AT, exact: false, cursor: "b" }),
        page(["c"], { at: AT, exact: false }),
      ],
      "scan",
      "usage",
      "--at",
      "-1h",
      "--json",
    );
    expect(ran.requests.map((line) => line.split("?")[1])).toEqual([
      "at=-1h&limit=1000",
      `at=${AT}&limit=1000&cursor=a`,
      `at=${AT}&limit=1000&cursor=b`,
    ]);
    expect(ran.out.map((line) => JSON.parse(line) as unknown)).toEqual([
      { key: "a", value: 1, at: AT },
      { key: "b", value: 1, at: AT, exact: false },
      { key: "c", value: 1, at: AT, exact: false },
    ]);
    expect(ran.err).toBe(`${SAID}${INEXACT}`);
  });

  it("history asks for the moment once, and continues with `before`", async () => {
    const ran = await against(
      [history({ at: AT, before: 9 }), history({ expired: true })],
      "history",
      "usage",
      "k",
      "--at",
      "-1h",
    );
    expect(ran.requests.map((line) => line.split("?")[1])).toEqual([
      "key=k&limit=100&at=-1h",
      "key=k&limit=99&before=9",
    ]);
    expect(ran.err).toBe(`${SAID}retention has given up older events\n`);
  });
});
