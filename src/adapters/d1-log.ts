/**
 * The log port on D1. Nothing is decided here: each method is one statement or one transaction. The guards of LOG2,
 * LOG5 and SNAP2 stand in the statements themselves, so a call that arrives late or twice can't do harm.
 *
 * LOGSTORE1. Every guard compares the epoch that holds for equality. The guard "no greater epoch" would let an old
 *     writer pass after a disaster recovery that restarts the epochs.
 * LOGSTORE2. The statements of one batch run in order in one transaction. A batch runs all of them, so each holds its
 *     guard. A further row of a group goes in behind a row of that group, or not at all: until the first one is in, the
 *     epoch may be another writer's.
 */
import { Failure } from "../engine/base/errors.ts";
import { nameFailure } from "./not-migrated.ts";
import { partitionName, type Epoch, type PartitionId, type Seq, type Stamp } from "../engine/base/ids.ts";
import { PAGE_BYTES, PAGE_ROWS, PINS, POINTS } from "../engine/base/limits.ts";
import type { Appended, Log } from "../engine/base/ports.ts";
import type {
  ChangedOutcome,
  Explanation,
  LogStart,
  Opening,
  SegmentPage,
  PartitionRow,
  Pin,
  Promotion,
  Retention,
  Roots,
} from "../engine/base/records.ts";
import type { Segment } from "../engine/base/records.ts";
import { rootsFrom } from "./roots.ts";
import {
  firstBeside,
  firstPlace,
  headIs,
  HELD,
  heldEpoch,
  lastBeside,
  lastPlace,
  GIVE_NUMBER,
  placeOf,
  seqOf,
  within,
  withHead,
} from "./place.ts";

const ROW = `seed, start_seq AS startSeq, version, attempt, snapshot_seq AS snapshotSeq, snapshot_stamp AS snapshotStamp, manifest,
  previous_seq AS previousSeq, previous, pins`;
const SEGMENT = `format, ${seqOf("place")} AS seq, last, stamp, epoch, grp AS "group", operator_version AS operatorVersion, code, codec, checksum, bytes, stats, payload`;

/**
 * If the guard fails, the epoch is null: the column refuses null, and OR IGNORE skips the row. A SELECT joined with the
 * guard would copy the row once more, since the statement reads the table that it writes.
 */
const APPEND = `INSERT OR IGNORE INTO segments (place, last, stamp, epoch, grp, format, operator_version, code, codec, checksum, bytes, stats, payload)
  VALUES ((SELECT ${placeOf("p", "?2")} FROM partitions AS p WHERE p.partition = ?1), ?3, ?4,
    (SELECT ?5 FROM partitions AS p JOIN lines AS t ON t.line = p.line ${withHead("p")}
      WHERE p.partition = ?1 AND ${HELD} = ?15 AND t.state = ?17 AND ?4 > t.floor
        AND ?2 = 1 + COALESCE(h.last, p.snapshot_seq) AND ?4 > COALESCE(h.stamp, p.snapshot_stamp)
        AND (?16 IS NULL OR ?16 = h.grp)),
    ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)`;

const OPEN = `UPDATE partitions AS p SET epoch = 1 + ${heldEpoch("p")}, writer = ?2, code = ?3 WHERE partition = ?1 RETURNING epoch, ${ROW}`;

/**
 * Returns the SQL of a page. A page ends before the row that would exceed the bound, but holds at least one row. The
 * end is found from the rows' sizes alone, one after the other, so rows beyond the end aren't read.
 */
const page = (after: string): string => `SELECT ${SEGMENT} FROM segments
  WHERE place > (SELECT ${placeOf("p", after)} FROM partitions AS p WHERE p.partition = ?1) AND place <= (
    WITH RECURSIVE page (place, running) AS (
      SELECT s.place, s.bytes FROM partitions AS p JOIN segments AS s
        ON s.place = (SELECT MIN(place) FROM segments WHERE place > ${placeOf("p", after)} AND place <= ${lastPlace("p")})
        WHERE p.partition = ?1
      UNION ALL
      SELECT s.place, page.running + s.bytes FROM page JOIN segments AS s
        ON s.place = (SELECT MIN(place) FROM segments WHERE place > page.place AND place <= ${lastBeside("page.place")})
        WHERE page.running + s.bytes <= ${PAGE_BYTES}
      LIMIT ${PAGE_ROWS})
    SELECT MAX(place) FROM page)
  ORDER BY place`;
const TAIL = page("p.snapshot_seq");
const PAGE = page("?2");
/** A page downwards. */
const BELOW = `SELECT ${SEGMENT} FROM segments
  WHERE place < (SELECT ${placeOf("p", "?2")} FROM partitions AS p WHERE p.partition = ?1) AND place >= (
    WITH RECURSIVE page (place, running) AS (
      SELECT s.place, s.bytes FROM partitions AS p JOIN segments AS s
        ON s.place = (SELECT MAX(place) FROM segments WHERE place < ${placeOf("p", "?2")} AND place >= ${firstPlace("p")})
        WHERE p.partition = ?1
      UNION ALL
      SELECT s.place, page.running + s.bytes FROM page JOIN segments AS s
        ON s.place = (SELECT MAX(place) FROM segments WHERE place < page.place AND place >= ${firstBeside("page.place")})
        WHERE page.running + s.bytes <= ${PAGE_BYTES}
      LIMIT ${PAGE_ROWS})
    SELECT MIN(place) FROM page)
  ORDER BY place DESC`;
const HEAD = `SELECT ${HELD} AS epoch, COALESCE(h.last, p.snapshot_seq) AS head, l.state = 'open' AS open FROM partitions AS p
  LEFT JOIN lines AS l ON l.line = p.line ${withHead("p")} WHERE p.partition = ?1`;
/** D1 holds all rows above the snapshot, and rows without a gap. So the newest of these two is the last event. */
const LAST_AT = `SELECT seq, stamp FROM (
    SELECT last AS seq, stamp FROM (SELECT s.last, s.stamp FROM partitions AS p JOIN segments AS s ON s.place ${within("p")}
      WHERE p.partition = ?1 AND s.stamp <= ?2 ORDER BY s.place DESC LIMIT 1)
    UNION ALL
    SELECT snapshot_seq, snapshot_stamp FROM partitions WHERE partition = ?1 AND snapshot_stamp <= ?2)
  ORDER BY seq DESC LIMIT 1`;
const PEEK = `SELECT ${heldEpoch("p")} AS epoch, ${ROW} FROM partitions AS p WHERE partition = ?1`;

/**
 * A snapshot covers no more than the log has. A database that was restored to an older point refuses a snapshot of the
 * rows that it lost.
 */
const mayPromote = (to: string): string => headIs("p", `${HELD} = ?2 AND COALESCE(h.last, p.snapshot_seq) >= ${to}`);

/** PROMOTE also puts the epoch into the row, since CUT may delete the segment that holds it. */
const PROMOTE = `UPDATE partitions AS p SET epoch = ?2, writer = ?11, code = ?12, version = version + 1, attempt = ?4, manifest = ?5, snapshot_seq = ?6, snapshot_stamp = ?7,
    previous = ?8, previous_seq = ?9, pins = ?10
  WHERE partition = ?1 AND version = ?3 AND ${mayPromote("?6")}`;
/** The UPDATE before CUT may have matched nothing. An attempt's id is unique, so it proves that this UPDATE matched. */
const CUT = `DELETE FROM segments WHERE last <= ?4
  AND place >= (SELECT ${firstPlace("p")} FROM partitions AS p WHERE p.partition = ?1 AND ${heldEpoch("p")} = ?2 AND p.attempt = ?3)
  AND place <= (SELECT ${placeOf("p", "?4")} FROM partitions AS p WHERE p.partition = ?1)`;

/** REPLACE runs before the UPDATE, since it holds the same guard. */
const REPLACE = `INSERT INTO restore_points (place, attempt, seq, stamp, files, intact, replaced_at)
  SELECT ${placeOf("p", "?4")}, ?5, ?6, ?7, ?8, ?9, ?10 FROM partitions AS p WHERE p.partition = ?1 AND p.version = ?3 AND ${mayPromote("?11")}
    AND ((SELECT COUNT(*) FROM restore_points WHERE place ${within("p")}) < ${POINTS}
      OR EXISTS (SELECT 1 FROM pins WHERE partition = ?1 AND version = ?4)
      OR EXISTS (SELECT 1 FROM savepoints AS s WHERE s.line = p.line AND s.at >= ?7))
  ON CONFLICT (place) DO UPDATE SET replaced_at = excluded.replaced_at`;

const RETENTION = `SELECT ${heldEpoch("p")} AS epoch, ${ROW}, retain_from AS retainFrom, archive_from AS archiveFrom FROM partitions AS p WHERE partition = ?1`;
const POINTS_OF = `SELECT ${seqOf("r.place")} AS version, r.attempt, r.seq, r.stamp, r.files, r.intact, r.replaced_at AS replacedMs
  FROM partitions AS p JOIN restore_points AS r ON r.place ${within("p")} WHERE p.partition = ?1 ORDER BY r.place`;
const PINS_OF = `SELECT version, name, created_at AS createdMs FROM pins WHERE partition = ?1 ORDER BY version, name`;
const SAVEPOINTS_OF = `SELECT s.at FROM partitions AS p JOIN savepoints AS s ON s.line = p.line WHERE p.partition = ?1 ORDER BY s.at`;
/** The savepoints of partition `p` are those that were planned with (RETENTION6). */
const planned = (savepoints: string): string =>
  `(SELECT COALESCE(group_concat(at), '') FROM (SELECT at FROM savepoints WHERE line = p.line ORDER BY at)) = ${savepoints}`;
/** DROP refuses to pass a pin. A pin before DROP holds its restore point; a pin after DROP finds nothing to pin. */
const DROP = `DELETE FROM restore_points WHERE place IN (
  SELECT ${placeOf("p", "v.value")} FROM partitions AS p CROSS JOIN json_each(?4) AS v
  WHERE p.partition = ?1 AND ${heldEpoch("p")} = ?2 AND p.version = ?3 AND ${planned("?5")}
    AND NOT EXISTS (SELECT 1 FROM pins WHERE partition = ?1 AND version = v.value))`;
const RAISE = `UPDATE partitions AS p SET retain_from = MAX(retain_from, ?4), archive_from = MAX(archive_from, ?5)
  WHERE partition = ?1 AND ${heldEpoch("p")} = ?2 AND version = ?3 AND (retain_from < ?4 OR archive_from < ?5)
    AND ${planned("?6")}`;
/** The row's version may be above its manifest's, after D1 was rebuilt from R2. */
const PIN = `INSERT OR IGNORE INTO pins (partition, version, name, created_at) SELECT ?1, ?2, ?3, ?4 FROM partitions AS p
  WHERE p.partition = ?1 AND (SELECT COUNT(*) FROM pins WHERE partition = ?1) < ${PINS}
    AND (CASE WHEN json_valid(p.manifest) THEN json_extract(p.manifest, '$.number') END = ?2
      OR EXISTS (SELECT 1 FROM restore_points WHERE place = ${placeOf("p", "?2")}))`;

const REMOVED = "SELECT line FROM lines WHERE line = ?1 AND state = 'removed'";

const EXPLAIN = `SELECT ${HELD} AS epoch, CASE WHEN h.epoch > p.epoch THEN json_extract(h.stats, '$.writer') ELSE p.writer END AS writer, p.version,
    COALESCE(h.last, p.snapshot_seq) AS head, COALESCE(h.stamp, p.snapshot_stamp) AS headStamp, t.floor, t.state = 'open' AS open, t.state = 'replaying' AS replaying, s.grp AS "group", s.stamp
  FROM partitions AS p JOIN lines AS t ON t.line = p.line ${withHead("p")} LEFT JOIN segments AS s ON s.place = ${placeOf("p", "?2")}
  WHERE p.partition = ?1`;

const CREATE = `INSERT OR IGNORE INTO partitions (number, partition, line, seed, start_seq, epoch, writer, code, version, attempt, snapshot_seq, snapshot_stamp, manifest, previous_seq, previous, pins)
  SELECT number, ?1, ?2, ?3, ?4, 0, '', '', 0, '', ?4, ?5, NULL, 0, NULL, '[]' FROM numbers
  WHERE partition = ?1 AND EXISTS (SELECT 1 FROM lines WHERE line = ?2 AND state NOT IN ('removed', 'unstarted'))`;

/** The same event gives the same row, so a repeated statement changes nothing. */
const NOTE_CHANGED = `INSERT OR REPLACE INTO changed_outcomes (place, key, id, was, now, print)
  SELECT ${placeOf("p", "v.value ->> 'seq'")}, v.value ->> 'key', v.value ->> 'id', v.value ->> 'was', v.value ->> 'now', v.value ->> 'print'
  FROM partitions AS p CROSS JOIN json_each(?2) AS v WHERE p.partition = ?1`;
const CHANGED = `SELECT ${seqOf("c.place")} AS seq, c.key, c.id, c.was, c.now, c.print FROM partitions AS p JOIN changed_outcomes AS c
    ON c.place > ${placeOf("p", "?2")} AND c.place <= ${lastPlace("p")}
  WHERE p.partition = ?1 ORDER BY c.place LIMIT ?3`;

type Flags = "open" | "replaying";

interface Headed {
  readonly epoch: Epoch;
  readonly head: Seq;
  readonly open: number | null;
}

export class D1Log implements Log {
  readonly #db: D1Database;
  readonly #name: string;
  readonly #line: number;
  #size = 0;

  constructor(db: D1Database, id: PartitionId) {
    this.#db = db;
    this.#name = partitionName(id);
    this.#line = id.line;
  }

  async peek(): Promise<Opening | null> {
    return this.#opening(this.#db.prepare(PEEK).bind(this.#name));
  }

  async open(writer: string, code: string): Promise<Opening | null> {
    return this.#opening(this.#db.prepare(OPEN).bind(this.#name, writer, code));
  }

  /** The last of the statements reads the row. */
  async #opening(...first: D1PreparedStatement[]): Promise<Opening | null> {
    const tail = [TAIL, HEAD].map((sql) => this.#db.prepare(sql).bind(this.#name));
    const results = await this.#heard(() => this.#db.batch<never>([...first, ...tail]));
    const [rows, above, heads] = results.slice(-3);
    const row = (rows!.results as unknown as PartitionRow[])[0];
    const headed = (heads!.results as unknown as Headed[])[0];
    if (row === undefined || headed === undefined) return null;
    const { head } = headed;
    const segments = above!.results as unknown as Segment[];
    const more = (segments.at(-1)?.last ?? row.snapshotSeq) < head;
    return { row, head, rows: segments, more, open: headed.open === 1 };
  }

  async create(seed: number, start: LogStart): Promise<Opening | null> {
    return this.#opening(
      this.#db.prepare(GIVE_NUMBER).bind(this.#name),
      this.#db.prepare(CREATE).bind(this.#name, this.#line, seed, start.seq, start.stamp),
      this.#db.prepare(PEEK).bind(this.#name),
    );
  }

  async lastAt(at: Stamp): Promise<LogStart | null> {
    return nameFailure(() => this.#db.prepare(LAST_AT).bind(this.#name, at).first<LogStart>());
  }

  async page(after: Seq): Promise<SegmentPage & { readonly epoch: Epoch }> {
    const [tail, heads] = await this.#heard(() =>
      this.#db.batch<never>([this.#db.prepare(PAGE).bind(this.#name, after), this.#db.prepare(HEAD).bind(this.#name)]),
    );
    const head = (heads!.results as unknown as Headed[])[0];
    if (head === undefined) throw new Failure("catalogue_lost", `the row of partition ${this.#name} is gone from D1`);
    const rows = tail!.results as unknown as Segment[];
    return { rows, more: (rows.at(-1)?.last ?? after) < head.head && rows.length > 0, epoch: head.epoch };
  }

  async below(before: Seq): Promise<readonly Segment[]> {
    const rows = await nameFailure(() => this.#db.prepare(BELOW).bind(this.#name, before).all<Segment>());
    return rows.results;
  }

  async append(rows: readonly Segment[], held: Epoch, line: "open" | "replaying" = "open"): Promise<Appended> {
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
          line,
        ),
    );
    const results = await this.#heard(async () =>
      statements.length === 1 ? [await statements[0]!.run()] : this.#db.batch(statements),
    );
    return results.every((result) => result.meta.changes === 1) ? "appended" : "refused";
  }

  async explain(at: Seq): Promise<Explanation> {
    const row = await nameFailure(() =>
      this.#db.prepare(EXPLAIN).bind(this.#name, at).first<Omit<Explanation, Flags> & Record<Flags, number>>(),
    );
    if (row === null) throw new Failure("catalogue_lost", `the row of partition ${this.#name} is gone from D1`);
    return { ...row, open: row.open === 1, replaying: row.replaying === 1 };
  }

  async noteChanged(changed: readonly ChangedOutcome[]): Promise<void> {
    await nameFailure(() => this.#db.prepare(NOTE_CHANGED).bind(this.#name, JSON.stringify(changed)).run());
  }

  async changed(after: Seq, limit: number): Promise<readonly ChangedOutcome[]> {
    const found = this.#db.prepare(CHANGED).bind(this.#name, after, limit);
    return (await nameFailure(() => found.all<ChangedOutcome>())).results;
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

  #replace({ epoch, version: before, seq: upTo, replaced }: Promotion): D1PreparedStatement[] {
    return replaced.map((point) => {
      const { version, seq, stamp, files, intact, replacedMs } = point;
      const values = [version, point.attempt, seq, stamp, JSON.stringify(files), intact ? 1 : 0, replacedMs];
      return this.#db.prepare(REPLACE).bind(this.#name, epoch, before, ...values, upTo);
    });
  }

  async roots(): Promise<Roots | null> {
    return rootsFrom(await nameFailure(() => this.#db.batch<never>(this.#readRoots())));
  }

  #readRoots(): D1PreparedStatement[] {
    return [
      ...[RETENTION, POINTS_OF, PINS_OF, SAVEPOINTS_OF].map((sql) => this.#db.prepare(sql).bind(this.#name)),
      this.#db.prepare(REMOVED).bind(this.#line),
    ];
  }

  async retain({ epoch, version, drop, retainFrom, archiveFrom, savepoints }: Retention): Promise<Roots | null> {
    const guarded = (sql: string): D1PreparedStatement => this.#db.prepare(sql);
    const results = await nameFailure(() =>
      this.#db.batch<never>([
        guarded(DROP).bind(this.#name, epoch, version, JSON.stringify(drop), savepoints.join()),
        guarded(RAISE).bind(this.#name, epoch, version, retainFrom, archiveFrom, savepoints.join()),
        ...this.#readRoots(),
      ]),
    );
    const roots = rootsFrom(results.slice(2));
    return roots?.row.epoch === epoch && roots.row.version === version ? roots : null;
  }

  async pin({ version, name, createdMs }: Pin): Promise<"pinned" | "gone" | "full"> {
    const [, pins] = await nameFailure(() =>
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
    await nameFailure(() => this.#db.prepare(sql).bind(this.#name, version, name).run());
  }

  get size(): number {
    return this.#size;
  }

  /** The sum reads a small column that stands before the payload, so overflow pages aren't read. */
  async used(): Promise<number> {
    const sql = "SELECT COALESCE(SUM(bytes), 0) AS bytes FROM segments";
    const [sum] = await this.#heard(async () => [await this.#db.prepare(sql).all<{ bytes: number }>()]);
    return sum!.results[0]!.bytes;
  }

  /** Each answer carries the size of the database. */
  async #heard<T>(call: () => Promise<D1Result<T>[]>): Promise<D1Result<T>[]> {
    const results = await nameFailure(call);
    this.#size = results.at(-1)?.meta.size_after ?? this.#size;
    return results;
  }

  async row(): Promise<PartitionRow | null> {
    return nameFailure(() => this.#db.prepare(PEEK).bind(this.#name).first<PartitionRow>());
  }
}
