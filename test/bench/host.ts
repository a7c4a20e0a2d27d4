// One bundled Worker in one Miniflare, started directly and on a fresh directory: its HTTP socket belongs to workerd, so
// nothing of Node stands between a client and the Worker, and Node is idle while the load runs. Request logging is off,
// since it would call back into Node for every request.

import { execFileSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { build } from "esbuild";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { unstable_splitSqlQuery as statementsOf } from "wrangler";
import { atEnd } from "./ending.ts";

const WORKERS = path.join(import.meta.dirname, "workers");
const ROOT = path.join(import.meta.dirname, "../..");

/** The configuration that a Worker needs around it. */
export interface Setup {
  worker: string;
  objects?: Record<string, string>;
  d1?: { binding: string; schema: string };
  r2?: string;
  vars?: Record<string, number>;
}

export interface Host {
  url: URL;
  /** The process id of workerd. */
  pid: number;
  bundle: string;
  inspector: URL | undefined;
  count(sql: string): Promise<number>;
  stop(): Promise<void>;
}

export async function startHost(setup: Setup, { inspector = false } = {}): Promise<Host> {
  const directory = await mkdtemp(path.join(tmpdir(), "keyframe-bench-"));
  const bundle = await bundled(setup.worker);
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      name: "bench",
      modules: [{ type: "ESModule", path: "bench.mjs", contents: bundle }],
      ...(await compatibility()),
      bindings: setup.vars ?? {},
      durableObjects: Object.fromEntries(
        Object.entries(setup.objects ?? {}).map(([binding, className]) => [binding, { className, useSQLite: true }]),
      ),
      d1Databases: setup.d1 === undefined ? [] : [setup.d1.binding],
      r2Buckets: setup.r2 === undefined ? [] : [setup.r2],
      resourcePersistencePath: directory,
      host: "127.0.0.1",
      port: 0,
      cf: false,
      logRequests: false,
      ...(inspector ? { inspectorPort: 0 } : {}),
    }),
  );
  const stop = atEnd(async () => {
    await miniflare.dispose();
    await rm(directory, { recursive: true, force: true });
  });
  try {
    const url = await miniflare.ready;
    if (setup.d1 !== undefined) await migrate(miniflare, setup.d1);
    return {
      url,
      pid: workerdOf(process.pid),
      bundle,
      inspector: inspector ? await miniflare.getInspectorURL() : undefined,
      count: (sql) => count(miniflare, setup.d1?.binding, sql),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function bundled(worker: string): Promise<string> {
  const result = await build({
    entryPoints: [path.join(WORKERS, worker)],
    bundle: true,
    write: false,
    format: "esm",
    target: "es2024",
    platform: "neutral",
    mainFields: ["module", "main"],
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*", "node:*"],
    keepNames: false,
  });
  const file = result.outputFiles[0];
  if (file === undefined) throw new Error(`esbuild gave no output for ${worker}`);
  return file.text;
}

/** The date and flags that the app itself is deployed with. */
async function compatibility(): Promise<{ compatibilityDate: string; compatibilityFlags: string[] }> {
  const toml = await readFile(path.join(ROOT, "wrangler.toml"), "utf8");
  const date = /^compatibility_date = "([^"]+)"/m.exec(toml)?.[1];
  const flags = /^compatibility_flags = (\[[^\]]*\])/m.exec(toml)?.[1];
  if (date === undefined || flags === undefined) throw new Error("wrangler.toml has no compatibility_date or flags");
  return { compatibilityDate: date, compatibilityFlags: JSON.parse(flags) as string[] };
}

/** `schema` is one file, or a directory of migrations that apply in the order of their names. */
async function migrate(miniflare: Miniflare, { binding, schema }: { binding: string; schema: string }): Promise<void> {
  const database = await miniflare.getD1Database(binding);
  const place = path.join(ROOT, schema);
  const files = schema.endsWith(".sql")
    ? [place]
    : (await readdir(place))
        .filter((name) => name.endsWith(".sql"))
        .sort()
        .map((name) => path.join(place, name));
  for (const file of files) {
    const statements = statementsOf(await readFile(file, "utf8"));
    await database.batch(statements.map((statement) => database.prepare(statement)));
  }
}

async function count(miniflare: Miniflare, binding: string | undefined, sql: string): Promise<number> {
  if (binding === undefined) throw new Error("this system has no D1 database");
  const database = await miniflare.getD1Database(binding);
  return (await database.prepare(sql).first<number>("n")) ?? 0;
}

function workerdOf(parent: number): number {
  const rows = execFileSync("ps", ["-A", "-o", "pid=,ppid=,comm="], { encoding: "utf8" }).trim().split("\n");
  for (const row of rows) {
    const [pid, ppid, ...command] = row.trim().split(/\s+/);
    if (Number(ppid) === parent && command.join(" ").includes("workerd")) return Number(pid);
  }
  throw new Error("no workerd process under this one");
}
