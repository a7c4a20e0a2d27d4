/**
 * What D1 knows of partitions, without waking them (SNAP9): their rows, sums over the tail, and the statistics that ride
 * in the last segment.
 */
import type { PartitionRow } from "../engine/ports.ts";
import { named } from "./d1-log.ts";

export interface PartitionStatus extends Omit<PartitionRow, "seed" | "attempt" | "snapshotStamp"> {
  readonly partition: string;
  /** Last seq in the log. */
  readonly head: number;
  readonly tailEvents: number;
  readonly tailBytes: number;
  /** Stamp of the first segment of the tail; null: no tail. */
  readonly tailStamp: number | null;
  /** Riding statistics of the last segment, JSON text; null: there is none. */
  readonly stats: string | null;
}

const SELECT = `SELECT p.partition, p.epoch, p.version, p.manifest, p.snapshot_seq AS snapshotSeq, p.previous, p.previous_seq AS previousSeq, p.pins,
    COALESCE((SELECT last FROM segments AS s WHERE s.partition = p.partition ORDER BY seq DESC LIMIT 1), p.snapshot_seq) AS head,
    COALESCE((SELECT SUM(last - seq + 1) FROM segments AS s WHERE s.partition = p.partition AND seq > p.snapshot_seq), 0) AS tailEvents,
    COALESCE((SELECT SUM(bytes) FROM segments AS s WHERE s.partition = p.partition AND seq > p.snapshot_seq), 0) AS tailBytes,
    (SELECT stamp FROM segments AS s WHERE s.partition = p.partition AND seq > p.snapshot_seq ORDER BY seq LIMIT 1) AS tailStamp,
    (SELECT stats FROM segments AS s WHERE s.partition = p.partition ORDER BY seq DESC LIMIT 1) AS stats
  FROM partitions AS p`;

/** The partitions whose names begin with `prefix`, in order. */
export async function partitionStatus(db: D1Database, prefix: string): Promise<PartitionStatus[]> {
  // Names are plain ASCII, so "~" is above all of them.
  const { results } = await named(() =>
    db
      .prepare(`${SELECT} WHERE p.partition >= ?1 AND p.partition < ?1 || '~' ORDER BY p.partition`)
      .bind(prefix)
      .all<PartitionStatus>(),
  );
  return results;
}

/** Up to `limit` partitions that have a tail. */
export async function partitionsWithTail(db: D1Database, limit: number): Promise<PartitionStatus[]> {
  const sql = `${SELECT} WHERE EXISTS (SELECT 1 FROM segments AS s WHERE s.partition = p.partition AND s.seq > p.snapshot_seq) LIMIT ?1`;
  const { results } = await named(() => db.prepare(sql).bind(limit).all<PartitionStatus>());
  return results;
}
