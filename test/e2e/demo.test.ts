import { afterEach, expect, test } from "vitest";
import { listProcesses } from "../../src/local/processes.ts";
import { projectNode } from "../../src/local/wrangler.ts";
import { Command } from "./command.ts";

let demo: Command | null = null;
afterEach(() => demo?.killGroup());

test("npm run demo -- --once ends with status 0 and every airport equal", async () => {
  demo = new Command(projectNode(), ["src/local/demo.ts", "--once"], { PORT: "0" });
  const status = await demo.exited;
  const lines = demo.stdout.trimEnd().split("\n");
  expect(status, demo.stdout + demo.stderr).toBe(0);
  expect(lines.at(-1)).toMatch(/^(\d+) of \1 airports equal, 0 lost, 0 doubled, first answer after [\d.]+ m?s$/);
  expect(demo.stderr).toBe("");
  expect(lines.some((line) => line.includes("kill -9"))).toBe(true);
  expect(listProcesses().filter((p) => p.group === demo?.pid)).toEqual([]);
});
