/*
 * The process between a script and the command it runs: `node guard.ts COMMAND ARG…`.
 *
 * 1. Standard input is a pipe that the owner holds open and never writes to. When the pipe ends, the owner is gone,
 *    however it died, and the guard kills every process below it.
 * 2. When the command ends, the guard kills the processes that it left behind, and exits with its status.
 * 3. The guard passes SIGTERM, SIGINT and SIGHUP on, so that the command may end in its own way.
 */
import { spawn } from "node:child_process";
import { killRuntimeSync, listProcesses, type RuntimeIdentity } from "./processes.ts";

const identity = identify();
const [command = "", ...args] = process.argv.slice(2);
const child = spawn(command, args, { stdio: ["ignore", "inherit", "inherit"] });

child.on("error", (error) => end(1, `${command}: ${error.message}`));
child.on("exit", (code, signal) => end(code ?? 1, signal === null ? undefined : `ended by ${signal}`));
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => child.kill(signal));

process.stdin.on("close", () => end(1));
process.stdin.on("error", () => end(1));
process.stdin.resume();

function end(status: number, message?: string): never {
  killRuntimeSync(identity);
  if (message !== undefined) process.stderr.write(`${message}\n`);
  process.exit(status);
}

function identify(): RuntimeIdentity {
  const self = listProcesses().find((p) => p.pid === process.pid);
  const group = self?.group ?? process.pid;
  return { guard: process.pid, group, ownsGroup: group === process.pid };
}
