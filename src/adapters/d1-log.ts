/**
 * The log port on D1. Nothing decides here: each method is one statement or one transaction, and the guards of LOG2,
 * LOG5 and SNAP2 stand in the statements themselves, so a request that arrives late or twice can't do harm.
 *
 * L1. Every guard compares the epoch that holds for equality: "no greater epoch" would let an old writer pass after a disaster
 *     recovery that restarts the epochs.
 * L2. The statements of one batch run in order in one transaction; a batch runs all of them, so each holds its guard. A further row of a
 *     group stands behind a row of that group or not at all: until the first one is in, the epoch that they take may be another's.
 */
import { Failure, messageOf } from "../engine/errors.ts";
import { partitionName, type Epoch, type PartitionId, type Seq } from "../engine/ids.ts";
import { PAGE_BYTES, PAGE_ROWS, PINS, POINTS } from "../engine/limits.ts";
import type {
  Appended,
  Explanation,
  Log,
  Opening,
  Page,
  PartitionRow,
  Pin,
  Point,
  Promotion,
  Retention,
  Roots,
} from "../engine/ports.ts";
import type { Segment } from "../engine/segment.ts";

/** The epoch that holds: the row's, or that of the last segment where a writer took one with its first append (LOG2). */
export const heldEpoch = (p: string, partition = "?1"): string =>
  `MAX(${p}.epoch, COALESCE((SELECT epoch FROM segments AS h WHERE h.partition = ${partition} ORDER BY seq DESC LIMIT 1), 0))`;
const HELD = heldEpoch("partitions");

const ROW = `${HELD} AS epoch, seed, version, attempt, snapshot_seq AS snapshotSeq, snapshot_stamp AS snapshotStamp, manifest,
  previous_seq AS previousSeq, previous, pins`;
const SEGMENT = `format, seq, last, stamp, epoch, grp AS "group", operator_version AS operatorVersion, code, codec, checksum, bytes, stats, payload`;
const HEAD = `(SELECT last FROM segments WHERE partition = ?1 ORDER BY seq DESC LIMIT 1)`;
const HEAD_WRITER = `(SELECT json_extract(stats, '$.writer') FROM segments WHERE partition = ?1 ORDER BY seq DESC LIMIT 1)`;
const HEAD_STAMP = `(SELECT stamp FROM segments WHERE partition = ?1 ORDER BY seq DESC LIMIT 1)`;

const APPEND = `INSERT INTO segments (partition, seq, last, stamp, epoch, grp, format, operator_version, code, codec, checksum, bytes, stats, payload)
  SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14 FROM partitions AS p JOIN timelines AS t ON t.name = p.timeline
  WHERE p.partition = ?1 AND ${heldEpoch("p")} = ?15 AND t.state = 'open' AND ?4 > t.floor
    AND ?2 = 1 + COALESCE(${HEAD}, p.snapshot_seq) AND ?4 > COALESCE(${HEAD_STAMP}, p.snapshot_stamp)
    AND (?16 IS NULL OR ?16 = (SELECT grp FROM segments WHERE partition = ?1 ORDER BY seq DESC LIMIT 1))`;

const OPEN = `UPDATE partitions SET epoch = 1 + ${HELD}, writer = ?2, code = ?3 WHERE partition = ?1 RETURNING ${ROW}`;

/** A page ends before the row that would carry it over the bound, but holds one row at least. */
const page = (above: string): string => `SELECT ${SEGMENT} FROM (
    SELECT *, SUM(bytes) OVER (ORDER BY seq) AS running FROM (
      SELECT * FROM segments WHERE partition = ?1 AND seq > ${above} ORDER BY seq LIMIT ${PAGE_ROWS})
  ) WHERE running <= ${PAGE_BYTES} OR running = bytes ORDER BY seq`;
const TAIL = page(`(SELECT snapshot_seq FROM partitions WHERE partition = ?1)`);
const PAGE = page(`?2`);
const BELOW = `SELECT ${SEGMENT} FROM (
    SELECT *, SUM(bytes) OVER (ORDER BY seq DESC) AS running FROM (
      SELECT * FROM segments WHERE partition = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ${PAGE_ROWS})
  ) WHERE running <= ${PAGE_BYTES} OR running = bytes ORDER BY seq DESC`;
const PEEK = `SELECT ${ROW}, COALESCE(${HEAD}, snapshot_seq) AS head FROM partitions WHERE partition = ?1`;

/** It also puts the epoch into the row, since it may cut the segment that holds it. */
const PROMOTE = `UPDATE partitions SET epoch = ?2, writer = ?11, code = ?12, version = version + 1, attempt = ?4, manifest = ?5, snapshot_seq = ?6, snapshot_stamp = ?7,
    previous = ?8, previous_seq = ?9, pins = ?10
  WHERE partition = ?1 AND ${HELD} = ?2 AND version = ?3`;
/** The UPDATE before it may have matched nothing: an attempt's id is unique, so it says whether that one did. */
const CUT = `DELETE FROM segments WHERE partition = ?1 AND last <= ?4
  AND EXISTS (SELECT 1 FROM partitions WHERE partition = ?1 AND ${HELD} = ?2 AND attempt = ?3)`;

/** Before the UPDATE, since it holds the same guard. */
const REPLACE = `INSERT INTO restore_points (partition, version, attempt, seq, stamp, files, whole, replaced_at)
  SELECT ?1, ?4, ?5, ?6, ?7, ?8, ?9, ?10 FROM partitions WHERE partition = ?1 AND ${HELD} = ?2 AND version = ?3
    AND ((SELECT COUNT(*) FROM restore_points WHERE partition = ?1) < ${POINTS}
      OR EXISTS (SELECT 1 FROM pins WHERE partition = ?1 AND version = ?4))
  ON CONFLICT (partition, version) DO UPDATE SET replaced_at = excluded.replaced_at`;

const RETENTION = `SELECT ${ROW}, retain_from AS retainFrom, archive_from AS archiveFrom FROM partitions WHERE partition = ?1`;
const POINTS_OF = `SELECT version, attempt, seq, stamp, files, whole, replaced_at AS replacedMs FROM restore_points WHERE partition = ?1 ORDER BY version`;
const PINS_OF = `SELECT version, name, created_at AS createdMs FROM pins WHERE partition = ?1 ORDER BY version, name`;
/** It refuses to pass a pin: one that comes before it holds, one that comes after it finds nothing to pin. */
const DROP = `DELETE FROM restore_points WHERE partition = ?1 AND version IN (SELECT value FROM json_each(?4))
  AND NOT EXISTS (SELECT 1 FROM pins AS p WHERE p.partition = ?1 AND p.version = restore_points.version)
  AND EXISTS (SELECT 1 FROM partitions WHERE partition = ?1 AND ${HELD} = ?2 AND version = ?3)`;
const RAISE = `UPDATE partitions SET retain_from = MAX(retain_from, ?4), archive_from = MAX(archive_from, ?5)
  WHERE partition = ?1 AND ${HELD} = ?2 AND version = ?3 AND (retain_from < ?4 OR archive_from < ?5)`;
/** The row's version may be above its manifest's, after D1 was rebuilt from R2. */
const PIN = `INSERT OR IGNORE INTO pins (partition, version, name, created_at) SELECT ?1, ?2, ?3, ?4 FROM partitions
  WHERE partition = ?1 AND (SELECT COUNT(*) FROM pins WHERE partition = ?1) < ${PINS}
    AND (CASE WHEN json_valid(manifest) THEN json_extract(manifest, '$.version') END = ?2
      OR EXISTS (SELECT 1 FROM restore_points WHERE partition = ?1 AND version = ?2))`;

const EXPLAIN = `SELECT ${heldEpoch("p")} AS epoch, CASE WHEN ${heldEpoch("p")} > p.epoch THEN ${HEAD_WRITER} ELSE p.writer END AS writer, p.version, COALESCE(${HEAD}, p.snapshot_seq) AS head, COALESCE(${HEAD_STAMP}, p.snapshot_stamp) AS headStamp,
    t.floor, t.state = 'open' AS open, s.grp AS "group", s.stamp
  FROM partitions AS p JOIN timelines AS t ON t.name = p.timeline LEFT JOIN segments AS s ON s.partition = p.partition AND s.seq = ?2
  WHERE p.partition = ?1`;

type Headed = PartitionRow & { readonly head: Seq };

export class D1Log implements Log {
  readonly #db: D1Database;
  readonly #name: string;
  readonly #timeline: string;
  #size = 0;

  constructor(db: D1Database, id: PartitionId) {
    this.#db = db;
    this.#name = partitionName(id);
    this.#timeline = id.timeline;
  }

  async peek(): Promise<Opening | null> {
    return this.#opening(this.#db.prepare(PEEK).bind(this.#name));
  }

  async open(writer: string, code: string): Promise<Opening | null> {
    return this.#opening(this.#db.prepare(OPEN).bind(this.#name, writer, code));
  }

  async #opening(first: D1PreparedStatement): Promise<Opening | null> {
    const [rows, tail, heads] = await this.#heard(() =>
      this.#db.batch<never>([first, this.#db.prepare(TAIL).bind(this.#name), this.#db.prepare(PEEK).bind(this.#name)]),
    );
    const row = (rows!.results as unknown as PartitionRow[])[0];
    const head = (heads!.results as unknown as Headed[])[0]?.head;
    if (row === undefined || head === undefined) return null;
    const segments = tail!.results as unknown as Segment[];
    return { row, head, rows: segments, more: (segments.at(-1)?.last ?? row.snapshotSeq) < head };
  }

  async create(seed: number): Promise<void> {
    const sql = `INSERT OR IGNORE INTO partitions (partition, timeline, seed, epoch, writer, code, version, attempt, snapshot_seq, snapshot_stamp, manifest, previous_seq, previous, pins)
      VALUES (?1, ?2, ?3, 0, '', '', 0, '', 0, 0, NULL, 0, NULL, '[]')`;
    await named(() => this.#db.prepare(sql).bind(this.#name, this.#timeline, seed).run());
  }

  async page(after: Seq): Promise<Page & { readonly epoch: Headed["epoch"] }> {
    const [tail, heads] = await this.#heard(() =>
      this.#db.batch<never>([this.#db.prepare(PAGE).bind(this.#name, after), this.#db.prepare(PEEK).bind(this.#name)]),
    );
    const head = (heads!.results as unknown as Headed[])[0];
    if (head === undefined) throw new Failure("catalogue_lost", `the row of partition ${this.#name} is gone from D1`);
    const rows = tail!.results as unknown as Segment[];
    return { rows, more: (rows.at(-1)?.last ?? after) < head.head && rows.length > 0, epoch: head.epoch };
  }

  async below(before: Seq): Promise<readonly Segment[]> {
    const rows = await named(() => this.#db.prepare(BELOW).bind(this.#name, before).all<Segment>());
    return rows.results;
  }

  async append(rows: readonly Segment[], held: Epoch): Promise<Appended> {
    const statements = rows.map((row, i) =>
      this.#db
        .prepare(APPEND)
        .bind(
          this.#name,
          row.seq,
          row.last,
          row.stamp,
          row.epoch,
          row.group,
          row.format,
          row.operatorVersion,
          row.code,
          row.codec,
          row.checksum,
          row.bytes,
          row.stats,
          row.payload,
          i === 0 ? held : row.epoch,
          i === 0 ? null : row.group,
        ),
    );
    const results = await this.#heard(async () =>
      statements.length === 1 ? [await statements[0]!.run()] : this.#db.batch(statements),
    );
    return results.every((result) => result.meta.changes === 1) ? "appended" : "refused";
  }

  async explain(at: Seq): Promise<Explanation> {
    const row = await named(() =>
      this.#db.prepare(EXPLAIN).bind(this.#name, at).first<Omit<Explanation, "open"> & { open: number }>(),
    );
    if (row === null) throw new Failure("catalogue_lost", `the row of partition ${this.#name} is gone from D1`);
    return { ...row, open: row.open === 1 };
  }

  async promote(to: Promotion): Promise<"current" | "refused"> {
    const results = await this.#heard(() =>
      this.#db.batch([
        ...this.#replace(to),
        this.#db
          .prepare(PROMOTE)
          .bind(
            this.#name,
            to.epoch,
            to.version,
            to.attempt,
            to.manifest,
            to.seq,
            to.stamp,
            to.previous,
            to.previousSeq,
            to.pins,
            to.writer,
            to.code,
          ),
        this.#db.prepare(CUT).bind(this.#name, to.epoch, to.attempt, to.cutSeq),
      ]),
    );
    return results.at(-2)!.meta.changes === 1 ? "current" : "refused";
  }

  #replace({ epoch, version: before, replaced }: Promotion): D1PreparedStatement[] {
    return replaced.map((point) => {
      const { version, seq, stamp, files, whole, replacedMs } = point;
      const values = [version, point.attempt, seq, stamp, JSON.stringify(files), whole ? 1 : 0, replacedMs];
      return this.#db.prepare(REPLACE).bind(this.#name, epoch, before, ...values);
    });
  }

  async roots(): Promise<Roots | null> {
    return rootsFrom(await named(() => this.#db.batch<never>(this.#readRoots())));
  }

  #readRoots(): D1PreparedStatement[] {
    return [RETENTION, POINTS_OF, PINS_OF].map((sql) => this.#db.prepare(sql).bind(this.#name));
  }

  async retain({ epoch, version, drop, retainFrom, archiveFrom }: Retention): Promise<Roots | null> {
    const guarded = (sql: string): D1PreparedStatement => this.#db.prepare(sql);
    const results = await named(() =>
      this.#db.batch<never>([
        guarded(DROP).bind(this.#name, epoch, version, JSON.stringify(drop)),
        guarded(RAISE).bind(this.#name, epoch, version, retainFrom, archiveFrom),
        ...this.#readRoots(),
      ]),
    );
    const roots = rootsFrom(results.slice(2));
    return roots?.row.epoch === epoch && roots.row.version === version ? roots : null;
  }

  async pin({ version, name, createdMs }: Pin): Promise<"pinned" | "gone" | "full"> {
    const [, pins] = await named(() =>
      this.#db.batch<Pin>([
        this.#db.prepare(PIN).bind(this.#name, version, name, createdMs),
        this.#db.prepare(PINS_OF).bind(this.#name),
      ]),
    );
    if (pins!.results.some((one) => one.version === version && one.name === name)) return "pinned";
    return pins!.results.length >= PINS ? "full" : "gone";
  }

  async unpin(version: number, name: string): Promise<void> {
    const sql = "DELETE FROM pins WHERE partition = ?1 AND version = ?2 AND name = ?3";
    await named(() => this.#db.prepare(sql).bind(this.#name, version, name).run());
  }

  get size(): number {
    return this.#size;
  }

  /** The sum over a small column that stands before the payload, so that overflow pages aren't read. */
  async used(): Promise<number> {
    const sql = "SELECT COALESCE(SUM(bytes), 0) AS bytes FROM segments";
    const [sum] = await this.#heard(async () => [await this.#db.prepare(sql).all<{ bytes: number }>()]);
    return sum!.results[0]!.bytes;
  }

  /** Each answer carries the size of the database. */
  async #heard<T>(call: () => Promise<D1Result<T>[]>): Promise<D1Result<T>[]> {
    const results = await named(call);
    this.#size = results.at(-1)?.meta.size_after ?? this.#size;
    return results;
  }

  async row(): Promise<PartitionRow | null> {
    return named(() => this.#db.prepare(PEEK).bind(this.#name).first<PartitionRow>());
  }
}

type StoredPoint = Omit<Point, "files" | "whole"> & { readonly files: string; readonly whole: number };

/** Of the results of RETENTION, POINTS_OF and PINS_OF. */
function rootsFrom(results: readonly D1Result<never>[]): Roots | null {
  const [rows, points, pins] = results.map((one) => one.results as unknown[]);
  const found = rows![0] as (PartitionRow & Pick<Roots, "retainFrom" | "archiveFrom">) | undefined;
  if (found === undefined) return null;
  const { retainFrom, archiveFrom, ...row } = found;
  const read = (point: StoredPoint): Point => ({
    ...point,
    files: JSON.parse(point.files) as string[],
    whole: point.whole === 1,
  });
  return { row, points: (points as StoredPoint[]).map(read), pins: pins as Pin[], retainFrom, archiveFrom };
}

/** Gives the one error that waiting can't mend its name; all others pass as they are, and mean "unknown". */
export async function named<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (/no such (table|column)/.test(messageOf(error))) {
      throw new Failure(
        "log_not_migrated",
        `the log's tables, or columns of them, are missing: run "wrangler d1 migrations apply" for every LOG_ database`,
        { cause: error },
      );
    }
    throw error;
  }
}
