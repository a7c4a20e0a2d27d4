/** Places in D1 (place.ts): whose number a partition has, and that nobody's rows are another one's. */
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { erasureFacts, partitionStatus } from "../../../src/adapters/d1-status.ts";
import { D1Log } from "../../../src/adapters/d1-log.ts";
import { replaceRow, storeRow } from "../../../src/adapters/rebuilt-rows.ts";
import { seq, stamp, type Epoch, type PartitionId } from "../../../src/engine/base/ids.ts";
import type { Segment } from "../../../src/engine/base/records.ts";
import { LOG_BEGIN } from "../../../src/engine/base/records.ts";

const db = env.LOG_0;
const LARGEST = 2 ** 43 - 1;
const idOf = (operator: string, partition = 0): PartitionId => ({ line: 1, operator, partition });
const row = (at: number, by: Epoch, payload = "{}"): Segment => ({
  format: 1,
  seq: seq(at),
  last: seq(at),
  stamp: stamp(at),
  epoch: by,
  group: `g${at}`,
  operatorVersion: 1,
  code: "",
  codec: "json",
  checksum: 1,
  bytes: payload.length,
  stats: "{}",
  payload,
});
const numbers = async (operator: string, of: D1Database = db): Promise<Record<string, number>> => {
  const sql = "SELECT partition, number FROM partitions WHERE partition LIKE ?1 ORDER BY partition";
  const { results } = await of.prepare(sql).bind(`1/${operator}/%`).all<{ partition: string; number: number }>();
  return Object.fromEntries(results.map(({ partition, number }) => [partition, number]));
};

async function begun(id: PartitionId, events: number): Promise<D1Log> {
  const log = new D1Log(db, id);
  await log.create(1, LOG_BEGIN);
  const by = (await log.open("w", "c"))!.row.epoch;
  for (let n = 1; n <= events; n++) await log.append([row(n, by)], by);
  return log;
}

describe("the number of a partition", () => {
  it("is one, whoever comes first, and in each database its own", async () => {
    const ids = [0, 1, 2, 3].map((partition) => idOf("first", partition));
    const creations = ids.flatMap((id) => [1, 2, 3].map((seed) => new D1Log(db, id).create(seed, LOG_BEGIN)));
    await Promise.all([...creations, new D1Log(env.LOG_1, ids[3]!).create(1, LOG_BEGIN)]);
    const given = Object.values(await numbers("first"));
    expect(new Set(given).size).toBe(4);
    expect(Object.keys(await numbers("first", env.LOG_1))).toEqual(["1/first/0003"]);
  });

  it("is one where a rebuilt row and a first use meet", async () => {
    const spare = (await (await begun(idOf("spare"), 0)).row())!;
    const id = idOf("meet");
    const stored = await Promise.all([
      storeRow(db, id, spare),
      new D1Log(db, id).create(7, LOG_BEGIN),
      storeRow(db, id, spare),
    ]);
    expect(stored.filter((one) => one === true)).toHaveLength(1);
    expect(Object.keys(await numbers("meet"))).toHaveLength(1);
  });

  it("outlives the partition's row, so a rebuilt row finds what is left of its log", async () => {
    const id = idOf("rebuilt");
    const log = await begun(id, 3);
    const was = { ...(await log.row())! };
    await db.prepare("DELETE FROM partitions WHERE partition = '1/rebuilt/0000'").run();
    await begun(idOf("between"), 2);
    expect(await storeRow(db, id, was)).toBe(true);
    expect((await log.peek())!.rows.map((one) => one.seq)).toEqual([1, 2, 3]);
  });

  it("is not given again, so no partition finds another one's log", async () => {
    await begun(idOf("gone"), 3);
    for (const table of ["numbers", "partitions"])
      await db.prepare(`DELETE FROM ${table} WHERE partition = '1/gone/0000'`).run();
    const next = await begun(idOf("next"), 0);
    expect((await next.page(seq(0))).rows).toEqual([]);
  });
});

describe("the rows of a partition", () => {
  it("are read and deleted beside those of its neighbours, at both ends", async () => {
    const logs = await Promise.all([0, 1, 2].map((n) => new D1Log(db, idOf("beside", n)).create(1, LOG_BEGIN)));
    expect(logs).toHaveLength(3);
    const [left, middle, right] = await Promise.all([0, 1, 2].map((n) => begun(idOf("beside", n), 3)));
    const seqs = async (log: D1Log): Promise<number[]> => (await log.page(seq(0))).rows.map((one) => one.seq);
    for (const log of [left!, middle!, right!]) {
      expect(await seqs(log)).toEqual([1, 2, 3]);
      expect((await log.below(seq(Number.MAX_SAFE_INTEGER))).map((one) => one.seq)).toEqual([3, 2, 1]);
      expect((await log.page(seq(Number.MAX_SAFE_INTEGER))).rows).toEqual([]);
    }
    expect(await erasureFacts(db, "1/beside/0001", Number.MAX_SAFE_INTEGER)).toMatchObject({ head: 3, rows: 3 });
    expect(await partitionStatus(db, "1/beside/")).toMatchObject([
      { tailEvents: 3 },
      { tailEvents: 3 },
      { tailEvents: 3 },
    ]);
    const { row: was } = (await middle!.peek())!;
    expect(await replaceRow(db, idOf("beside", 1), was, { ...was, epoch: (was.epoch + 1) as Epoch }, false)).toBe(true);
    expect([await seqs(left!), await seqs(middle!), await seqs(right!)]).toEqual([[1, 2, 3], [], [1, 2, 3]]);
  });

  it("don't reach into the next partition's with a seq or version that is too large", async () => {
    const [low, high] = [await begun(idOf("wide", 0), 0), await begun(idOf("wide", 1), 1)];
    const { low: a, high: b } = { low: (await low.row())!, high: (await high.row())! };
    const to = {
      writer: "w",
      code: "",
      attempt: "a",
      manifest: "{}",
      previous: null,
      previousSeq: seq(0),
      cutSeq: seq(0),
      pins: "[]",
    };
    // As if a snapshot of all that a log can hold were current.
    const covered = "UPDATE partitions SET version = 1, snapshot_seq = ?2, snapshot_stamp = 9 WHERE partition = ?1";
    await db.prepare(covered).bind("1/wide/0000", LARGEST).run();
    expect(await low.append([{ ...row(LARGEST + 1, a.epoch), stamp: stamp(10) }], a.epoch), "above the last").toBe(
      "refused",
    );
    expect((await high.page(seq(0))).rows.map((one) => one.seq)).toEqual([1]);
    const replaced = [
      { version: 1, attempt: "x", seq: seq(1), stamp: stamp(1), files: [], intact: true, replacedMs: 1 },
    ];
    await high.promote({ ...to, epoch: b.epoch, version: 0, seq: seq(1), stamp: stamp(1), replaced });
    expect(await low.pin({ version: LARGEST + 2, name: "n", createdMs: 1 }), "version 1 of the next").toBe("gone");
  });
});

describe("what a statement reads", () => {
  /** Rows read by the last statement of a call, as D1 says. */
  it("does not grow with the rows beyond a page, nor with the length of the log", async () => {
    const payload = "x".repeat(1_000);
    const id = idOf("long");
    const log = await begun(id, 0);
    const by = (await log.row())!.epoch;
    const read: number[] = [];
    const told = {
      batch: async (statements: D1PreparedStatement[]) => {
        const results = await db.batch(statements);
        read.push(results.reduce((sum, { meta }) => sum + meta.rows_read, 0));
        return results;
      },
      prepare: (sql: string) => db.prepare(sql),
    } as unknown as D1Database;
    const looking = new D1Log(told, id);
    for (let n = 1; n <= 60; n++) {
      await log.append([{ ...row(n, by, payload), bytes: 1_500_000 }], by);
      if (n === 10 || n === 60) expect((await looking.page(seq(0))).rows).toHaveLength(2);
    }
    expect(read[1]).toBe(read[0]);
  });
});
