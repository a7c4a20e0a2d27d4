/*
 * `npm run dev`: the app on http://127.0.0.1:PORT (default 8787), its data in STATE_DIR (default .wrangler/state).
 *
 * 1. Standard output carries one line, `Ready on …`, once the app serves. Warnings and errors go to standard error.
 * 2. SIGINT and SIGTERM end every process with status 0. If the runtime dies, the status is not 0.
 * 3. Under npm it ends when the shell that npm started it in ends.
 * 4. The runtime shares this process's group: kill -9 of the group is a crash of everything at one moment.
 */
import { join } from "node:path";
import { writeDashboard } from "./build-dashboard.ts";
import { PROJECT_DIR } from "./config.ts";
import { startRuntime } from "./runtime.ts";

const DEFAULT_PORT = 8787;
const ORPHAN_POLL_MS = 200;

process.exit(await dev());

async function dev(): Promise<number> {
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop.abort());
  if (process.env["npm_lifecycle_event"] !== undefined) whenOrphaned(() => stop.abort());
  try {
    return await serveUntil(stop.signal);
  } catch (error) {
    if (stop.signal.aborted) return 0;
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

async function serveUntil(stop: AbortSignal): Promise<number> {
  await writeDashboard();
  const runtime = await startRuntime({
    port: portOf(process.env["PORT"]),
    stateDir: process.env["STATE_DIR"] ?? join(PROJECT_DIR, ".wrangler", "state"),
    group: "shared",
    onLine: (line) => {
      // If esbuild is stopped during a rebuild, it prints stacks that need no action.
      if (!stop.aborted) process.stderr.write(`${line}\n`);
    },
    signal: stop,
  });
  process.stdout.write(`Ready on ${runtime.url}\n`);

  const stopped = new Promise<"stopped">((resolve) => {
    if (stop.aborted) resolve("stopped");
    stop.addEventListener("abort", () => resolve("stopped"));
  });
  const end = await Promise.race([stopped, runtime.exited]);
  await runtime.stop();
  if (end === "stopped") return 0;
  throw new Error(`the runtime ended with status ${end}:\n${runtime.lastLines()}`);
}

function portOf(text: string | undefined): number {
  if (text === undefined || text === "") return DEFAULT_PORT;
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new Error(`PORT=${text} is not a port`);
  return port;
}

/** SIGTERM to `npm run` ends the shell between npm and this process. The new parent is the only sign of that. */
function whenOrphaned(then: () => void): void {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    then();
  }, ORPHAN_POLL_MS);
  timer.unref();
}
