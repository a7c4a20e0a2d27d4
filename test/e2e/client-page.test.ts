/** docs/guides/client.md: its code is one module. It compiles, and prints against the app what the page says. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PROJECT_DIR } from "../../src/local/config.ts";
import { type Runtime, startRuntime } from "../../src/local/runtime.ts";
import { projectNode } from "../../src/local/wrangler.ts";

const page = readFileSync(join(PROJECT_DIR, "docs", "guides", "client.md"), "utf8");
const blocks = (kind: string): string[] =>
  [...page.matchAll(new RegExp(`^\`\`\`${kind}\n([\\s\\S]*?)^\`\`\`$`, "gm"))].map((match) => match[1]!);

let stateDir: string;
/** Inside the project, so that its packages are found. */
let moduleDir: string;
let runtime: Runtime;

beforeAll(async () => {
  stateDir = mkdtempSync(join(tmpdir(), "keyframe-e2e-"));
  mkdirSync(join(PROJECT_DIR, ".wrangler"), { recursive: true });
  moduleDir = mkdtempSync(join(PROJECT_DIR, ".wrangler", "client-page-"));
  runtime = await startRuntime({ port: 0, stateDir, vars: {} });
});

afterAll(async () => {
  await runtime.stop();
  rmSync(stateDir, { recursive: true });
  rmSync(moduleDir, { recursive: true });
});

test("the code of the page compiles, and prints what the page says", () => {
  const code = blocks("ts")
    .join("\n")
    .replaceAll('"keyframe-streams/client"', '"../../src/client/client.ts"')
    .replaceAll('"./operators/credits.ts"', '"../../src/operators/credits.ts"')
    .replaceAll("http://127.0.0.1:8787", runtime.url)
    .replaceAll(/token: "[^"]*"/g, 'token: "none-is-set"');
  expect(blocks("ts").length).toBeGreaterThan(8);
  const file = join(moduleDir, "page.ts");
  writeFileSync(file, `${code}\nexport { audit, follow };\n`);
  const options = { extends: "../../tsconfig.base.json", compilerOptions: { types: ["node"] }, files: ["page.ts"] };
  writeFileSync(join(moduleDir, "tsconfig.json"), JSON.stringify(options));
  const tsc = spawnSync(projectNode(), [join(PROJECT_DIR, "node_modules/typescript/bin/tsc"), "-p", moduleDir]);
  expect(tsc.stdout.toString() + tsc.stderr.toString()).toBe("");
  expect(tsc.status).toBe(0);

  const ran = spawnSync(projectNode(), [file], { env: { ...process.env, NO_COLOR: "1" } });
  expect(ran.stderr.toString()).toBe("");
  expect(ran.stdout.toString()).toBe(blocks("text").join(""));
  expect(ran.status).toBe(0);
});
