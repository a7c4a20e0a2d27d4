/** The calls of one request: the platform's limit is never what ends it. */
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { route } from "../../../src/engine/operator/routing.ts";
import { HASH_NAME } from "../../../src/engine/base/hash.ts";
import { CALLS, PARTITIONS } from "../../../src/engine/base/limits.ts";
import { busy, type AppendRequest, type AppendResponse } from "../../../src/engine/partition/protocol.ts";
import { operator } from "../../../src/keyframe.ts";
import { countedStore } from "../../../src/worker/ingest/calls.ts";
import { R2Store } from "../../../src/adapters/r2-store.ts";
import { Intake } from "../../../src/worker/ingest/intake.ts";
import type { PartitionClient } from "../../../src/worker/ingest/partition-client.ts";

const wide = operator("wide", {
  version: 1,
  partitions: PARTITIONS,
  events: { add: z.unknown() },
  key: (event) => event.partitionkey ?? "",
  initial: () => ({ n: 0 }),
  on: { add: (state) => void (state.n += 1) },
});
const databases = Array.from({ length: PARTITIONS }, () => "LOG_0");
const placed = route(1, wide, { operator: "wide", partitions: PARTITIONS, hash: HASH_NAME, seed: 42, databases });

/** Objects that answer like this; time passes only while somebody waits. */
function platform(answer: (slice: AppendRequest) => AppendResponse): { readonly post: PartitionClient; calls: number } {
  let now = 0;
  const made = { calls: 0 };
  const post: PartitionClient = {
    append: (_, slice) => {
      made.calls += 1;
      return Promise.resolve(answer(slice));
    },
    clock: {
      now: () => now,
      after: (ms, then) => {
        now += ms;
        then();
        return () => undefined;
      },
      jitter: () => 0.5,
    },
    note: () => undefined,
  };
  return Object.assign(made, { post });
}

const decided = ({ keys }: AppendRequest): AppendResponse => ({
  v: 1,
  tag: "decided",
  statuses: new Uint8Array(keys.length),
  details: [],
});

async function send(post: PartitionClient, events: number): Promise<Intake> {
  const intake = new Intake({
    post,
    routes: {
      line: 1,
      ancestors: [],
      byOperator: new Map([["wide", placed]]),
      byType: new Map([["add", [placed]]]),
      lost: { byOperator: new Map(), byType: new Map() },
    },
    only: null,
    defaults: { time: new Date(0).toISOString(), id: String },
    receivedMs: 0,
    ignoreUnrouted: false,
    standard: false,
    full: false,
    producer: null,
  });
  const lines = Array.from({ length: events }, (_, i) => `{"id":"e${i}","type":"add","key":"k${i}","data":1}`);
  await intake.take([{ lines }]);
  return intake;
}

describe("a request over as many partitions as there may be", () => {
  it("has room for 20,000 lines, as keyframe send sends them", async () => {
    const app = platform(decided);
    const intake = await send(app.post, 20_000);
    expect(intake.interruption).toBeNull();
    expect(intake.counts).toMatchObject({ accepted: 20_000, through: 20_000 });
    expect(app.calls).toBeLessThan(CALLS / 4);
  });

  it("of any length ends before the platform ends it, says how far it came, and the next one resumes from there", async () => {
    const app = platform(decided);
    const intake = await send(app.post, 400_000);
    expect(app.calls).toBe(CALLS);
    expect(intake.interruption).toMatchObject({ code: "too_many_calls" });
    const { through } = intake.counts;
    expect(through).toBeGreaterThan(100_000);
    expect((await send(platform(decided).post, 20_000)).counts.through).toBe(20_000);
  });

  it("retries of calls count as well, where no partition answers", async () => {
    const app = platform(() => busy("store_unavailable", "away", 100));
    const intake = await send(app.post, 20_000);
    expect(app.calls).toBeLessThanOrEqual(CALLS);
    expect(intake.counts).toMatchObject({ accepted: 0, through: 0 });
    expect(intake.interruption).not.toBeNull();
  });
});

it("an operator has no more partitions than a request can call", () => {
  const of = (partitions: number) => () =>
    operator("wide", { version: 1, partitions, events: {}, initial: () => 0, on: {} });
  expect(of(PARTITIONS)).not.toThrow();
  expect(of(PARTITIONS + 1)).toThrow(/partitions may be 256 at most, not 257/);
});

it("a store knows how often it was called", async () => {
  const store = countedStore(new R2Store(env.SNAPSHOTS));
  await store.put("calls/a", new Uint8Array(3));
  expect(await store.get("calls/a")).toHaveLength(3);
  expect(await store.range("calls/a", 1, 9)).toHaveLength(2);
  expect((await store.list("calls/", "")).names).toEqual(["calls/a"]);
  await store.delete(["calls/a"]);
  expect(store.calls).toBe(5);
});
