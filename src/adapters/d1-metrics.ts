/**
 * What D1 knows of partitions for the metrics, without waking them (SNAP9): six rows read for each at most, however long its
 * log is. Manifests come without what only recovery needs, so their checksum says nothing here.
 */
import { named } from "./d1-log.ts";
import { lastPlace, placeOf, withHead } from "./place.ts";

export interface MeteredPartition {
  readonly partition: string;
  /** Of the row, and who took it, with which code; "": nobody yet. What the last segment says may be newer (LOG2). */
  readonly rowEpoch: number;
  readonly writer: string;
  readonly code: string;
  readonly version: number;
  readonly snapshotSeq: number;
  /** JSON text; null: there is none, or it is no JSON. */
  readonly manifest: string | null;
  /** Stamp of the first segment of the tail; null: no tail. */
  readonly tailStamp: number | null;
  /** Of the last segment; null: there is none. */
  readonly last: number | null;
  readonly lastEpoch: number | null;
  readonly lastCode: string | null;
  readonly lastBytes: number | null;
  readonly stats: string | null;
}

const GLANCE = `SELECT p.partition, p.epoch AS rowEpoch, p.writer, p.code, p.version, p.snapshot_seq AS snapshotSeq,
    CASE WHEN json_valid(p.manifest) THEN json_remove(p.manifest, '$.archive', '$.history', '$.minutes') END AS manifest,
    (SELECT stamp FROM segments WHERE place > ${placeOf("p", "p.snapshot_seq")} AND place <= ${lastPlace("p")} ORDER BY place LIMIT 1) AS tailStamp,
    h.last, h.epoch AS lastEpoch, h.code AS lastCode, h.bytes AS lastBytes, h.stats
  FROM partitions AS p ${withHead("p")}
  WHERE p.partition IN (SELECT value FROM json_each(?1))`;

/** Those of the partitions that have a row; and the size of the whole database. */
export async function glance(
  db: D1Database,
  names: readonly string[],
): Promise<{ readonly partitions: readonly MeteredPartition[]; readonly bytes: number }> {
  const { results, meta } = await named(() => db.prepare(GLANCE).bind(JSON.stringify(names)).all<MeteredPartition>());
  return { partitions: results, bytes: meta.size_after };
}
