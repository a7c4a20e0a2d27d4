/** `GET /metrics`: right to the letter, from D1 alone, and never waking an object. */
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { METERS, dollarsFor } from "../../../src/cost/prices.ts";
import { App, type Routes } from "../../../src/worker/app.ts";
import type { Env } from "../../../src/worker/env.ts";
import { Exposition } from "../../../src/worker/metrics/exposition.ts";
import { APP_FAMILIES, FAMILIES } from "../../../src/worker/metrics/metric-list.ts";
import { SCRAPED_PARTITIONS, showMetrics } from "../../../src/worker/metrics/metrics.ts";
import { routesOf } from "../../../src/worker/routes.ts";
import { all } from "../app.ts";
import { add, call, expectProblem, fetchApp, postEvents, readAnswer } from "../http.ts";
import { readPrometheus, valueOf, type Read } from "./prometheus.ts";

async function scrape(query = ""): Promise<Map<string, Read>> {
  const response = await fetchApp(`/metrics${query}`);
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  return readPrometheus(await response.text());
}

/** Sends so many events of one key, and says where they went. */
async function fill(key: string, count: number, more: Record<string, unknown> = {}): Promise<Record<string, string>> {
  const events = Array.from({ length: count }, () => add(key, 1, more));
  const { body } = await postEvents(events, { prefer: "return=representation" });
  const [{ partition }] = body["results"] as [{ partition: number }];
  return { operator: "tally", partition: String(partition) };
}

const sum = (families: Map<string, Read>, name: string, labels: Record<string, string>): number =>
  families
    .get(name)!
    .samples.filter((sample) => Object.entries(labels).every(([label, value]) => sample.labels[label] === value))
    .reduce((total, { value }) => total + value, 0);

/** Everything around the stores that writes down what is asked of them. */
function watched(log: Partial<Record<"LOG_0" | "LOG_1", unknown>> = {}): { env: Env; sql: string[]; called: string[] } {
  const [sql, called] = [[] as string[], [] as string[]];
  const listening = (db: D1Database): unknown => ({
    prepare: (text: string) => {
      sql.push(text);
      return db.prepare(text);
    },
    batch: (statements: D1PreparedStatement[]) => db.batch(statements),
  });
  const refusing = (what: string): unknown =>
    new Proxy(
      {},
      {
        get: (_, method) => () => {
          called.push(`${what}.${String(method)}`);
          throw new Error(`${what} must be left alone`);
        },
      },
    );
  const stores = { LOG_0: listening(env.LOG_0), LOG_1: listening(env.LOG_1), ...log };
  const asleep = { PARTITION: refusing("PARTITION"), SNAPSHOTS: refusing("SNAPSHOTS") };
  return { env: { ...env, ...stores, ...asleep } as unknown as Env, sql, called };
}

const EVERYTHING: { readonly operator: string | undefined; readonly from: number | undefined } = {
  operator: undefined,
  from: undefined,
};

describe("GET /metrics", () => {
  it("has names, units and types by Prometheus' conventions", async () => {
    await fill("conventions", 3);
    const families = await scrape();
    const known = new Map([...Object.values(APP_FAMILIES), ...Object.values(FAMILIES)].map((one) => [one.name, one]));
    for (const [name, { type, help, samples }] of families) {
      expect(known.get(name), name).toMatchObject({ name, type, help });
      expect(name).toMatch(/^keyframe_[a-z0-9]+(_[a-z0-9]+)*$/);
      expect(name.endsWith("_total"), name).toBe(type === "counter");
      expect(name, "base units").not.toMatch(/_(ms|millis|milliseconds|minutes|kb|mb|kilobytes|percent)(_|$)/);
      expect(name, "what aggregation makes isn't in a name").not.toMatch(/_(count|sum|bucket|avg|max|min)$/);
      expect(samples.length, name).toBeGreaterThan(0);
      for (const { value } of samples) expect(Number.isFinite(value) && value >= 0, name).toBe(true);
    }
    const seldom = ["keyframe_last_snapshot_", "keyframe_last_recovery_"];
    const missing = [...known.keys()].filter(
      (name) => !families.has(name) && !seldom.some((one) => name.startsWith(one)),
    );
    expect(missing).toEqual([]);
  });

  it("counts events by outcome, commits, and what they cost", async () => {
    const before = await scrape();
    const place = await fill("counted", 5);
    const at = (families: Map<string, Read>, name: string, more: Record<string, string> = {}): number =>
      valueOf(families, name, { ...place, ...more }) ?? 0;
    const { body } = await postEvents(Array.from({ length: 2 }, () => add("counted", 1, { id: "twice" })));
    expect(body).toMatchObject({ accepted: 1, duplicates: 1 });
    await fill("counted", 1);
    const after = await scrape();
    const grown = (name: string, more: Record<string, string> = {}): number =>
      at(after, name, more) - at(before, name, more);
    expect(grown("keyframe_events_total", { outcome: "applied" })).toBe(7);
    expect(grown("keyframe_events_total", { outcome: "duplicate" })).toBe(1);
    expect(grown("keyframe_appends_total")).toBe(3);
    expect(grown("keyframe_segments_total")).toBe(3);
    expect(grown("keyframe_head_seq")).toBe(7);
    expect(grown("keyframe_tail_events")).toBe(7);
    expect(grown("keyframe_commit_events_count")).toBe(3);
    expect(at(after, "keyframe_commit_events_sum")).toBe(at(after, "keyframe_head_seq"));
    expect(
      grown("keyframe_commit_duration_seconds_count"),
      "the last one is timed with the next",
    ).toBeGreaterThanOrEqual(2);
    expect(at(after, "keyframe_tail_age_seconds")).toBeLessThan(600);
    expect(at(after, "keyframe_estimated_recovery_seconds")).toBeGreaterThan(0);
    expect(grown("keyframe_d1_rows_written_total")).toBeGreaterThanOrEqual(4);
    const written = at(after, "keyframe_d1_rows_written_total");
    expect(at(after, "keyframe_cost_dollars_total", { meter: "d1_rows_written" })).toBe(
      dollarsFor("d1RowsWritten", written),
    );
    expect(METERS.length).toBeGreaterThan(6);
  });

  it("has histograms that add up", async () => {
    await fill("histogram", 2);
    for (const [name, { type, samples }] of await scrape()) {
      if (type !== "histogram") continue;
      for (const { labels, value } of samples.filter((sample) => sample.name === `${name}_count`)) {
        const mine = samples.filter(
          (sample) =>
            sample.name === `${name}_bucket` &&
            sample.labels["partition"] === labels["partition"] &&
            sample.labels["operator"] === labels["operator"],
        );
        const bounds = mine.map((sample) => Number(sample.labels["le"]!.replace("+Inf", "Infinity")));
        expect(bounds).toEqual(bounds.toSorted((a, b) => a - b));
        expect(bounds.at(-1)).toBe(Number.POSITIVE_INFINITY);
        const below = mine.map((sample) => sample.value);
        expect(below).toEqual(below.toSorted((a, b) => a - b));
        expect(below.at(-1)).toBe(value);
      }
    }
  });

  it("continues over an eviction and a snapshot, and says who writes and who wrote", async () => {
    const place = await fill("evicted", 4);
    const base = `/v1/operators/tally/partitions/${place["partition"]}`;
    const applied = async (): Promise<number> =>
      valueOf(await scrape(), "keyframe_events_total", { ...place, outcome: "applied" })!;
    const before = await applied();
    const bytes = valueOf(await scrape(), "keyframe_tail_bytes", place)!;
    const { body } = await call(base);
    expect(bytes).toBe(body["tailBytes"]);
    await call(`${base}/snapshot`, { method: "POST" });
    const covered = await scrape();
    expect(valueOf(covered, "keyframe_tail_events", place)).toBe(0);
    expect(valueOf(covered, "keyframe_tail_bytes", place)).toBe(0);
    expect(sum(covered, "keyframe_snapshots_total", place)).toBeGreaterThanOrEqual(1);
    expect(valueOf(covered, "keyframe_last_snapshot_age_seconds", place)).toBeLessThan(60);
    await call(`${base}/evict`, { method: "POST" });
    expect(await applied()).toBe(before);
    await fill("evicted", 3);
    const after = await scrape();
    expect(await applied()).toBe(before + 3);
    expect(valueOf(after, "keyframe_recoveries_total", place)).toBeGreaterThanOrEqual(2);
    const [writer] = after
      .get("keyframe_writer_info")!
      .samples.filter(({ labels }) => labels["operator"] === "tally" && labels["partition"] === place["partition"]);
    const { epoch, previous_epoch: earlier, writer: now, previous_writer: then } = writer!.labels;
    expect(Number(epoch)).toBe(valueOf(after, "keyframe_epochs_total", place));
    expect(Number(epoch)).toBeGreaterThan(Number(earlier));
    expect(now).toMatch(/^[0-9a-f-]{18}$/);
    expect(then).toMatch(/^[0-9a-f-]{18}$/);
    expect(now).not.toBe(then);
  });

  it("SNAP9: wakes no object, asks R2 for nothing and writes no row", async () => {
    const place = await fill("asleep", 2);
    const http = routesOf(new App(all));
    const around = watched();
    for (let n = 0; n < 3; n++) {
      const response = await http.fetch(new Request("http://localhost/metrics"), around.env);
      expect(response.status).toBe(200);
      expect(valueOf(readPrometheus(await response.text()), "keyframe_head_seq", place)).toBeGreaterThan(0);
    }
    expect(around.called).toEqual([]);
    const glances = around.sql.filter((text) => text.includes("partitions AS p"));
    expect(glances.length, "one for each database and scrape").toBe(6);
    expect(around.sql.filter((text) => !/^\s*SELECT/.test(text))).toEqual([]);
  });

  it("reads about five rows of D1 for a partition, however long its log is", async () => {
    for (let n = 0; n < 30; n++) await fill("long", 1);
    let [read, rows] = [0, 0];
    const heard = (db: D1Database): unknown => ({
      prepare: (text: string) => ({
        bind: (...values: unknown[]) => ({
          all: async () => {
            const result = await db
              .prepare(text)
              .bind(...values)
              .all();
            if (text.includes("partitions AS p")) {
              read += result.meta.rows_read;
              rows += result.results.length;
            }
            return result;
          },
        }),
        all: () => db.prepare(text).all(),
      }),
    });
    const routes = await new App(all).routes(env);
    const around = { ...env, LOG_0: heard(env.LOG_0), LOG_1: heard(env.LOG_1) } as unknown as Env;
    await showMetrics(around, routes, { operator: "tally", from: undefined });
    expect(rows).toBeGreaterThan(0);
    // Each name of the list is a row read of its own.
    expect(read).toBeLessThanOrEqual(6 * rows + 10);
  });

  it("a database that doesn't answer is said to be down, and takes nobody with it", async () => {
    const routes = await new App(all).routes(env);
    const broken = { prepare: () => ({ bind: () => ({ all: () => Promise.reject(new Error("D1 is away")) }) }) };
    const { env: around } = watched({ LOG_1: broken });
    const families = readPrometheus(await (await showMetrics(around, routes, EVERYTHING)).text());
    expect(valueOf(families, "keyframe_database_up", { database: "LOG_0" })).toBe(1);
    expect(valueOf(families, "keyframe_database_up", { database: "LOG_1" })).toBe(0);
    expect(valueOf(families, "keyframe_database_size_bytes", { database: "LOG_0" })).toBeGreaterThan(0);
    expect(valueOf(families, "keyframe_database_size_bytes", { database: "LOG_1" })).toBeUndefined();
  });

  it("leaves out what is too much for one answer, and says so", async () => {
    const routes = await new App(all).routes(env);
    const route = routes.byOperator.get("tally")!;
    const addresses = Array.from({ length: SCRAPED_PARTITIONS + 7 }, (_, partition) => ({
      ...route.addresses[0]!,
      partition,
    }));
    const many: Routes = { ...routes, byOperator: new Map([["tally", { ...route, addresses }]]) };
    const ask = async (asking = EVERYTHING): Promise<Map<string, Read>> =>
      readPrometheus(await (await showMetrics(env, many, asking)).text());
    expect(valueOf(await ask(), "keyframe_partitions_omitted", { operator: "tally" })).toBe(7);
    expect(valueOf(await ask(), "keyframe_partitions", { operator: "tally" })).toBe(SCRAPED_PARTITIONS + 7);
    const rest = await ask({ operator: "tally", from: SCRAPED_PARTITIONS });
    expect(valueOf(rest, "keyframe_partitions_omitted", { operator: "tally" })).toBe(SCRAPED_PARTITIONS);
    expect(rest.get("keyframe_head_seq")).toBeUndefined();
  });

  it.each([
    ["?operator=nobody", 404, "no_operator"],
    ["?operator=tally&from=-1", 400, "invalid_parameter"],
    ["?operator=tally&from=x", 400, "invalid_parameter"],
    ["?from=3", 400, "invalid_parameter"],
    ["?timeline=other", 400, "unsupported_parameter"],
  ])("IN1: %s is refused", async (query, status, code) => {
    const answer = await readAnswer(await fetchApp(`/metrics${query}`));
    expectProblem(answer);
    expect(answer).toMatchObject({ status, body: { code } });
  });
});

describe("the text format", () => {
  it("escapes what has to be", () => {
    const out = new Exposition();
    out.add({ name: "a_total", type: "counter", help: "back\\slash\nline" }, { label: 'say "hi"\\\n' }, 1);
    expect(out.text()).toBe(
      '# HELP a_total back\\\\slash\\nline\n# TYPE a_total counter\na_total{label="say \\"hi\\"\\\\\\n"} 1\n',
    );
    expect(readPrometheus(out.text()).get("a_total")!.samples[0]!.labels).toEqual({ label: 'say "hi"\\\n' });
  });

  it.each([
    "a 1\n",
    "# TYPE a counter\na 1\n",
    "# HELP a x\n# TYPE a gauge\na 1\na 1\n",
    "# HELP a x\n# TYPE a gauge\nb 1\n",
  ])("the reader refuses %j", (text) => expect(() => readPrometheus(text)).toThrow());
});
