import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { getJson, postLines } from "../../src/local/client.ts";
import { sendSignal } from "../../src/local/processes.ts";
import { projectNode } from "../../src/local/wrangler.ts";
import { freePort } from "../../src/local/runtime.ts";
import { Command, until } from "./command.ts";

/** How soon nothing may be left after a signal. */

const stateDir = mkdtempSync(join(tmpdir(), "keyframe-e2e-"));
const started: Command[] = [];
let port = 0;

beforeAll(async () => {
  port = await freePort();
});
afterEach(() => {
  for (const command of started.splice(0)) command.killGroup();
});
afterAll(() => rmSync(stateDir, { recursive: true, force: true }));

test("one line on standard output, and status 0 with no process left after SIGTERM", async () => {
  const dev = await startDev();
  expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200);
  sendSignal(dev.pid, "SIGTERM");
  expect(await dev.exited).toBe(0);
  expect(dev.stdout).toBe(`Ready on http://127.0.0.1:${port}\n`);
  expect(dev.stderr).toBe("");
  expect(dev.processes()).toEqual([]);
});

test("kill -9 of npm's process group, and the next start on the same port and store has everything", async () => {
  const first = await startNpmRunDev();
  const event = `{"id":"dev-1","type":"credits.bought","data":{"account":"dev","n":3}}`;
  expect(await postLines(`http://127.0.0.1:${port}`, [event])).toMatchObject({ accepted: 1 });
  first.killGroup();

  await startNpmRunDev();
  expect(await postLines(`http://127.0.0.1:${port}`, [event])).toMatchObject({ accepted: 0, duplicates: 1 });
  const state = await getJson(`http://127.0.0.1:${port}/v1/operators/credits/state?key=dev`);
  expect(state).toMatchObject({ value: { left: 3 } });
});

test("SIGTERM to npm leaves no process", async () => {
  const npm = await startNpmRunDev();
  sendSignal(npm.pid, "SIGTERM");
  await until(() => npm.processes().length === 0);
});

test("SIGKILL to the command alone leaves no process", async () => {
  const dev = await startDev();
  sendSignal(dev.pid, "SIGKILL");
  await until(() => dev.processes().length === 0);
});

test("a runtime that dies ends the command, with a status that is not 0 and no process left", async () => {
  const dev = await startDev();
  const wrangler = dev.processes().find((p) => dev.processes().some((w) => w.name === "workerd" && w.parent === p.pid));
  expect(wrangler).toBeDefined();
  if (wrangler !== undefined) sendSignal(wrangler.pid, "SIGKILL");
  expect(await dev.exited).toBe(1);
  expect(dev.stderr).toContain("the runtime ended");
  expect(dev.processes()).toEqual([]);
});

test("a PORT that is no port is refused", async () => {
  const dev = track(new Command(projectNode(), ["src/local/dev.ts"], { PORT: "http", STATE_DIR: stateDir }));
  expect(await dev.exited).toBe(1);
  expect(dev.stderr).toContain("PORT=http is not a port");
});

async function startDev(): Promise<Command> {
  return ready(track(new Command(projectNode(), ["src/local/dev.ts"], environment())));
}

async function startNpmRunDev(): Promise<Command> {
  return ready(track(new Command("npm", ["run", "dev"], environment())));
}

function environment(): Record<string, string> {
  return { PORT: String(port), STATE_DIR: stateDir };
}

async function ready(command: Command): Promise<Command> {
  expect(await command.line(/^Ready on /)).toBe(`Ready on http://127.0.0.1:${port}`);
  return command;
}

function track(command: Command): Command {
  started.push(command);
  return command;
}
