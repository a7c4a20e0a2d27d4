/** `keyframe cost`: the bill of a load, and the table of docs/reference/costs.md. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";
import type { Bill } from "../../src/cost/cost.ts";
import { run } from "./run.ts";

const cells = (line: string): string[] =>
  line
    .split("|")
    .slice(1, -1)
    .map((cell) => cell.trim());

it("prints the table that docs/reference/costs.md shows", async () => {
  const page = readFileSync(path.join(import.meta.dirname, "../../docs/reference/costs.md"), "utf8");
  const { status, out } = await run(["cost", "--page"]);
  expect(status).toBe(0);
  const [head, , ...rows] = out.map(cells);
  const lines = page
    .split("\n")
    .filter((line) => line.startsWith("|"))
    .map(cells);
  const at = lines.findIndex((line) => line[0] === head![0]);
  expect(lines[at]).toEqual(head);
  expect(lines.slice(at + 2, at + 2 + rows.length)).toEqual(rows);
  expect(rows.map(([rate, batch]) => `${rate}/${batch}`)).toEqual([
    "1/1",
    "1/100",
    "100/1",
    "100/100",
    "10,000/1",
    "10,000/100",
    "10,000/1,000",
  ]);
});

it("lists what is billed, for people and for programs, and warns", async () => {
  const args = ["cost", "--rate", "3000", "--every", "1m", "--commit", "10ms"];
  const shown = await run(args);
  expect(shown.status).toBe(0);
  expect(shown.out[0]).toMatch(/^A MONTH +AMOUNT/);
  expect(shown.err).toContain("use 6 partitions, or larger batches");
  const { out } = await run([...args, "--json"]);
  const bill = JSON.parse(out[0]!) as Bill;
  expect(bill.lines.find(({ meter }) => meter === "workerRequests")).toMatchObject({ amount: 3_000 * 30 * 86_400 });
  expect(bill.warnings).toHaveLength(1);
});

it.each([
  ["--rate", "0"],
  ["--rate", "-1"],
  ["--rate", "x"],
  ["--partitions", "1.5"],
  ["--every", "5"],
  ["--batch", "Infinity"],
])("%s %s can't be estimated", async (option, value) => {
  const { status, out, err } = await run(["cost", `${option}=${value}`]);
  expect([status, out]).toEqual([2, []]);
  expect(err).toContain(option);
});
