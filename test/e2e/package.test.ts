/**
 * The package as a user gets it: packed, installed into an empty Worker project, type-checked there, served by
 * wrangler, and asked from a second Worker by a service binding.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { PACKAGE } from "../../src/cli/templates.ts";
import { PROJECT_DIR } from "../../src/local/config.ts";
import { freePort } from "../../src/local/runtime.ts";
import { projectNode, Wrangler } from "../../src/local/wrangler.ts";
import { until } from "./command.ts";
import { modules, pack } from "./packed.ts";

const dir = mkdtempSync(path.join(tmpdir(), "keyframe-package-"));
const streams = path.join(dir, "streams");
const shop = path.join(dir, "shop");
const stateDir = path.join(dir, "state");
let running: Wrangler | null = null;
let packed: string[] = [];

beforeAll(() => {
  const tarball = inject("tarball");
  packed = execFileSync("tar", ["tzf", tarball], { encoding: "utf8" }).trim().split("\n");
  install(tarball);
  writeProject();
});
afterAll(async () => {
  await running?.kill();
  rmSync(dir, { recursive: true, force: true });
});

test("the tarball has the built package, its types, the migrations and an example, and no sources", () => {
  const wanted = ["dist/keyframe.js", "dist/keyframe.d.ts", "dist/testkit/testkit.js", "dist/testkit/testkit.d.ts"];
  wanted.push("dist/migrations/0001_log.sql", "examples/wrangler.toml", "README.md", "LICENSE", "package.json");
  expect(packed).toEqual(expect.arrayContaining(wanted.map((file) => `package/${file}`)));
  expect(packed.filter((file) => /^package\/(src|test|node_modules)\//.test(file))).toEqual([]);
  // A migration's name must never change: D1 remembers it.
  const migrations = readdirSync(path.join(PROJECT_DIR, "src/adapters/migrations"));
  expect(readdirSync(path.join(streams, "node_modules/keyframe-streams/dist/migrations"))).toEqual(migrations);
});

test.each([
  ["bundler", "esnext"],
  ["nodenext", "nodenext"],
])("its types hold in a user's strict project, with %s resolution", (moduleResolution, module) => {
  const strict = { strict: true, exactOptionalPropertyTypes: true, noEmit: true, allowImportingTsExtensions: true };
  const base = { ...strict, module, moduleResolution, target: "es2024", lib: ["es2024"] };
  // The declarations themselves are checked too, against the runtime's types; for the tests not, since those of the runtime
  // and of Node contradict each other.
  const worker = { compilerOptions: { ...base, types: ["@cloudflare/workers-types"] }, include: ["src", "../shop"] };
  const types = ["@cloudflare/workers-types", "node"];
  const both = { compilerOptions: { ...base, types, skipLibCheck: true }, include: ["src", "test"] };
  for (const project of [worker, both]) {
    const file = path.join(streams, "tsconfig.json");
    writeFileSync(file, JSON.stringify(project));
    expect(runTsc(["-p", file])).toBe("");
  }
});

describe.each(["typescript", "typescript-5.4"])("with all declarations checked, by %s", (compiler) => {
  const strict = { strict: true, exactOptionalPropertyTypes: true, skipLibCheck: false };
  const base = { ...strict, noEmit: true, allowImportingTsExtensions: true, target: "es2022" };
  /** The compiler's messages on these files, compiled for one place. */
  function errorsOf(include: readonly string[], lib: readonly string[], types: readonly string[]): string {
    const file = path.join(streams, "tsconfig.checked.json");
    const compilerOptions = { ...base, module: "esnext", moduleResolution: "bundler", lib, types };
    writeFileSync(file, JSON.stringify({ compilerOptions, include }));
    return runTsc(["-p", file], compiler);
  }

  test("its types hold in a Worker", () => {
    expect(errorsOf(["src", "../shop"], ["es2022"], ["@cloudflare/workers-types"])).toBe("");
  });

  test("those of the client hold in a page, which knows nothing of Workers and of Node, and in Node", () => {
    expect(errorsOf(["page"], ["es2022", "dom"], [])).toBe("");
    expect(errorsOf(["page"], ["es2022"], ["node"])).toBe("");
  });

  test("those of the test kit hold in Node", () => {
    expect(errorsOf(["test/kit-alone.ts"], ["es2022"], ["node"])).toBe("");
  });
});

test("the compiler that scripts find is this project's, not the older one that stands beside it", () => {
  const { version } = JSON.parse(readFileSync(path.join(modules, "typescript/package.json"), "utf8")) as {
    version: string;
  };
  expect(execFileSync(path.join(modules, ".bin/tsc"), ["--version"], { encoding: "utf8" })).toContain(version);
});

test("what its types say is what they catch", () => {
  const wrong = path.join(streams, "src/wrong.ts");
  writeFileSync(
    wrong,
    `import type { Service } from "keyframe-streams";
    import type { operators } from "./index.ts";
    export const ask = (streams: Service<typeof operators>) =>
      streams.ask("visits", { type: "page.visited", data: { page: 7 } });\n`,
  );
  const out = runTsc(["-p", path.join(streams, "tsconfig.json")]);
  rmSync(wrong);
  expect(out).toMatch(/^src\/wrong.ts.*TS2322: Type 'number' is not assignable to type 'string'/);
});

test("the test kit runs under node:test, from the package", () => {
  const flags = ["--no-warnings", "--test", "--test-reporter=tap"];
  const { status, stdout } = spawnSync(process.execPath, [...flags, "test/visits.test.ts"], {
    cwd: streams,
    encoding: "utf8",
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
  });
  expect(stdout).toMatch(/^# pass 2$/m);
  expect(status).toBe(0);
});

test("init makes an app in an empty folder: its tests pass, its types hold, and wrangler takes it for a deployment", async () => {
  const fresh = path.join(dir, "fresh");
  mkdirSync(fresh);
  writeFileSync(path.join(fresh, "package.json"), '{"name":"fresh","type":"module"}');
  symlinkSync(path.join(streams, "node_modules"), path.join(fresh, "node_modules"));
  const cli = path.join(streams, "node_modules/keyframe-streams/dist/cli.mjs");
  for (const args of [["init"], ["new", "operator", "page-views"]]) {
    const made = spawnSync(process.execPath, [cli, ...args, "--json"], { cwd: fresh, encoding: "utf8" });
    expect(JSON.parse(made.stdout), made.stderr).toMatchObject({ tag: "done" });
  }

  const flags = ["--no-warnings", "--test", "--test-reporter=tap"];
  const env = { ...process.env, NODE_TEST_CONTEXT: undefined };
  const tested = spawnSync(process.execPath, [...flags, "test/*.test.ts"], { cwd: fresh, encoding: "utf8", env });
  expect(tested.stdout).toMatch(/^# pass 8$/m);
  expect(runTsc(["-p", path.join(fresh, "tsconfig.json")])).toBe("");
  const dry = launch([
    "deploy",
    "--dry-run",
    "--config",
    path.join(fresh, "wrangler.toml"),
    "--outdir",
    path.join(dir, "out"),
  ]);
  expect(await dry.exited, dry.lastLines()).toBe(0);
  expect(dry.lastLines()).toMatch(/env.PARTITION[^]*env.LOG_0 \(fresh-log-0\)[^]*env.SNAPSHOTS \(fresh-snapshots\)/);
});

describe("served by wrangler", () => {
  const configs = [path.join(streams, "wrangler.toml"), path.join(shop, "wrangler.toml")] as const;
  let url = "";

  beforeAll(async () => {
    const flags = ["--config", configs[0], "--local", "--persist-to", stateDir];
    expect(await launch(["d1", "migrations", "apply", "LOG_0", ...flags]).exited).toBe(0);
    await serve();
  });

  test("a second Worker sends, asks and reads by binding", async () => {
    expect(await json("/visit?page=home&id=1")).toEqual({ tag: "applied", visits: 1, duplicate: false });
    expect(await json("/visit?page=home&id=1")).toEqual({ tag: "applied", visits: 1, duplicate: true });
    expect(await json("/visit?page=closed&id=2")).toEqual({ tag: "refused", code: "page_closed" });
    expect(await json("/send?page=home&count=3")).toMatchObject({ tag: "decided", accepted: 3 });
    expect(await json("/read?page=home")).toMatchObject({ tag: "found", value: { visits: 4 } });
    expect(await json("/read?page=nothing")).toEqual({ tag: "no_state" });
  });

  test("its HTTP interface stands behind authorize", async () => {
    expect((await answer("/over-http"))?.status).toBe(401);
    expect((await answer("/over-http?token=let-me-in"))?.status).toBe(200);
  });

  test("what it knows survives a crash of everything", async () => {
    await json("/visit?page=kept&id=9");
    await running!.kill();
    await serve();
    expect(await json("/visit?page=kept&id=9")).toEqual({ tag: "applied", visits: 1, duplicate: true });
  });

  /** Both Workers in one session; the first of the two is the one that the port leads to. */
  async function serve(): Promise<void> {
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    const flags = ["--persist-to", stateDir, "--local", "--ip", "127.0.0.1", "--port", `${port}`];
    const quiet = ["--inspector-port", "0", "--show-interactive-dev-session=false"];
    const runtime = launch(["dev", "-c", configs[1], "-c", configs[0], ...flags, ...quiet]);
    running = runtime;
    await until(async () => (await answer("/health"))?.status === 200).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${runtime.lastLines()}`);
    });
  }

  async function answer(at: string): Promise<Response | null> {
    try {
      const response = await fetch(url + at, { signal: AbortSignal.timeout(60_000) });
      await response.clone().arrayBuffer();
      return response;
    } catch {
      return null;
    }
  }

  async function json(at: string): Promise<unknown> {
    const response = await answer(at);
    const text = (await response?.text()) ?? "no answer";
    expect(response?.status, text).toBe(200);
    return JSON.parse(text);
  }
});

const launch = (args: string[]): Wrangler =>
  new Wrangler(args, { cwd: streams, privateDir: path.join(dir, "run"), group: "own" });

/** From tarballs alone, so that it works offline: of the package, and of what this repository has installed for it. */
function install(tarball: string): void {
  mkdirSync(path.join(streams, "src"), { recursive: true });
  const overrides: Record<string, string> = {};
  for (const name of dependencies([PACKAGE, "zod"]))
    overrides[name] = `file:${pack(path.join(modules, name), dir, ["--ignore-scripts"])}`;
  const { zod, ...rest } = overrides;
  const manifest = { name: "streams", private: true, type: "module", dependencies: { zod }, overrides: rest };
  writeFileSync(path.join(streams, "package.json"), JSON.stringify(manifest));
  const flags = ["--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts"];
  execFileSync("npm", ["install", ...flags, tarball], { cwd: streams, encoding: "utf8" });
  // Files that every Worker project has beside it.
  mkdirSync(path.join(streams, "node_modules/@cloudflare"), { recursive: true });
  mkdirSync(path.join(streams, "node_modules/@types"), { recursive: true });
  for (const name of ["@cloudflare/workers-types", "@types/node", "undici-types"])
    symlinkSync(path.join(modules, name), path.join(streams, "node_modules", name));
}

/** All that these packages need, themselves left out but for what isn't this one. */
function dependencies(roots: readonly string[]): string[] {
  const found = new Set<string>();
  const visit = (name: string): void => {
    if (found.has(name)) return;
    if (name !== PACKAGE) found.add(name);
    const file = name === PACKAGE ? path.join(PROJECT_DIR, "package.json") : path.join(modules, name, "package.json");
    const { dependencies: needs = {} } = JSON.parse(readFileSync(file, "utf8")) as { dependencies?: object };
    Object.keys(needs).forEach(visit);
  };
  roots.forEach(visit);
  return [...found];
}

function runTsc(args: string[], compiler = "typescript"): string {
  try {
    return execFileSync(projectNode(), [path.join(modules, compiler, "bin/tsc"), ...args], {
      cwd: streams,
      encoding: "utf8",
    });
  } catch (error) {
    return (error as { stdout: string }).stdout;
  }
}

function writeProject(): void {
  const fixtures = path.join(import.meta.dirname, "package");
  cpSync(path.join(fixtures, "streams"), streams, { recursive: true });
  cpSync(path.join(fixtures, "shop"), shop, { recursive: true });
  symlinkSync(path.join(streams, "node_modules"), path.join(shop, "node_modules"));
  const example = readFileSync(path.join(streams, "node_modules/keyframe-streams/examples/wrangler.toml"), "utf8");
  writeFileSync(path.join(streams, "wrangler.toml"), example);
}
