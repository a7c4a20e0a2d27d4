/*
 * One wrangler command, run under a guard, with a private directory for all files that it would leave elsewhere.
 *
 * 1. The command sends no metrics and needs no network, so that it works offline and in CI.
 * 2. No process of the command outlives the process that started it (guard.ts).
 * 3. The project's own Node runs the command: wrangler may need a newer Node than the machine has.
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
  /** Holds temporary files and wrangler's registry of running Workers. The caller removes it. */
  privateDir: string;
  /**
   * "own": a process group of its own. "shared": the caller's group, so that a signal to it, as from a terminal or a
   * supervisor, reaches all processes at once.
   */
  group: "own" | "shared";
  onLine?: (line: string) => void;
}

/** Lines of output that are kept for an error message. */
const LAST_LINES = 40;
const STOP_MS = 5_000;
const LAST_OUTPUT_MS = 100;

const GUARD = fileURLToPath(new URL("guard.ts", import.meta.url));
export const WRANGLER = fileURLToPath(import.meta.resolve("wrangler"));

export class Wrangler {
  readonly pid: number;
  /** The exit status of the command, or 1 if it was killed. */
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

  /** SIGKILL to every process. Resolves with the number of processes when all are gone. */
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

  /** SIGTERM, and after five seconds SIGKILL to each process that is left. */
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

/** The Node that runs this if it is new enough, or else the project's own. */
export function projectNode(): string {
  const major = Number(process.versions.node.split(".")[0]);
  return major >= 22 ? process.execPath : fileURLToPath(new URL("../../node_modules/.bin/node", import.meta.url));
}

/** Drops wrangler's notice at every start, over several lines, that cron triggers have to be fired by hand. */
function noiseFilter(): (line: string) => boolean {
  let noise = false;
  return (line) => {
    if (line.includes("Scheduled Workers are not automatically triggered")) noise = true;
    else if (/\[wrangler:|^[▲✘⎔]/.test(line)) noise = false;
    // The notice ends with its link. Without this check, the app's next output would count as a part of the notice.
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

/** The last output may follow the exit, but a descendant that holds the pipe open must not delay the result. */
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
    NODE_ENV: undefined, // The bundle would contain it: under a test runner the app is the one that users get.
    TMPDIR: temporary,
    // Two runtimes of one Worker name would otherwise overwrite each other's entry.
    WRANGLER_REGISTRY_PATH: registry,
    WRANGLER_HIDE_BANNER: "true", // also skips the look for a newer version
    WRANGLER_SEND_METRICS: "false",
    WRANGLER_SEND_ERROR_REPORTS: "false",
    WRANGLER_WRITE_LOGS: "false",
    CLOUDFLARE_CF_FETCH_ENABLED: "false",
    X_LOCAL_EXPLORER: "false",
    X_LOCAL_OBSERVABILITY: "false",
  };
}
