/*
 * The app on a free port and an empty store, with a crash that may be asked for while requests are under way.
 *
 * 1. A crash is SIGKILL to every process of the runtime; the start after it uses the same port and store.
 * 2. `whenUp` resolves when no crash is under way: what a client waits for before it sends again.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { listProcesses } from "../../src/local/processes.ts";
import { type Runtime, startRuntime } from "../../src/local/runtime.ts";

export class CrashingApp {
  readonly stateDir = mkdtempSync(join(tmpdir(), "keyframe-e2e-"));
  kills = 0;
  #runtime: Runtime | null = null;
  #up: Promise<void> = Promise.resolve();

  async start(): Promise<void> {
    this.#runtime = await startRuntime({ port: 0, stateDir: this.stateDir, vars: {} });
  }

  url(): string {
    if (this.#runtime === null) throw new Error("the app was not started");
    return this.#runtime.url;
  }

  whenUp(): Promise<void> {
    return this.#up;
  }

  /** Kills after `delayMs`, starts again, and runs `afterwards`. One crash after the other, if several are asked for. */
  crash(delayMs = 0, afterwards?: () => Promise<void>): Promise<void> {
    this.#up = this.#up.then(() => this.#crash(delayMs, afterwards));
    this.#up.catch(() => undefined); // Thrown to whoever awaits it.
    return this.#up;
  }

  /** Ends everything, removes the store, and resolves with the processes that should not be there any more. */
  async remove(): Promise<number[]> {
    await this.#up.catch(() => undefined);
    const pids = new Set(this.#runtime?.pids());
    await this.#runtime?.stop();
    rmSync(this.stateDir, { recursive: true, force: true });
    return listProcesses()
      .map((p) => p.pid)
      .filter((pid) => pids.has(pid));
  }

  async #crash(delayMs: number, afterwards: (() => Promise<void>) | undefined): Promise<void> {
    const runtime = this.#runtime;
    if (runtime === null) throw new Error("the app was not started");
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    await runtime.kill();
    this.kills += 1;
    this.#runtime = await startRuntime({ port: runtime.port, stateDir: this.stateDir, vars: {} });
    await afterwards?.();
  }
}
