// A log whose rows stand under their whole key, WITHOUT ROWID, with a look at the head for each condition: what the
// log's tables must not become again. To compare with, on the same machine in the same run.

import type { LocalSqlite } from "./local-sqlite.ts";

const TABLES = `
  CREATE TABLE whole_partitions (partition TEXT PRIMARY KEY, epoch INTEGER, snapshot_seq INTEGER, snapshot_stamp INTEGER) WITHOUT ROWID;
  CREATE TABLE whole_segments (partition TEXT NOT NULL, seq INTEGER NOT NULL, last INTEGER NOT NULL, stamp INTEGER NOT NULL, epoch INTEGER NOT NULL,
    grp TEXT NOT NULL, bytes INTEGER NOT NULL, payload TEXT NOT NULL, PRIMARY KEY (partition, seq)) WITHOUT ROWID;`;
const head = (column: string): string =>
  `(SELECT ${column} FROM whole_segments WHERE partition = ?1 ORDER BY seq DESC LIMIT 1)`;
const APPEND = `INSERT INTO whole_segments SELECT ?1, ?2, ?2, ?3, 1, 'g', 1, ?4 FROM whole_partitions AS p JOIN lines AS t ON t.line = 1
  WHERE p.partition = ?1 AND MAX(p.epoch, COALESCE(${head("epoch")}, 0)) = 1 AND t.state = 'open' AND ?3 > t.floor
    AND ?2 = 1 + COALESCE(${head("last")}, p.snapshot_seq) AND ?3 > COALESCE(${head("stamp")}, p.snapshot_stamp)`;

export class WholeKeys {
  readonly #sqlite: LocalSqlite;

  constructor(sqlite: LocalSqlite, partitions: number) {
    this.#sqlite = sqlite;
    sqlite.db.exec(TABLES);
    for (let n = 0; n < partitions; n++)
      sqlite.db.prepare("INSERT INTO whole_partitions VALUES (?, 1, 0, 0)").run(nameOf(n));
  }

  appending(): (partition: number, seq: number, payload: string) => void {
    const statement = this.#sqlite.db.prepare(APPEND);
    return (partition, seq, payload) => {
      const { changes } = statement.run({ "?1": nameOf(partition), "?2": seq, "?3": seq, "?4": payload });
      if (changes !== 1) throw new Error(`the append of ${seq} was refused`);
    };
  }
}

const nameOf = (n: number): string => `1/bench/${String(n).padStart(4, "0")}`;
