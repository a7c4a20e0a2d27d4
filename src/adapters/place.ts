/**
 * Places in D1: one integer says of which partition a row is, and where it stands there. The texts are SQL, since a place is
 * larger than the whole numbers of JavaScript.
 *
 * A place is the number of the partition in its database << 43 | the seq of a segment, or the manifest number of a restore point.
 * So the rows of a partition stand together and in order, and no look-up compares payloads (0001_log.sql).
 */

const SHIFT = 43;
/** Also the mask of what stands below the number. */
const LAST = 2 ** SHIFT - 1;

/** Of partition `p`, an alias of a row of `partitions`. A seq that is too large must not reach into another partition. */
export const placeOf = (p: string, seq: string): string => `(${p}.number << ${SHIFT} | MIN(${seq}, ${LAST}))`;
export const firstPlace = (p: string): string => `(${p}.number << ${SHIFT})`;
export const lastPlace = (p: string): string => `(${p}.number << ${SHIFT} | ${LAST})`;
/** Of all places of partition `p`. */
export const within = (p: string): string => `BETWEEN ${firstPlace(p)} AND ${lastPlace(p)}`;
/** The last place of the partition that `place` is of. */
export const lastBeside = (place: string): string => `(${place} | ${LAST})`;
export const firstBeside = (place: string): string => `(${place} >> ${SHIFT} << ${SHIFT})`;
/** The seq or version of a place. */
export const seqOf = (place: string): string => `${place} & ${LAST}`;

/** Joins the last segment of partition `p` as `h`, all null where the log is empty: one look, whatever is asked of it. */
export const withHead = (p: string): string =>
  `LEFT JOIN segments AS h ON h.place = (SELECT MAX(place) FROM segments WHERE place ${within(p)})`;

/** The epoch that holds: the row's, or that of the last segment where a writer took one with its first append (LOG2). */
export const HELD = "MAX(p.epoch, COALESCE(h.epoch, 0))";
/** The same where a statement asks nothing else of the head, and can't join it. */
export const heldEpoch = (p: string): string =>
  `MAX(${p}.epoch, COALESCE((SELECT epoch FROM segments WHERE place ${within(p)} ORDER BY place DESC LIMIT 1), 0))`;

/** Is the head of partition `p` such? One look. `condition` names the head as `h`. */
export const headIs = (p: string, condition: string): string =>
  `EXISTS (SELECT 1 FROM (SELECT 1) ${withHead(p)} WHERE ${condition})`;

/** Gives a partition its number in the database, unless it has one. Of several at a time one does, and all read which. */
export const NUMBER = "INSERT OR IGNORE INTO numbers (partition) VALUES (?1)";
