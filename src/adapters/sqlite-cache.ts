/**
 * The cache port on the SQLite storage of a Durable Object. The storage is local: a range that was fetched from R2 once
 * costs no further round trip, and outlives an eviction.
 *
 * CACHE1. A range is cut into rows below the row limit, and counts only if all of them are there. A row's key is a
 *     place: the number of its object in this cache << 43 | where the row begins in the object. If two overlapping
 *     ranges want one place, the later one counts.
 * CACHE2. Beyond `limit` bytes no range is stored: every write costs, and a cache that turns over all the time pays
 *     twice. Objects that no snapshot reads any more make room.
 * CACHE3. Nothing depends on the cache: if the storage fails, the range counts as missing. Only the distrust of an
 *     object must be kept, or the next instance would read the object again.
 */
import type { Cache } from "../engine/base/ports.ts";

/** A row holds 2 MB at most. */
const PIECE_BYTES = 1_900_000;
/** Storage costs $0.20 a GB-month, so this is 5 cents a month for a large partition. */
const CACHE_BYTES = 256_000_000;

/**
 * The bytes stand under an integer key. In a table WITHOUT ROWID each look-up would read the whole bytes of the rows
 * that it passes.
 */
const TABLES = [
  "CREATE TABLE IF NOT EXISTS objects (name TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID",
  "CREATE TABLE IF NOT EXISTS pieces (place INTEGER PRIMARY KEY, at INTEGER NOT NULL, of INTEGER NOT NULL, bytes BLOB NOT NULL)",
  "CREATE TABLE IF NOT EXISTS distrusted (name TEXT PRIMARY KEY) WITHOUT ROWID",
];
const PLACE = "(SELECT number << 43 | ?2 FROM objects WHERE name = ?1)";
const GET = `SELECT at, of, bytes FROM pieces WHERE place = ${PLACE}`;
const PUT = `INSERT OR REPLACE INTO pieces (place, at, of, bytes) VALUES (${PLACE}, ?3, ?4, ?5)`;
const NUMBER =
  "INSERT OR IGNORE INTO objects (name, number) SELECT ?1, 1 + COALESCE(MAX(number), 0) FROM objects WHERE TRUE";
const DROP = [
  "DELETE FROM pieces WHERE place BETWEEN (SELECT number << 43 FROM objects WHERE name = ?1) AND (SELECT number << 43 | 8796093022207 FROM objects WHERE name = ?1)",
  "DELETE FROM objects WHERE name = ?1",
];

interface Piece extends Record<string, SqlStorageValue> {
  readonly at: number;
  readonly of: number;
  readonly bytes: ArrayBuffer;
}

export class SqliteCache implements Cache {
  readonly #sql: SqlStorage;
  readonly #limit: number;
  /** Null if the bytes aren't counted yet. */
  #bytes: number | null = null;
  #ready = false;

  constructor(sql: SqlStorage, limit: number = CACHE_BYTES) {
    this.#sql = sql;
    this.#limit = limit;
  }

  get(name: string, offset: number): Uint8Array | null {
    return this.#tried(null, () => {
      const first = this.#piece(name, offset);
      if (first?.at !== offset) return null;
      const pieces = [first.bytes];
      while (pieces.length < first.of) {
        const next = this.#piece(name, offset + pieces.length * PIECE_BYTES);
        if (next?.at !== offset || next.of !== first.of) return null;
        pieces.push(next.bytes);
      }
      return joined(pieces);
    });
  }

  #piece(name: string, place: number): Piece | undefined {
    return this.#sql.exec<Piece>(GET, name, place).toArray()[0];
  }

  put(name: string, offset: number, bytes: Uint8Array): void {
    this.#tried(undefined, () => {
      if (this.#held() + bytes.length > this.#limit) return;
      this.#sql.exec(NUMBER, name);
      const of = Math.max(1, Math.ceil(bytes.length / PIECE_BYTES));
      for (let i = 0; i < of; i++) {
        const from = i * PIECE_BYTES;
        this.#sql.exec(PUT, name, offset + from, offset, of, bytes.slice(from, from + PIECE_BYTES));
      }
      this.#bytes = this.#held() + bytes.length;
    });
  }

  #held(): number {
    this.#bytes ??=
      this.#sql.exec<{ sum: number | null }>("SELECT SUM(LENGTH(bytes)) AS sum FROM pieces").one().sum ?? 0;
    return this.#bytes;
  }

  drop(name: string): void {
    this.#tried(undefined, () => {
      for (const sql of DROP) this.#sql.exec(sql, name);
      this.#bytes = null;
    });
  }

  keep(names: readonly string[]): void {
    this.#tried(undefined, () => {
      const kept = new Set(names);
      const sql = "SELECT name FROM objects UNION SELECT name FROM distrusted";
      for (const { name } of this.#sql.exec<{ name: string }>(sql).toArray())
        if (!kept.has(name)) {
          for (const one of DROP) this.#sql.exec(one, name);
          this.#sql.exec("DELETE FROM distrusted WHERE name = ?", name);
        }
      this.#bytes = null;
    });
  }

  distrust(name: string): void {
    this.#prepare();
    this.#sql.exec("INSERT OR IGNORE INTO distrusted (name) VALUES (?)", name);
    this.drop(name);
  }

  distrusted(names: readonly string[]): string[] {
    return this.#tried([], () => {
      const rows = this.#sql.exec<{ name: string }>("SELECT name FROM distrusted").toArray();
      const held = new Set(rows.map(({ name }) => name));
      return names.filter((name) => held.has(name));
    });
  }

  /** Returns `otherwise` if the storage fails (CACHE3). */
  #tried<T>(otherwise: T, act: () => T): T {
    try {
      this.#prepare();
      return act();
    } catch {
      return otherwise;
    }
  }

  #prepare(): void {
    if (this.#ready) return;
    for (const table of TABLES) this.#sql.exec(table);
    this.#ready = true;
  }
}

function joined(pieces: readonly ArrayBuffer[]): Uint8Array {
  if (pieces.length === 1) return new Uint8Array(pieces[0]!);
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.byteLength, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(new Uint8Array(piece), at);
    at += piece.byteLength;
  }
  return bytes;
}
