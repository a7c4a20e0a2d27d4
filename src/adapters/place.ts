/**
 * Places in D1: one integer says to which partition a row belongs, and where it stands there. The functions return SQL,
 * since a place exceeds the safe integers of JavaScript.
 *
 * A place is the number of the partition in its database << 43 | the seq of a segment, or the manifest number of a
 * restore point. So the rows of a partition stand together and in order, and no look-up compares payloads
 * (0001_log.sql).
 */

const SHIFT = 43;
/** Also the mask of the part below the partition's number. */
const LAST = 2 ** SHIFT - 1;

/**
 * Returns a place of partition `p`, an alias of a row of `partitions`. A seq that is too large must not reach into
 * another partition.
 */
export const placeOf = (p: string, seq: string): string => `(${p}.number << ${SHIFT} | MIN(${seq}, ${LAST}))`;
export const firstPlace = (p: string): string => `(${p}.number << ${SHIFT})`;
export const lastPlace = (p: string): string => `(${p}.number << ${SHIFT} | ${LAST})`;
/** Matches all places of partition `p`. */
export const within = (p: string): string => `BETWEEN ${firstPlace(p)} AND ${lastPlace(p)}`;
/** Returns the last place of the partition to which `place` belongs. */
export const lastBeside = (place: string): string => `(${place} | ${LAST})`;
export const firstBeside = (place: string): string => `(${place} >> ${SHIFT} << ${SHIFT})`;
/** Returns the seq or manifest number of a place. */
export const seqOf = (place: string): string => `${place} & ${LAST}`;

/**
 * Joins the last segment of partition `p` as `h`, all null if the log is empty. One look-up serves every use of `h`.
 */
export const withHead = (p: string): string =>
  `LEFT JOIN segments AS h ON h.place = (SELECT MAX(place) FROM segments WHERE place ${within(p)})`;

/** The epoch that holds. It is the row's, or the last segment's if a writer took one with its first append (LOG2). */
export const HELD = "MAX(p.epoch, COALESCE(h.epoch, 0))";
/** The epoch that holds, for a statement that needs nothing else of the head, or can't join it. */
export const heldEpoch = (p: string): string =>
  `MAX(${p}.epoch, COALESCE((SELECT epoch FROM segments WHERE place ${within(p)} ORDER BY place DESC LIMIT 1), 0))`;

/** Tests the head of partition `p` with one look-up. `condition` names the head as `h`. */
export const headIs = (p: string, condition: string): string =>
  `EXISTS (SELECT 1 FROM (SELECT 1) ${withHead(p)} WHERE ${condition})`;

/**
 * Gives a partition its number in the database, unless it has one. If several callers race, one succeeds, and all read
 * the same number.
 */
export const GIVE_NUMBER = "INSERT OR IGNORE INTO numbers (partition) VALUES (?1)";
