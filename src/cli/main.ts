#!/usr/bin/env node
/**
 * `npx keyframe-streams …`: the process around the command line (cli.ts). docs/reference/cli.md has an example of each
 * command.
 */
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { runCli } from "./cli.ts";
import { Screen } from "./screen.ts";

process.exitCode = await runCli(process.argv.slice(2), {
  screen: new Screen(process.stdout, process.stderr),
  env: process.env,
  stdin: () => text(process.stdin),
  confirm: process.stdin.isTTY && process.stderr.isTTY ? confirm : null,
});

async function confirm(question: string): Promise<boolean> {
  process.stderr.write(question);
  for await (const line of createInterface({ input: process.stdin })) return /^y(es)?$/i.test(line.trim());
  return false;
}
