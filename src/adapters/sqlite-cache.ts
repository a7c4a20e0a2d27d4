/**
 * The cache port on the SQLite storage of a Durable Object, which is local: what was fetched from R2 once costs no round trip
 * any more, and outlives an eviction.
 *
 * Q1. A range is cut into rows below the row limit, and counts only if all of them are there.
 * Q2. Beyond `limit` bytes nothing more is taken in: every write costs, and a cache that turns over all the time pays twice.
 *     Objects that no snapshot reads any more make room.
 * Q3. Nothing depends on it: where the storage fails, it is as if the range weren't there. Only that an object is distrusted must
 *     be kept, or the next instance would read it again.
 */
import type { Cache } from "../engine/ports.ts";

/** A row holds 2 MB at most. */
const PIECE_BYTES = 1_900_000;
/** Storage costs $0.20 a GB-month, so this is 5 cents a month for a large partition. */
export const CACHE_BYTES = 256_000_000;

const TABLES = [
  "CREATE TABLE IF NOT EXISTS ranges (name TEXT, at INTEGER, piece INTEGER, of INTEGER, bytes BLOB, PRIMARY KEY (name, at, piece)) WITHOUT ROWID",
  "CREATE TABLE IF NOT EXISTS distrusted (name TEXT PRIMARY KEY) WITHOUT ROWID",
];

export class SqliteCache implements Cache {
  readonly #sql: SqlStorage;
  readonly #limit: number;
  /** Null: not counted yet. */
  #bytes: number | null = null;
  #ready = false;

  constructor(sql: SqlStorage, limit: number = CACHE_BYTES) {
    this.#sql = sql;
    this.#limit = limit;
  }

  get(name: string, offset: number): Uint8Array | null {
    return this.#tried(null, () => {
      const rows = this.#sql
        .exec<{ of: number; bytes: ArrayBuffer }>(
          "SELECT of, bytes FROM ranges WHERE name = ? AND at = ? ORDER BY piece",
          name,
          offset,
        )
        .toArray();
      return rows.length === 0 || rows.length !== rows[0]!.of ? null : joined(rows.map(({ bytes }) => bytes));
    });
  }

  put(name: string, offset: number, bytes: Uint8Array): void {
    this.#tried(undefined, () => {
      if (this.#held() + bytes.length > this.#limit) return;
      const of = Math.max(1, Math.ceil(bytes.length / PIECE_BYTES));
      for (let piece = 0; piece < of; piece++)
        this.#sql.exec(
          "INSERT OR REPLACE INTO ranges (name, at, piece, of, bytes) VALUES (?, ?, ?, ?, ?)",
          name,
          offset,
          piece,
          of,
          bytes.slice(piece * PIECE_BYTES, (piece + 1) * PIECE_BYTES),
        );
      this.#bytes = this.#held() + bytes.length;
    });
  }

  #held(): number {
    this.#bytes ??=
      this.#sql.exec<{ sum: number | null }>("SELECT SUM(LENGTH(bytes)) AS sum FROM ranges").one().sum ?? 0;
    return this.#bytes;
  }

  drop(name: string): void {
    this.#tried(undefined, () => {
      this.#sql.exec("DELETE FROM ranges WHERE name = ?", name);
      this.#bytes = null;
    });
  }

  keep(names: readonly string[]): void {
    this.#tried(undefined, () => {
      const kept = new Set(names);
      const sql = "SELECT DISTINCT name FROM ranges UNION SELECT name FROM distrusted";
      for (const { name } of this.#sql.exec<{ name: string }>(sql).toArray())
        if (!kept.has(name)) {
          this.#sql.exec("DELETE FROM ranges WHERE name = ?", name);
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

  /** Q3. */
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
