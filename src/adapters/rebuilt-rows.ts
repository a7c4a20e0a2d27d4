/**
 * Reads and writes the rows of partitions when D1 is rebuilt from R2. A row is overwritten only by a decision about
 * exactly that row. Otherwise the statement itself leaves an existing row alone, even if another call made it in
 * between.
 */
import { parsePartitionName, partitionName, type PartitionId, type Stamp } from "../engine/base/ids.ts";
import type { PartitionRow, Point, Segment } from "../engine/base/records.ts";
import { archiveText } from "../engine/log/archive.ts";
import type { RowTotals } from "../engine/recovery/rebuild-at.ts";
import type { Databases } from "./catalogue.ts";
import { nameFailure } from "./not-migrated.ts";
import { heldEpoch, GIVE_NUMBER, placeOf, within } from "./place.ts";

export interface KnownRow {
  readonly line: number;
  readonly partition: number;
  readonly database: string;
  readonly seed: number;
}

/** Returns the rows of an operator's partitions in all databases, including databases where they don't belong. */
export async function knownRows(databases: Databases, prefix: string): Promise<KnownRow[]> {
  // Names are plain ASCII, so "~" is above all of them.
  const sql = "SELECT partition, seed FROM partitions WHERE partition >= ?1 AND partition < ?1 || '~'";
  const rowsIn = async ([database, db]: readonly [string, D1Database]): Promise<KnownRow[]> => {
    const { results } = await nameFailure(() =>
      db.prepare(sql).bind(prefix).all<{ partition: string; seed: number }>(),
    );
    return results.map((row) => {
      const { line, partition } = parsePartitionName(row.partition);
      return { line, partition, database, seed: row.seed };
    });
  };
  return (await Promise.all([...databases].map(rowsIn))).flat();
}

const INSERT = `INSERT OR IGNORE INTO partitions (number, partition, line, seed, start_seq, epoch, writer, code, version, attempt, snapshot_seq, snapshot_stamp, manifest, previous_seq, previous, pins)
  SELECT number, ?1, ?2, ?3, ?4, ?5, 'recover', '', ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13 FROM numbers AS p WHERE partition = ?1
    AND (?14 IS NULL OR ?14 = (SELECT COUNT(*) || '/' || COALESCE(SUM(checksum), 0) FROM segments WHERE place ${within("p")}))`;

const NO_ROW = "NOT EXISTS (SELECT 1 FROM partitions WHERE partition = ?1)";
const CLEAR = `DELETE FROM segments WHERE ${NO_ROW} AND place IN (SELECT s.place FROM numbers AS p JOIN segments AS s ON s.place ${within("p")}
  WHERE p.partition = ?1)`;
/** The rows stand in the parameter as in an archive (archive.ts). */
const COPY = `INSERT OR IGNORE INTO segments (place, last, stamp, epoch, grp, format, operator_version, code, codec, checksum, bytes, stats, payload)
  SELECT ${placeOf("p", "v.value ->> 0")}, ${Array.from({ length: 10 }, (_, i) => `v.value ->> ${i + 1}`).join(", ")}, '{}', v.value ->> 11
  FROM numbers AS p CROSS JOIN json_each(?2) AS v WHERE p.partition = ?1 AND ${NO_ROW}`;

/** Deletes the restore points and pins that D1 still has above the found snapshot. The rebuild gives them up. */
const FORGET = [
  `DELETE FROM restore_points WHERE place IN (SELECT r.place FROM partitions AS p JOIN restore_points AS r ON r.place ${within("p")}
    WHERE p.partition = ?1 AND p.epoch = ?2 AND p.writer = ?4 AND r.place > ${placeOf("p", "?3")})`,
  `DELETE FROM pins WHERE partition = ?1 AND version > ?3
    AND EXISTS (SELECT 1 FROM partitions WHERE partition = ?1 AND epoch = ?2 AND writer = ?4)`,
];

/** Characters of payloads that one statement copies. JSON escapes some of them. */
const COPIED_CHARS = 500_000;

/**
 * Copies archived rows into the log of a partition that has no row, then writes its row, if the log is these rows and no
 * others. So a copy that broke off counts for nothing, and the next one begins anew. Returns whether the row was written.
 */
export async function storeRowAndLog(
  db: D1Database,
  id: PartitionId,
  row: PartitionRow,
  { rows, checksums }: RowTotals,
  portions: AsyncIterable<readonly Segment[]>,
): Promise<boolean> {
  const name = partitionName(id);
  await nameFailure(() => db.batch([db.prepare(GIVE_NUMBER).bind(name), db.prepare(CLEAR).bind(name)]));
  for await (const portion of portions)
    for (const some of chunksOf(portion)) await nameFailure(() => db.prepare(COPY).bind(name, archiveText(some)).run());
  return storeRow(db, id, row, { log: `${rows}/${checksums}` });
}

function* chunksOf(rows: readonly Segment[]): Generator<readonly Segment[]> {
  let [from, chars] = [0, 0];
  for (const [i, { payload }] of rows.entries()) {
    if (i > from && chars + payload.length > COPIED_CHARS) {
      yield rows.slice(from, i);
      [from, chars] = [i, 0];
    }
    chars += payload.length;
  }
  if (from < rows.length) yield rows.slice(from);
}

const GIVE_UP = "UPDATE partitions SET retain_from = ?2 WHERE partition = ?1 AND epoch = ?3 AND writer = 'recover'";

interface Beside {
  /** Number of rows and sum of the checksums that its log must have. */
  readonly log?: string;
  /** A restore point. */
  readonly point?: Point;
  /** Moments below are given up. */
  readonly retainFrom?: Stamp;
}

/** Writes a partition's row, unless there is one, and what stands beside it. Returns whether it was written. */
export async function storeRow(
  db: D1Database,
  id: PartitionId,
  row: PartitionRow,
  { log, point, retainFrom }: Beside = {},
): Promise<boolean> {
  const values = [
    partitionName(id),
    id.line,
    row.seed,
    row.startSeq,
    row.epoch,
    row.version,
    row.attempt,
    row.snapshotSeq,
    row.snapshotStamp,
    row.manifest,
    row.previousSeq,
    row.previous,
    row.pins,
    log ?? null,
  ];
  const name = values[0];
  const [, written] = await nameFailure(() =>
    db.batch([
      db.prepare(GIVE_NUMBER).bind(name),
      db.prepare(INSERT).bind(...values),
      ...forgetting(db, id, row, "recover", numberOf(row)),
      ...(point === undefined ? [] : [db.prepare(KEEP).bind(name, "recover", ...columnsOf(point))]),
      ...(retainFrom === undefined ? [] : [db.prepare(GIVE_UP).bind(name, retainFrom, row.epoch)]),
    ]),
  );
  return written!.meta.changes === 1;
}

/** Returns the name of a partition of which a database has rows of the log, or null if none has any. */
export async function partitionWithLog(databases: Databases, prefix: string): Promise<string | null> {
  const sql = `SELECT p.partition FROM numbers AS p WHERE p.partition >= ?1 AND p.partition < ?1 || '~'
    AND EXISTS (SELECT 1 FROM segments WHERE place ${within("p")}) LIMIT 1`;
  const found = [...databases.values()].map((db) =>
    nameFailure(() => db.prepare(sql).bind(prefix).first<{ readonly partition: string }>()),
  );
  return (await Promise.all(found)).find((one) => one !== null)?.partition ?? null;
}

/** Statements that delete restore points and pins above this manifest number. */
function forgetting(
  db: D1Database,
  id: PartitionId,
  row: PartitionRow,
  writer: string,
  above: number,
): D1PreparedStatement[] {
  return FORGET.map((sql) => db.prepare(sql).bind(partitionName(id), row.epoch, above, writer));
}

const numberOf = (row: PartitionRow): number => (JSON.parse(row.manifest ?? "{}") as { number?: number }).number ?? 0;

const REPLACE = `UPDATE partitions AS p SET writer = ?4, code = '', epoch = ?5, version = ?6, attempt = ?7, snapshot_seq = ?8, snapshot_stamp = ?9,
    manifest = ?10, previous_seq = ?11, previous = ?12, pins = ?13
  WHERE partition = ?1 AND ${heldEpoch("p")} = ?2 AND version = ?3`;
/** The UPDATE before DROP may have matched nothing: then another decision's log must stay. */
const DROP = `DELETE FROM segments WHERE place IN (SELECT s.place FROM partitions AS p JOIN segments AS s ON s.place ${within("p")}
  WHERE p.partition = ?1 AND p.writer = ?2)`;

/**
 * A pin needs its restore point: without it the pin would hold nothing, and garbage collection would stop at it (GC2 of
 * garbage-collection.ts).
 */
const KEEP = `INSERT OR IGNORE INTO restore_points (place, attempt, seq, stamp, files, intact, replaced_at)
  SELECT ${placeOf("p", "?3")}, ?4, ?5, ?6, ?7, ?8, ?9 FROM partitions AS p WHERE p.partition = ?1 AND p.writer = ?2`;

/**
 * Writes another row in the place of `was`, and deletes the log unless `keepLog`. Returns whether the row was written.
 *
 * If the log is deleted, restore points and pins above `roots.upTo` go with it, and `roots.displaced` becomes a restore
 * point.
 */
export async function replaceRow(
  db: D1Database,
  id: PartitionId,
  was: PartitionRow,
  row: PartitionRow,
  keepLog: boolean,
  roots: { readonly upTo: number; readonly displaced: Point | null } = { upTo: numberOf(row), displaced: null },
): Promise<boolean> {
  const [name, writer] = [partitionName(id), `adopt-${crypto.randomUUID()}`];
  const values = [
    row.epoch,
    row.version,
    row.attempt,
    row.snapshotSeq,
    row.snapshotStamp,
    row.manifest,
    row.previousSeq,
    row.previous,
    row.pins,
  ];
  const replace = db.prepare(REPLACE).bind(name, was.epoch, was.version, writer, ...values);
  const drop = db.prepare(DROP).bind(name, writer);
  const { upTo, displaced } = roots;
  const kept = displaced === null ? [] : [db.prepare(KEEP).bind(name, writer, ...columnsOf(displaced))];
  const [replaced] = await nameFailure(() =>
    db.batch(keepLog ? [replace] : [replace, drop, ...forgetting(db, id, row, writer, upTo), ...kept]),
  );
  return replaced!.meta.changes === 1;
}

const columnsOf = ({ version, attempt, seq, stamp, files, intact, replacedMs }: Point): unknown[] => [
  version,
  attempt,
  seq,
  stamp,
  JSON.stringify(files),
  intact ? 1 : 0,
  replacedMs,
];
