/**
 * docs/guides/start.md and the page that follows it, done as they say: their files are written, their commands run in
 * order against the packed package, and what they print is compared (console.ts). A block of code whose first line is a
 * comment with a path is that file. Every block of code compiles.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { PACKAGE } from "../../src/cli/templates.ts";
import { PROJECT_DIR } from "../../src/local/config.ts";
import { type Runtime, startRuntime } from "../../src/local/runtime.ts";
import { projectNode, Wrangler } from "../../src/local/wrangler.ts";
import { until } from "./command.ts";
import { blocksOf, commandsOf, type ConsoleStep, patternOf, Terminal } from "./console.ts";
import { modules, unpack } from "./packed.ts";

type Step =
  { readonly tag: "file"; readonly name: string; readonly text: string } | ({ readonly tag: "command" } & ConsoleStep);

const PAGES = ["docs/guides/start.md", "docs/guides/credits-and-devices.md"];
const page = PAGES.map((name) => readFileSync(path.join(PROJECT_DIR, name), "utf8")).join("\n");
const blocks = blocksOf(page);
const steps = blocks.flatMap(({ kind, text }): Step[] => {
  if (kind === "console") return commandsOf(text).map((step) => ({ tag: "command", ...step }));
  const name = kind === "ts" ? fileOf(text) : null;
  return name === null ? [] : [{ tag: "file", name, text }];
});

/** Packages that the page expects to be installed, and those that they and the compiler need. */
const BESIDE = ["zod", "wrangler", "hono", "tinyqueue", "@standard-schema/spec", "jsonc-parser", "smol-toml"];
const TYPES = ["@cloudflare/workers-types", "@types/node", "undici-types"];

const dir = mkdtempSync(path.join(tmpdir(), "keyframe-tutorial-"));
const folder = path.join(dir, "metering");
let app: Runtime | null = null;
// npx finds what is installed, a second later; and $? is of the command before.
const terminal = new Terminal(folder, 'npx() { "$@"; }');

beforeAll(() => {
  mkdirSync(folder);
  unpack(inject("tarball"), folder, [...BESIDE, ...TYPES]);
  const dependencies = { [PACKAGE]: "*", zod: "*", wrangler: "*" };
  writeFileSync(path.join(folder, "package.json"), JSON.stringify({ type: "module", dependencies }));
});
afterAll(async () => {
  await app?.stop();
  rmSync(dir, { recursive: true, force: true });
});

test("the page has files and commands to run", () => {
  const files = steps.flatMap((step) => (step.tag === "file" ? [step.name] : []));
  const operators = ["usage", "credits", "devices"].map((name) => `src/operators/${name}.ts`);
  expect(files).toEqual(expect.arrayContaining([...operators, "src/index.ts", "invoice.ts", "test/usage.test.ts"]));
  const commands = steps.flatMap((step) => (step.tag === "command" ? [step.command] : []));
  expect(commands).toEqual(
    expect.arrayContaining(["npx keyframe-streams init", "npx keyframe-streams send january.ndjson"]),
  );
  expect(commands.length).toBeGreaterThan(20);
});

test("what it says is what happens", async () => {
  for (const step of steps) {
    if (step.tag === "file") await put(step.name, step.text);
    else await obey(step.command, step.prints);
  }
});

test("all its code compiles", () => {
  const loose = blocks.filter(({ kind, text }) => kind === "ts" && fileOf(text) === null);
  for (const [index, { text }] of loose.entries()) writeFileSync(path.join(folder, `loose-${index}.ts`), text);
  const options = { strict: true, noUncheckedIndexedAccess: true, exactOptionalPropertyTypes: true, noEmit: true };
  const modern = { module: "nodenext", target: "es2024", lib: ["es2024"], allowImportingTsExtensions: true };
  const types = ["@cloudflare/workers-types", "node"];
  const compilerOptions = { ...options, ...modern, types, skipLibCheck: true };
  writeFileSync(path.join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["**/*.ts"] }));
  const tsc = path.join(modules, "typescript/bin/tsc");
  const { stdout } = spawnSync(projectNode(), [tsc, "-p", folder], { cwd: folder, encoding: "utf8" });
  expect(stdout).toBe("");
});

async function put(name: string, text: string): Promise<void> {
  const file = path.join(folder, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
  if (app === null || name !== "src/index.ts") return;
  // It loads what has changed by itself; the page's reader sees that, the test waits for it.
  const names = /operators = \[(.*?)\]/.exec(text)![1]!.split(", ");
  await until(async () => (await operators()).join() === names.join()).catch((error: unknown) => {
    throw new Error(`${String(error)}: not reloaded with ${names.join()}\n${app!.lastLines()}`);
  });
}

async function operators(): Promise<string[]> {
  try {
    const answer = await fetch(`${app!.url}/v1/operators`, { signal: AbortSignal.timeout(60_000) });
    return ((await answer.json()) as { name: string }[]).map(({ name }) => name);
  } catch {
    return [];
  }
}

/** Wrangler's own commands are run under the guard, with a free port; all others as they stand. */
async function obey(command: string, prints: string): Promise<void> {
  const stateDir = path.join(folder, ".wrangler/state");
  if (command === "npx wrangler dev") {
    app = await startRuntime({ configPath: path.join(folder, "wrangler.toml"), port: 0, stateDir, migrate: false });
    return;
  }
  const [, wrangler] = /^npx wrangler (.*)/.exec(command) ?? [];
  if (wrangler !== undefined) {
    const run = new Wrangler(wrangler.split(" "), { cwd: folder, privateDir: path.join(dir, "run"), group: "own" });
    expect(await run.exited, run.lastLines()).toBe(0);
    return;
  }
  const printed = await shell(command);
  expect(printed, `$ ${command}`).toMatch(patternOf(prints));
}

async function shell(command: string): Promise<string> {
  const own = [path.join(folder, "node_modules/.bin"), path.dirname(projectNode())];
  const PATH = [...own, process.env["PATH"]].join(path.delimiter);
  return terminal.run(command, { PATH, ...(app === null ? {} : { KEYFRAME_URL: app.url }) });
}

/** `// src/index.ts`, in the first line. */
function fileOf(text: string): string | null {
  return /^\/\/ ([\w./-]+\.ts)\n/.exec(text)?.[1] ?? null;
}
