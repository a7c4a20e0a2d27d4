/**
 * Timelines with the command line against the app: a rollback takes every key of all operators back, an undo brings all
 * of it back, and the file of given-up events does so too.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildCli } from "../../src/local/build-cli.ts";
import { postLines } from "../../src/local/client.ts";
import { startRuntime, type Runtime } from "../../src/local/runtime.ts";

const folder = mkdtempSync(join(tmpdir(), "keyframe-rollback-"));
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

async function keyframe(...args: string[]): Promise<{ status: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [bin, ...args], { env: { PATH: "", KEYFRAME_URL: app.url } });
  child.stdin.end();
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  const [out, err, status] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { status, out, err };
}

async function ok(...args: string[]): Promise<string> {
  const { status, out, err } = await keyframe(...args);
  expect(status, out + err).toBe(0);
  return out;
}

/** All keys of all operators, with their states. */
async function states(...where: string[]): Promise<Record<string, unknown>> {
  const found: Record<string, unknown> = {};
  for (const operator of ["credits", "usage"])
    for (const line of (await ok("scan", operator, "--json", ...where)).split("\n").filter((one) => one !== "")) {
      const { key, value } = JSON.parse(line) as { readonly key: string; readonly value: unknown };
      found[`${operator} ${key}`] = value;
    }
  return found;
}

const bought = (account: string, n: number): string => JSON.stringify({ type: "credits.bought", data: { account, n } });

async function send(round: number): Promise<void> {
  const lines = Array.from({ length: 100 }, (_, i) => [
    JSON.stringify({ type: "credits.bought", id: `b${round}-${i}`, data: { account: `a${i % 37}`, n: i + round } }),
    JSON.stringify({
      type: "usage.recorded",
      id: `u${round}-${i}`,
      data: { customer: `c${(i + round) % 53}`, meter: "api", units: i, unitMicroUsd: 7 },
    }),
  ]).flat();
  expect(await postLines(app.url, lines)).toMatchObject({ accepted: 200, rejected: 0 });
}

test("a rollback, its undo, and the given-up events sent again", async () => {
  await send(1);
  await ok("save", "before-bug");
  const good = await states();
  await send(2);
  const bad = await states();
  expect(bad).not.toEqual(good);

  const unsure = await keyframe("rollback", "--to", "before-bug");
  expect([unsure.status, unsure.out]).toEqual([1, expect.stringMatching(/^main gives up 200 events, the last at /m)]);
  expect(unsure.out).toMatch(/^ {2}credits 100\n {2}usage 100$/m);
  const [, name] = /keyframe unfork (\S+)/.exec(unsure.err)!;
  expect(await states()).toEqual(bad);
  expect(await states("--timeline", name!)).toEqual(good);
  const changed = await keyframe("diff", "now", `${name}@now`);
  expect([changed.status, changed.out.split("\n").length - 1]).toEqual([1, differing(good, bad)]);
  await ok("unfork", name!);

  const file = join(folder, "given-up.ndjson");
  const back = await ok("rollback", "--to", "before-bug", "--yes", "--give-up-to", file);
  expect(back).toMatch(/is main; what was main is main~1\n$/);
  expect(readFileSync(file, "utf8").trimEnd().split("\n")).toHaveLength(200);
  expect(await states()).toEqual(good);
  expect(await states("--timeline", "main~1")).toEqual(bad);
  expect(await states("--at", "main~1@now")).toEqual(bad);
  expect(await keyframe("ask", "credits", bought("ada", 1), "--timeline", "main~1")).toMatchObject({
    status: 2,
    err: expect.stringContaining("timeline_sealed") as string,
  });

  await ok("rollback", "--undo", "--yes");
  expect(await states()).toEqual(bad);

  await ok("rollback", "--to", "before-bug", "--yes");
  expect(await states()).toEqual(good);
  expect(await ok("send", file)).toMatch(/\b200\b/);
  expect(await states()).toEqual(bad);
});

test("a reprocess takes in all that comes meanwhile, and its undo what came since", async () => {
  await ok("save", "before-third");
  await send(3);
  const before = await states();
  const asked = await keyframe("reprocess", "--from", "before-third");
  expect([asked.status, asked.out]).toEqual([1, expect.stringContaining("the outcome of 0 events changes")]);
  const [, name] = /keyframe unfork (\S+)/.exec(asked.err)!;
  expect(await ok("timelines")).toMatch(new RegExp(`^${name} +replaying +main `, "m"));
  expect(await states("--timeline", name!)).toEqual(before);
  await send(4);
  const now = await states();
  expect(await ok("promote", name!, "--yes")).toMatch(/is main; what was main is main~1\n$/);
  expect(await states()).toEqual(now);
  await send(5);
  const later = await states();
  await ok("rollback", "--undo", "--yes");
  expect(await states()).toEqual(later);
  await ok("rollback", "--undo", "--give-up", "--yes");
  expect(await states()).toEqual(later);
});

test("a fork goes its own way until it is removed", async () => {
  await ok("ask", "credits", bought("ada", 2));
  expect(await ok("fork", "what-if", "--expires", "1h")).toMatch(/^what-if starts at stamp \d{16}, \S+, of main\n$/);
  expect(await ok("ask", "credits", bought("ada", 5), "--timeline", "what-if")).toBe('{"left":7}\n');
  expect(await keyframe("diff", "now", "what-if@now", "--values")).toMatchObject({
    status: 1,
    out: '~ credits "ada"\n    - {"left":2,"taken":0}\n    + {"left":7,"taken":0}\n',
  });
  const events = await ok("history", "credits", "ada", "--timeline", "what-if");
  expect(events.trimEnd().split("\n")).toHaveLength(2);
  expect(await ok("timelines")).toMatch(/^what-if +ready +main /m);
  await ok("unfork", "what-if");
  expect(await keyframe("get", "credits", "ada", "--timeline", "what-if")).toMatchObject({
    status: 2,
    err: expect.stringContaining("no_timeline") as string,
  });
  expect(await ok("get", "credits", "ada")).toBe('"ada"\t{"left":2,"taken":0}\n');
});

test("a fork may have more partitions, with the same states", async () => {
  const now = await states();
  await ok("fork", "wide", "--partitions", "usage=16", "--expires", "1h");
  const partitions = async (...options: string[]): Promise<number> =>
    (await ok("status", "usage", ...options)).split("\n").filter((line) => line.startsWith("usage ")).length;
  expect(await partitions("--timeline", "wide")).toBe(16);
  expect(await states("--timeline", "wide")).toEqual(now);
  expect(await keyframe("fork", "odd", "--from", "wide@now", "--partitions", "usage=24")).toMatchObject({
    status: 1,
    err: expect.stringContaining("partitions_unsplit") as string,
  });
  await ok("unfork", "wide");
});

const differing = (one: Record<string, unknown>, other: Record<string, unknown>): number =>
  [...new Set([...Object.keys(one), ...Object.keys(other)])].filter(
    (key) => JSON.stringify(one[key]) !== JSON.stringify(other[key]),
  ).length;
