/*
 * The app on this machine: starts `wrangler dev` on a port and a state directory, awaits it, and kills it.
 *
 * 1. When startRuntime resolves, the app answers /healthz, and no other app does: the port was free.
 * 2. One runtime at a time on a state directory. After a kill -9 of everything the next start waits until the remains
 *    are gone, which takes milliseconds, instead of failing.
 * 3. All files of the runtime besides the store itself are in STATE_DIR/keyframe, and each start removes them.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CONFIG_PATH, configuredDatabases } from "./config.ts";
import { Leftovers } from "./leftovers.ts";
import { listProcesses } from "./processes.ts";
import { Wrangler, type WranglerOptions } from "./wrangler.ts";

interface RuntimeOptions {
  /** The port, or 0 for a free one. */
  port: number;
  stateDir: string;
  configPath?: string;
  /** Variables and secrets for the Worker, in place of those in .dev.vars. */
  vars?: Record<string, string>;
  /** False leaves the databases as they are. */
  migrate?: boolean;
  /** See wrangler.ts. */
  group?: WranglerOptions["group"];
  onLine?: (line: string) => void;
  /** True if the lines include what the app logs, not only warnings of the runtime. */
  appLog?: boolean;
  /** Ends a start that is under way. */
  signal?: AbortSignal;
}

export interface Runtime {
  url: string;
  port: number;
  /** From the start of wrangler until the app answered. */
  startMs: number;
  /** The exit status, once the runtime has ended for whatever reason. */
  exited: Promise<number>;
  lastLines(): string;
  pids(): number[];
  /** SIGKILL to every process. Resolves with the number of processes when all are gone. */
  kill(): Promise<number>;
  /** SIGTERM, then SIGKILL. */
  stop(): Promise<void>;
}

/** A busy machine takes minutes. */
const READY_TIMEOUT_MS = 300_000;
const READY_POLL_MS = 25;
/** The limit for one probe's answer; the next poll asks again. */
const PROBE_TIMEOUT_MS = 30_000;
/** The time for which the remains of a killed runtime may hold the port or the state directory. */
const RELEASE_TIMEOUT_MS = 120_000;
const RELEASE_POLL_MS = 20;
const HOST = "127.0.0.1";

export async function startRuntime(options: RuntimeOptions): Promise<Runtime> {
  const place = placeOf(options);
  await stateReleased(place.pidFile, options.signal);
  const port = options.port === 0 ? await freePort() : options.port;
  await portReleased(port, options.signal);
  rmSync(place.privateDir, { recursive: true, force: true });
  mkdirSync(place.privateDir, { recursive: true });
  if (options.migrate !== false) await migrate(place, options);
  return serve(place, port, options);
}

/** Whether nobody listens on the port. */
export async function portIsFree(port: number): Promise<boolean> {
  return (await listenOnce(port)) !== null;
}

interface Place {
  configPath: string;
  stateDir: string;
  privateDir: string;
  pidFile: string;
  leftoversFile: string;
  markerFile: string;
}

function placeOf(options: RuntimeOptions): Place {
  const stateDir = resolve(options.stateDir);
  return {
    configPath: resolve(options.configPath ?? CONFIG_PATH),
    stateDir,
    privateDir: join(stateDir, "keyframe", "run"),
    pidFile: join(stateDir, "keyframe", "pid"),
    leftoversFile: join(stateDir, "keyframe", "leftovers"),
    markerFile: join(stateDir, "keyframe", "migrations"),
  };
}

async function serve(place: Place, port: number, options: RuntimeOptions): Promise<Runtime> {
  const startedAt = performance.now();
  const leftovers = new Leftovers(dirname(place.configPath), place.leftoversFile);
  const wrangler = launch(["dev", ...devFlags(place, port, options)], place, options);
  const kill = async (): Promise<number> => {
    const killed = await wrangler.kill();
    leftovers.clear();
    return killed;
  };
  const stop = async (): Promise<void> => {
    await wrangler.stop();
    leftovers.clear();
  };
  const url = `http://${HOST}:${port}`;
  try {
    await ready(url, wrangler, options.signal);
  } catch (error) {
    await kill();
    throw error;
  }
  leftovers.claim();
  const startMs = performance.now() - startedAt;
  const { exited } = wrangler;
  return { url, port, startMs, exited, lastLines: () => wrangler.lastLines(), pids: () => wrangler.pids(), kill, stop };
}

function devFlags(place: Place, port: number, options: RuntimeOptions): string[] {
  const flags = ["--config", place.configPath, "--persist-to", place.stateDir, "--local", "--ip", HOST];
  // Port 0 for the inspector: any free one, since two runtimes would fight for the default.
  flags.push("--port", String(port), "--inspector-port", "0");
  flags.push("--show-interactive-dev-session=false", "--log-level", options.appLog === true ? "log" : "warn");
  if (options.vars !== undefined) flags.push("--env-file", writeVars(place, options.vars));
  return flags;
}

/** Writes a file, since every user of the machine could read a secret on the command line. */
function writeVars(place: Place, vars: Record<string, string>): string {
  const file = join(place.privateDir, "vars.env");
  const lines = Object.entries(vars).map(([name, value]) => `${name}=${JSON.stringify(value)}\n`);
  writeFileSync(file, lines.join(""), { mode: 0o600 });
  return file;
}

function launch(args: string[], place: Place, options: RuntimeOptions): Wrangler {
  const wrangler = new Wrangler(args, {
    cwd: dirname(place.configPath),
    privateDir: place.privateDir,
    group: options.group ?? "own",
    ...(options.onLine === undefined ? {} : { onLine: options.onLine }),
  });
  const guard = listProcesses().find((p) => p.pid === wrangler.pid);
  if (guard !== undefined) writeFileSync(place.pidFile, `${guard.pid} ${guard.started}`);
  return wrangler;
}

async function ready(url: string, wrangler: Wrangler, signal: AbortSignal | undefined): Promise<void> {
  let ended: number | undefined;
  void wrangler.exited.then((status) => (ended = status));
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (performance.now() < deadline) {
    signal?.throwIfAborted();
    if (ended !== undefined) throw new Error(`the runtime ended with status ${ended}:\n${wrangler.lastLines()}`);
    if (await answers(`${url}/healthz`)) return;
    await sleep(READY_POLL_MS);
  }
  throw new Error(`no answer from ${url}/healthz within ${READY_TIMEOUT_MS / 1000} s:\n${wrangler.lastLines()}`);
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) });
    await response.arrayBuffer();
    return response.status === 200;
  } catch {
    return false;
  }
}

/** Skips wrangler, which takes a second, if the marker says that these migrations were applied. */
async function migrate(place: Place, options: RuntimeOptions): Promise<void> {
  const databases = configuredDatabases(place.configPath);
  const wanted = fingerprint(databases);
  // If the databases are gone, or a later wrangler keeps them elsewhere, ignore the marker.
  if (existsSync(join(place.stateDir, "v3", "d1")) && wanted === readIfThere(place.markerFile)) return;
  rmSync(place.markerFile, { force: true });
  for (const { binding } of databases) {
    options.signal?.throwIfAborted();
    const flags = ["--config", place.configPath, "--local", "--persist-to", place.stateDir];
    const wrangler = launch(["d1", "migrations", "apply", binding, ...flags], place, { ...options, onLine: ignore });
    const abort = (): void => void wrangler.kill();
    options.signal?.addEventListener("abort", abort);
    const status = await wrangler.exited;
    options.signal?.removeEventListener("abort", abort);
    options.signal?.throwIfAborted();
    if (status !== 0) throw new Error(`migrations of ${binding} failed:\n${wrangler.lastLines()}`);
  }
  writeFileSync(place.markerFile, wanted);
}

function fingerprint(databases: ReturnType<typeof configuredDatabases>): string {
  const hash = createHash("sha256");
  for (const { binding, name, migrationsDir } of databases) {
    hash.update(JSON.stringify([binding, name]));
    for (const file of readdirSync(migrationsDir).sort()) {
      if (file.endsWith(".sql")) hash.update(JSON.stringify([file, readFileSync(join(migrationsDir, file), "utf8")]));
    }
  }
  return hash.digest("hex");
}

function ignore(): void {}

function readIfThere(file: string): string | null {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return null;
  }
}

/** Waits for the runtime before this one. Two at once on the same SQLite files would corrupt them. */
async function stateReleased(pidFile: string, signal: AbortSignal | undefined): Promise<void> {
  const owner = readIfThere(pidFile);
  if (owner === null) return;
  const free = (): boolean => !listProcesses().some((p) => `${p.pid} ${p.started}` === owner);
  if (await until(free, signal)) return;
  throw new Error(`process ${owner.split(" ")[0]} uses this state directory`);
}

async function portReleased(port: number, signal: AbortSignal | undefined): Promise<void> {
  if (await until(() => portIsFree(port), signal)) return;
  throw new Error(`port ${port} is in use`);
}

async function until(condition: () => boolean | Promise<boolean>, signal: AbortSignal | undefined): Promise<boolean> {
  const deadline = performance.now() + RELEASE_TIMEOUT_MS;
  while (performance.now() < deadline) {
    signal?.throwIfAborted();
    if (await condition()) return true;
    await sleep(RELEASE_POLL_MS);
  }
  return false;
}

export async function freePort(): Promise<number> {
  const port = await listenOnce(0);
  if (port === null) throw new Error("no free port");
  return port;
}

/** Returns the port that it could listen on, or null. */
function listenOnce(port: number): Promise<number | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(null));
    server.listen({ port, host: HOST, exclusive: true }, () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
