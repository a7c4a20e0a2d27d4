/**
 * A state file that is cut short on the disk: the local R2 then answers each read of it with an error, and others can
 * be read. The partition comes back from an older manifest and the log, and says which object it passed over.
 */
import { globSync, mkdtempSync, readFileSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { startRuntime, type Runtime } from "../../src/local/runtime.ts";

const stateDir = mkdtempSync(join(tmpdir(), "keyframe-blob-"));
const lines: string[] = [];
let app: Runtime | null = null;

afterEach(async () => {
  await app?.stop();
  rmSync(stateDir, { recursive: true, force: true });
});

async function started(): Promise<Runtime> {
  app = await startRuntime({ port: 0, stateDir, vars: {}, appLog: true, onLine: (line) => lines.push(line) });
  return app;
}

async function call<T>(path: string, body?: unknown): Promise<T> {
  const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  const response = await fetch(`${app!.url}${path}`, { ...init, headers: { "content-type": "application/json" } });
  const text = await response.text();
  expect(response.status, text).toBe(200);
  return JSON.parse(text) as T;
}

const buy = (id: string): Promise<{ readonly partition: number }> =>
  call("/v1/operators/credits/ask", { type: "credits.bought", id, data: { account: "ada", n: 1 } });

interface Snapshot {
  readonly number: number;
  readonly snapshot: { readonly name: string; readonly bytes: number };
}

/** State files on the disk. The local R2 keeps each object as a file, whose name doesn't say which one it is. */
const blobs = (): string[] =>
  globSync("v3/r2/*/blobs/*", { cwd: stateDir })
    .map((name) => join(stateDir, name))
    .filter((file) => readFileSync(file, "utf8").startsWith("KEYFRAME"));

test("SNAP4: the newest state file is cut short: an older manifest and the log give the state back", async () => {
  await started();
  const { partition } = await buy("1");
  const path = `/v1/operators/credits/partitions/${partition}`;
  const before = await call<Snapshot>(`${path}/snapshot`, {});
  const older = blobs();
  await buy("2");
  const { number, snapshot } = await call<Snapshot>(`${path}/snapshot`, {});
  expect(number).toBe(before.number + 1);
  const [newest, ...others] = blobs().filter((file) => !older.includes(file));
  expect([newest !== undefined, others]).toEqual([true, []]);
  await buy("3");
  await app!.stop();

  expect(readFileSync(newest!).length).toBe(snapshot.bytes);
  truncateSync(newest!, 20);
  lines.length = 0;
  await started();
  expect(await call(`/v1/operators/credits/state?key=ada`)).toMatchObject({ value: { left: 3 }, seq: 3 });
  expect(await buy("3")).toMatchObject({ duplicate: true, seq: 3 });
  expect(await buy("4")).toMatchObject({ duplicate: false, seq: 4 });
  const { lastRecovery } = await call<{ lastRecovery: { manifest: number; fallbacks: number } }>(`${path}?live=true`);
  expect(lastRecovery).toMatchObject({ manifest: before.number, fallbacks: 1 });
  expect(lines.find((line) => line.includes("recovered by fallback"))).toContain(
    `${snapshot.name} can't be read, while`,
  );
});
