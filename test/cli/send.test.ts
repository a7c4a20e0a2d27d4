/** `keyframe send`, against a small app on this machine that counts by ids and fails as it is told. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Readable } from "node:stream";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { send, type SendFileOptions, type SendStatus } from "../../src/cli/send.ts";
import { batches, BEGINNING, openInput, type InputBatch, type Position } from "../../src/cli/send-input.ts";
import { ProgressLine } from "../../src/cli/send-screen.ts";
import { asProblem } from "../client/problem.ts";
import type { Summary } from "../../src/cli/send-summary.ts";

interface Sent {
  readonly id?: string;
  readonly type?: string;
}
/** The fate of the n-th request, from 1: how far it is decided, a broken connection, or another answer. */
type Script = (n: number) => { through?: number; beyond?: number[]; lost?: boolean; answer?: [number, object] };

let folder: string;
let server: Server;
let url: string;
let script: Script = () => ({});
/** Ids of each request, and all that count, in order. */
let requests: (string | undefined)[][] = [];
let logged: string[] = [];

beforeEach(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "keyframe-send-"));
  script = () => ({});
  requests = [];
  logged = [];
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const bytes = Buffer.concat(chunks);
      const text = (request.headers["content-encoding"] === "gzip" ? gunzipSync(bytes) : bytes).toString("utf8");
      const lines = text
        .replace(/^\uFEFF/, "")
        .split("\n")
        .filter((line) => line.trim() !== "");
      const events = lines.map(parsed);
      requests.push(events.map((event) => event?.id));
      const fault = script(requests.length);
      const [status, body] = fault.answer ?? decide(events, fault);
      if (fault.lost) request.socket.destroy();
      else
        response
          .writeHead(status, { "retry-after": "0", "keyframe-stamp": "17" })
          .end(JSON.stringify(asProblem(status, body)));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true });
});

function parsed(line: string): Sent | null {
  try {
    return JSON.parse(line) as Sent;
  } catch {
    return null;
  }
}

/** As docs/reference/api.md says: rejects come from looking alone, the rest is decided up to `through`. */
function decide(
  events: (Sent | null)[],
  { through = events.length, beyond = [] }: ReturnType<Script>,
): [number, object] {
  const counts = { received: events.length, accepted: 0, duplicates: 0, refused: 0, rejected: 0, quarantined: 0 };
  const errors: object[] = [];
  for (const [index, event] of events.entries()) {
    const id = event?.id ?? null;
    if (id === null || event?.type === "wrong") {
      counts.rejected += 1;
      errors.push({ index, id, code: event === null ? "malformed_json" : "unknown_type", message: "no" });
    } else if (index < through || beyond.includes(index)) {
      const known = logged.includes(id);
      if (!known) logged.push(id);
      if (event?.type === "torn") {
        // One operator rejects it, another one refuses it: that counts once.
        counts.rejected += 1;
        errors.push({ index, id, operator: "audit", code: "id_reused", message: "reused", acceptedBy: [] });
        errors.push({
          index,
          id,
          operator: "tally",
          code: "too_poor",
          message: "refused",
          acceptedBy: [],
          detail: null,
        });
      } else if (event?.type === "half") {
        counts.refused += 1;
        const [code, message, acceptedBy] = ["too_poor", "refused by tally", ["audit", "billing"]];
        errors.push({ index, id, operator: "tally", code, message, acceptedBy, detail: null });
      } else if (event?.type === "no") {
        counts.refused += 1;
        errors.push({ index, id, operator: "tally", code: "too_poor", message: "refused by tally", detail: null });
      } else counts[known ? "duplicates" : "accepted"] += 1;
    }
  }
  const bad = counts.refused + counts.rejected > 0;
  const report = { ...counts, unrouted: 0, through, errors: errors.slice(0, 100) };
  return through < events.length
    ? [503, { ...report, code: "store_unavailable", detail: "not all is durable" }]
    : [bad ? 207 : 200, report];
}

const file = (name: string, content: string | Buffer): string => {
  const at = path.join(folder, name);
  writeFileSync(at, content);
  return at;
};
const lines = (count: number, make: (n: number) => object = (n) => ({ id: `e${n}`, type: "tick" })): string =>
  Array.from({ length: count }, (_, n) => `${JSON.stringify(make(n))}\n`).join("");

interface Ran {
  readonly status: SendStatus;
  readonly out: string;
  readonly err: string;
  readonly summary: Summary & { readonly sentBefore: number };
}

async function run(options: Partial<SendFileOptions> & { readonly file: string }): Promise<Ran> {
  const texts = { out: "", err: "" };
  const status = await send({
    url,
    batch: { events: 10 },
    json: true,
    stdin: Readable.from([]),
    out: { write: (text) => (texts.out += text) },
    err: { write: (text) => (texts.err += text) },
    ...options,
  });
  const summary = (status < 2 && options.json !== false ? JSON.parse(texts.out) : {}) as Ran["summary"];
  return { status, summary, ...texts };
}

describe("send", () => {
  it.each([
    ["plain", (text: string) => Buffer.from(text), {}],
    ["gzip", (text: string) => gzipSync(text), {}],
    [
      "gzip in two members",
      (text: string) => Buffer.concat([gzipSync(text.slice(0, 99)), gzipSync(text.slice(99))]),
      {},
    ],
    ["packed on the way", (text: string) => Buffer.from(text), { gzip: true }],
  ])("takes a file to its end, in order: %s", async (_, content, options) => {
    const from = file("events", content(lines(25)));
    const { status, summary, err } = await run({ file: from, ...options });
    expect([status, summary.events, summary.accepted, err]).toEqual([0, 25, 25, ""]);
    expect(requests.map((ids) => ids.length)).toEqual([10, 10, 5]);
    expect(logged).toEqual(Array.from({ length: 25 }, (_, n) => `e${n}`));
    expect(existsSync(`${from}.keyframe-progress`)).toBe(false);
  });

  it("takes standard input, byte by byte too", async () => {
    const bytes = [...gzipSync(lines(12))].map((byte) => Buffer.from([byte]));
    const { status, summary } = await run({ file: "-", stdin: Readable.from(bytes) });
    expect([status, summary.accepted]).toEqual([0, 12]);
  });

  it("shows how far it is on a terminal, and clears that before the summary", async () => {
    script = () => (Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60), {});
    const drawn: string[] = [];
    const err = { isTTY: true, write: (text: string) => drawn.push(text) };
    expect((await run({ file: file("events", lines(30)), err })).status).toBe(0);
    expect(drawn.some((text) => text.startsWith("\r") && text.includes("0 events, 100 %, "))).toBe(true);
    expect(drawn.at(-1)).toBe("\r\x1b[2K");
  });

  it("an empty file is sent at once", async () => {
    expect((await run({ file: file("empty", "\n \n") })).status).toBe(0);
    expect(requests).toEqual([]);
  });

  it("SENDINPUT4: leaves the end line of a list out, and sends no file that says that it isn't complete", async () => {
    const whole = `${lines(3)}\n{"end":true,"complete":true,"events":3}\n`;
    expect((await run({ file: file("whole", whole) })).summary).toMatchObject({ events: 3, accepted: 3, rejected: 0 });
    const torn = `${lines(3)}\n{"end":true,"complete":false,"code":"events_interrupted"}\n`;
    const ran = await run({ file: file("torn", torn) });
    expect([ran.status, ran.err]).toEqual([2, expect.stringContaining("it isn't complete")]);
  });

  it("ONE1: lines without an id get the same one in every run, however they are cut", async () => {
    const text = `\uFEFF${lines(5, (n) => ({ type: "tick", n }))}\r\n${lines(5, (n) => ({ id: null, type: "tick", n }))}`;
    const from = file("events", text);
    await run({ file: from });
    const ids = [...logged];
    expect(new Set(ids).size).toBe(10);
    expect(ids.map((id) => id.split("/")[1])).toEqual(Array.from({ length: 10 }, (_, n) => String(n)));
    const again = await run({ file: file("copy.gz", gzipSync(text)), batch: { events: 3 } });
    expect([again.summary.duplicates, logged]).toEqual([10, ids]);
    await run({ file: file("named", text), idempotencyKey: "mine" });
    expect(logged[10]).toBe("mine/0");
  });

  it("says what was refused and rejected, by code and by line", async () => {
    const types = ["tick", "no", "wrong", "tick"];
    const text = `${lines(4, (n) => ({ id: `e${n}`, type: types[n] }))}\nnot json\n`;
    const { status, summary } = await run({ file: file("events", text) });
    expect(status).toBe(1);
    expect(summary).toMatchObject({ events: 5, accepted: 2, duplicates: 0, refused: 1, rejected: 2 });
    expect(summary.codes).toEqual({ too_poor: 1, unknown_type: 1, malformed_json: 1 });
    expect(summary.first.map(({ line, code }) => [line, code])).toEqual([
      [2, "too_poor"],
      [3, "unknown_type"],
      [6, "malformed_json"],
    ]);
    const words = await run({ file: file("events", text), json: false });
    expect(words.out).toContain("5 events: 2 duplicates, 1 refused, 2 rejected");
    expect(words.out).toContain("line 6: malformed_json");
  });

  it("an event that several operators want: says who has it all the same, and counts it once", async () => {
    const types = ["torn", "tick", "half", "tick", "tick"];
    const text = lines(5, (n) => ({ id: `e${n}`, type: types[n] }));
    script = (n) => (n === 1 ? { through: 3, beyond: [4] } : {});
    const { summary } = await run({ file: file("events", text) });
    expect(summary).toMatchObject({ events: 5, accepted: 3, duplicates: 0, refused: 1, rejected: 1 });
    expect(summary.codes).toEqual({ id_reused: 1, too_poor: 1 });
    const words = await run({ file: file("again", text), json: false });
    expect(words.out).toContain("line 1 (e0): id_reused, reused\n");
    expect(words.out).toContain("line 3 (e2): too_poor, refused by tally; audit, billing accepted it");
  });

  it("counts those that an answer has no room to list", async () => {
    const from = file(
      "events",
      lines(150, (n) => ({ id: `e${n}`, type: "wrong" })),
    );
    const { summary } = await run({ file: from, batch: { events: 150 } });
    expect([summary.rejected, summary.codes]).toEqual([150, { unknown_type: 100, not_listed: 50 }]);
  });

  it("resumes at `through`, with the sums right", async () => {
    const types = (n: number): string => ({ 2: "no", 6: "wrong", 8: "no" })[n] ?? "tick";
    script = (n) => (n === 1 ? { through: 4, beyond: [7, 8] } : n === 2 ? { lost: true } : {});
    const { status, summary } = await run({
      file: file(
        "events",
        lines(10, (n) => ({ id: `e${n}`, type: types(n) })),
      ),
    });
    expect(requests.map((ids) => ids[0])).toEqual(["e0", "e4", "e4"]);
    expect(status).toBe(1);
    // The lost answer had accepted the rest: it counts, and comes back as duplicates.
    expect(summary).toMatchObject({ events: 10, accepted: 4, duplicates: 3, refused: 2, rejected: 1 });
    expect(summary.codes).toEqual({ too_poor: 2, unknown_type: 1 });
    expect([...logged].sort()).toEqual(["e0", "e1", "e2", "e3", "e4", "e5", "e7", "e8", "e9"]);
  });

  it("sends all of it again where an answer doesn't say what became of what", async () => {
    script = (n) => (n === 1 ? { through: 120, beyond: [199] } : {});
    const types = (n: number): string => (n % 2 === 0 || n === 199 ? "no" : "tick");
    const from = file(
      "events",
      lines(300, (n) => ({ id: `e${n}`, type: n === 299 ? "wrong" : types(n) })),
    );
    const { summary } = await run({ file: from, batch: { events: 300 } });
    expect(requests.map((ids) => ids.length)).toEqual([300, 180]);
    expect(summary).toMatchObject({ events: 300, refused: 151, rejected: 1, accepted: 148, duplicates: 0 });
    requests = [];
    script = (n) => (n === 1 ? { through: 250, beyond: [299] } : {});
    const more = file(
      "more",
      lines(300, (n) => ({ id: `m${n}`, type: n % 2 === 0 || n === 299 ? "no" : "tick" })),
    );
    const second = await run({ file: more, batch: { events: 300 } });
    expect(requests.map((ids) => ids.length)).toEqual([300, 300]);
    expect(second.summary).toMatchObject({ events: 300, refused: 151, accepted: 149, duplicates: 0 });
  });
});

describe("send, stopped and started again", () => {
  const refuse: [number, object] = [401, { code: "bad_token", detail: "the token isn't known here" }];
  const stoppedAfter =
    (answered: number): Script =>
    (n) =>
      n > answered ? { answer: refuse } : {};

  it.each([
    ["plain", (text: string) => Buffer.from(text)],
    ["gzip", (text: string) => gzipSync(text)],
  ])("resumes behind the last batch that was decided: %s", async (_, content) => {
    const from = file(
      "events",
      content(`\n${lines(35, (n) => ({ type: n === 4 ? "wrong" : "tick", n, id: undefined }))}`),
    );
    script = stoppedAfter(2);
    const first = await run({ file: from });
    expect([first.status, first.err]).toEqual([
      2,
      `${from}: the token isn't known here (401 bad_token) (give a token with --token or KEYFRAME_TOKEN)\n`,
    ]);
    script = () => ({});
    const second = await run({ file: from });
    expect(second.status).toBe(1);
    expect(second.summary).toMatchObject({ events: 35, accepted: 34, duplicates: 0, rejected: 1, sentBefore: 20 });
    expect(second.summary.first[0]!.line).toBe(6);
    expect(requests.map((ids) => ids.length)).toEqual([10, 10, 10, 10, 5]);
    expect(new Set(logged).size).toBe(34);
    const third = await run({ file: from });
    expect([third.status, third.summary.events, requests.length]).toEqual([1, 35, 5]);
    expect(third.err).toContain(`nothing to send: all of it was sent before, as ${from}.keyframe-progress says`);
  });

  it("the same with standard input and --resume-file: ids that were made up stay", async () => {
    const text = lines(15, (n) => ({ type: "tick", n }));
    const resumeFile = path.join(folder, "progress");
    script = stoppedAfter(0);
    expect((await run({ file: "-", resumeFile, stdin: Readable.from([Buffer.from(text)]) })).status).toBe(2);
    script = () => ({});
    expect((await run({ file: "-", resumeFile, stdin: Readable.from([Buffer.from(text)]) })).status).toBe(0);
    expect(requests[1]).toEqual(requests[0]);
    const more = text + lines(2, (n) => ({ type: "more", n }));
    expect((await run({ file: "-", resumeFile, stdin: Readable.from([Buffer.from(more)]) })).summary.accepted).toBe(17);
    expect(new Set(logged).size).toBe(17);
  });

  it("refuses to go on with another file, another app or timeline, or a progress file that is none", async () => {
    const from = file("events", lines(25));
    script = stoppedAfter(1);
    await run({ file: from });
    const progress = readFileSync(`${from}.keyframe-progress`, "utf8");
    file(
      "events",
      lines(25, (n) => ({ id: `other${n}`, type: "tick" })),
    );
    const wrong = [await run({ file: from })];
    const elsewhere = await run({ file: from, timeline: "fix" });
    expect([elsewhere.status, elsewhere.err]).toEqual([2, expect.stringContaining(`not ${url}?timeline=fix;`)]);
    file("events", "{}\n");
    wrong.push(await run({ file: from }));
    file("events", lines(25));
    wrong.push(await run({ file: from, url: url.replace("127.0.0.1", "localhost") }));
    for (const damaged of [progress.replace('"events":10', '"events":11'), progress.slice(0, 50), "", "[]"]) {
      file("events.keyframe-progress", damaged);
      wrong.push(await run({ file: from }));
    }
    file("events.keyframe-progress", progress.replace('"version":1', '"version":2'));
    wrong.push(await run({ file: from }));
    expect(wrong.map(({ status }) => status)).toEqual(wrong.map(() => 2));
    expect(wrong[0]!.err).toContain("differ from those that were sent before");
    expect(wrong[0]!.err).toContain("name another one with --resume-file");
    expect(wrong[1]!.err).toContain("it ends");
    expect(wrong[2]!.err).toContain(`is about ${url}, not`);
    for (const { err } of wrong.slice(3, 6)) expect(err).toMatch(/it is corrupt.*would count again/);
    expect(wrong[7]!.err).toContain("it isn't of this version");
    expect(logged).toHaveLength(10);
  });

  it("is trouble where the file isn't there, is cut off, or nobody answers", async () => {
    const whole = gzipSync(lines(1_000));
    const runs = [
      await run({ file: path.join(folder, "nothing") }),
      await run({ file: file("cut", whole.subarray(0, whole.length - 9)) }),
      await run({ file: file("events", lines(1)), url: "http://127.0.0.1:1", patienceMs: 300 }),
    ];
    expect(runs.map(({ status }) => status)).toEqual([2, 2, 2]);
    expect(runs[0]!.err).toContain("ENOENT");
    expect(runs[1]!.err).toContain("corrupt or cut off");
    expect(runs[2]!.err).toContain("no answer: ");
  });
});

it("TIME1: says the stamp for the next command if it was asked for it", async () => {
  const [told, quiet] = [await run({ file: file("a", lines(1)), after: 0 }), await run({ file: file("b", lines(1)) })];
  expect([told.err, quiet.err]).toEqual([expect.stringContaining("for the next command: --after 17\n"), ""]);
});

describe("F2: lines without an id have the same one in every run, whatever became of the file", () => {
  const plain = (from: number, count: number): string =>
    lines(count, (n) => ({ type: "tick", n: from + n })).replaceAll('"id":null,', "");
  const append = (at: string, text: string | Buffer): void => appendFileSync(at, text);
  /** It is taken in, and the answer gets lost; then somebody says no, so that the run ends. */
  const lostThenRefused: Script = (n) =>
    n === 1 ? { lost: true } : { answer: [401, { code: "bad_token", detail: "no" }] };

  it("it has grown since a first batch of which nobody knows whether it counted", async () => {
    const from = file("events", plain(0, 3));
    script = lostThenRefused;
    expect((await run({ file: from })).status).toBe(2);
    expect(logged).toHaveLength(3);
    append(from, plain(3, 4));
    script = () => ({});
    const { summary } = await run({ file: from });
    expect([summary.accepted, summary.duplicates, new Set(logged).size]).toEqual([4, 3, 7]);
  });

  it.each([
    ["plain", (text: string) => Buffer.from(text)],
    ["gzip, by a member", (text: string) => gzipSync(text)],
  ])("it has grown since all of it was sent: what is new is sent, and nothing else: %s", async (_, content) => {
    const from = file("events", content(plain(0, 12)));
    expect((await run({ file: from })).summary.accepted).toBe(12);
    append(from, content(plain(12, 3)));
    const { summary } = await run({ file: from });
    expect(summary).toMatchObject({ events: 15, accepted: 15, duplicates: 0, sentBefore: 12 });
    expect(requests.at(-1)).toHaveLength(3);
    expect(new Set(logged).size).toBe(15);
    expect(new Set(logged.map((id) => id.split("/")[0])).size).toBe(1);
  });

  it.each([
    ["a line in its middle was changed", (text: string) => text.replace('"n":5', '"n":55')],
    ["a line was put before it", (text: string) => `{"type":"first"}\n${text}`],
    ["it was cut short", (text: string) => text.slice(0, -20)],
    ["it was emptied", () => ""],
    ["another file has its name", () => plain(100, 30)],
  ])("it is refused by name where %s, sent or under way", async (_, change) => {
    const from = file("events", plain(0, 8));
    script = lostThenRefused;
    await run({ file: from });
    file("events", change(plain(0, 8)));
    script = () => ({});
    const underWay = await run({ file: from });
    file("events", plain(0, 8));
    await run({ file: from });
    file("events", change(plain(0, 8)));
    const sent = await run({ file: from });
    for (const { status, err } of [underWay, sent]) {
      expect(status).toBe(2);
      expect(err).toMatch(
        /(differ from those that were sent before|it ends \d+ bytes before).*keyframe-progress says what was sent/,
      );
    }
    expect(logged).toHaveLength(8);
  });

  it("its last line had no end: with one it is the same line, and where it continues it is refused", async () => {
    const text = plain(0, 2).trimEnd();
    const from = file("events", text);
    await run({ file: from });
    append(from, "\r\n");
    append(from, '{"type":"wrong"}\n');
    const { summary } = await run({ file: from });
    expect(summary).toMatchObject({ events: 3, accepted: 2, rejected: 1 });
    expect(summary.first[0]!.line).toBe(3);
    const other = file("other", text.slice(0, -5));
    await run({ file: other });
    append(other, text.slice(-5));
    const refused = await run({ file: other });
    expect([refused.status, refused.err]).toEqual([2, expect.stringContaining("is longer now") as unknown]);
  });

  it("what was refused as a whole may be changed: nothing of it counts", async () => {
    const from = file("events", plain(0, 3));
    script = () => ({ answer: [401, { code: "bad_token", detail: "no" }] });
    expect((await run({ file: from })).status).toBe(2);
    expect(existsSync(`${from}.keyframe-progress`)).toBe(false);
    file("events", plain(7, 2));
    script = () => ({});
    expect((await run({ file: from })).summary.accepted).toBe(2);
  });

  it("an Idempotency-Key that isn't the recorded one is refused, and is needed once only", async () => {
    const from = file("events", plain(0, 2));
    await run({ file: from, idempotencyKey: "mine" });
    append(from, plain(2, 2));
    const other = await run({ file: from, idempotencyKey: "yours" });
    expect([other.status, other.err]).toEqual([
      2,
      expect.stringContaining('begin with "mine", not with "yours"') as unknown,
    ]);
    await run({ file: from });
    expect(logged).toEqual(["mine/0", "mine/1", "mine/2", "mine/3"]);
  });

  it("nothing is sent where it can't be written down", async () => {
    const resumeFile = path.join(folder, "nowhere", "progress");
    const ran = await run({ file: file("events", plain(0, 2)), resumeFile });
    expect([ran.status, requests.length, ran.err]).toEqual([
      2,
      0,
      expect.stringMatching(/can't be recorded: ENOENT.*--resume-file/) as unknown,
    ]);
  });

  it("two runs at once: one of them makes the ids", async () => {
    const from = file("events", plain(0, 25));
    const both = await Promise.all([run({ file: from }), run({ file: from })]);
    const again = await run({ file: from });
    expect([again.status, new Set(logged).size]).toEqual([0, 25]);
    expect(both.filter(({ status }) => status === 2).every(({ err }) => err.includes("another run"))).toBe(true);
  });
});

describe("what can't get through", () => {
  it.each([
    ["a wrong token", 401, { code: "bad_token", detail: "not known" }, /bad_token.*give a token/],
    ["missing migrations", 503, { code: "log_not_migrated", detail: "tables are missing" }, /run the migrations/],
    ["somebody else", 200, { ok: true }, /isn't Keyframe's.*it lacks `received`/],
  ])("is said at once: %s", async (_, status, body, why) => {
    script = () => ({ answer: [status, body] });
    const ran = await run({ file: file("events", lines(2)) });
    expect([ran.status, requests.length, ran.err]).toEqual([2, 1, expect.stringMatching(why) as unknown]);
  });

  it("is waited for where it may pass, and the reason is said from the first time on", async () => {
    script = (n) =>
      n < 3
        ? { answer: [503, { code: "store_unavailable", detail: "D1 did not answer" }] }
        : n < 4
          ? { lost: true }
          : {};
    const { status, err, summary } = await run({ file: file("events", lines(2)) });
    expect([status, summary.events]).toEqual([0, 2]);
    const said = err.split("\n").slice(0, -1);
    expect(said).toEqual([
      "retrying for 10:00: store_unavailable: D1 did not answer",
      expect.stringMatching(/^retrying for 10:00: no answer: /),
      "resumed",
    ]);
  });

  it("a request that is too large for something on the way is halved, as those after it", async () => {
    script = (n) => (requests[n - 1]!.length > 3 ? { answer: [413, { message: "too large" }] } : {});
    const { status, summary } = await run({ file: file("events", lines(20)) });
    expect([status, summary.accepted]).toEqual([0, 20]);
    expect(requests.map((ids) => ids.length)).toEqual([10, 5, 3, 3, 3, 1, 3, 3, 3, 1]);
    expect(logged).toEqual(Array.from({ length: 20 }, (_, n) => `e${n}`));
    script = () => ({ answer: [413, { message: "too large" }] });
    const one = await run({
      file: file(
        "one",
        lines(1, () => ({ id: "one", type: "tick" })),
      ),
    });
    expect([one.status, one.err]).toEqual([2, expect.stringContaining("status 413") as unknown]);
  });
});

describe("batches", () => {
  async function cut(from: string, position: Position, events: number): Promise<InputBatch[]> {
    const input = await openInput(from, Readable.from([]));
    const all: InputBatch[] = [];
    for await (const batch of batches(input, position, { events, bytes: 1e9 }, () => Promise.resolve("key")))
      all.push(batch);
    return all;
  }

  it("come from a file that can be read again: a pipe is refused before anything is sent", async () => {
    await expect(openInput("/dev/null", Readable.from([]))).rejects.toThrow(/isn't a regular file.*keyframe send - </);
  });

  it("give the same lines with the same ids from wherever they go on", async () => {
    const text = `${lines(7, (n) => ({ type: "tick", n }))}\n\n${lines(7)} ${JSON.stringify({ type: "last" })}`;
    const from = file("events", gzipSync(text));
    const whole = (await cut(from, BEGINNING, 1)).map(({ events }) => events[0]!);
    expect(whole).toHaveLength(15);
    for (const { end } of await cut(from, BEGINNING, 1)) {
      const rest = (await cut(from, end, 4)).flatMap(({ events }) => events);
      expect(rest).toEqual(whole.slice(end.events));
    }
  });
});

describe("the progress line", () => {
  it("is drawn anew on a terminal, and is a line now and then elsewhere", () => {
    const shown = (isTTY: boolean): string[] => {
      const written: string[] = [];
      const line = new ProgressLine({ isTTY, write: (text) => written.push(text) }, 0);
      line.show(1_000, 1_000, 0.1, 50);
      line.show(2_000, 2_000, 0.25, 2_000);
      line.show(4_000, 4_000, 0.5, 20_000);
      line.clear();
      return written;
    };
    expect(shown(true)).toEqual([
      "\r\u001b[2K2,000 events, 25 %, 1,000 a second, 6 s left",
      "\r\u001b[2K4,000 events, 50 %, 200 a second, 20 s left",
      "\r\u001b[2K",
    ]);
    expect(shown(false)).toEqual(["4,000 events, 50 %, 200 a second, 20 s left\n"]);
  });
});
