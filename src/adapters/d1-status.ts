/**
 * Facts about partitions from D1 alone, without waking the partitions (SNAP9): their rows, sums over the tail, and the
 * statistics in the last segment.
 */
import type { Epoch } from "../engine/base/ids.ts";
import type { PartitionRow } from "../engine/base/records.ts";
import { nameFailure } from "./not-migrated.ts";
import { HELD, lastPlace, placeOf, within, withHead } from "./place.ts";

export interface StatusRow extends Omit<PartitionRow, "seed" | "attempt" | "snapshotStamp"> {
  readonly partition: string;
  /** Last seq in the log. */
  readonly head: number;
  readonly tailEvents: number;
  readonly tailBytes: number;
  /** Stamp of the first segment of the tail. Null if there is no tail. */
  readonly tailStamp: number | null;
  /** Statistics in the last segment, JSON text. Null if there are none. */
  readonly stats: string | null;
}

/** The first segment of the tail. Seqs have no gaps (LOG4), so the events of a tail need no counting. */
const TAIL_STAMP = `(SELECT stamp FROM segments WHERE place > ${placeOf("p", "p.snapshot_seq")} AND place <= ${lastPlace("p")} ORDER BY place LIMIT 1)`;
const TAIL_EVENTS = "COALESCE(h.last, p.snapshot_seq) - p.snapshot_seq";
const TAIL_BYTES = `COALESCE((SELECT SUM(bytes) FROM segments WHERE place > ${placeOf("p", "p.snapshot_seq")} AND place <= ${lastPlace("p")}), 0)`;

const SELECT = `SELECT p.partition, ${HELD} AS epoch, p.version, p.manifest, p.snapshot_seq AS snapshotSeq, p.previous, p.previous_seq AS previousSeq, p.pins,
    COALESCE(h.last, p.snapshot_seq) AS head, ${TAIL_EVENTS} AS tailEvents, ${TAIL_BYTES} AS tailBytes, ${TAIL_STAMP} AS tailStamp, h.stats
  FROM partitions AS p ${withHead("p")}`;

/** Returns the partitions whose names begin with `prefix`, in order. */
export async function partitionStatus(db: D1Database, prefix: string): Promise<StatusRow[]> {
  // Names are plain ASCII, so "~" is above all of them.
  const { results } = await nameFailure(() =>
    db
      .prepare(`${SELECT} WHERE p.partition >= ?1 AND p.partition < ?1 || '~' ORDER BY p.partition`)
      .bind(prefix)
      .all<StatusRow>(),
  );
  return results;
}

/**
 * Facts that tell whether a partition's snapshot is due. The bytes of the tail are missing, since they cost a row read
 * for each segment.
 */
export interface PartitionTail {
  readonly partition: string;
  readonly tailEvents: number;
  /** Stamp of the first segment of the tail. Null if there is no tail. */
  readonly tailStamp: number | null;
  /**
   * Time of the current snapshot. It serves this decision only, since the manifest isn't checked here. Null if there is
   * no snapshot, or it has no time.
   */
  readonly lastAt: string | null;
  /**
   * No timer is due before this time, in milliseconds. Null if none is pending, as far as the last segment says, or
   * without a tail the current snapshot.
   */
  readonly pendingFrom: number | null;
}

const TAILS = `SELECT p.partition, ${TAIL_EVENTS} AS tailEvents, ${TAIL_STAMP} AS tailStamp,
    CASE WHEN json_valid(p.manifest) THEN json_extract(p.manifest, '$.at') END AS lastAt,
    CASE WHEN h.last > p.snapshot_seq THEN CASE WHEN json_valid(h.stats) THEN json_extract(h.stats, '$.pendingFrom') END
      WHEN json_valid(p.manifest) THEN json_extract(p.manifest, '$.pendingFrom') END AS pendingFrom
  FROM partitions AS p ${withHead("p")} WHERE p.partition > ?1 ORDER BY p.partition LIMIT ?2`;

/** Returns up to `limit` partitions above `after`, in the order of their names, with a tail or without. */
export async function partitionTails(db: D1Database, after: string, limit: number): Promise<PartitionTail[]> {
  const { results } = await nameFailure(() => db.prepare(TAILS).bind(after, limit).all<PartitionTail>());
  return results;
}

/** Returns the bytes of these partitions' tails. */
export async function tailBytes(db: D1Database, names: readonly string[]): Promise<Map<string, number>> {
  const sql = `SELECT p.partition, ${TAIL_BYTES} AS bytes FROM partitions AS p WHERE p.partition IN (SELECT value FROM json_each(?1))`;
  const { results } = await nameFailure(() =>
    db.prepare(sql).bind(JSON.stringify(names)).all<{ partition: string; bytes: number }>(),
  );
  return new Map(results.map(({ partition, bytes }) => [partition, bytes]));
}

interface ErasureFacts {
  readonly epoch: Epoch;
  readonly head: number;
  /** Rows of the log that begin at or below the seq. */
  readonly rows: number;
}

/** Returns null if the partition has no row. */
export async function erasureFacts(db: D1Database, partition: string, seq: number): Promise<ErasureFacts | null> {
  const sql = `SELECT ${HELD} AS epoch, COALESCE(h.last, p.snapshot_seq) AS head,
      (SELECT COUNT(*) FROM segments WHERE place ${within("p")} AND place <= ${placeOf("p", "?2")}) AS rows
    FROM partitions AS p ${withHead("p")} WHERE p.partition = ?1`;
  return nameFailure(() => db.prepare(sql).bind(partition, seq).first<ErasureFacts>());
}

/** A logged command that erased a key: its seq, and the incarnation of the partition's row at that time. */
interface ErasureRecord {
  readonly seq: number;
  readonly incarnation: number;
}

export async function recordErasure(
  db: D1Database,
  partition: string,
  { seq, incarnation }: ErasureRecord,
  atMs: number,
): Promise<void> {
  const sql = "INSERT OR IGNORE INTO erasures (partition, seq, incarnation, at_ms) VALUES (?1, ?2, ?3, ?4)";
  await nameFailure(() => db.prepare(sql).bind(partition, seq, incarnation, atMs).run());
}

/** Returns the time of the erasure, or null if no such erasure is recorded. */
export async function erasedAt(
  db: D1Database,
  partition: string,
  { seq, incarnation }: ErasureRecord,
): Promise<number | null> {
  const sql = "SELECT at_ms AS atMs FROM erasures WHERE partition = ?1 AND seq = ?2 AND incarnation = ?3";
  const row = await nameFailure(() =>
    db.prepare(sql).bind(partition, seq, incarnation).first<{ readonly atMs: number }>(),
  );
  return row?.atMs ?? null;
}

/** Returns the erasures that were recorded at that time or later, on all lines. */
export async function erasuresSince(
  db: D1Database,
  atMs: number,
): Promise<readonly (ErasureRecord & { readonly partition: string })[]> {
  const sql = "SELECT partition, seq, incarnation FROM erasures WHERE at_ms >= ?1 ORDER BY at_ms";
  return (await nameFailure(() => db.prepare(sql).bind(atMs).all<ErasureRecord & { partition: string }>())).results;
}
