/** The floor of a line in one database (TIME2), which the append's own statement checks (d1-log.ts). */
import type { Stamp } from "../engine/base/ids.ts";
import type { Floor } from "../engine/base/ports.ts";
import { nameFailure } from "./not-migrated.ts";
import { withHead } from "./place.ts";

const FACTS = "SELECT floor, CAST(1000 * unixepoch('subsec') AS INTEGER) AS nowMs FROM lines WHERE line = ?1";

/** One look at the last row of each partition. */
const NEWEST = `SELECT MAX(COALESCE(h.stamp, p.snapshot_stamp)) AS newest FROM partitions AS p ${withHead("p")} WHERE p.line = ?1`;

const RAISE = "UPDATE lines SET floor = ?2 WHERE line = ?1 AND floor < ?2";

export class D1Floor implements Floor {
  readonly #db: D1Database;
  readonly #line: number;

  constructor(db: D1Database, line: number) {
    this.#db = db;
    this.#line = line;
  }

  async facts(): Promise<{ readonly floor: Stamp; readonly nowMs: number }> {
    const facts = await nameFailure(() =>
      this.#db.prepare(FACTS).bind(this.#line).first<{ readonly floor: Stamp; readonly nowMs: number }>(),
    );
    if (facts === null) throw new Error(`the database has no line "${this.#line}"`);
    return facts;
  }

  async newest(): Promise<Stamp> {
    const found = await nameFailure(() =>
      this.#db.prepare(NEWEST).bind(this.#line).first<{ readonly newest: Stamp | null }>(),
    );
    return found?.newest ?? (0 as Stamp);
  }

  async raise(to: Stamp): Promise<void> {
    await nameFailure(() => this.#db.prepare(RAISE).bind(this.#line, to).run());
  }
}
