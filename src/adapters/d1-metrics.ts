/**
 * Facts about partitions for the metrics, from D1 alone, without waking the partitions (SNAP9). Each partition costs at
 * most six rows read, however long its log is. Manifests come without the parts that only recovery needs, so their
 * checksum says nothing here.
 */
import { nameFailure } from "./not-migrated.ts";
import { lastPlace, placeOf, withHead } from "./place.ts";

export interface MeteredPartition {
  readonly partition: string;
  /**
   * The epoch of the partition's row, who took it, and with which code; "" if nobody took one yet. The last segment may
   * have a newer epoch (LOG2).
   */
  readonly rowEpoch: number;
  readonly writer: string;
  readonly code: string;
  readonly version: number;
  readonly snapshotSeq: number;
  /** JSON text. Null if there is no manifest, or it is not valid JSON. */
  readonly manifest: string | null;
  /** Stamp of the first segment of the tail. Null if there is no tail. */
  readonly tailStamp: number | null;
  /** The last seq of the last segment. Null, like the fields below, if the log is empty. */
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

/** Returns the partitions that have a row, and the size of the whole database. */
export async function glance(
  db: D1Database,
  names: readonly string[],
): Promise<{ readonly partitions: readonly MeteredPartition[]; readonly bytes: number }> {
  const { results, meta } = await nameFailure(() =>
    db.prepare(GLANCE).bind(JSON.stringify(names)).all<MeteredPartition>(),
  );
  return { partitions: results, bytes: meta.size_after };
}
