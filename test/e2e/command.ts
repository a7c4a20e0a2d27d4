/*
 * One of the project's commands, started as a user or a supervisor starts it, with its output at hand.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { PROJECT_DIR } from "../../src/local/config.ts";
import { listProcesses, sendSignal } from "../../src/local/processes.ts";

const POLL_MS = 20;
export const PATIENCE_MS = 300_000;

export class Command {
  readonly exited: Promise<number | null>;
  stdout = "";
  stderr = "";
  readonly #child: ChildProcess;

  /** In a process group of its own. */
  constructor(command: string, args: string[], env: Record<string, string>) {
    this.#child = spawn(command, args, {
      cwd: PROJECT_DIR,
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => (this.stdout += text));
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.stderr += text));
    this.exited = new Promise((resolve, reject) => {
      this.#child.once("error", reject);
      this.#child.once("exit", (code) => resolve(code));
    });
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error("it did not start");
    return this.#child.pid;
  }

  /** Resolves with the first line of standard output that matches. */
  async line(pattern: RegExp): Promise<string> {
    let found: string | undefined;
    await until(() => {
      found = this.stdout.split("\n").find((line) => pattern.test(line));
      return found !== undefined;
    }).catch(() => undefined);
    if (found === undefined) throw new Error(`no line like ${pattern.source} in:\n${this.stdout}\n${this.stderr}`);
    return found;
  }

  /** The process and all that it started, as far as they are in its group. */
  processes(): { pid: number; name: string; parent: number }[] {
    return listProcesses().filter((p) => p.group === this.pid);
  }

  killGroup(): void {
    sendSignal(-this.pid, "SIGKILL");
  }
}

/** Waits for minutes, since a machine that is busy with other things is no failure. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  patienceMs: number = PATIENCE_MS,
): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (performance.now() < deadline) {
    if (await condition()) return;
    await sleep(POLL_MS);
  }
  throw new Error(`not within ${patienceMs} ms`);
}
