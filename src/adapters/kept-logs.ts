/**
 * How much of the log of a line is kept, by the rows of one database: a replay needs all of it above its moment.
 *
 * KEPTLOG1. From the stamp on from which a partition's state can be read, its log is whole. Below, a savepoint keeps the
 *     archives up to the first snapshot after it (RETENTION6), and no others.
 */
import type { Stamp } from "../engine/base/ids.ts";
import { nameFailure } from "./not-migrated.ts";
import { seqOf, within } from "./place.ts";

/** The first snapshot after a savepoint, whose archive is the last one that the savepoint keeps. */
const FIRST_AFTER = `COALESCE(
    (SELECT MIN(${seqOf("r.place")}) FROM restore_points AS r WHERE r.place ${within("p")} AND r.intact = 1 AND r.stamp > ?2),
    CASE WHEN p.snapshot_stamp > ?2 THEN p.version ELSE p.archive_from END)`;
const GIVEN_UP = `SELECT MAX(p.retain_from) AS oldest, MAX(p.archive_from > 1 AND (?3 = 0 OR p.archive_from > 1 + ${FIRST_AFTER})) AS broken
  FROM partitions AS p WHERE p.line = ?1 AND p.retain_from > ?2`;

export interface KeptLog {
  /** A part of some partition's log above the stamp is given up. */
  readonly broken: boolean;
  /** From this stamp on nothing is given up in any partition, or null if that holds for the stamp itself. */
  readonly oldest: Stamp | null;
}

/** `saved`: a savepoint of the line may have that stamp. */
export async function keptLog(db: D1Database, line: number, above: Stamp, saved: boolean): Promise<KeptLog> {
  const found = await nameFailure(() =>
    db
      .prepare(GIVEN_UP)
      .bind(line, above, saved ? 1 : 0)
      .first<{ readonly oldest: Stamp | null; readonly broken: number | null }>(),
  );
  return { oldest: found!.oldest, broken: found!.broken === 1 };
}
