/** The commands that ask the app: what they send, what they make of the answers, and their exit status. */
import { describe, expect, it } from "vitest";
import { asProblem } from "../client/problem.ts";
import { run } from "./run.ts";
import { against, type Given } from "./scripted-server.ts";

/** Where an operator decided something. */
const placed = { key: "ada", partition: 0, seq: 7, duplicate: false };

const busy: Given = { status: 503, headers: { "retry-after": "0" }, body: { code: "fenced", detail: "moving" } };

describe("a command that asks the app", () => {
  it("sends again what gets 503, with the same id, and a token in the header only", async () => {
    const { status, out, err, heard } = await against(
      [busy, { body: { value: { left: 1 }, ...placed } }],
      "ask",
      "credits",
      '{"type":"t","n":1.0}',
    );
    expect({ status, out, err }).toEqual({ status: 0, out: ['{"left":1}'], err: "" });
    expect(heard.map(({ line }) => line)).toEqual(heard.map(() => "POST /v1/operators/credits/ask"));
    expect(heard[0]!.body).toMatch(/^\{"type":"t","n":1\.0,"id":"[0-9a-f-]{36}"\}$/);
    expect(heard[1]!.body).toBe(heard[0]!.body);
    expect(heard[0]!.headers.authorization).toBe("Bearer secret-token");
  });

  it("gives up after five times 503, and says why", async () => {
    const { status, err, requests } = await against(
      Array.from({ length: 9 }, () => busy),
      "status",
    );
    expect(requests).toHaveLength(5);
    expect([status, err]).toEqual([2, "keyframe: the app answers 503 fenced: moving\n"]);
  });

  it("never names the token, and says what to do about a wrong one", async () => {
    const { status, err } = await against(
      [{ status: 401, body: { code: "bad_token", detail: "the token isn't known here" } }],
      "status",
    );
    expect(status).toBe(2);
    expect(err).toBe(
      "keyframe: the app answers 401 bad_token: the token isn't known here (give a token with --token or KEYFRAME_TOKEN)\n",
    );
  });

  it("knows an answer that is none of the app's", async () => {
    const { status, err } = await against([{ status: 404, body: "<html>Not found</html>" }], "evict", "usage", "0");
    expect(status).toBe(2);
    expect(err).toMatch(
      /^keyframe: the answer isn't Keyframe's: status 404, application\/json, from http:.*evict: it isn't a problem document of Keyframe's: "<html>Not found<\/html>"\n$/,
    );
  });

  it("says where nobody answers", async () => {
    const ran = await run(["status", "--url", "http://127.0.0.1:1"]);
    expect(ran.status).toBe(2);
    expect(ran.err).toContain("no answer from http://127.0.0.1:1: ");
  });

  it.each(["127.0.0.1:8787", "ftp://host", "http://user@host", "http://host?x=1"])(
    "refuses the address %s",
    async (url) => {
      expect(await run(["status", "--url", url])).toMatchObject({
        status: 2,
        err: expect.stringContaining("isn't the address of an app"),
      });
    },
  );

  it.each([
    [["snapshot", "usage", "x"], "a partition is a number"],
    [["scan", "usage", "--limit", "many"], "--limit must be a whole number"],
    [["quarantine", "usage", "retry"], "say which event"],
    [["quarantine", "usage", "forget", "0-1"], "Allowed choices are groups, show, retry, delete"],
    [["doctor", "--target", "soon"], `--target: "soon" isn't a d`],
    [["doctor", "--write", '{"type":"t"}'], "--write takes an operator and one event"],
    [["doctor", "--write", "credits", "{}"], "--write takes an operator and one event"],
    [["doctor", "--write", "credits", '{"type":"t"}', "more"], "--write takes an operator and one event"],
    [["doctor", "--evict", "usage", "0"], "--evict takes an operator, the number of a partition and a key"],
    [["doctor", "--evict", "usage", "x", "k"], "--evict takes an operator, the number of a partition and a key"],
    [["history", "usage"], "missing required argument"],
    [["history", "usage", "k", "--before", "-1"], "--before must be a whole number"],
    [["adopt", "usage", "0"], "missing required argument"],
    [["adopt", "usage", "0", "both"], "Allowed choices are d1, r2"],
    [["pin", "usage", "0", "newest"], "a manifest's number must be a whole number"],
    [["get", "usage"], "missing required argument"],
    [["evict", "usage", "0", "now"], "too many arguments"],
    [["status", "--live"], "unknown option"],
    [["explode"], "unknown command"],
  ])("%j is wrong usage", async (args, message) => {
    const { status, requests, err } = await against([], ...args);
    expect([status, requests]).toEqual([2, []]);
    expect(err).toContain(message);
  });
});

describe("ask", () => {
  it.each([
    [
      409,
      { code: "insufficient_credits", detail: { left: 0 }, ...placed },
      1,
      'refused insufficient_credits: {"left":0}\n',
    ],
    [
      422,
      { code: "quarantined", detail: "the handler threw: boom", ...placed },
      1,
      "quarantined: the handler threw: boom\n",
    ],
    [
      409,
      { code: "id_reused", detail: "the id belongs to another event" },
      2,
      "keyframe: the app answers 409 id_reused: the id belongs to another event\n",
    ],
    [
      422,
      { code: "invalid_data", detail: "data.n: too small" },
      2,
      "keyframe: the app answers 422 invalid_data: data.n: too small\n",
    ],
  ])("%i %j: status %i", async (status, body, expected, said) => {
    const ran = await against([{ status, body }], "ask", "credits", "{}");
    expect([ran.status, ran.err]).toEqual([expected, said]);
  });
});

describe("get", () => {
  it("says which keys have no state, by its status too", async () => {
    const body = { items: [{ key: "a\n", value: { n: 1 }, seq: 4 }], missing: ["b"] };
    const ran = await against([{ body }], "get", "usage", "a\n", "b");
    expect([ran.status, ran.out, ran.err]).toEqual([1, ['"a\\n"\t{"n":1}'], 'no state: "b"\n']);
    expect(ran.heard[0]!.body).toBe('{"keys":["a\\n","b"]}');
  });

  it("asks for more keys than one request may name", async () => {
    const keys = Array.from({ length: 501 }, (_, i) => `k${i}`);
    const ran = await against(
      [{ body: { items: [], missing: [] } }, { body: { items: [], missing: [] } }],
      "get",
      "usage",
      ...keys,
    );
    expect(ran.heard.map(({ body }) => (JSON.parse(body) as { keys: string[] }).keys.length)).toEqual([500, 1]);
  });
});

describe("scan", () => {
  const page = (keys: string[], cursor?: string): Given => ({
    body: { items: keys.map((key) => ({ key, value: 1 })), cursor },
  });

  it("reads page after page to the end", async () => {
    const ran = await against([page(["a", "b"], "b"), page(["c"])], "scan", "usage", "--prefix", "é/", "--json");
    expect(ran.requests).toEqual([
      "GET /v1/operators/usage/state?prefix=%C3%A9%2F&limit=1000",
      "GET /v1/operators/usage/state?prefix=%C3%A9%2F&limit=1000&cursor=b",
    ]);
    expect([ran.status, ran.out]).toEqual([0, ["a", "b", "c"].map((key) => `{"key":"${key}","value":1}`)]);
  });

  it("reads no more than it is told", async () => {
    const ran = await against([page(["a", "b"], "b"), page(["c"], "c")], "scan", "usage", "--limit", "3");
    expect(ran.requests.map((line) => line.split("?")[1])).toEqual(["limit=3", "limit=1&cursor=b"]);
    expect(ran.out).toHaveLength(3);
  });

  it("ends where a page comes twice", async () => {
    const ran = await against([page(["a"], "a"), page(["a"], "a")], "scan", "usage");
    expect(ran).toMatchObject({ status: 2, err: expect.stringContaining("the same page twice") });
  });
});

describe("export", () => {
  const lines = (...values: unknown[]): Given => ({
    headers: { "content-type": "application/x-ndjson" },
    body: values.map((value) => `${JSON.stringify(value)}\n`).join(""),
  });
  const head = { format: "keyframe.export", v: 1 };
  const item = (key: string) => ({ key, value: 1, partition: 0, seq: 1 });
  const part = { partition: 0, seq: 1, keys: 2 };

  it("prints the lines as they are, and says how many keys there are", async () => {
    const all = [head, item("a"), item("é"), part, { end: true, complete: true, keys: 2 }];
    const ran = await against([lines(...all)], "export", "usage", "--prefix", "é/");
    expect(ran.requests).toEqual(["GET /v1/operators/usage/export?prefix=%C3%A9%2F"]);
    expect([ran.status, ran.out, ran.err]).toEqual([0, all.map((value) => JSON.stringify(value)), "2 keys\n"]);
    expect(ran.heard[0]!.headers.authorization).toBe("Bearer secret-token");
  });

  it.each([
    ["has no last line", [head, item("a")], "broke off after 1 keys"],
    ["is empty", [], "broke off after 0 keys"],
    ["says that it isn't complete", [head, { end: true, complete: false, detail: "gone" }], '"gone"; 0 keys arrived'],
    ["counts otherwise", [head, item("a"), { end: true, complete: true, keys: 2 }], "counted 2 keys, but 1 arrived"],
  ])("fails where it %s", async (_, values, why) => {
    const ran = await against([lines(...values)], "export", "usage");
    expect(ran).toMatchObject({ status: 2, err: expect.stringContaining(why) });
  });

  it("says what the app says instead", async () => {
    const ran = await against(
      [{ status: 404, body: { code: "no_operator", detail: "there is none" } }],
      "export",
      "usage",
    );
    expect([ran.status, ran.err]).toEqual([2, "keyframe: the app answers 404 no_operator: there is none\n"]);
  });
});

describe("steering", () => {
  it.each([
    [["snapshot", "usage", "0"], { status: 409, body: { code: "nothing_to_save", detail: "no event yet" } }, 1],
    [
      ["verify-partition", "usage", "0"],
      { body: { partition: 0, equal: true, seq: 7, manifest: null, replayedEvents: 7, keys: 2 } },
      0,
    ],
    [["verify-partition", "usage", "0"], { body: { partition: 0, equal: false, seq: 7, manifest: 1 } }, 1],
    [["verify-partition", "usage", "0"], { status: 409, body: { code: "not_rebuilt", detail: "damaged" } }, 1],
    [["verify-partition", "usage", "0"], { status: 409, body: { code: "not_comparable", detail: "other code" } }, 2],
    [["manifests", "usage", "0"], { body: [{ unreadable: "the checksum of manifest 3 is wrong" }] }, 1],
    [
      ["quarantine", "usage", "retry", "0-5"],
      { body: { id: "0-5", command: "retry", status: "applied", seq: 9, duplicate: false, value: { n: 1 } } },
      0,
    ],
    [
      ["quarantine", "usage", "retry", "0-5"],
      { body: { id: "0-5", command: "retry", status: "quarantined", seq: 9, duplicate: false, error: "boom" } },
      1,
    ],
    [["quarantine", "usage", "delete", "0-5"], { status: 404, body: { code: "not_quarantined", detail: "none" } }, 1],
    [["recover", "--from-r2", "usage"], { body: { operator: "usage", changed: true, complete: false, items: [] } }, 1],
    [["recover", "usage"], { body: { operator: "usage", changed: false, complete: true, items: [] } }, 0],
    [["evict", "usage", "0"], { body: { partition: 0, evicted: true } }, 0],
    [["pins", "usage", "0"], { body: [{ manifest: 4, name: "admin", since: "2026-01-01T00:00:00.000Z" }] }, 0],
    [["pin", "usage", "0", "4"], { body: { partition: 0, manifest: 4, name: "admin", pinned: true } }, 0],
    [["pin", "usage", "0", "4"], { status: 404, body: { code: "no_restore_point", detail: "none" } }, 1],
    [["pin", "usage", "0", "4"], { status: 409, body: { code: "too_many_pins", detail: "200" } }, 1],
    [["pin", "usage", "0", "4", "--name", "A"], { status: 400, body: { code: "invalid_name", detail: "no" } }, 2],
    [["unpin", "usage", "0", "4"], { body: { partition: 0, manifest: 4, name: "admin", pinned: false } }, 0],
    [["adopt", "usage", "0", "r2"], { status: 409, body: { code: "not_rewound", detail: "all is there" } }, 1],
    [["adopt", "usage", "0", "d1"], { status: 503, body: { code: "store_unavailable", detail: "changed" } }, 2],
    [
      ["adopt", "usage", "0", "d1"],
      {
        body: {
          partition: 0,
          truth: "d1",
          epoch: 9,
          seq: 3,
          manifest: null,
          givenUp: { seqs: null, manifests: null },
          passedOver: [],
        },
      },
      0,
    ],
  ] satisfies [string[], Given, number][])("%j, answered %j: status %i", async (args, answer, status) => {
    expect((await against([answer], ...args)).status).toBe(status);
    // For machines the answer stands as it came.
    const json = await against([answer], ...args, "--json");
    const lines = Array.isArray(answer.body) ? answer.body : [asProblem(status === 0 ? 200 : 400, answer.body)];
    expect(json.status).toBe(status);
    if (status < 2) expect(json.out.map((line) => JSON.parse(line) as unknown)).toEqual(lines);
  });

  it("a quarantine command is sent again after a 503, since a second one hears what the first one did", async () => {
    const { out, requests, status } = await against(
      [busy, { body: { id: "0-5", command: "delete", status: "applied", seq: 9, duplicate: true } }],
      "quarantine",
      "usage",
      "delete",
      "0-5",
    );
    expect(requests).toEqual(Array.from({ length: 2 }, () => "DELETE /v1/operators/usage/quarantine/0-5"));
    expect([status, out]).toEqual([0, ["0-5 applied before"]]);
  });

  const entry = {
    id: "0-5",
    partition: 0,
    seq: 5,
    type: "usage.recorded",
    key: "ada",
    error: "no such\nmodel",
    errorName: "TypeError",
    stack: "at price (prices.ts:7:9)\nat record (usage.ts:3:1)",
    operatorVersion: 2,
    code: "abc",
    time: "2026-01-31T12:00:00.000Z",
    event: { type: "usage.recorded", data: 7 },
  };

  it("the quarantine's list, and all of one event: class, message, stack, code and what was sent", async () => {
    const listed = await against([{ body: { items: [entry] } }], "quarantine", "usage", "--error-name", "TypeError");
    expect(listed.requests).toEqual(["GET /v1/operators/usage/quarantine?errorName=TypeError&limit=1000"]);
    expect(listed.out[1]).toMatch(/^0-5 +usage\.recorded +"ada" .* "TypeError: no such\\nmodel"$/);
    const shown = await against([{ body: { items: [entry] } }], "quarantine", "usage", "show", "0-5");
    expect(shown.requests).toEqual(["GET /v1/operators/usage/quarantine?limit=1&cursor=0-4"]);
    expect(shown.out).toEqual([
      "id        0-5",
      "type      usage.recorded",
      'key       "ada"',
      "received  2026-01-31T12:00:00.000Z",
      "code      version 2, abc",
      'error     "TypeError: no such\\nmodel"',
      "          at price (prices.ts:7:9)",
      "          at record (usage.ts:3:1)",
      'event     {"type":"usage.recorded","data":7}',
    ]);
    const other = await against([{ body: { items: [{ ...entry, id: "0-9" }] } }], "quarantine", "usage", "show", "0-5");
    expect([other.status, other.err]).toEqual([1, "there is no quarantined event 0-5\n"]);
  });

  it("the quarantine's groups", async () => {
    const { type, error, errorName, time } = entry;
    const group = { type, error, errorName, events: 3, first: "0-5", since: time };
    const { out } = await against(
      [{ body: { items: [group], events: 3, groups: 1 } }],
      "quarantine",
      "usage",
      "groups",
    );
    expect(out[1]).toMatch(/^3 +usage\.recorded +"TypeError: no such\\nmodel" +2026-01-31T12:00:00\.000Z +0-5$/);
  });

  it("many events of the quarantine, page by page, each page sent again after a 503", async () => {
    const page = (more: object) => ({
      body: { command: "retry", applied: 2, refused: 0, quarantined: 0, gone: 0, items: [], ...more },
    });
    const ran = await against(
      [page({ cursor: "0-7-9" }), busy, page({ refused: 1, quarantined: 1 })],
      "quarantine",
      "usage",
      "retry",
      "--type",
      "usage.recorded",
      "--error",
      "no such*",
    );
    const path = "POST /v1/operators/usage/quarantine/retry?type=usage.recorded&error=no+such*";
    expect(ran.requests).toEqual([path, `${path}&cursor=0-7-9`, `${path}&cursor=0-7-9`]);
    expect([ran.status, ran.out]).toEqual([1, ["4 applied, 1 refused, 1 threw again"]]);
    const deleted = await against([page({ applied: 9, gone: 1 })], "quarantine", "usage", "delete", "--all");
    expect(deleted.requests).toEqual(["POST /v1/operators/usage/quarantine/delete?all=true"]);
    expect([deleted.status, deleted.out]).toEqual([0, ["9 deleted, 1 gone meanwhile"]]);
  });
});

describe("watch", () => {
  const seen = (value: unknown, seq: number | null): string =>
    `${seq === null ? "" : `id: ${seq}\n`}data: ${JSON.stringify({ key: "a\n", value, seq })}\n\n`;
  const stream = (...messages: string[]): Given => ({
    headers: { "content-type": "text/event-stream; charset=utf-8" },
    body: `retry: 0\n\n:\n\n${messages.join("")}`,
  });
  const end: Given = { status: 404, body: { code: "no_operator", detail: "there is no operator" } };

  it("prints the seq and the state, over broken connections, until the app says no", async () => {
    const ran = await against(
      [stream(seen(null, null), seen({ n: 1 }, 3)), stream(seen({ n: 1 }, 3), seen(null, 5)), end],
      "watch",
      "usage",
      "a\n",
    );
    expect([ran.status, ran.out]).toEqual([2, ["-\tno state", '3\t{"n":1}', "5\tno state"]]);
    expect(ran.err).toBe("keyframe: the app answers 404 no_operator: there is no operator\n");
    expect(ran.requests[0]).toBe("GET /v1/operators/usage/watch?key=a%0A");
    expect(ran.heard.map(({ headers }) => [headers.authorization, headers["last-event-id"]])).toEqual([
      ["Bearer secret-token", undefined],
      ["Bearer secret-token", "3"],
      ["Bearer secret-token", "5"],
    ]);
  });

  it("prints messages as they are for machines", async () => {
    const ran = await against([stream(seen({ n: 1 }, 3)), end], "watch", "usage", "a\n", "--json");
    expect(ran.out).toEqual(['{"key":"a\\n","value":{"n":1},"seq":3}']);
  });

  it("says what to do about a wrong token", async () => {
    const ran = await against(
      [{ status: 403, body: { code: "wrong_role", detail: "not this token" } }],
      "watch",
      "usage",
      "a",
    );
    expect([ran.status, ran.err]).toEqual([
      2,
      "keyframe: the app answers 403 wrong_role: not this token (give another token with --token or KEYFRAME_TOKEN)\n",
    ]);
  });
});
describe("pin, unpin and adopt", () => {
  it("say what they want in path, query and body", async () => {
    const body = { partition: 0, manifest: 4, name: "audit/1", pinned: true };
    const pinned = await against([busy, { body }], "pin", "usage", "0", "4", "--name", "audit/1");
    const line = "POST /v1/operators/usage/partitions/0/manifests/4/pin?name=audit%2F1";
    expect([pinned.requests, pinned.out]).toEqual([[line, line], ["manifest 4 of partition 0 is held by audit/1"]]);
    const let_go = await against([{ body: { ...body, pinned: false } }], "unpin", "usage", "0", "4");
    expect(let_go.requests).toEqual(["DELETE /v1/operators/usage/partitions/0/manifests/4/pin?name=admin"]);
    // A second decision would find nothing to decide, though the first one did it.
    const adopted = await against([busy], "adopt", "usage", "0", "r2");
    expect(adopted.heard.map(({ line: one, body: text }) => [one, text])).toEqual([
      ["POST /v1/operators/usage/partitions/0/adopt", '{"truth":"r2"}'],
    ]);
  });
});

describe("history", () => {
  const entry = (seq: number) => ({
    seq,
    time: "2026-01-01T00:00:00.000Z",
    event: { type: "t", id: `e${seq}`, source: "/" },
    outcome: { status: "applied" },
    operatorVersion: 1,
    value: seq,
  });
  const page = (seqs: number[], more: object = {}): Given => ({
    body: { operator: "usage", key: "k", items: seqs.map(entry), ...more },
  });

  it("continues where a page has less than was asked for, up to the limit, and says that there is more", async () => {
    const ran = await against(
      [page([9, 8], { before: 8 }), page([], { before: 5 }), page([4], { before: 4 })],
      "history",
      "usage",
      "é &",
      "--limit",
      "3",
    );
    const path = "GET /v1/operators/usage/history?key=%C3%A9+%26&limit=";
    expect(ran.requests).toEqual([`${path}3`, `${path}1&before=8`, `${path}1&before=5`]);
    expect([ran.status, ran.out.length, ran.err]).toEqual([0, 3, "more events: --before 4\n"]);
  });

  it("says where retention has given up the rest, or there is nothing at all", async () => {
    const ran = await against([page([9], { expired: true })], "history", "usage", "k", "--json", "--before", "12");
    expect([ran.status, ran.err]).toEqual([0, "retention has given up older events\n"]);
    expect(ran.out.map((line) => JSON.parse(line) as unknown)).toEqual([entry(9)]);
    const none = await against([page([])], "history", "usage", "k");
    expect([none.status, none.err]).toEqual([1, 'no event of "k" is in the log\n']);
  });

  it("ends where a page comes twice", async () => {
    const ran = await against([page([9], { before: 9 }), page([], { before: 9 })], "history", "usage", "k");
    expect(ran).toMatchObject({ status: 2, err: expect.stringContaining("twice") as unknown });
  });
});

describe("doctor", () => {
  const ok = { body: { ok: true } };
  const healthy = Array.from({ length: 5 }, () => ok);
  const probes: Given[] = [
    { status: 400, body: { code: "empty_body", detail: "" } },
    { body: [] },
    { status: 404, body: { code: "no_operator", detail: "" } },
  ];
  const about = { code: "dev", deployedAt: null, region: null, jurisdiction: null, colo: null };
  const store = { name: "LOG_0", kind: "d1", ms: [1, 2, 3] };
  const operators = { body: [{ name: "usage", version: 1, events: [], partitions: 1 }] };
  const partition = {
    partition: 0,
    tailEvents: 0,
    tailBytes: 0,
    keys: 2,
    appliedSeq: 9,
    epoch: 1,
    snapshotSeq: 0,
    stateBytes: 10,
    quarantined: 0,
    lastSnapshot: null,
    lastRecovery: null,
    estimatedRecoveryMs: 5,
  };
  const begin = [...healthy, ...probes, operators, { body: [partition] }, { body: { ...about, stores: [store] } }];
  const state = { operator: "usage", key: "k", time: "2026-01-01T00:00:00.000Z" };
  const value = { body: { ...state, value: { n: 4 }, partition: 0, seq: 8 } };
  const live = (at: string): Given => ({
    body: { ...partition, lastRecovery: { at, ms: 3, manifest: null, replayedEvents: 9 } },
  });

  it("changes nothing by itself", async () => {
    const ran = await against(begin, "doctor", "--rate", "0s", "--no-wake");
    expect(ran.status).toBe(0);
    expect(ran.requests.filter((line) => !line.startsWith("GET"))).toEqual(["POST /v1/events"]);
    expect(ran.heard.find(({ line }) => line.startsWith("POST"))!.body).toBe("[]");
    expect(ran.out.join("\n")).toMatch(/^ok +LOG_0 +2 ms from the Worker, the median of 3$/m);
  });

  it("an app without the route can't measure its stores, and that is no fault", async () => {
    const older = [...begin.slice(0, -1), { status: 404, body: { code: "no_route", detail: "" } }];
    const ran = await against(older, "doctor", "--rate", "0s", "--no-wake");
    expect([ran.status, ran.out.some((line) => /^note +stores +the app is older/.test(line))]).toEqual([0, true]);
  });

  it("a store that doesn't answer is bad", async () => {
    const dead = { body: { ...about, stores: [{ ...store, ms: [], error: "LOG_0 did not answer within 10000 ms" }] } };
    expect((await against([...begin.slice(0, -1), dead], "doctor", "--rate", "0s", "--no-wake")).status).toBe(1);
  });

  it("--write asks one operator, with a new id each time, and measures what is refused too", async () => {
    const refused: Given = { status: 409, body: { code: "insufficient_credits", detail: null, ...placed } };
    const ran = await against(
      [...begin, { body: { value: 1, ...placed } }, refused],
      "doctor",
      "--rate",
      "0s",
      "--no-wake",
      "--samples",
      "2",
      "--write",
      "usage",
      '{"type":"t","data":1}',
    );
    expect(ran.status).toBe(0);
    const sent = ran.heard.slice(-2);
    expect(sent.map(({ line }) => line)).toEqual(Array.from({ length: 2 }, () => "POST /v1/operators/usage/ask"));
    const [first, second] = sent.map(({ body }) => JSON.parse(body) as { id: string });
    expect([first, second]).toEqual(
      [first, second].map(() => ({ type: "t", data: 1, id: expect.stringMatching(/^doctor-/) as unknown })),
    );
    expect(first!.id).not.toBe(second!.id);
    expect(ran.out.join("\n")).toMatch(/^ok +commit +p50 .* of 2 events to usage/m);
  });

  it("--write stops at the first event that isn't logged", async () => {
    const wrong: Given = { status: 422, body: { code: "invalid_data", detail: "data: no" } };
    const ran = await against(
      [...begin, wrong],
      "doctor",
      "--rate",
      "0s",
      "--no-wake",
      "--write",
      "usage",
      '{"type":"t"}',
    );
    expect([ran.status, ran.heard.length]).toEqual([1, begin.length + 1]);
  });

  it("--evict looks, drops the partition, and looks again", async () => {
    const answers = [...begin, value, live("a"), { body: { partition: 0, evicted: true } }, value, value, live("b")];
    const ran = await against(answers, "doctor", "--rate", "0s", "--no-wake", "--evict", "usage", "0", "é");
    expect(ran.requests.slice(begin.length)).toEqual([
      "GET /v1/operators/usage/state?key=%C3%A9",
      "GET /v1/operators/usage/partitions/0?live=true",
      "POST /v1/operators/usage/partitions/0/evict",
      "GET /v1/operators/usage/state?key=%C3%A9",
      "GET /v1/operators/usage/state?key=%C3%A9",
      "GET /v1/operators/usage/partitions/0?live=true",
    ]);
    expect(ran.status).toBe(0);
    expect(ran.out.at(-1)).toMatch(/recovery, from the whole log\): the same 2 keys, 9 events and value$/);
    const other = await against(
      [...begin, { body: { ...state, value: 1, partition: 3, seq: 1 } }],
      "doctor",
      "--rate",
      "0s",
      "--no-wake",
      "--evict",
      "usage",
      "0",
      "k",
    );
    expect(other).toMatchObject({
      status: 2,
      err: expect.stringContaining("belongs to partition 3 of usage, not in 0") as unknown,
    });
  });
});
