/**
 * docs/guides/read-model.md: its code is one module. It compiles. While it is killed again and again, and another line
 * of history becomes main, its tables become what the app has, with each change once.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { client } from "../../src/client/client.ts";
import { PROJECT_DIR } from "../../src/local/config.ts";
import { type Runtime, startRuntime } from "../../src/local/runtime.ts";
import { projectNode } from "../../src/local/wrangler.ts";
import type { credits } from "../../src/operators/credits.ts";
import { until } from "./command.ts";

const page = readFileSync(join(PROJECT_DIR, "docs", "guides", "read-model.md"), "utf8");
const code = [...page.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map((match) => match[1]!);

let stateDir: string;
/** Inside the project, so that its packages are found. */
let moduleDir: string;
let runtime: Runtime;
let follower: ChildProcess | null = null;

beforeAll(async () => {
  stateDir = mkdtempSync(join(tmpdir(), "keyframe-e2e-"));
  mkdirSync(join(PROJECT_DIR, ".wrangler"), { recursive: true });
  moduleDir = mkdtempSync(join(PROJECT_DIR, ".wrangler", "read-model-"));
  runtime = await startRuntime({ port: 0, stateDir, vars: {} });
});

afterAll(async () => {
  await killed();
  await runtime.stop();
  rmSync(stateDir, { recursive: true });
  rmSync(moduleDir, { recursive: true });
});

let said = "";

function start(): void {
  follower = spawn(projectNode(), ["--no-warnings", join(moduleDir, "page.ts")], { cwd: moduleDir });
  follower.stderr!.setEncoding("utf8").on("data", (text: string) => (said += text));
}

async function killed(): Promise<void> {
  const one = follower;
  follower = null;
  if (one === null || one.exitCode !== null) return;
  const ended = new Promise((resolve) => one.once("exit", resolve));
  one.kill("SIGKILL");
  await ended;
}

/** The rows of a query in the program's database. */
function rows<Row>(query: string): Row[] {
  const script = `
    const { DatabaseSync } = await import("node:sqlite");
    const db = new DatabaseSync(process.argv[1], { readOnly: true });
    db.exec("PRAGMA busy_timeout = 10000");
    console.log(JSON.stringify(db.prepare(process.argv[2]).all()));`;
  const args = ["--no-warnings", "--input-type=module", "-e", script, join(moduleDir, "accounts.db"), query];
  const ran = spawnSync(projectNode(), args);
  return ran.status === 0 ? (JSON.parse(ran.stdout.toString()) as Row[]) : [];
}

interface Account {
  readonly account: string;
  readonly remaining: number;
  readonly taken: number;
}

const accounts = (): Account[] => rows<Account>("SELECT * FROM accounts ORDER BY account");
const cursors = (): unknown[] => rows("SELECT cursor FROM feeds");

const app = () => client({ url: runtime.url });

async function states(): Promise<Account[]> {
  const found: Account[] = [];
  for await (const some of app().operator<typeof credits>("credits").scan())
    found.push(...some.map(({ key, value }) => ({ account: key, remaining: value.left, taken: value.taken })));
  return found;
}

let sent = 0;

async function send(): Promise<void> {
  const kf = app();
  const events = Array.from({ length: 40 }, (_, i) => ({
    type: "credits.bought",
    id: `r-${sent}-${i}`,
    data: { account: `a${i % 7}`, n: 1 },
  }));
  sent += 1;
  await kf.send(events);
  await kf.close();
}

const sameAsApp = async (): Promise<boolean> => JSON.stringify(accounts()) === JSON.stringify(await states());

test("the code of the page compiles", () => {
  const text = code
    .join("\n")
    .replaceAll('"keyframe-streams/client"', '"../../src/client/client.ts"')
    .replaceAll('"./operators/credits.ts"', '"../../src/operators/credits.ts"')
    .replaceAll("http://127.0.0.1:8787", runtime.url)
    .replaceAll(/, token: "[^"]*"/g, "");
  expect(code.length).toBe(4);
  writeFileSync(join(moduleDir, "page.ts"), text);
  const options = { extends: "../../tsconfig.base.json", compilerOptions: { types: ["node"] }, files: ["page.ts"] };
  writeFileSync(join(moduleDir, "tsconfig.json"), JSON.stringify(options));
  const tsc = spawnSync(projectNode(), [join(PROJECT_DIR, "node_modules/typescript/bin/tsc"), "-p", moduleDir]);
  expect(tsc.stdout.toString() + tsc.stderr.toString()).toBe("");
});

test("it has each change once, however often it is killed", async () => {
  await send();
  start();
  await until(sameAsApp);
  for (let kill = 0; kill < 5; kill++) {
    const before = JSON.stringify(cursors());
    await send();
    // Killed at any point of its work: at once, and behind its first page.
    if (kill % 2 === 0) await until(() => JSON.stringify(cursors()) !== before);
    await killed();
    await send();
    start();
  }
  await until(sameAsApp);
  const [{ count } = { count: 0 }] = rows<{ count: number }>("SELECT COUNT(*) AS count FROM movements");
  expect(count, "the first events were in the states that it began with").toBe(40 * (sent - 1));
  expect(said).toBe("");
});

test("it begins anew where another line of history becomes main", async () => {
  const kf = app();
  await kf.savepoints.save("before");
  await send();
  await until(sameAsApp);
  await kf.timelines.start("undone", { from: "before" });
  await kf.timelines.promote("undone", "*");
  await until(sameAsApp);
  await send();
  await until(sameAsApp);
  await kf.close();
  expect(said).toBe("");
});
