/** docs/guides/rollback.md: its commands run in order, and print what the page says (console.ts). */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildCli } from "../../src/local/build-cli.ts";
import { PROJECT_DIR } from "../../src/local/config.ts";
import { type Runtime, startRuntime } from "../../src/local/runtime.ts";
import { blocksOf, commandsOf, patternOf, Terminal } from "./console.ts";

const folder = mkdtempSync(join(tmpdir(), "keyframe-rollback-"));
const bin = join(folder, "keyframe.mjs");
const terminal = new Terminal(folder, `npx() { shift; ${process.execPath} ${bin} "$@"; }`);
const page = readFileSync(join(PROJECT_DIR, "docs/guides/rollback.md"), "utf8");
const steps = blocksOf(page).flatMap(({ kind, text }) => (kind === "console" ? commandsOf(text) : []));
let app: Runtime;

beforeAll(async () => {
  await buildCli(bin);
  app = await startRuntime({ port: 0, stateDir: join(folder, "state"), vars: {} });
});

afterAll(async () => {
  await app.stop();
  rmSync(folder, { recursive: true, force: true });
});

test("the page promotes a timeline, and undoes that", () => {
  const commands = steps.map(({ command }) => command);
  expect(commands.filter((command) => / promote fix| rollback --undo/.test(command))).toHaveLength(2);
});

test("what it says is what happens", async () => {
  for (const { command, prints } of steps)
    expect(await terminal.run(command, { KEYFRAME_URL: app.url }), `$ ${command}`).toMatch(patternOf(prints));
});
