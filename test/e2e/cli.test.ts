/** The command line as a user has it: the built file, a process for each command, against the running app. */
import { spawn } from "node:child_process";
import { cpSync, globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildCli } from "../../src/local/build-cli.ts";
import { postLines } from "../../src/local/client.ts";
import { startRuntime, type Runtime } from "../../src/local/runtime.ts";

const TOKENS = { INGEST_TOKEN: "sender", READ_TOKEN: "reader", ADMIN_TOKEN: "admin" };
const folder = mkdtempSync(join(tmpdir(), "keyframe-cli-"));
const bin = join(folder, "keyframe.mjs");
let app: Runtime;

beforeAll(async () => {
  await buildCli(bin);
  app = await startRuntime({ port: 0, stateDir: join(folder, "state"), vars: {} });
});

afterAll(async () => {
  await app.stop();
  rmSync(folder, { recursive: true, force: true });
});

interface Ran {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

async function keyframe(args: readonly string[], env: Record<string, string> = {}, stdin = ""): Promise<Ran> {
  const child = spawn(process.execPath, [bin, ...args], { env: { PATH: "", KEYFRAME_URL: app.url, ...env } });
  child.stdin.end(stdin);
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  const [out, err, status] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { status, out, err };
}

/** The lines of `--json`. */
async function json<T>(...args: string[]): Promise<T[]> {
  const { status, out, err } = await keyframe([...args, "--json"]);
  expect(status, out + err).toBe(0);
  return out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as T);
}

const bought = (account: string, n: number): string => JSON.stringify({ type: "credits.bought", data: { account, n } });
const take = (account: string, n: number): string => JSON.stringify({ type: "credits.take", data: { account, n } });

describe("keyframe, against the app", () => {
  test("asks, gets and scans", async () => {
    expect(await keyframe(["ask", "credits", bought("ada", 2)])).toEqual({ status: 0, out: '{"left":2}\n', err: "" });
    expect(await keyframe(["ask", "credits", "-"], {}, take("ada", 1))).toMatchObject({
      status: 0,
      out: '{"left":1}\n',
    });
    expect(await keyframe(["ask", "credits", take("ada", 5)])).toEqual({
      status: 1,
      out: "",
      err: 'refused insufficient_credits: {"left":1}\n',
    });
    expect(await keyframe(["ask", "credits", "{}"])).toMatchObject({
      status: 2,
      err: expect.stringContaining("missing_type"),
    });
    expect(await keyframe(["get", "credits", "ada", "bob"])).toEqual({
      status: 1,
      out: '"ada"\t{"left":1,"taken":1}\n',
      err: 'no state: "bob"\n',
    });
    expect(await keyframe(["get", "nobody", "ada"])).toMatchObject({
      status: 2,
      err: expect.stringContaining("no_operator"),
    });
  });

  test("scans more than one page, in order", async () => {
    const lines = Array.from({ length: 2_100 }, (_, i) => bought(`k${String(i).padStart(4, "0")}`, i + 1));
    expect(await postLines(app.url, lines)).toMatchObject({ accepted: 2_100 });
    const all = await json<{ key: string; value: { left: number } }>("scan", "credits", "--prefix", "k");
    expect(all.map(({ key, value }) => [key, value.left])).toEqual(
      lines.map((_, i) => [`k${String(i).padStart(4, "0")}`, i + 1]),
    );
    expect(await json("scan", "credits", "--prefix", "k", "--limit", "7")).toHaveLength(7);
  });

  test("takes a snapshot, drops the partition, and finds everything again", async () => {
    const [manifest] = await json<{ number: number; seq: number }>("snapshot", "credits", "0");
    expect(manifest).toMatchObject({ kind: "full", seq: 2_103 });
    await keyframe(["ask", "credits", bought("ada", 10)]);
    expect(await json("snapshot", "credits", "0")).toMatchObject([{ kind: "delta", seq: 2_104 }]);
    expect(await json("manifests", "credits", "0")).toMatchObject([{ kind: "delta" }, { kind: "full" }]);
    expect(await keyframe(["evict", "credits", "0"])).toMatchObject({ status: 0 });
    expect(await json("get", "credits", "ada")).toEqual([{ key: "ada", value: { left: 11, taken: 1 }, seq: 2_104 }]);
    expect(await json("verify-partition", "credits", "0")).toMatchObject([{ equal: true, seq: 2_104, keys: 2_101 }]);
  });

  test("shows every partition", async () => {
    const { status, out } = await keyframe(["status"]);
    expect(status).toBe(0);
    expect(out).toMatch(
      /^OPERATOR +PART +HEALTH +EPOCH +APPLIED +SNAPSHOT +TAIL +KEYS +STATE +QUARANTINE +LAST SNAPSHOT +RECOVERY\n/,
    );
    expect(out).toMatch(
      /\ncredits +0 +healthy +\d+ +2,104 +2,104 +0 +2,101 +[\d.]+ kB +0 +delta, [\d.]+ k?B, [\d.]+ m?s ago +[\d.]+ m?s\n/,
    );
    expect(await json("status", "credits")).toMatchObject([{ operator: "credits", partition: 0, appliedSeq: 2_104 }]);
    expect(await keyframe(["snapshot", "uppercase", "0"])).toMatchObject({
      status: 1,
      err: expect.stringContaining("nothing_to_save"),
    });
  });

  test("sets nothing aside, recovers nothing, and the doctor finds nothing", async () => {
    expect(await keyframe(["quarantine", "credits"])).toEqual({ status: 0, out: "", err: "no event is quarantined\n" });
    expect(await keyframe(["quarantine", "credits", "retry", "0-1"])).toMatchObject({
      status: 1,
      err: expect.stringContaining("not_quarantined"),
    });
    expect(await json("recover", "--from-r2", "credits")).toMatchObject([{ changed: false, complete: true }]);
    // Refused by its handler: logged and measured, and no state is changed.
    const { status, out, err } = await keyframe([
      "doctor",
      "--rate",
      "1s",
      "--write",
      "credits",
      take("nobody", 1),
      "--samples",
      "3",
    ]);
    expect([status, err], out).toEqual([0, ""]);
    expect(out).toMatch(/^ok +admin routes +open without a token/m);
    expect(out).toMatch(/^ok +commit +p50 [\d.]+ m?s, p99 [\d.]+ m?s of 3 events/m);
    expect(out).toMatch(/^ok +quarantine +empty$/m);
    expect(out).toMatch(/^ok +cost +\d+\.\d+ dollars a day at the rate of the last 1\.\d s/m);
    expect(out).toMatch(/^ok +LOG_0 +\d+ m?s from the Worker, the median of 3/m);
    expect(out).toMatch(/^ok +SNAPSHOTS +\d+ m?s from the Worker, the median of 3$/m);
    const evicted = await keyframe(["doctor", "--rate", "0s", "--no-wake", "--evict", "credits", "0", "ada"]);
    expect([evicted.status, evicted.err], evicted.out).toEqual([0, ""]);
    expect(evicted.out).toMatch(
      /^ok +credits 0 +read \d+ m?s after an eviction \(.*\): the same [\d,]+ keys, [\d,]+ events and value$/m,
    );
    expect(await keyframe(["get", "credits", "nobody"])).toMatchObject({ status: 1 });
  });

  test("shows the history of a key", async () => {
    const entries = await json<{ seq: number; value: unknown }>("history", "credits", "ada");
    expect(entries.map(({ value }) => value).slice(-2)).toEqual([
      { left: 1, taken: 1 },
      { left: 2, taken: 0 },
    ]);
    expect(await keyframe(["history", "credits", "nobody-ever"])).toMatchObject({ status: 1, out: "" });
  });

  test("reads the past, which stays as it was", async () => {
    const [then] = await json<{ value: { left: number }; at: number }>("get", "credits", "ada", "--at", "now");
    await keyframe(["ask", "credits", bought("ada", 5)]);
    const at = String(then!.at);
    expect(await json("get", "credits", "ada", "--at", at)).toEqual([then]);
    expect(await json("scan", "credits", "--prefix", "ada", "--at", at)).toMatchObject([
      { value: then!.value, at: then!.at },
    ]);
    expect(await json("get", "credits", "ada")).toMatchObject([{ value: { left: then!.value.left + 5 } }]);
    const [head] = await json("export", "credits", "--prefix", "ada", "--at", at);
    expect(head).toMatchObject({ at: then!.at });
    const said = await keyframe(["history", "credits", "ada", "--at", at]);
    expect(said).toMatchObject({ status: 0, err: expect.stringMatching(new RegExp(`^as of stamp ${at}, `)) });
    const differs = await keyframe(["diff", at, "now", "--operator", "credits", "--json", "--values"]);
    const [left, more] = [then!.value, { ...then!.value, left: then!.value.left + 5 }];
    expect(differs.status).toBe(1);
    expect(JSON.parse(differs.out)).toEqual({
      change: "changed",
      operator: "credits",
      key: "ada",
      before: left,
      after: more,
    });
    expect(await keyframe(["diff", at, at])).toMatchObject({ status: 0, out: "" });
    expect(await json("blame", "credits", "ada", "/left")).toMatchObject([{ from: left.left, to: more.left }]);
    const ahead = await keyframe(["get", "credits", "ada", "--at", "2125-01-01T00:00:00Z"]);
    expect(ahead).toMatchObject({ status: 1, out: "", err: expect.stringContaining("409 not_settled") });
  });

  test("pins what is kept, and lets go of it", async () => {
    expect(await keyframe(["pins", "uppercase", "0"])).toMatchObject({ status: 0, err: "nothing is pinned\n" });
    expect(await keyframe(["pin", "uppercase", "0", "77"])).toMatchObject({ status: 1 });
    expect(await keyframe(["unpin", "uppercase", "0", "77"])).toMatchObject({ status: 0 });
    expect(await keyframe(["adopt", "uppercase", "0", "d1"])).toMatchObject({
      status: 1,
      err: expect.stringContaining("not_rewound"),
    });
  });

  test("a reader that has read enough ends it without a word", async () => {
    const child = spawn(process.execPath, [bin, "scan", "credits"], { env: { PATH: "", KEYFRAME_URL: app.url } });
    const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
    const err = text(child.stderr);
    child.stdout.once("data", () => child.stdout.destroy());
    expect([await ended, await err]).toEqual([2, ""]);
  });
});

describe("keyframe, of the files that the app wrote", () => {
  test("reads them without the app", async () => {
    // The local R2 keeps each object as a file of its own, whose name doesn't say which one it is.
    const copies: Record<string, string[]> = { kfs: [], kfm: [] };
    for (const [i, blob] of globSync("v3/r2/*/blobs/*", { cwd: join(folder, "state") }).entries()) {
      const from = join(folder, "state", blob);
      const kind = readFileSync(from, "utf8").startsWith("KEYFRAME") ? "kfs" : "kfm";
      const to = join(folder, `${i}.${kind}`);
      cpSync(from, to);
      copies[kind]!.push(to);
    }
    expect([copies["kfs"]!.length, copies["kfm"]!.length]).toEqual([2, 2]);
    const { status, out } = await keyframe(["verify", ...copies["kfs"]!, ...copies["kfm"]!]);
    expect(status, out).toBe(0);
    const footers = await Promise.all(
      copies["kfs"]!.map((file) => json<{ footer: { base: number } }>("cat", file, "--footer")),
    );
    const full = copies["kfs"]![footers.findIndex(([line]) => line!.footer.base === 0)]!;
    const delta = copies["kfs"]!.find((file) => file !== full)!;
    expect(await keyframe(["diff", full, delta, "--values"])).toEqual({
      status: 1,
      out: '~ "ada"\n    - {"left":1,"taken":1}\n    + {"left":11,"taken":1}\n',
      err: "0 added, 0 removed, 1 changed, 2,100 the same\n",
    });
    expect(await json("cat", delta, "--key", "ada")).toMatchObject([
      { key: "ada", seq: 2_104, value: { left: 11, taken: 1 } },
    ]);
    const events = (
      await Promise.all(copies["kfm"]!.map((file) => json<{ seq: number }>("cat", file, "--events")))
    ).flat();
    expect(events.map(({ seq }) => seq).sort((a, b) => a - b)).toEqual(Array.from({ length: 2_104 }, (_, i) => i + 1));
  });
});

describe("keyframe, against an app with tokens", () => {
  let closed: Runtime;
  beforeAll(async () => {
    closed = await startRuntime({ port: 0, stateDir: join(folder, "closed"), vars: TOKENS });
  });
  afterAll(() => closed.stop());

  const states = async (token?: string): Promise<(string | undefined)[]> => {
    const env: Record<string, string> = {
      KEYFRAME_URL: closed.url,
      ...(token === undefined ? {} : { KEYFRAME_TOKEN: token }),
    };
    const { out } = await keyframe(["doctor", "--json", "--rate", "0s", "--no-wake"], env);
    const checks = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { state: string; what: string });
    return ["ingest", "read", "admin"].map((role) => checks.find(({ what }) => what === `${role} routes`)?.state);
  };

  test("the doctor says what a token is good for", async () => {
    expect(await states()).toEqual(["bad", "bad", "bad"]);
    expect(await states("wrong")).toEqual(["bad", "bad", "bad"]);
    expect(await states(TOKENS.INGEST_TOKEN)).toEqual(["ok", "note", "note"]);
    expect(await states(TOKENS.READ_TOKEN)).toEqual(["note", "ok", "note"]);
    expect(await states(TOKENS.ADMIN_TOKEN)).toEqual(["ok", "ok", "ok"]);
  });

  test("a command without the token says so, and what to do", async () => {
    const { status, err } = await keyframe(["status"], { KEYFRAME_URL: closed.url, KEYFRAME_TOKEN: TOKENS.READ_TOKEN });
    expect(status).toBe(2);
    expect(err).toContain("403 wrong_role");
    expect(err).not.toContain(TOKENS.READ_TOKEN);
    expect(await keyframe(["status", "--url", closed.url, "--token", TOKENS.ADMIN_TOKEN])).toMatchObject({ status: 0 });
  });
});
