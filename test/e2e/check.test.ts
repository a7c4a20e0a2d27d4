/** The deploy gate as the guide describes it: other code in a runtime of its own, with the stores, without partitions. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildCli } from "../../src/local/build-cli.ts";
import { PROJECT_DIR } from "../../src/local/config.ts";
import { startRuntime, type Runtime } from "../../src/local/runtime.ts";

const folder = mkdtempSync(join(tmpdir(), "keyframe-check-"));
const bin = join(folder, "keyframe.mjs");
const stateDir = join(folder, "state");
const migrations = join(PROJECT_DIR, "src/adapters/migrations");
let app: Runtime;
let from = 0;

async function keyframe(...args: readonly string[]): Promise<{ status: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [bin, ...args], { env: { PATH: "", KEYFRAME_URL: app.url } });
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  const [out, err, status] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { status, out, err };
}

const event = (type: string, account: string, n: number): string => JSON.stringify({ type, data: { account, n } });

/** The configuration in the guide, for this code. The local databases have no ids. */
function configFor(main: string): string {
  const guide = readFileSync(join(PROJECT_DIR, "docs/guides/upgrading.md"), "utf8");
  const [, config] = /```toml\n(# wrangler\.check\.toml\n[\s\S]+?)```/.exec(guide)!;
  const own = config!
    .replace(/^main = .*$/m, `main = ${JSON.stringify(main)}`)
    .replace(/^database_id = .*\n/gm, "")
    .replace(/^migrations_dir = .*$/gm, `migrations_dir = ${JSON.stringify(join("..", "..", migrations))}`);
  expect(own).not.toContain("PARTITION");
  const path = join(folder, "wrangler.check.toml");
  writeFileSync(path, own);
  return path;
}

beforeAll(async () => {
  await buildCli(bin);
  app = await startRuntime({ port: 0, stateDir, vars: {} });
  const ok = async (...args: string[]): Promise<void> => expect(await keyframe(...args)).toMatchObject({ status: 0 });
  await ok("ask", "credits", event("credits.bought", "ada", 5));
  await ok("snapshot", "credits", "0");
  from = JSON.parse((await keyframe("get", "credits", "ada", "--at", "now", "--json")).out).at as number;
  await ok("ask", "credits", event("credits.take", "ada", 5));
  await ok("ask", "credits", event("credits.bought", "bo", 2));
  await ok("snapshot", "credits", "0");
  await app.stop();
});

afterAll(async () => {
  await app.stop();
  rmSync(folder, { recursive: true, force: true });
});

test.each([
  ["the code that ran", join(PROJECT_DIR, "src/index.ts"), 0],
  ["code that refuses one event more", join(PROJECT_DIR, "test/worker/changed-app.ts"), 1],
])("of %s", async (_, main, status) => {
  app = await startRuntime({ port: 0, stateDir, configPath: configFor(main), vars: {}, migrate: false });
  const ran = await keyframe("check", "credits", "--from", String(from));
  expect([ran.status, ran.err], ran.out).toEqual([status, expect.stringMatching(/^from stamp \d+, \S+\n$/)]);
  expect(ran.out).toContain("2 events decided anew");
  if (status === 1) {
    expect(ran.out).toContain('outcome credits 0 "ada": seq 2, credits.take');
    expect(ran.out).toContain('applied {"left":0}, now refused needs_reserve {"left":5}');
    expect(ran.out).toContain('state credits 0 "ada": in the snapshot at seq 3, /left is 0, now 5');
  }
  // It can wake nobody and write nothing.
  expect(await keyframe("get", "credits", "ada")).toMatchObject({
    status: 2,
    err: expect.stringContaining("check_only") as string,
  });
  await app.stop();
});
