/**
 * CODE1: code from before the first append took the epoch, beside this one. That code looked at the row's epoch alone; these are its
 * statements, word for word.
 */
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { D1Log } from "../../src/adapters/d1-log.ts";
import { epoch, seq, stamp, type Epoch } from "../../src/engine/ids.ts";
import type { Segment } from "../../src/engine/segment.ts";

const APPEND = `INSERT INTO segments (partition, seq, last, stamp, epoch, grp, format, operator_version, code, codec, checksum, bytes, stats, payload)
  SELECT ?1, ?2, ?3, ?4, ?5, ?6, 1, 1, '', 'json', 1, 10, '{}', '{}' FROM partitions AS p JOIN timelines AS t ON t.name = p.timeline
  WHERE p.partition = ?1 AND p.epoch = ?5 AND t.state = 'open' AND ?4 > t.floor
    AND ?2 = 1 + COALESCE((SELECT last FROM segments WHERE partition = ?1 ORDER BY seq DESC LIMIT 1), p.snapshot_seq)
    AND ?4 > COALESCE((SELECT stamp FROM segments WHERE partition = ?1 ORDER BY seq DESC LIMIT 1), p.snapshot_stamp)`;
const OPEN = `UPDATE partitions SET epoch = epoch + 1, writer = 'old', code = '' WHERE partition = ?1 RETURNING epoch`;
const PROMOTE = `UPDATE partitions SET version = version + 1, attempt = 'old', manifest = '{}', snapshot_seq = ?4, snapshot_stamp = ?4
  WHERE partition = ?1 AND epoch = ?2 AND version = ?3`;

const db = env.LOG_0;
let name = "";
let log: D1Log;
let made = 0;

beforeEach(async () => {
  const id = { timeline: "main", operator: `older${made++}`, partition: 0 };
  name = `main/${id.operator}/0000`;
  log = new D1Log(db, id);
  await log.create(1);
});

const changes = async (sql: string, ...values: (number | string)[]): Promise<number> =>
  (
    await db
      .prepare(sql)
      .bind(name, ...values)
      .run()
  ).meta.changes;
const older = {
  open: async (): Promise<number> => (await db.prepare(OPEN).bind(name).first<{ epoch: number }>())!.epoch,
  append: (at: number, by: number) => changes(APPEND, at, at, at, by, `old${at}`),
  promote: (by: number, version: number, at: number) => changes(PROMOTE, by, version, at),
};
const row = (at: number, by: Epoch): Segment => ({
  format: 1,
  seq: seq(at),
  last: seq(at),
  stamp: stamp(at),
  epoch: by,
  group: `new${at}`,
  operatorVersion: 1,
  code: "",
  codec: "json",
  checksum: 1,
  bytes: 10,
  stats: '{"writer":"new"}',
  payload: "{}",
});
const logged = async (): Promise<string[]> => (await log.peek())!.rows.map(({ group }) => group);

describe("the log with code from before", () => {
  it("takes over from it: the older object's next append is refused by the head", async () => {
    const by = await older.open();
    expect(await older.append(1, by)).toBe(1);
    const next = epoch(by + 1);
    expect(await log.append([row(2, next)], epoch(by))).toBe("appended");
    expect(await older.append(2, by)).toBe(0);
    expect(await log.append([row(3, next)], next)).toBe("appended");
    expect(await logged()).toEqual(["old1", "new2", "new3"]);
  });

  it("is taken over by it, under the same number: the head lets one of the two in", async () => {
    const by = await older.open();
    await older.append(1, by);
    const next = epoch(by + 1);
    await log.append([row(2, next)], epoch(by));
    // A rollback: older code opens, and counts from the row.
    expect(await older.open()).toBe(next);
    expect(await older.append(3, next)).toBe(1);
    expect(await log.append([row(3, next)], next)).toBe("refused");
    expect(await log.explain(seq(3))).toMatchObject({ group: "old3", head: 3 });
    expect(await logged()).toEqual(["old1", "new2", "old3"]);
    // And forward again: above all numbers that there are.
    expect((await log.open("w", "c"))!.row.epoch).toBe(next + 1);
    expect(await older.append(4, next)).toBe(0);
  });

  it("of two snapshots on one version the first becomes current, whoever's it is", async () => {
    const by = await older.open();
    await older.append(1, by);
    const next = epoch(by + 1);
    await log.append([row(2, next)], epoch(by));
    expect(await older.promote(by, 0, 1), "one that was under way").toBe(1);
    const promotion = {
      epoch: next,
      writer: "new",
      code: "",
      version: 0,
      attempt: "new",
      manifest: "{}",
      seq: seq(2),
      stamp: stamp(2),
      previous: null,
      previousSeq: seq(0),
      cutSeq: seq(1),
      pins: "[]",
      replaced: [],
    };
    expect(await log.promote(promotion)).toBe("refused");
    expect(await logged(), "nothing is cut").toEqual(["new2"]);
    expect(await log.promote({ ...promotion, version: 1, attempt: "new again" })).toBe("current");
    expect(await older.promote(by, 2, 1), "it has lost the epoch for good").toBe(0);
  });
});
