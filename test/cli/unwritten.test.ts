/** O3: standard output that can't be written, in a process of its own, as a shell starts it. */
import { spawn } from "node:child_process";
import { existsSync, openSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";
import { projectNode } from "../../src/local/wrangler.ts";

const MAIN = path.join(import.meta.dirname, "../../src/cli/main.ts");

/** Runs a command whose standard output is `out`; "closed": a pipe that nobody reads. */
async function ended(
  out: number | "closed",
  ...args: string[]
): Promise<readonly [status: number | null, err: string]> {
  const child = spawn(projectNode(), [MAIN, ...args], { stdio: ["ignore", out === "closed" ? "pipe" : out, "pipe"] });
  child.stdout?.destroy();
  let err = "";
  child.stderr!.setEncoding("utf8").on("data", (text: string) => (err += text));
  const status = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return [status, err];
}

const MINUTES_MS = 180_000;

// Of Linux.
it.runIf(existsSync("/dev/full")).each([["cost", "--page"], ["help"]])(
  "a full disk: status 2 and the reason, without a stack: %s",
  async (...args) => {
    const [status, err] = await ended(openSync("/dev/full", "w"), ...args.filter((arg) => arg !== undefined));
    expect(status).toBe(2);
    expect(err).toMatch(/^(.*\n)*keyframe: standard output can't be written: .*ENOSPC.*\n$/);
    expect(err).not.toMatch(/^ +at /m);
  },
  MINUTES_MS,
);

it(
  "a reader that has gone: status 2 without a word",
  async () => expect(await ended("closed", "cost", "--page")).toEqual([2, ""]),
  MINUTES_MS,
);
