/**
 * Every partition of every operator at one glance, for readers that look again each second or two (SNAP9).
 *
 * OVERVIEW1. A partition costs four rows read, however long its tail is. Seqs have no gaps (LOG4), so its events need
 *     no counting. The bytes of the tail would cost a row for each segment; d1-status.ts reads them.
 * OVERVIEW2. A manifest isn't checked here, and only the parts that are shown leave the database.
 */
import { nameFailure } from "./not-migrated.ts";
import { HELD, lastPlace, placeOf, withHead } from "./place.ts";

export interface GlanceRow {
  readonly partition: string;
  readonly epoch: number;
  readonly snapshotSeq: number;
  /** Last seq in the log. */
  readonly head: number;
  /** Stamp of the last segment. Null if the log is empty: then the snapshot has the facts of its last segment. */
  readonly headStamp: number | null;
  /** Stamp of the first segment of the tail. Null if there is no tail. */
  readonly tailStamp: number | null;
  /** Statistics in the last segment, JSON text. */
  readonly stats: string | null;
  /**
   * JSON array of number, kind, bytes, ms, at, keys, stateBytes, quarantined, minutes. Null if there is no snapshot, or
   * its manifest is not valid JSON.
   */
  readonly snapshot: string | null;
  /** 1 if there is a manifest. */
  readonly saved: 0 | 1;
  /** Stamp from which on the past can be read, or 0 if retention has given up nothing. */
  readonly retainFrom: number;
}

const SELECT = `SELECT p.partition, ${HELD} AS epoch, p.snapshot_seq AS snapshotSeq,
    COALESCE(h.last, p.snapshot_seq) AS head, h.stamp AS headStamp, h.stats,
    (SELECT stamp FROM segments WHERE place > ${placeOf("p", "p.snapshot_seq")} AND place <= ${lastPlace("p")} ORDER BY place LIMIT 1) AS tailStamp,
    p.manifest IS NOT NULL AS saved, p.retain_from AS retainFrom,
    CASE WHEN json_valid(p.manifest) THEN
      json_extract(p.manifest, '$.number', '$.kind', '$.snapshot.bytes', '$.ms', '$.at', '$.keys', '$.stateBytes', '$.quarantined', '$.minutes') END AS snapshot
  FROM partitions AS p ${withHead("p")}
  WHERE p.partition >= ?1 AND p.partition < ?1 || '~' ORDER BY p.partition`;

/** Returns all partitions of a line in this database. Names are plain ASCII, so "~" is above all of them. */
export async function partitionGlances(db: D1Database, line: number): Promise<GlanceRow[]> {
  const { results } = await nameFailure(() => db.prepare(SELECT).bind(`${line}/`).all<GlanceRow>());
  return results;
}
