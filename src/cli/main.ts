#!/usr/bin/env node
/**
 * `npx keyframe-streams …`: the process around the command line (cli.ts). docs/reference/cli.md has what its
 * help leaves out.
 */
import { text } from "node:stream/consumers";
import { runCli } from "./cli.ts";
import { confirmed } from "./confirm.ts";
import { Screen } from "./screen.ts";

process.exitCode = await runCli(process.argv.slice(2), {
  screen: new Screen(process.stdout, process.stderr),
  env: process.env,
  stdin: () => text(process.stdin),
  confirm:
    process.stdin.isTTY && process.stderr.isTTY
      ? (question) => confirmed(question, process.stdin, process.stderr)
      : null,
});
