/**
 * Watching over real connections, each a request of its own: the client and the command line against the app, and how
 * little it costs the object.
 */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { client, type OperatorClient, type Watched } from "../../src/client/client.ts";
import { buildCli } from "../../src/local/build-cli.ts";
import { CONFIG_PATH, PROJECT_DIR } from "../../src/local/config.ts";
import { startRuntime, type Runtime } from "../../src/local/runtime.ts";
import type { credits } from "../../src/operators/credits.ts";
import { until } from "./command.ts";

type Credits = OperatorClient<typeof credits>;
type Seen = Watched<{ left: number; taken: number }>;

const folder = mkdtempSync(join(tmpdir(), "keyframe-watch-"));
const bin = join(folder, "keyframe.mjs");
let configDir: string;
let app: Runtime;

const start = (port = 0): Promise<Runtime> =>
  startRuntime({ port, stateDir: join(folder, "state"), configPath: join(configDir, "wrangler.toml"), vars: {} });

beforeAll(async () => {
  await buildCli(bin);
  mkdirSync(join(PROJECT_DIR, ".wrangler"), { recursive: true });
  configDir = mkdtempSync(join(PROJECT_DIR, ".wrangler", "watch-"));
  const config = readFileSync(CONFIG_PATH, "utf8")
    .replace('main = "src/index.ts"', 'main = "../../test/worker/counting-app.ts"')
    .replaceAll('migrations_dir = "', 'migrations_dir = "../../');
  writeFileSync(join(configDir, "wrangler.toml"), config);
  app = await start();
});

afterAll(async () => {
  await app.stop();
  for (const directory of [folder, configDir]) rmSync(directory, { recursive: true, force: true });
});

const operator = (): Credits =>
  client({ url: app.url, retry: { firstMs: 20, mostMs: 200, overallMs: 90_000 } }).operator<typeof credits>("credits");
const buy = async (account: string, n = 1): Promise<void> => {
  expect(await operator().ask("credits.bought", { account, n })).toMatchObject({ tag: "applied" });
};
async function counted(key: string): Promise<{ readonly instance: number; readonly connections: number }> {
  const response = await fetch(`${app.url}/counted/${encodeURIComponent("1/credits/0000")}?key=${key}`);
  return (await response.json()) as { instance: number; connections: number };
}

/** A reader that notes what it hears. */
class Reader {
  readonly seen: Seen[] = [];
  readonly #stop = new AbortController();
  readonly ended: Promise<void>;

  constructor(account: string) {
    this.ended = this.#read(operator().watch(account, { signal: this.#stop.signal }));
  }

  async #read(changes: AsyncIterable<Seen>): Promise<void> {
    for await (const change of changes) this.seen.push(change);
  }

  /** Resolves when the newest value has so much left. */
  left(n: number): Promise<void> {
    return until(() => (this.seen.at(-1)?.value?.left ?? 0) === n);
  }

  stop(): Promise<void> {
    this.#stop.abort();
    return this.ended;
  }
}

test("a watcher doesn't keep an idle object in memory, nor do signs of life wake it; then it hears on", async () => {
  await buy("idle");
  const reader = new Reader("idle");
  await reader.left(1);
  const before = await counted("idle");
  expect(before.connections).toBe(1);
  // Out of memory after ten idle seconds; the first sign of life between Worker and object comes after twenty.
  await sleep(34_000);
  await buy("idle");
  await reader.left(2);
  expect(await counted("idle")).toEqual({ instance: before.instance + 1, connections: 1 });
  await reader.stop();
});

test("many watchers of a key share a connection; whoever goes, the others go on, and none is left", async () => {
  await buy("many");
  const readers = Array.from({ length: 30 }, () => new Reader("many"));
  await Promise.all(readers.map((reader) => reader.left(1)));
  expect((await counted("many")).connections).toBe(1);
  let left = 1;
  while (readers.length > 0) {
    // With each of these, the one that holds the connection goes.
    await Promise.all(readers.splice(0, 10).map((reader) => reader.stop()));
    await buy("many");
    left += 1;
    await Promise.all(readers.map((reader) => reader.left(left)));
    for (const { seen } of readers) expect(seen.map(({ value }) => value?.left)).toEqual(upTo(left));
    if (readers.length > 0) await until(async () => (await counted("many")).connections === 1);
  }
  // The runtime notices that a reader has gone when it writes to the reader: with a sign of life or two, each after
  // twenty seconds.
  await until(async () => (await counted("many")).connections === 0);
});

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);

test("a watcher hears on when the partition is dropped, and when everything is killed and started again", async () => {
  await buy("killed");
  const reader = new Reader("killed");
  await reader.left(1);
  await fetch(`${app.url}/v1/operators/credits/partitions/0/evict`, { method: "POST" });
  await buy("killed");
  await reader.left(2);
  await app.kill();
  app = await start(app.port);
  await buy("killed");
  await reader.left(3);
  expect(reader.seen.map(({ value }) => value?.left)).toEqual([1, 2, 3]);
  await reader.stop();
});

test("keyframe watch prints a line for each change, and ends with status 0 when it is interrupted", async () => {
  const child = spawn(process.execPath, [bin, "watch", "credits", "typed", "--json", "--url", app.url]);
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  const lines: unknown[] = [];
  createInterface(child.stdout).on("line", (line) => lines.push(JSON.parse(line)));
  let err = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text));
  await until(() => lines.length === 1);
  await buy("typed", 5);
  await until(() => lines.length === 2);
  child.kill("SIGINT");
  expect([await ended, err]).toEqual([0, ""]);
  expect(lines).toEqual([
    { key: "typed", value: null, seq: null },
    { key: "typed", value: { left: 5, taken: 0 }, seq: expect.any(Number) },
  ]);
});
