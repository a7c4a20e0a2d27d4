/*
 * One wrangler command, run under a guard, with a private place for everything it would leave elsewhere.
 *
 * 1. It sends nothing home and asks nothing of the network, so that it works offline and in CI.
 * 2. No process of it outlives the process that started it (see guard.ts).
 * 3. It is the project's own Node that runs it: wrangler needs a newer one than the machine may have.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { stripVTControlCharacters } from "node:util";
import { killRuntime, listProcesses, type RuntimeIdentity, runtimeProcesses, sendSignal } from "./processes.ts";

export interface WranglerOptions {
  cwd: string;
  /** For temporary files and wrangler's registry of running Workers; the caller clears it away. */
  privateDir: string;
  /**
   * "own": a process group of its own. "shared": the caller's, so that a signal to that group, as from a
   * terminal or from a supervisor, reaches all at once.
   */
  group: "own" | "shared";
  onLine?: (line: string) => void;
}

/** What is kept of the output for an error message. */
const LAST_LINES = 40;
const STOP_MS = 5_000;
const LAST_OUTPUT_MS = 100;

const GUARD = fileURLToPath(new URL("guard.ts", import.meta.url));
export const WRANGLER = fileURLToPath(import.meta.resolve("wrangler"));

export class Wrangler {
  readonly pid: number;
  /** The exit status of the command; 1 if it was killed. */
  readonly exited: Promise<number>;
  readonly #identity: RuntimeIdentity;
  readonly #lines: string[] = [];
  #gone = false;

  constructor(args: string[], options: WranglerOptions) {
    const guard = spawn(projectNode(), [GUARD, projectNode(), "--no-warnings", WRANGLER, ...args], {
      cwd: options.cwd,
      env: environment(options.privateDir),
      stdio: ["pipe", "pipe", "pipe"],
      detached: options.group === "own",
    });
    guard.on("error", (error) => this.#lines.push(error.message));
    if (guard.pid === undefined) throw new Error(`can't start ${projectNode()}`);
    this.pid = guard.pid;
    this.#identity = identityOf(this.pid, options.group);
    this.#collect(guard, options.onLine);
    this.exited = exitOf(guard);
  }

  /** The newest lines of its output, for an error message. */
  lastLines(): string {
    return this.#lines.join("\n");
  }

  pids(): number[] {
    return this.#gone ? [] : runtimeProcesses(this.#identity).map((p) => p.pid);
  }

  /** SIGKILL to every process; resolves when all are gone, with how many they were. */
  async kill(): Promise<number> {
    // Once all are gone their ids may belong to others.
    if (this.#gone) return 0;
    // A stopped group can neither fork nor answer another request while its members are killed one by one.
    if (this.#identity.ownsGroup) sendSignal(-this.pid, "SIGSTOP");
    const killed = await killRuntime(this.#identity);
    this.#gone = true;
    await this.exited;
    return killed;
  }

  /** SIGTERM, and SIGKILL to what has not ended within five seconds. */
  async stop(): Promise<void> {
    if (this.#gone) return;
    sendSignal(this.pid, "SIGTERM");
    const patience = new AbortController();
    const late = sleep(STOP_MS, undefined, { signal: patience.signal }).catch(() => undefined);
    await Promise.race([this.exited, late]);
    patience.abort();
    await this.kill();
  }

  #collect(guard: ChildProcess, onLine: ((line: string) => void) | undefined): void {
    for (const stream of [guard.stdout, guard.stderr]) {
      if (stream === null) continue;
      const isNoise = noiseFilter();
      createInterface({ input: stream }).on("line", (coloured) => {
        const line = stripVTControlCharacters(coloured).trimEnd();
        if (line === "" || isNoise(line)) return;
        this.#lines.push(line);
        if (this.#lines.length > LAST_LINES) this.#lines.shift();
        onLine?.(line);
      });
    }
  }
}

/** The Node that runs this if it is new enough, else the one that the project brings. */
export function projectNode(): string {
  const major = Number(process.versions.node.split(".")[0]);
  return major >= 22 ? process.execPath : fileURLToPath(new URL("../../node_modules/.bin/node", import.meta.url));
}

/** What wrangler says at every start, over several lines: that cron triggers have to be fired by hand. */
function noiseFilter(): (line: string) => boolean {
  let noise = false;
  return (line) => {
    if (line.includes("Scheduled Workers are not automatically triggered")) noise = true;
    else if (/\[wrangler:|^[▲✘⎔]/.test(line)) noise = false;
    // The notice ends with its link. Without this, what the app itself prints next would be taken for a part of it.
    const drop = noise;
    if (line.includes("For more details, see")) noise = false;
    return drop;
  };
}

function identityOf(guard: number, group: "own" | "shared"): RuntimeIdentity {
  if (group === "own") return { guard, group: guard, ownsGroup: true };
  const self = listProcesses().find((p) => p.pid === process.pid);
  return { guard, group: self?.group ?? guard, ownsGroup: false };
}

/** Its last output may follow the exit; but a descendant that holds the pipe open must not keep us waiting. */
function exitOf(guard: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    guard.once("close", (code) => resolve(code ?? 1));
    guard.once("exit", (code) => setTimeout(resolve, LAST_OUTPUT_MS, code ?? 1));
  });
}

function environment(privateDir: string): NodeJS.ProcessEnv {
  const temporary = join(privateDir, "tmp");
  const registry = join(privateDir, "registry");
  for (const directory of [temporary, registry]) mkdirSync(directory, { recursive: true });
  return {
    ...process.env,
    CI: "1",
    NODE_ENV: undefined, // It would go into the bundle: under a test runner the app is the one that users get.
    TMPDIR: temporary,
    // Two runtimes of one Worker name would otherwise overwrite each other's entry.
    WRANGLER_REGISTRY_PATH: registry,
    WRANGLER_HIDE_BANNER: "true", // and with it the look for a newer version
    WRANGLER_SEND_METRICS: "false",
    WRANGLER_SEND_ERROR_REPORTS: "false",
    WRANGLER_WRITE_LOGS: "false",
    CLOUDFLARE_CF_FETCH_ENABLED: "false",
    X_LOCAL_EXPLORER: "false",
    X_LOCAL_OBSERVABILITY: "false",
  };
}
