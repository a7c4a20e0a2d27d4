/**
 * A savepoint outlives D1: with new databases, beside the same bucket and beside a copy of it, one command brings every
 * key of all operators back as of the savepoint.
 */
import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, expect, test } from "vitest";
import { buildCli } from "../../src/local/build-cli.ts";
import { postLines } from "../../src/local/client.ts";
import { startRuntime, type Runtime } from "../../src/local/runtime.ts";

const folder = mkdtempSync(join(tmpdir(), "keyframe-savepoint-"));
const bin = join(folder, "keyframe.mjs");
const here = join(folder, "here");
const elsewhere = join(folder, "elsewhere");
let app: Runtime;

afterAll(async () => {
  await app.stop();
  rmSync(folder, { recursive: true, force: true });
});

const start = async (stateDir: string): Promise<void> =>
  void (app = await startRuntime({ port: 0, stateDir, vars: {} }));

async function keyframe(...args: readonly string[]): Promise<{ readonly status: number | null; readonly out: string }> {
  const child = spawn(process.execPath, [bin, ...args], { env: { PATH: "", KEYFRAME_URL: app.url } });
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  const [out, err, status] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { status, out: out + err };
}

const OPERATORS = ["credits", "usage"];
/** All keys of all operators, with their states. */
async function states(...at: string[]): Promise<Record<string, unknown>> {
  const found: Record<string, unknown> = {};
  for (const operator of OPERATORS) {
    const { status, out } = await keyframe("scan", operator, "--json", ...at);
    expect(status, out).toBe(0);
    for (const line of out.split("\n").filter((one) => one.startsWith("{"))) {
      const { key, value } = JSON.parse(line) as { readonly key: string; readonly value: unknown };
      found[`${operator} ${key}`] = value;
    }
  }
  return found;
}

async function send(round: number): Promise<void> {
  const lines = Array.from({ length: 300 }, (_, i) => [
    JSON.stringify({ type: "credits.bought", id: `b${round}-${i}`, data: { account: `a${i % 97}`, n: i + 1 } }),
    JSON.stringify({
      type: "usage.recorded",
      id: `u${round}-${i}`,
      data: { customer: `c${i % 53}`, meter: "api", units: i, unitMicroUsd: 7 },
    }),
  ]).flat();
  expect(await postLines(app.url, lines)).toMatchObject({ accepted: 600, rejected: 0 });
}

async function snapshotAll(): Promise<void> {
  for (const operator of OPERATORS) {
    const partitions = (await (await fetch(`${app.url}/v1/operators/${operator}/partitions`)).json()) as unknown[];
    for (const n of partitions.keys()) await keyframe("snapshot", operator, String(n));
  }
}

test("all operators come back as of a savepoint, from R2 alone", async () => {
  await buildCli(bin);
  await start(here);
  await send(1);
  await snapshotAll();
  await send(2);
  expect(await keyframe("save", "before-sale")).toMatchObject({ status: 0 });
  const saved = await states();
  expect(Object.keys(saved).length).toBe(97 + 53);
  await send(3);
  await snapshotAll();
  expect((await keyframe("savepoints")).out).toMatch(/^before-sale .* yes$/m);
  await send(4);
  expect(await states()).not.toEqual(saved);
  await app.stop();

  // The bucket alone is copied. Here the objects keep their own storage, and D1 alone is gone.
  cpSync(join(here, "v3", "r2"), join(elsewhere, "v3", "r2"), { recursive: true });
  rmSync(join(here, "v3", "d1"), { recursive: true });
  for (const stateDir of [here, elsewhere]) {
    await start(stateDir);
    const recovered = await keyframe("recover", "--from-r2", "--to", "before-sale");
    expect(recovered.status, recovered.out).toBe(0);
    expect(await states()).toEqual(saved);
    await send(5);
    expect(await states("--at", "before-sale")).toEqual(saved);
    expect((await keyframe("recover", "--from-r2", "--to", "before-sale")).status, "it changes nothing").toBe(0);
    await app.stop();
  }
});
