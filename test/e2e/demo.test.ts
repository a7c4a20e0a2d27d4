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

test("npm run demo -- timelines ends with status 0, and every count agrees", async () => {
  demo = new Command(projectNode(), ["src/local/demo-main.ts", "timelines"], {});
  const status = await demo.exited;
  expect(status, demo.stdout + demo.stderr).toBe(0);
  expect(demo.stderr).toBe("");
  const counts = [...demo.stdout.matchAll(/(\d+) of (\d+) airports as counted/g)];
  expect(counts.length).toBeGreaterThan(7);
  expect(counts.filter(([, equal, all]) => equal !== all)).toEqual([]);
  const typed = [...demo.stdout.matchAll(/^ +\$ +keyframe (\w+)/gm)].map(([, command]) => command);
  expect(typed).toEqual(["reprocess", "promote", "rollback", "rollback"]);
  expect(demo.stdout).toMatch(/\d+ airports differ from main@now to reprocess-\S+, as counted by hand/);
  expect(demo.stdout.trimEnd().split("\n").at(-1)).toBe("All counts agree.");
  expect(listProcesses().filter((p) => p.group === demo?.pid)).toEqual([]);
});
