/** A partition's counts of D1 (metering.ts) equal what D1 itself says that it read and wrote. */
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { D1Log } from "../../../src/adapters/d1-log.ts";
import { countOf } from "../../../src/engine/base/counters.ts";
import { seq, stamp, type Epoch } from "../../../src/engine/base/ids.ts";
import { metered } from "../../../src/engine/partition/metering.ts";
import type { Log } from "../../../src/engine/base/ports.ts";
import type { Promotion } from "../../../src/engine/base/records.ts";
import type { Environment } from "../../../src/engine/operator/environment.ts";
import type { Segment } from "../../../src/engine/base/records.ts";
import { LOG_BEGIN } from "../../../src/engine/base/records.ts";

/** D1's own counts of all statements so far. */
interface Told {
  calls: number;
  read: number;
  written: number;
}

interface Statement {
  readonly inner: D1PreparedStatement;
  bind(...values: unknown[]): Statement;
  run(): Promise<D1Result>;
  all(): Promise<D1Result>;
  first(): Promise<unknown>;
}

function told(db: D1Database, sum: Told): D1Database {
  const hear = (results: readonly D1Result[]): void => {
    sum.calls += 1;
    for (const { meta } of results) {
      sum.read += meta.rows_read;
      sum.written += meta.rows_written;
    }
  };
  const statement = (inner: D1PreparedStatement): Statement => {
    const run = async (): Promise<D1Result> => {
      const result = await inner.run();
      hear([result]);
      return result;
    };
    const bind = (...values: unknown[]): Statement => statement(inner.bind(...values));
    return { inner, bind, run, all: run, first: async () => (await run()).results[0] ?? null };
  };
  const batch = async (statements: readonly Statement[]): Promise<D1Result[]> => {
    const results = await db.batch(statements.map(({ inner }) => inner));
    hear(results);
    return results;
  };
  return { prepare: (sql: string) => statement(db.prepare(sql)), batch } as unknown as D1Database;
}

let made = 0;

function logUnderTest(): { readonly log: Log; readonly counted: () => Told; readonly sum: Told } {
  const id = { line: 1, operator: "metering", partition: made++ };
  const sum = { calls: 0, read: 0, written: 0 };
  const none = {} as never;
  const bare = { id, log: new D1Log(told(env.LOG_1, sum), id), objects: none, cache: none, host: none };
  const one = metered({ ...bare, clock: { now: () => 0, after: () => () => undefined } } as unknown as Environment);
  const counted = (): Told => {
    const row = one.counters.row();
    const [calls, read, written] = (["d1Queries", "d1RowsRead", "d1RowsWritten"] as const).map((n) => countOf(row, n));
    return { calls: calls!, read: read!, written: written! };
  };
  return { log: one.log, counted, sum };
}

const row = (first: number, last: number, by: Epoch): Segment => ({
  format: 1,
  seq: seq(first),
  last: seq(last),
  stamp: stamp(first * 10),
  epoch: by,
  group: `g${first}`,
  operatorVersion: 1,
  code: "c",
  codec: "json",
  checksum: 1,
  bytes: 100,
  stats: "{}",
  payload: "{}",
});
const promotion = (by: Epoch, version: number, to: number, cut: number): Promotion => ({
  epoch: by,
  writer: "w",
  code: "c",
  version,
  attempt: `a${version}`,
  manifest: "{}",
  seq: seq(to),
  stamp: stamp(to * 10),
  previous: null,
  previousSeq: seq(0),
  cutSeq: seq(cut),
  pins: "[]",
  replaced:
    version === 0
      ? []
      : [{ version, attempt: "b", seq: seq(1), stamp: stamp(1), files: [], intact: true, replacedMs: 1 }],
});

describe("what is counted of D1", () => {
  it("N4, N5: is what D1 says it did, with each row's deletion counted when it is written", async () => {
    const { log, counted, sum } = logUnderTest();
    await log.open("w", "c");
    await log.create(1, LOG_BEGIN);
    const by = (await log.open("w", "c"))!.row.epoch;
    for (let n = 1; n <= 20; n++) await log.append([row(n, n, by)], by);
    await log.append([row(21, 22, by), { ...row(23, 23, by), stamp: stamp(211), group: row(21, 22, by).group }], by);
    expect(await log.append([row(99, 99, by)], by), "which writes nothing").toBe("refused");
    await log.explain(seq(5));
    await log.peek();
    const now = (await log.open("w2", "c"))!.row.epoch;
    await log.page(seq(3));
    await log.below(seq(9));
    await log.row();
    await log.promote(promotion(now, 0, 10, 0));
    await log.promote(promotion(now, 1, 20, 10));
    await log.roots();
    await log.retain({ epoch: now, version: 2, savepoints: [], drop: [1], retainFrom: stamp(5), archiveFrom: 1 });
    await log.retain({ epoch: now, version: 2, savepoints: [], drop: [], retainFrom: stamp(5), archiveFrom: 1 });
    const left = (await log.page(seq(0))).rows.length;
    expect(left).toBe(12);
    expect(counted().calls).toBe(sum.calls);
    expect(counted().written).toBe(sum.written + left);
    expect(counted().read / sum.read).toBeGreaterThan(0.9);
    expect(counted().read / sum.read).toBeLessThan(1.1);
  });
});
