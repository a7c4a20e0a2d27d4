/**
 * Timelines in D1 (history/timelines.ts): the directory in the first database, and the lines of each database. Every
 * guard stands in its statement's own condition (PROMOTION1).
 */
import type { Stamp } from "../engine/base/ids.ts";
import { FORMER_MAIN_MS, PARTITIONS, TIMELINES } from "../engine/base/limits.ts";
import type { Directory, LineState, LineStore } from "../engine/base/ports.ts";
import type { ChangedSum, Main, Readers, Replay, Split, Timeline } from "../engine/base/records.ts";
import { nameFailure } from "./not-migrated.ts";
import { within } from "./place.ts";

const ROW =
  "line, name, parent, at, created_at AS createdMs, expires_at AS expiresMs, state, replaced, source, outcomes, code, split";
const ALL = `SELECT ${ROW} FROM timelines ORDER BY line`;
const NAMED = `SELECT ${ROW} FROM timelines WHERE name = ?1`;
const COUNT = "SELECT COUNT(*) AS count FROM timelines WHERE state <> 'removing' OR name IS NOT NULL";
const MAIN = `SELECT main AS line, switches, state, promotion, target, former, begun_at AS begunMs, etag, done FROM directory`;
const ADD = `INSERT OR IGNORE INTO timelines (name, parent, at, created_at, expires_at, state, source, outcomes, code, split)
  SELECT ?1, ?2, ?3, ?4, ?5, 'making', ?6, ?7, ?8, ?9 WHERE EXISTS (SELECT 1 FROM timelines WHERE line = ?2 AND state = 'ready')
    AND (SELECT COUNT(*) FROM timelines WHERE state <> 'removing' OR name IS NOT NULL) < ${TIMELINES}`;
/** Partitions that share the keys of one of the parent's. */
const PARTS = `COALESCE((SELECT value FROM json_each(t.split) WHERE key = o.operator), 1)`;
/** A partition is in the database of the one that it starts from. */
const PLACE = `INSERT OR IGNORE INTO operators (line, operator, partitions, hash, seed, databases, created_at)
  WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${PARTITIONS})
  SELECT t.line, o.operator, o.partitions * ${PARTS}, o.hash, o.seed,
    (SELECT json_group_array(value) FROM (SELECT d.value FROM json_each(o.databases) AS d JOIN n ON n.i <= ${PARTS} ORDER BY d.key)),
    o.created_at
  FROM timelines AS t JOIN operators AS o ON o.line = t.parent WHERE t.line = ?1 AND t.state = 'making'`;
const READY = "UPDATE timelines SET state = 'ready' WHERE line = ?1 AND state = 'making'";
const STATE = "SELECT state FROM timelines WHERE line = ?1";
const WITHDRAW = `UPDATE timelines SET state = 'removing' WHERE line = ?1
  AND NOT EXISTS (SELECT 1 FROM timelines WHERE parent = ?1 AND line NOT IN (SELECT value FROM json_each(?2)))
  AND NOT (?3 AND EXISTS (SELECT 1 FROM savepoints WHERE line = ?1 AND name NOT LIKE '@%'))
  AND NOT EXISTS (SELECT 1 FROM directory WHERE main = ?1 OR (state <> 'idle' AND (target = ?1 OR former = ?1)))`;
const WHY = `SELECT t.state, EXISTS (SELECT 1 FROM directory WHERE main = ?1) AS main,
  EXISTS (SELECT 1 FROM timelines WHERE parent = ?1 AND line NOT IN (SELECT value FROM json_each(?2))) AS parent,
  ?3 AND EXISTS (SELECT 1 FROM savepoints WHERE line = ?1 AND name NOT LIKE '@%') AS saved FROM timelines AS t WHERE t.line = ?1`;
const DROP = ["operators", "timelines"].map(
  (table) =>
    `DELETE FROM ${table} WHERE line = ?1 AND EXISTS (SELECT 1 FROM timelines WHERE line = ?1 AND state = 'removing')`,
);

const REPLACE = `UPDATE timelines SET state = 'removing', name = NULL WHERE line = ?1 AND source IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM timelines WHERE parent = ?1)
  AND NOT EXISTS (SELECT 1 FROM directory WHERE main = ?1 OR (state <> 'idle' AND target = ?1))`;

const BEGIN = `UPDATE directory SET state = 'sealing', promotion = ?1, target = ?2, begun_at = ?3
  WHERE state = 'idle' AND promotion = ?1 - 1 AND main <> ?2
    AND EXISTS (SELECT 1 FROM timelines WHERE line = ?2 AND state = 'ready' AND replaced = 0
      AND (source IS NULL OR source = directory.main))`;
const SWITCH = `UPDATE directory SET former = main, main = target, switches = switches + 1, state = 'opening', etag = ?2, done = ?3
  WHERE state = 'sealing' AND promotion = ?1`;
/** The UPDATE before may have matched nothing. Only the switch leaves that state and number. */
const START = `UPDATE timelines SET at = ?2 WHERE outcomes = 'same'
  AND EXISTS (SELECT 1 FROM directory WHERE state = 'opening' AND promotion = ?1 AND line = main)`;
const RENAME = `UPDATE timelines SET
    replaced = CASE WHEN line = (SELECT former FROM directory) THEN (SELECT switches FROM directory) ELSE replaced END,
    expires_at = CASE WHEN line = (SELECT former FROM directory) THEN (SELECT begun_at FROM directory) + ${FORMER_MAIN_MS} END,
    name = NULL, outcomes = NULL
  WHERE EXISTS (SELECT 1 FROM directory WHERE state = 'opening' AND promotion = ?1 AND line IN (main, former))`;
const ABORT = "UPDATE directory SET state = 'aborting' WHERE state = 'sealing' AND promotion = ?1";
const IDLE = "UPDATE directory SET state = 'idle' WHERE state IN ('aborting', 'opening') AND promotion = ?1";

/** The outcomes of a line that has those of its parent, and starts at its end. */
const SAME = "same";

type Row = Omit<Timeline, "replay" | "replayed" | "split" | "unstarted"> & {
  readonly source: number | null;
  readonly outcomes: Replay["outcomes"] | typeof SAME | null;
  readonly code: string | null;
  readonly split: string | null;
};

function timeline({ source, outcomes, code, split, ...facts }: Row): Timeline {
  const row = split === null ? facts : { ...facts, split: JSON.parse(split) as Split };
  if (source === null) return row;
  if (outcomes === SAME) return { ...row, unstarted: true };
  return outcomes === null || code === null
    ? { ...row, replayed: source }
    : { ...row, replay: { source, outcomes, code } };
}

export class D1Directory implements Directory {
  readonly #db: D1Database;

  /** `db`: the first database. */
  constructor(db: D1Database) {
    this.#db = db;
  }

  async all(): Promise<{ main: Main; all: readonly Timeline[] }> {
    const [mains, rows] = await this.#batch([MAIN], [ALL]);
    return { main: (mains as Main[])[0]!, all: (rows as Row[]).map(timeline) };
  }

  async main(): Promise<Main> {
    const [mains] = await this.#batch([MAIN]);
    return (mains as Main[])[0]!;
  }

  async add(start: Parameters<Directory["add"]>[0], nowMs: number): Promise<Timeline | "gone" | "full"> {
    const { name, parent, at, expiresMs, replay, split, unstarted } = start;
    const replays =
      unstarted === true
        ? [parent, SAME, null]
        : [replay?.source ?? null, replay?.outcomes ?? null, replay?.code ?? null];
    const splits = split === undefined ? null : JSON.stringify(split);
    const added = [ADD, name, parent, at, nowMs, expiresMs, ...replays, splits] as const;
    const [, rows, counts] = await this.#batch(added, [NAMED, name], [COUNT]);
    const [row] = rows as readonly Row[];
    if (row !== undefined) return timeline(row);
    return (counts as [{ readonly count: number }])[0].count >= TIMELINES ? "full" : "gone";
  }

  async ready(line: number): Promise<Timeline["state"] | "gone"> {
    const [, , states] = await this.#batch([PLACE, line], [READY, line], [STATE, line]);
    return (states as readonly Pick<Timeline, "state">[])[0]?.state ?? "gone";
  }

  async withdraw(line: number, free: readonly number[] = [], unsaved = false): ReturnType<Directory["withdraw"]> {
    const values = [line, JSON.stringify(free), unsaved ? 1 : 0] as const;
    const [, found] = await this.#batch([WITHDRAW, ...values], [WHY, ...values]);
    const [row] = found as readonly Record<"state" | "main" | "parent" | "saved", unknown>[];
    if (row === undefined) return "gone";
    if (row.state === "removing") return "removing";
    if (row.main === 1) return "main";
    if (row.parent === 1) return "parent";
    return row.saved === 1 ? "saved" : "promotion";
  }

  async drop(line: number): Promise<void> {
    await this.#batch(...DROP.map((sql) => [sql, line] as const));
  }

  async replace(line: number): Promise<void> {
    await this.#batch([REPLACE, line]);
  }

  async begin(promotion: number, target: number, nowMs: number): Promise<Main | "no_target"> {
    const [, mains, states] = await this.#batch([BEGIN, promotion, target, nowMs], [MAIN], [STATE, target]);
    const isReady = (states as readonly Pick<Timeline, "state">[])[0]?.state === "ready";
    return isReady ? (mains as Main[])[0]! : "no_target";
  }

  async switch(promotion: number, etag: string, done: string, end: Stamp | null = null): Promise<Main> {
    const start = end === null ? [] : [[START, promotion, end] as const];
    const results = await this.#batch([SWITCH, promotion, etag, done], ...start, [RENAME, promotion], [MAIN]);
    return (results.at(-1) as Main[])[0]!;
  }

  async abort(promotion: number): Promise<Main> {
    const [, mains] = await this.#batch([ABORT, promotion], [MAIN]);
    return (mains as Main[])[0]!;
  }

  async idle(promotion: number): Promise<void> {
    await this.#batch([IDLE, promotion]);
  }

  /** Runs statements in one transaction. Returns their rows. */
  async #batch(...statements: readonly (readonly [sql: string, ...values: unknown[]])[]): Promise<unknown[][]> {
    const results = await nameFailure(() =>
      this.#db.batch(statements.map(([sql, ...values]) => this.#db.prepare(sql).bind(...values))),
    );
    return results.map((result) => result.results);
  }
}

/** Partitions whose rows one call deletes, and segments of each. */
const AT_ONCE = 20;
const SEGMENTS = 500;

/** The row stays, so that a late statement doesn't make the line again. */
const REMOVE = `INSERT INTO lines (line, state, floor) VALUES (?1, 'removed', 0)
  ON CONFLICT (line) DO UPDATE SET state = 'removed'`;
const ADD_LINE = "INSERT OR IGNORE INTO lines (line, state, floor) VALUES (?1, ?3, ?2)";
const SOME = `SELECT number FROM partitions WHERE line = ?1 LIMIT ${AT_ONCE}`;
const WIPE = [
  `DELETE FROM segments WHERE place IN (SELECT s.place FROM (SELECT partition, number FROM partitions WHERE line = ?1 LIMIT ${AT_ONCE}) AS p
    JOIN segments AS s ON s.place ${within("p")} LIMIT ${AT_ONCE * SEGMENTS})`,
  `DELETE FROM changed_outcomes WHERE place IN (SELECT c.place FROM (${SOME}) AS p JOIN changed_outcomes AS c ON c.place ${within("p")})`,
  `DELETE FROM restore_points WHERE place IN (SELECT r.place FROM (${SOME}) AS p JOIN restore_points AS r ON r.place ${within("p")})`,
  `DELETE FROM pins WHERE partition IN (SELECT partition FROM partitions WHERE line = ?1 LIMIT ${AT_ONCE})`,
  `DELETE FROM erasures WHERE partition IN (SELECT partition FROM partitions WHERE line = ?1 LIMIT ${AT_ONCE})`,
  `DELETE FROM savepoints WHERE line = ?1`,
  `DELETE FROM partitions WHERE number IN (SELECT p.number FROM (${SOME}) AS p
    WHERE NOT EXISTS (SELECT 1 FROM segments WHERE place ${within("p")}))`,
];
const LEFT = "SELECT COUNT(*) AS count FROM partitions WHERE line = ?1";

/** The rest of a partition's name, which it has on every line. */
const restOf = (p: string): string => `substr(${p}.partition, instr(${p}.partition, '/') + 1)`;
/** A partition of the line that may need the state at its start, or a moment before it (LINE6). */
const READS = `c.start_seq > 0 AND (c.retain_from <= ?2 OR c.archive_from <= 1
  OR EXISTS (SELECT 1 FROM savepoints AS s WHERE s.line = ?1 AND s.at < c.snapshot_stamp AND NOT EXISTS (
    SELECT 1 FROM restore_points AS r WHERE r.place ${within("c")} AND r.intact = 1 AND r.stamp <= s.at)))`;
/** The partitions of the past, each with the one, or those, that start from it. */
const STARTING = `SELECT ${restOf("p")} AS place FROM partitions AS p JOIN json_each(?3) AS a ON p.line = json_extract(a.value, '$.line')
    WHERE NOT EXISTS (SELECT 1 FROM json_each(a.value, '$.split') AS s WHERE ${restOf("p")} LIKE s.key || '/%')
  UNION ALL
  SELECT s.key || '/' || printf('%04d', CAST(substr(${restOf("p")}, length(s.key) + 2) AS INTEGER) * s.value + n.i) FROM partitions AS p
    JOIN json_each(?3) AS a ON p.line = json_extract(a.value, '$.line')
    JOIN json_each(a.value, '$.split') AS s ON ${restOf("p")} LIKE s.key || '/%' JOIN n ON n.i < s.value`;
const READERS = `WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ${PARTITIONS})
SELECT COUNT(DISTINCT place) AS partitions, MIN(place) AS first FROM (
  SELECT ${restOf("c")} AS place FROM partitions AS c WHERE c.line = ?1 AND ${READS}
  UNION ALL
  SELECT place FROM (${STARTING}) AS p
    WHERE NOT EXISTS (SELECT 1 FROM partitions AS c WHERE c.partition = CAST(?1 AS INTEGER) || '/' || p.place))`;

const SEAL = `UPDATE lines SET state = 'sealed', promotion = ?2
  WHERE line IN (SELECT value FROM json_each(?1)) AND promotion < ?2 AND state NOT IN ('removed', 'replaying', 'unstarted')`;
/** Also writes the number where nothing was sealed, so that a late seal of this promotion changes nothing. */
const UNSEAL = `UPDATE lines SET state = CASE state WHEN 'sealed' THEN 'open' ELSE state END, promotion = ?2
  WHERE line IN (SELECT value FROM json_each(?1)) AND promotion <= ?2 AND state <> 'removed'`;
const OPEN =
  "UPDATE lines SET state = 'open', promotion = ?2 WHERE line = ?1 AND promotion <= ?2 AND state <> 'removed'";
const CHANGED = `SELECT p.partition, COUNT(*) AS count, SUM(c.print) AS sum
  FROM partitions AS p JOIN changed_outcomes AS c ON c.place ${within("p")} WHERE p.line = ?1 GROUP BY p.partition ORDER BY p.partition`;

export class D1Lines implements LineStore {
  readonly #db: D1Database;

  constructor(db: D1Database) {
    this.#db = db;
  }

  async add(line: number, floor: Stamp, state: LineState): Promise<void> {
    await nameFailure(() => this.#db.prepare(ADD_LINE).bind(line, floor, state).run());
  }

  async drop(line: number): Promise<"more" | "done"> {
    const statements = [REMOVE, ...WIPE, LEFT].map((sql) => this.#db.prepare(sql).bind(line));
    const results = await nameFailure(() => this.#db.batch<{ readonly count: number }>(statements));
    return results.at(-1)!.results[0]!.count > 0 ? "more" : "done";
  }

  async readers({ line, at, past }: Parameters<LineStore["readers"]>[0]): Promise<Readers> {
    const statement = this.#db.prepare(READERS).bind(line, at, JSON.stringify(past));
    return (await nameFailure(() => statement.first<Readers>()))!;
  }

  async seal(lines: readonly number[], promotion: number): Promise<void> {
    await nameFailure(() => this.#db.prepare(SEAL).bind(JSON.stringify(lines), promotion).run());
  }

  async unseal(lines: readonly number[], promotion: number): Promise<void> {
    await nameFailure(() => this.#db.prepare(UNSEAL).bind(JSON.stringify(lines), promotion).run());
  }

  async open(line: number, promotion: number): Promise<void> {
    await nameFailure(() => this.#db.prepare(OPEN).bind(line, promotion).run());
  }

  async changed(line: number): Promise<readonly ChangedSum[]> {
    return (await nameFailure(() => this.#db.prepare(CHANGED).bind(line).all<ChangedSum>())).results;
  }
}
