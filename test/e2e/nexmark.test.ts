/** `npm run nexmark` over all queries at once: in order, and out of order with duplicates and a kill. */
import { afterEach, expect, test } from "vitest";
import { queries } from "../../examples/nexmark/queries.ts";
import { listProcesses } from "../../src/local/processes.ts";
import { projectNode } from "../../src/local/wrangler.ts";
import { Command } from "./command.ts";

const SMALL = ["--query", "all", "--events", "4000", "--batch", "200", "--check"];
const SHUFFLED = ["--out-of-order-ms", "2000", "--delay-prob", "0.5", "--duplicate-prob", "0.2"];

let running: Command | null = null;
afterEach(() => running?.killGroup());

test("the rows are those of plain code, and the same however the events are delivered", async () => {
  const inOrder = await nexmark(SMALL);
  const shuffled = await nexmark([...SMALL, ...SHUFFLED, "--kills", "1"]);
  expect(shuffled.stderr.match(/kill -9/g)).toHaveLength(1);
  expect(shuffled.stdout).toBe(inOrder.stdout);
  const rows = inOrder.stdout.trimEnd().split("\n");
  const shown = new Set(rows.map((row) => (JSON.parse(row) as { query: number }).query));
  expect([...shown]).toEqual(queries.map(({ number }) => number));
});

test("a query that isn't there is named, with those that are", async () => {
  const command = new Command(projectNode(), ["examples/nexmark/main.ts", "--query", "6"], {});
  expect(await command.exited).toBe(2);
  expect(command.stderr).toMatch(/--query 6.*\n\n[^]*queries: 0 \(pass through\)/);
});

/** Runs the command to its end. */
async function nexmark(args: string[]): Promise<Command> {
  const command = new Command(projectNode(), ["examples/nexmark/main.ts", ...args], {});
  running = command;
  expect(await command.exited, command.stderr).toBe(0);
  expect(command.stderr.match(/all equal to those of plain code/g)).toHaveLength(queries.length);
  expect(listProcesses().filter((p) => p.group === command.pid)).toEqual([]);
  return command;
}
