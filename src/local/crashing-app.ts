/*
 * The app on a free port and an empty store, with a crash that may be asked for while requests are under way.
 *
 * 1. A crash is SIGKILL to every process of the runtime; the start after it uses the same port and store.
 * 2. `whenUp` resolves when no crash is under way: what a client waits for before it sends again.
 * 3. After `remove` neither a process nor a file is left, also where it is called in the middle of a start.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { listProcesses } from "./processes.ts";
import { type Runtime, startRuntime } from "./runtime.ts";

/** Another app than the project's own, and its variables. */
interface CrashingAppOptions {
  configPath?: string;
  vars?: Record<string, string>;
}

export class CrashingApp {
  readonly stateDir = mkdtempSync(join(tmpdir(), "keyframe-crashing-"));
  kills = 0;
  #runtime: Runtime | null = null;
  #up: Promise<void> = Promise.resolve();
  readonly #stop = new AbortController();
  readonly #options: CrashingAppOptions;

  constructor(options: CrashingAppOptions = {}) {
    this.#options = options;
  }

  async start(): Promise<void> {
    this.#up = this.#start(0);
    await this.#up;
  }

  url(): string {
    if (this.#runtime === null) throw new Error("the app was not started");
    return this.#runtime.url;
  }

  whenUp(): Promise<void> {
    return this.#up;
  }

  /** Kills, and starts again. `atKill` is told at the very moment. One crash after the other, if several are asked for. */
  crash(atKill: () => void): Promise<void> {
    this.#up = this.#up.then(() => this.#kill(atKill));
    this.#up.catch(() => undefined); // Thrown to whoever awaits it.
    return this.#up;
  }

  async #kill(atKill: () => void): Promise<void> {
    const runtime = this.#runtime;
    if (runtime === null) throw new Error("the app was not started");
    atKill();
    await runtime.kill();
    this.kills += 1;
    await this.#start(runtime.port);
  }

  async #start(port: number): Promise<void> {
    const { stateDir } = this;
    this.#runtime = await startRuntime({ port, stateDir, vars: {}, ...this.#options, signal: this.#stop.signal });
  }

  /** Ends everything, removes the store, and resolves with the processes that should not be there any more. */
  async remove(): Promise<number[]> {
    this.#stop.abort();
    await this.#up.catch(() => undefined);
    const pids = new Set(this.#runtime?.pids());
    await this.#runtime?.stop();
    rmSync(this.stateDir, { recursive: true, force: true });
    return listProcesses()
      .map((p) => p.pid)
      .filter((pid) => pids.has(pid));
  }
}
