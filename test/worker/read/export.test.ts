/** `GET /v1/operators/{op}/export`: all of it, as of one seq of each partition, and a last line that says so. */
import { evictAllDurableObjects } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import type { Route } from "../../../src/engine/operator/routing.ts";
import type { Env } from "../../../src/worker/env.ts";
import { exportOperator } from "../../../src/worker/read/export-route.ts";
import { all } from "../app.ts";
import { add, call, fetchApp, get, postEvents } from "../http.ts";

interface Line {
  readonly key?: string;
  readonly value?: unknown;
  readonly partition?: number;
  readonly [member: string]: unknown;
}

const linesOf = (text: string): Line[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Line);

async function exported(query = ""): Promise<Line[]> {
  const response = await fetchApp(`/v1/operators/tally/export${query}`);
  expect([response.status, response.headers.get("content-type")]).toEqual([200, "application/x-ndjson"]);
  const text = await response.text();
  expect(text.endsWith("\n")).toBe(true);
  return linesOf(text);
}

const keysOf = (lines: readonly Line[]): string[] =>
  lines.flatMap(({ key }) => (key === undefined ? [] : [key])).sort();

const KEYS = ["a", "b/1", "b/2", "😀", "\n", "ü", "__proto__"];
const snapshots = async (): Promise<void> => {
  for (const n of [0, 1, 2, 3]) await call(`/v1/operators/tally/partitions/${n}/snapshot`, { method: "POST" });
};

beforeAll(async () => {
  expect((await postEvents(KEYS.map((key, n) => add(key, n)))).body).toMatchObject({ accepted: KEYS.length });
});

describe("an export", () => {
  test("that the client leaves lets go of every partition; HEAD asks none", async () => {
    const cancelled: number[] = [];
    const captures = [0, 1, 2].map((n) => {
      const lines = new ReadableStream<Uint8Array>({
        pull: (controller) => controller.enqueue(new TextEncoder().encode('{"key":"k"}\n')),
        cancel: () => void cancelled.push(n),
      });
      return { tag: "ok", value: { seq: 1, time: null, lines } };
    });
    let asked = 0;
    const PARTITION = { getByName: () => ({ capture: async () => captures[asked++] }) };
    const around = { ...env, PARTITION } as unknown as Env;
    const tally = all.find(({ name }) => name === "tally")!;
    const addresses = captures.map((_, partition) => ({
      line: 1,
      operator: "tally",
      partition,
      database: "LOG_0",
    }));
    const route = { operator: tally, addresses } as unknown as Route;
    const ask = (method: string): Promise<Response> =>
      exportOperator(new Request("http://localhost/", { method }), around, route, new URLSearchParams(), {
        may: ["read"],
      });
    expect([(await ask("HEAD")).status, asked]).toEqual([405, 0]);
    const reader = (await ask("GET")).body!.getReader();
    for (let i = 0; i < 3; i++) await reader.read();
    await reader.cancel();
    expect(new Set(cancelled)).toEqual(new Set([0, 1, 2]));
  });

  test("has every key with what a read says of it, between a first and a last line", async () => {
    const lines = await exported();
    expect(keysOf(lines)).toEqual([...KEYS].sort());
    const partitions = (await get("/v1/operators/tally/partitions?live=true")).body as unknown as {
      partition: number;
      appliedSeq: number;
    }[];
    expect(lines[0]).toEqual({
      format: "keyframe.export",
      v: 1,
      operator: "tally",
      operatorVersion: 1,
      prefix: "",
      partitions: partitions.map(({ partition, appliedSeq: seq }) => ({
        partition,
        seq,
        time: seq === 0 ? null : expect.any(String),
      })),
    });
    expect(lines.at(-1)).toEqual({ end: true, complete: true, keys: KEYS.length });
    for (const { key, value, partition, seq, time } of lines.filter((line) => line.key !== undefined)) {
      const { body } = await get(`/v1/operators/tally/state?key=${encodeURIComponent(key!)}`);
      expect({ operator: "tally", key, value, partition, seq, time }).toEqual(body);
    }
    const ends = lines.filter(({ keys, end }) => keys !== undefined && end === undefined);
    expect(ends.map(({ partition }) => partition)).toEqual([0, 1, 2, 3]);
    expect(ends.reduce((sum, { keys }) => sum + (keys as number), 0)).toBe(KEYS.length);
  });

  test.each([
    ["?prefix=b%2F", ["b/1", "b/2"]],
    ["?prefix=nothing", []],
    ["?prefix=%F0%9F%98%80", ["😀"]],
  ])("of a prefix: %s", async (query, keys) => {
    const lines = await exported(query);
    expect(keysOf(lines)).toEqual(keys);
    expect(lines.at(-1)).toEqual({ end: true, complete: true, keys: keys.length });
  });

  test("after snapshots and an eviction says the same", async () => {
    const before = await exported();
    await snapshots();
    await evictAllDurableObjects();
    expect((await exported()).slice(1)).toEqual(before.slice(1));
    await postEvents(add("a", 1_000));
    const after = await exported();
    expect(after.find(({ key }) => key === "a")!.value).toEqual({ n: 1_000, events: 2 });
    expect(keysOf(after)).toEqual(keysOf(before));
  });

  test("is of one seq, however slowly it is taken, and is made as it is taken", async () => {
    const text = "z".repeat(100_000);
    const many = Array.from({ length: 60 }, (_, n) => ({ type: "left.noted", key: `slow-${n}`, data: { text } }));
    await postEvents(many);
    const response = await fetchApp("/v1/operators/left/export?prefix=slow-");
    const reader = response.body!.getReader();
    const decoder = new TextDecoder();
    let got = decoder.decode((await reader.read()).value, { stream: true });
    await postEvents(many.map((event) => ({ ...event, data: { text: "later" } })));
    await postEvents({ type: "left.noted", key: "slow-new", data: { text: "later" } });
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      got += decoder.decode(value, { stream: true });
    }
    const lines = linesOf(got);
    expect(lines.at(-1)).toEqual({ end: true, complete: true, keys: 60 });
    expect(got.includes("later")).toBe(false);
  });

  test("that the client leaves is left", async () => {
    const response = await fetchApp("/v1/operators/left/export");
    const reader = response.body!.getReader();
    await reader.read();
    await reader.cancel();
    expect((await postEvents({ type: "left.noted", key: "on", data: { text: "it continues" } })).status).toBe(200);
  });
});

describe("SNAP3: an export that can't be read to its end says so in its last line", () => {
  /** Texts that don't pack, in files that are read piece by piece. */
  const noise = (): string => {
    let text = "";
    for (let i = 0; i < 100; i++) text += btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(1_000))));
    return text;
  };
  const half = async (prefix: string): Promise<() => Promise<Line[]>> => {
    for (let n = 0; n < 40; n++)
      expect(
        (await postEvents({ type: "left.noted", key: `${prefix}-${n}`, data: { text: noise() } })).body,
      ).toMatchObject({ accepted: 1 });
    for (const n of [0, 1]) await call(`/v1/operators/left/partitions/${n}/snapshot`, { method: "POST" });
    await evictAllDurableObjects();
    const reader = (await fetchApp(`/v1/operators/left/export?prefix=${prefix}-`)).body!.getReader();
    const decoder = new TextDecoder();
    let got = decoder.decode((await reader.read()).value, { stream: true });
    return async () => {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        got += decoder.decode(value, { stream: true });
      }
      const text = got.slice(got.lastIndexOf("\n", got.length - 2) + 1);
      return linesOf(text);
    };
  };
  const broken = [{ end: true, complete: false, code: "export_interrupted", detail: expect.any(String) }];

  test("its object goes away", async () => {
    const rest = await half("object");
    for (const n of [0, 1]) await call(`/v1/operators/left/partitions/${n}/evict`, { method: "POST" });
    expect(await rest()).toEqual(broken);
  });

  // The last one: afterwards the partitions can't be opened any more.
  test("its files are gone", async () => {
    const rest = await half("files");
    const { objects } = await env.SNAPSHOTS.list({ prefix: "1/left/" });
    await env.SNAPSHOTS.delete(objects.map(({ key }) => key).filter((key) => key.endsWith(".kfs")));
    expect(await rest()).toEqual(broken);
  });
});
