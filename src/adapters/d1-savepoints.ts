/**
 * The savepoints of one database (history/savepoints.ts). A savepoint that is added or held has the condition that no
 * partition has given up its moment, in the same statement.
 */
import type { Stamp } from "../engine/base/ids.ts";
import { SAVEPOINTS } from "../engine/base/limits.ts";
import type { SavepointStore } from "../engine/base/ports.ts";
import type { PartitionHead, Savepoint } from "../engine/base/records.ts";
import { nameFailure } from "./not-migrated.ts";
import { lastPlace, placeOf } from "./place.ts";

const ROW = "number, name, at, created_at AS createdMs, state";

const ALL = `SELECT ${ROW} FROM savepoints WHERE line = ?1 ORDER BY name`;

/** Another savepoint of the same moment keeps it too. */
const isKept = (line: string, at: string): string =>
  `(NOT EXISTS (SELECT 1 FROM partitions WHERE line = ${line} AND retain_from > ${at})
    OR EXISTS (SELECT 1 FROM savepoints WHERE line = ${line} AND at = ${at} AND state = 'held'))`;

/** The start of a line is held only while the line is being made: a late call must not hold what nobody removes. */
const ADD = `INSERT OR IGNORE INTO savepoints (line, name, at, created_at, state)
  SELECT ?1, ?2, ?3, ?4, 'taking' WHERE ${isKept("?1", "?3")}
    AND (?2 NOT LIKE '@%' OR EXISTS (SELECT 1 FROM timelines WHERE '@' || line = ?2 AND state = 'making'))
    AND (SELECT COUNT(*) FROM savepoints WHERE line = ?1) < ${SAVEPOINTS}`;
const NAMED = `SELECT ${ROW} FROM savepoints WHERE line = ?1 AND name = ?2`;
const COUNT = "SELECT COUNT(*) AS count FROM savepoints WHERE line = ?1";

/** A row of an earlier savepoint of that name is one that was removed in the first database. */
const HOLD = `INSERT INTO savepoints (number, line, name, at, created_at, state)
  SELECT ?1, ?2, ?3, ?4, ?5, 'held' WHERE ${isKept("?2", "?4")}
  ON CONFLICT (line, name) DO UPDATE SET number = excluded.number, at = excluded.at, created_at = excluded.created_at
    WHERE excluded.number > number`;
const NUMBERED = `SELECT ${ROW} FROM savepoints WHERE number = ?1`;

const CONFIRM = "UPDATE savepoints SET state = 'held' WHERE number = ?1 AND state = 'taking'";
const WITHDRAW = "UPDATE savepoints SET state = 'removing' WHERE number = ?1";
/** The first row above a partition's snapshot. */
const firstUncovered = `(SELECT MIN(place) FROM segments WHERE place > ${placeOf("p", "p.snapshot_seq")} AND place <= ${lastPlace("p")})`;
const UNARCHIVED = `SELECT s.stamp FROM partitions AS p JOIN segments AS s ON s.place = ${firstUncovered} WHERE p.line = ?1`;
/** Rows above the moment are few, since they came after it and no snapshot covers them. */
const HEADS = `SELECT p.partition, CASE WHEN p.snapshot_stamp <= ?2 THEN COALESCE(
    (SELECT s.last FROM segments AS s WHERE s.place > ${placeOf("p", "p.snapshot_seq")} AND s.place <= ${lastPlace("p")} AND s.stamp <= ?2
      ORDER BY s.place DESC LIMIT 1), p.snapshot_seq) END AS seq
  FROM partitions AS p WHERE p.line = ?1 ORDER BY p.partition`;

const DROP = "DELETE FROM savepoints WHERE number = ?1";

export class D1Savepoints implements SavepointStore {
  readonly #db: D1Database;
  readonly #line: number;

  constructor(db: D1Database, line: number) {
    this.#db = db;
    this.#line = line;
  }

  async all(): Promise<readonly Savepoint[]> {
    return (await nameFailure(() => this.#db.prepare(ALL).bind(this.#line).all<Savepoint>())).results;
  }

  async add(name: string, at: Stamp, createdMs: number): Promise<Savepoint | "gone" | "full"> {
    const [, rows, counts] = await nameFailure(() =>
      this.#db.batch<never>([
        this.#db.prepare(ADD).bind(this.#line, name, at, createdMs),
        this.#db.prepare(NAMED).bind(this.#line, name),
        this.#db.prepare(COUNT).bind(this.#line),
      ]),
    );
    const [row] = rows!.results as readonly Savepoint[];
    if (row !== undefined) return row;
    const [{ count }] = counts!.results as unknown as readonly [{ readonly count: number }];
    return count >= SAVEPOINTS ? "full" : "gone";
  }

  async hold({ number, name, at, createdMs }: Savepoint): Promise<"held" | "gone"> {
    const [, rows] = await nameFailure(() =>
      this.#db.batch<Savepoint>([
        this.#db.prepare(HOLD).bind(number, this.#line, name, at, createdMs),
        this.#db.prepare(NUMBERED).bind(number),
      ]),
    );
    return rows!.results.length > 0 ? "held" : "gone";
  }

  async confirm(number: number): Promise<Savepoint["state"] | "gone"> {
    const [, rows] = await nameFailure(() =>
      this.#db.batch<Savepoint>([this.#db.prepare(CONFIRM).bind(number), this.#db.prepare(NUMBERED).bind(number)]),
    );
    return rows!.results[0]?.state ?? "gone";
  }

  async withdraw(number: number): Promise<void> {
    await nameFailure(() => this.#db.prepare(WITHDRAW).bind(number).run());
  }

  async drop(number: number): Promise<void> {
    await nameFailure(() => this.#db.prepare(DROP).bind(number).run());
  }

  async heads(at: Stamp): Promise<readonly PartitionHead[]> {
    const statement = this.#db.prepare(HEADS).bind(this.#line, at);
    const { results } = await nameFailure(() => statement.all<{ partition: string; seq: number | null }>());
    return results.map(({ partition, seq }) => [partition, seq]);
  }

  async unarchived(): Promise<readonly Stamp[]> {
    const statement = this.#db.prepare(UNARCHIVED).bind(this.#line);
    const { results } = await nameFailure(() => statement.all<{ readonly stamp: Stamp }>());
    return results.map(({ stamp }) => stamp);
  }
}
