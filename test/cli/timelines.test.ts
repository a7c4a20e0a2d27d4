/** `--timeline` and the commands of timelines: what they ask for and print, and their status. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { run } from "./run.ts";
import { against, answered, type Given } from "./scripted-server.ts";

const folder = mkdtempSync(join(tmpdir(), "keyframe-timelines-"));
afterAll(() => rmSync(folder, { recursive: true }));

const AT = 1_838_629_852_437_504;
const TIME = "2026-11-24T16:16:05.271Z";
const FIX = { name: "fix", line: 2, state: "ready", from: "main", at: AT, time: TIME, created: TIME, expires: TIME };
const MAIN = { name: "main", line: 1, state: "main" };
const ETAG = `"${"a".repeat(64)}"`;
const stretch = (operator: string, partition: number, first: number, last: number) => ({
  operator,
  partition,
  first,
  last,
});
const PREVIEW = {
  timeline: "fix",
  mode: "give_up",
  parted: AT,
  partedTime: TIME,
  givesUp: {
    events: 1_203,
    last: TIME,
    partitions: [stretch("credits", 0, 5, 6), stretch("credits", 1, 1, 1), stretch("usage", 0, 1, 1_200)],
  },
  takes: { events: 1, last: TIME, partitions: [stretch("credits", 0, 5, 5)] },
};
const PREVIEWED: Given = { body: PREVIEW, headers: { etag: ETAG } };
const PROMOTED: Given = { body: { ...PREVIEW, promoted: true, switches: 1, former: "main~1" } };
const SHOWN = [
  `main and fix have the same events up to stamp ${AT}, ${TIME}`,
  `main gives up 1,203 events, the last at ${TIME}`,
  "  credits 3",
  "  usage 1,200",
  `fix has 1 event, the last at ${TIME}`,
  "  credits 1",
];
const problem = (status: number, code: string): Given => ({ status, body: { code, detail: "the reason" } });
const ndjson = (...lines: readonly string[]): Given => ({
  headers: { "content-type": "application/x-ndjson" },
  body: lines.map((line) => `${line}\n`).join(""),
});

const batch: Given = { body: { items: [{ key: "a", value: 1, seq: 4 }], missing: [] } };
const page: Given = { body: { items: [{ key: "a", value: 1 }] } };
const endOf = (events: number): string => JSON.stringify({ end: true, complete: true, events });
const exported = ndjson('{"format":"keyframe.export","v":1}', '{"end":true,"complete":true,"keys":0}');
const event = {
  seq: 9,
  time: TIME,
  event: { type: "t", id: "e", source: "/" },
  outcome: { status: "applied" },
  operatorVersion: 1,
};
const history: Given = { body: { operator: "usage", key: "k", items: [{ ...event, value: 1 }] } };
const blame: Given = { body: { operator: "usage", key: "k", path: "", item: { ...event, to: 1 } } };
const asked: Given = { body: { key: "a", partition: 0, seq: 1, value: 7, duplicate: false } };
const counts = { received: 1, accepted: 1, duplicates: 0, refused: 0, rejected: 0, quarantined: 0, unrouted: 0 };
const sent: Given = { body: { ...counts, through: 1, errors: [] } };
const lostUsage = { name: "usage", version: 1, events: ["t"], partitions: null, lost: "catalogue_lost" };
const steered: Given = { body: { id: "0-1", command: "retry", status: "applied", seq: 1, duplicate: false } };
const pinned: Given = { body: { partition: 0, manifest: 1, name: "admin", pinned: true } };
const unpinned: Given = { body: { partition: 0, manifest: 1, name: "admin", pinned: false } };
const partition = "/v1/operators/usage/partitions/0";
const events = join(folder, "events.ndjson");
writeFileSync(events, '{"type":"t"}\n');

describe("--timeline", () => {
  it.each<[readonly string[], Given, string]>([
    [["get", "usage", "a"], batch, "POST /v1/operators/usage/state/batch?timeline=fix"],
    [["scan", "usage"], page, "GET /v1/operators/usage/state?limit=1000&timeline=fix"],
    [["export", "usage"], exported, "GET /v1/operators/usage/export?timeline=fix"],
    [["history", "usage", "k"], history, "GET /v1/operators/usage/history?key=k&limit=100&timeline=fix"],
    [["blame", "usage", "k"], blame, "GET /v1/operators/usage/blame?key=k&path=&timeline=fix"],
    [["ask", "usage", '{"type":"t"}'], asked, "POST /v1/operators/usage/ask?timeline=fix"],
    [["send", events], sent, "POST /v1/events?timeline=fix"],
    [["savepoints"], { body: [] }, "GET /v1/savepoints?timeline=fix"],
    [["status", "usage"], { body: [lostUsage] }, "GET /v1/operators?timeline=fix"],
    [["quarantine", "usage"], { body: { items: [] } }, "GET /v1/operators/usage/quarantine?limit=1000&timeline=fix"],
    [["quarantine", "usage", "retry", "0-1"], steered, "POST /v1/operators/usage/quarantine/0-1/retry?timeline=fix"],
    [["pins", "usage", "0"], { body: [] }, `GET ${partition}/pins?timeline=fix`],
    [["pin", "usage", "0", "1"], pinned, `POST ${partition}/manifests/1/pin?name=admin&timeline=fix`],
    [["unpin", "usage", "0", "1"], unpinned, `DELETE ${partition}/manifests/1/pin?name=admin&timeline=fix`],
    [["evict", "usage", "0"], { body: { partition: 0, evicted: true } }, `POST ${partition}/evict?timeline=fix`],
    [["manifests", "usage", "0"], { body: [] }, `GET ${partition}/manifests?timeline=fix`],
    [["unsave", "x"], { body: { name: "x", removed: true } }, "DELETE /v1/savepoints/x?timeline=fix"],
  ])("%j names it", async (args, answer, request) => {
    const ran = await against([answer], ...args, "--timeline", "fix");
    expect([ran.status, ran.requests], ran.err).toEqual([0, [request]]);
  });

  it("watch names it too, and says no if there is none", async () => {
    const ran = await against([problem(404, "no_timeline")], "watch", "usage", "k", "--timeline", "fix");
    expect([ran.status, ran.requests]).toEqual([2, ["GET /v1/operators/usage/watch?key=k&timeline=fix"]]);
    expect(ran.err).toContain("404 no_timeline: the reason");
  });

  it("of a moment is that of all requests, also of those that name a stamp or none", async () => {
    const pages = [{ body: { items: [{ key: "a", value: 1 }], at: AT, cursor: "a" } }, { body: { items: [], at: AT } }];
    const scanned = await against(pages, "scan", "usage", "--at", "fix@now");
    expect(scanned.requests).toEqual([
      "GET /v1/operators/usage/state?at=fix%40now&limit=1000&timeline=fix",
      `GET /v1/operators/usage/state?at=${AT}&limit=1000&cursor=a&timeline=fix`,
    ]);
    const item = { ...event, value: 1 };
    const two = [9, undefined].map((before) => ({
      body: { operator: "usage", key: "k", items: [item], at: AT, before },
    }));
    const { requests } = await against(two, "history", "usage", "k", "--at", "fix@now");
    expect(requests[1]).toBe("GET /v1/operators/usage/history?key=k&limit=99&before=9&timeline=fix");
  });
});

describe("fork, timelines and unfork", () => {
  it("fork starts one, as of a moment and for a time", async () => {
    const made = await against([{ status: 201, body: FIX }], "fork", "fix");
    expect(made).toMatchObject({ status: 0, out: [`fix starts at stamp ${AT}, ${TIME}, of main`] });
    expect(made.err).toBe(`it stays until ${TIME}; use it with --timeline fix, or as fix@now\n`);
    expect(made.heard[0]).toMatchObject({ line: "PUT /v1/timelines/fix", body: "{}" });
    const { expires: _, ...kept } = FIX;
    const forever = await against([{ body: kept }], "fork", "fix", "--from", "-90m", "--expires", "never", "--json");
    expect(forever).toMatchObject({ status: 0, out: [JSON.stringify(kept)] });
    expect(forever.heard[0]!.body).toBe('{"from":"-90m","expires":null}');
    expect((await against([{ body: kept }], "fork", "fix", "--expires", "12h")).heard[0]!.body).toBe(
      '{"expires":"12h"}',
    );
  });

  it("fork gives operators more partitions, there or where main ends", async () => {
    const split = ["--partitions", "usage=8", "--partitions", "credits=4"];
    const made = await against([{ status: 201, body: FIX }], "fork", ...split, "fix");
    expect([made.status, made.heard[0]!.body]).toEqual([0, '{"partitions":{"usage":8,"credits":4}}']);
    const { at: _, time: __, ...unstarted } = { ...FIX, name: "wide", state: "unstarted" };
    const ran = await against([{ status: 201, body: unstarted }], "fork", "wide", "--from", "end", ...split);
    expect(ran).toMatchObject({ status: 0, out: ["wide starts where main ends"] });
    expect(ran.err).toBe(`it stays until ${TIME}; use it with keyframe promote wide\n`);
    expect(ran.heard[0]!.body).toBe('{"from":"end","partitions":{"usage":8,"credits":4}}');
  });

  it.each([["usage"], ["usage=0"], ["usage=1.5"], ["usage=1000"], ["=8"], ["usage=8=9"], ["usage=8", "usage=4"]])(
    "fork asks for nothing with the partitions %s %s",
    async (...given) => {
      const ran = await against([], "fork", "fix", ...given.flatMap((one) => ["--partitions", one]));
      expect([ran.status, ran.requests, ran.err]).toEqual([2, [], expect.stringContaining("--partitions")]);
    },
  );

  it.each([
    [409, "timeline_exists", 1],
    [409, "partitions_unsplit", 1],
    [409, "too_many_timelines", 1],
    [409, "not_settled", 1],
    [410, "moment_gone", 1],
    [404, "no_savepoint", 2],
    [400, "invalid_name", 2],
  ])("fork: %i %s ends with %3$i, and says why", async (status, code, ends) => {
    const ran = await against([problem(status, code)], "fork", "fix");
    expect([ran.status, ran.out, ran.err]).toEqual([ends, [], expect.stringContaining("the reason")]);
  });

  it("timelines lists them", async () => {
    const { status, out } = await against([{ body: [MAIN, FIX] }], "timelines");
    expect([status, out.map((line) => line.split(/ {2,}/))]).toEqual([
      0,
      [
        ["NAME", "STATE", "FROM", "MOMENT", "EXPIRES"],
        ["main", "main", "never"],
        ["fix", "ready", "main", TIME, TIME],
      ],
    ]);
    expect((await against([{ body: [MAIN] }], "timelines", "--json")).out).toEqual([JSON.stringify(MAIN)]);
  });

  it("unfork removes one, in as many requests as it takes", async () => {
    const answers = [{ status: 202, body: { name: "fix", removed: false } }, { body: { name: "fix", removed: true } }];
    expect(await against(answers, "unfork", "fix")).toMatchObject({
      status: 0,
      out: ["timeline fix is removed"],
      requests: Array(2).fill("DELETE /v1/timelines/fix"),
    });
    expect(await against([problem(409, "timeline_in_use")], "unfork", "main")).toMatchObject({
      status: 1,
      err: "keyframe: timeline_in_use: the reason\n",
    });
  });
});

describe("promote", () => {
  it("PROMOTE1: shows the preview, asks, and sends its ETag", async () => {
    const questions: string[] = [];
    const yes = (question: string) => Promise.resolve(questions.push(question) > 0);
    const ran = await answered([PREVIEWED, PROMOTED], ["promote", "fix"], yes);
    expect(ran).toMatchObject({ status: 0, out: [...SHOWN, "fix is main; what was main is main~1"] });
    expect(ran.err).toBe("keys that change: keyframe diff now fix@now\nto undo it: keyframe rollback --undo\n");
    expect(questions).toEqual(["make fix main, and give up 1,203 events? [y/N] "]);
    expect(ran.requests).toEqual(["GET /v1/timelines/fix/promotion", "POST /v1/timelines/fix/promotion"]);
    expect(ran.heard[1]!.headers["if-match"]).toBe(ETAG);
  });

  it("promotes nothing without a yes", async () => {
    const no = await answered([PREVIEWED], ["promote", "fix"], () => Promise.resolve(false));
    expect(no).toMatchObject({ status: 1, out: SHOWN });
    expect(no.err).toMatch(/nothing was promoted\n$/);
    const nobody = await against([PREVIEWED], "promote", "fix");
    expect(nobody).toMatchObject({ status: 1, out: SHOWN });
    expect(nobody.err).toMatch(/nothing was promoted: --yes promotes without a terminal\n$/);
    expect([...no.requests, ...nobody.requests]).toEqual(Array(2).fill("GET /v1/timelines/fix/promotion"));
  });

  it("--yes asks nobody, and --json prints both answers", async () => {
    const ran = await against([PREVIEWED, PROMOTED], "promote", "fix", "--yes", "--json");
    expect([ran.status, ran.out.map((line) => JSON.parse(line) as unknown)]).toEqual([
      0,
      [{ ...PREVIEW, etag: ETAG }, PROMOTED.body],
    ]);
  });

  it("sends the same again after a 503, which counts once", async () => {
    const busy = { ...problem(503, "store_unavailable"), headers: { "retry-after": "0" } };
    const ran = await against([PREVIEWED, busy, PROMOTED], "promote", "fix", "--yes");
    expect(ran.status).toBe(0);
    expect(ran.heard.map(({ headers }) => headers["if-match"])).toEqual([undefined, ETAG, ETAG]);
  });

  it.each<[readonly Given[], number, string]>([
    [[problem(404, "no_timeline")], 2, "404 no_timeline: the reason"],
    [[problem(409, "timeline_is_main")], 1, "timeline_is_main: the reason"],
    [[problem(409, "timeline_unrelated")], 1, "timeline_unrelated: the reason"],
    [[{ body: PREVIEW }], 2, "the preview has no ETag"],
    [[PREVIEWED, problem(412, "promotion_moved")], 1, "changed since the preview; nothing was promoted: run it again"],
    [[PREVIEWED, problem(409, "promotion_busy")], 1, "promotion_busy: the reason"],
    [[PREVIEWED, problem(403, "wrong_role")], 2, "403 wrong_role: the reason"],
  ])("%j: status %i", async (answers, status, message) => {
    const ran = await against(answers, "promote", "fix", "--yes");
    expect([ran.status, ran.err]).toEqual([status, expect.stringContaining(message)]);
    expect(ran.requests).toHaveLength(answers.length);
  });

  it("PROMOTE2: --give-up-to has the events before the promotion is sent, and what isn't one is said", async () => {
    const file = join(folder, "given-up.ndjson");
    const lines = ['{"id":"1","type":"t"}', '{"id":"2","type":"t"}'];
    const args = ["promote", "fix", "--yes", "--give-up-to", file];
    const ran = await against([PREVIEWED, ndjson(...lines, endOf(2)), PROMOTED], ...args);
    expect(ran.status, ran.err).toBe(0);
    expect(ran.err).toContain(`${file} has 2 events; 1,201 more are edits and other commands, which can't be sent\n`);
    expect(readFileSync(file, "utf8")).toBe(`${lines.join("\n")}\n`);
    expect([ran.requests[1], ran.heard[1]!.headers.accept]).toEqual([
      "GET /v1/timelines/fix/promotion",
      "application/x-ndjson",
    ]);
    const over = await against([PREVIEWED, ndjson()], ...args);
    expect([over.status, over.err]).toEqual([2, expect.stringContaining("EEXIST")]);
    expect(readFileSync(file, "utf8"), "the file of before").toBe(`${lines.join("\n")}\n`);
  });

  it.each([
    ["without its end", ["{}"]],
    ["that says so", ["{}", '{"end":true,"complete":false,"code":"events_interrupted"}']],
    ["with another count", ["{}", '{"end":true,"complete":true,"events":2}']],
  ])("PROMOTE2: promotes nothing after a list %s", async (_, lines) => {
    const file = join(folder, "torn.ndjson");
    const ran = await against([PREVIEWED, ndjson(...lines)], "promote", "fix", "--yes", "--give-up-to", file);
    expect([ran.status, ran.err]).toEqual([2, expect.stringContaining("could not be read to their end")]);
    expect([existsSync(file), ran.requests.length]).toEqual([false, 2]);
  });

  it("PROMOTE2: leaves no file if main gave nothing up, and keeps it if that isn't known", async () => {
    const args = (file: string) => ["promote", "fix", "--yes", "--give-up-to", join(folder, file)];
    await against([PREVIEWED, ndjson("{}", endOf(1)), problem(412, "promotion_moved")], ...args("moved"));
    await against([PREVIEWED, problem(500, "internal_error")], ...args("unread"));
    await answered([PREVIEWED], ["promote", "fix", ...args("no").slice(3)], () => Promise.resolve(false));
    expect(["moved", "unread", "no"].filter((file) => existsSync(join(folder, file)))).toEqual([]);
    const unknown = await against(
      [PREVIEWED, ndjson("{}", endOf(1)), problem(500, "internal_error")],
      ...args("unknown"),
    );
    expect([unknown.status, existsSync(join(folder, "unknown"))]).toEqual([2, true]);
  });

  it("--abort aborts what is under way", async () => {
    const ran = await against([{ body: { name: "fix", state: "idle", switches: 0 } }], "promote", "fix", "--abort");
    expect(ran).toMatchObject({
      status: 0,
      out: ["no promotion is under way"],
      requests: ["DELETE /v1/timelines/fix/promotion"],
    });
  });
});

const replay = (behind: number, more: object = {}) => ({
  ...FIX,
  state: "replaying",
  replay: { of: "main", outcomes: "logged", lag: 4_000 * behind, behind, changed: 2, ...more },
});
const REPLAYING: Given = { status: 201, body: replay(0) };
const REPLAYED = replay(0);
const FOLLOW = {
  timeline: "fix",
  mode: "follow",
  outcomes: "logged",
  lag: 0,
  changes: { events: 2, partitions: [{ operator: "credits", partition: 0, events: 2 }] },
};
const FOLLOWS: Given = { body: FOLLOW, headers: { etag: ETAG } };
const FOLLOWED: Given = { body: { ...FOLLOW, promoted: true, switches: 1, former: "main~1" } };
const FOLLOWING = [
  "fix replays main's log, so main gives up no event; outcomes: as logged",
  "the outcome of 2 events changes",
  "  credits 2",
];

describe("reprocess", () => {
  it("replays up to the end of main's log, shows what changes, and promotes", async () => {
    const answers = [REPLAYING, { body: replay(3) }, { body: REPLAYED }, FOLLOWS, FOLLOWED];
    const ran = await against(answers, "reprocess", "--from", "before-sale", "--decide", "--yes");
    expect(ran).toMatchObject({ status: 0, out: [...FOLLOWING, "fix is main; what was main is main~1"] });
    expect(ran.err).toContain("12,000 events are left\n");
    expect(JSON.parse(ran.heard[0]!.body)).toEqual({ from: "before-sale", replay: "decide" });
    expect(ran.requests[0]).toMatch(/^PUT \/v1\/timelines\/reprocess-\d{8}-\d{6}$/);
    expect(ran.heard.at(-1)).toMatchObject({ headers: { "if-match": ETAG } });
  });

  it("says what to do with the timeline if nobody says yes, or an outcome changed since", async () => {
    for (const answers of [
      [REPLAYING, { body: REPLAYED }, FOLLOWS],
      [REPLAYING, { body: REPLAYED }, FOLLOWS, problem(412, "promotion_moved")],
    ]) {
      const ran = await against(answers, "reprocess", "--from", "-1h", ...(answers.length === 4 ? ["--yes"] : []));
      expect(ran.status).toBe(1);
      expect(ran.err).toContain(`fix stays until ${TIME}: keyframe promote fix, or keyframe unfork fix\n`);
    }
  });

  it("gives up on a replay that doesn't go on, with its trouble", async () => {
    const stuck = Array.from({ length: 6 }, (): Given => ({ body: replay(1, { trouble: "log_broken: a gap" }) }));
    const ran = await against([REPLAYING, ...stuck], "reprocess", "--from", "-1h");
    expect(ran).toMatchObject({ status: 2, err: expect.stringContaining("log_broken: a gap") });
  });

  it("gives up no event, so there is no file of them", async () => {
    const ran = await against([FOLLOWS], "promote", "fix", "--yes", "--give-up-to", join(folder, "none"));
    expect(ran).toMatchObject({ status: 2, err: expect.stringContaining("gives up no event") });
    expect(existsSync(join(folder, "none"))).toBe(false);
  });
});

describe("rescale", () => {
  const unstarted = { name: "wide", line: 2, state: "unstarted", from: "main", split: { usage: 2 }, expires: TIME };
  const preview = { timeline: "wide", mode: "rescale", partitions: { usage: { from: 4, to: 8 } } };
  const made: Given = { status: 201, body: unstarted };
  const previewed: Given = { body: preview, headers: { etag: ETAG } };
  const lines = [
    "wide starts where main ends: main gives up no event, and no outcome changes",
    "  usage 8 partitions instead of 4",
  ];

  it("starts a timeline where main ends, and promotes it", async () => {
    const done: Given = { body: { ...preview, promoted: true, switches: 1, former: "main~1" } };
    const ran = await against([made, previewed, done], "rescale", "usage", "8", "--yes");
    expect(ran).toMatchObject({ status: 0, out: [...lines, "wide is main; what was main is main~1"] });
    expect(ran.err).toBe("wide starts where main ends\n");
    expect(ran.requests[0]).toMatch(/^PUT \/v1\/timelines\/rescale-\d{8}-\d{6}$/);
    expect(JSON.parse(ran.heard[0]!.body)).toEqual({ from: "end", partitions: { usage: 8 } });
    expect(ran.heard.at(-1)).toMatchObject({ headers: { "if-match": ETAG } });
  });

  it("asks first, and says why a number can't be had", async () => {
    const asked = await against([made, previewed], "rescale", "usage", "8");
    expect(asked.status).toBe(1);
    expect(asked.err).toContain(`wide stays until ${TIME}: keyframe promote wide, or keyframe unfork wide\n`);
    for (const code of ["partitions_unsplit", "partitions_same"])
      expect(await against([problem(409, code)], "rescale", "usage", "6", "--yes")).toMatchObject({
        status: 1,
        err: expect.stringContaining("the reason"),
      });
    for (const wrong of ["0", "1.5", "many"])
      expect(await against([], "rescale", "usage", wrong)).toMatchObject({ status: 2 });
  });
});

describe("rollback", () => {
  const made: Given = { status: 201, body: FIX };

  it.each([
    [["--to", "before-sale"], "before-sale", /^PUT \/v1\/timelines\/rollback-\d{8}-\d{6}$/],
    [["--undo", "--give-up"], "main~1@now", /^PUT \/v1\/timelines\/undo-\d{8}-\d{6}$/],
  ])("%j starts a timeline at %s and promotes it", async (args, from, put) => {
    const ran = await against([made, PREVIEWED, PROMOTED], "rollback", ...args, "--yes");
    expect(ran).toMatchObject({ status: 0, out: [...SHOWN, "fix is main; what was main is main~1"] });
    expect(ran.err).toContain("to undo it: keyframe rollback --undo\n");
    expect(ran.requests[0]).toMatch(put);
    expect(JSON.parse(ran.heard[0]!.body)).toEqual({ from });
    expect(ran.requests.slice(1)).toEqual(["GET /v1/timelines/fix/promotion", "POST /v1/timelines/fix/promotion"]);
  });

  it("--undo takes in what main logged since, if main had replayed main~1", async () => {
    const ran = await against([REPLAYING, { body: REPLAYED }, FOLLOWS, FOLLOWED], "rollback", "--undo", "--yes");
    expect(ran).toMatchObject({ status: 0, out: [...FOLLOWING, "fix is main; what was main is main~1"] });
    expect(JSON.parse(ran.heard[0]!.body)).toEqual({ from: "main~1@now", replay: "logged" });
    expect(ran.requests.slice(1)).toEqual([
      "POST /v1/timelines/fix/replay",
      "GET /v1/timelines/fix/promotion",
      "POST /v1/timelines/fix/promotion",
    ]);
  });

  it("--undo gives up what main logged since, if main had replayed nothing", async () => {
    const answers = [problem(409, "timeline_unrelated"), made, PREVIEWED, PROMOTED];
    const ran = await against(answers, "rollback", "--undo", "--yes");
    expect(ran).toMatchObject({ status: 0, out: [...SHOWN, "fix is main; what was main is main~1"] });
    expect(JSON.parse(ran.heard[1]!.body)).toEqual({ from: "main~1@now" });
  });

  it.each<[string, readonly Given[]]>([
    ["nobody says yes", [made, PREVIEWED]],
    ["main can't be switched", [made, PREVIEWED, problem(412, "promotion_moved")]],
  ])("says what to do with the timeline if %s", async (_, answers) => {
    const ran = await against(answers, "rollback", "--to", "-1h", ...(answers.length === 3 ? ["--yes"] : []));
    expect(ran.status).toBe(1);
    expect(ran.err).toContain(`fix stays until ${TIME}: keyframe promote fix, or keyframe unfork fix\n`);
  });

  it("changes nothing if the moment can't be had, or is named twice or not", async () => {
    expect(await against([problem(410, "moment_gone")], "rollback", "--to", "-9d")).toMatchObject({ status: 1 });
    for (const args of [[], ["--to", "-1h", "--undo"]])
      expect(await run(["rollback", ...args])).toMatchObject({ status: 2, err: expect.stringContaining("--to") });
    const nothing = await against([problem(404, "no_timeline")], "rollback", "--undo", "--yes");
    expect(nothing).toMatchObject({ status: 1, err: expect.stringContaining("main was never switched") });
  });
});
