// The object store port as files in a directory, and the cache as a SQLite file: what a partition's memory doesn't hold
// is on disk.

import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { mkdir, open, readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Cache, ObjectStore } from "../../../src/engine/base/ports.ts";

export class DiskStore implements ObjectStore {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true });
  }

  #file(name: string): string {
    return path.join(this.#directory, name);
  }

  async put(name: string, bytes: Uint8Array): Promise<string> {
    await mkdir(path.dirname(this.#file(name)), { recursive: true });
    await writeFile(this.#file(name), bytes, { flag: "wx" });
    return createHash("sha256").update(bytes).digest("hex");
  }

  async get(name: string): Promise<Uint8Array | null> {
    return readFile(this.#file(name));
  }

  async range(name: string, offset: number, length: number): Promise<Uint8Array | null> {
    const file = await open(this.#file(name));
    try {
      const bytes = new Uint8Array(length);
      const { bytesRead } = await file.read(bytes, 0, length, offset);
      return bytes.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  }

  async list(prefix: string, after: string): Promise<{ names: string[]; more: boolean }> {
    const all = await readdir(this.#directory, { recursive: true, withFileTypes: true });
    const names = all
      .filter((entry) => entry.isFile())
      .map((entry) => path.relative(this.#directory, path.join(entry.parentPath, entry.name)).replaceAll("\\", "/"))
      .filter((name) => name.startsWith(prefix) && name > after)
      .sort();
    return { names: names.slice(0, 1_000), more: names.length > 1_000 };
  }

  async delete(names: readonly string[]): Promise<void> {
    for (const name of names) await rm(this.#file(name), { force: true });
  }
}

/** The cache port on Node's own SQLite: as src/adapters/sqlite-cache.ts, whose types are the platform's. */
export class DiskCache implements Cache {
  readonly #db: DatabaseSync;

  constructor(file: string) {
    this.#db = new DatabaseSync(file);
    this.#db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
      CREATE TABLE ranges (name TEXT, at INTEGER, bytes BLOB, PRIMARY KEY (name, at));
      CREATE TABLE distrusted (name TEXT PRIMARY KEY) WITHOUT ROWID;`);
  }

  get(name: string, offset: number): Uint8Array | null {
    const row = this.#db.prepare("SELECT bytes FROM ranges WHERE name = ? AND at = ?").get(name, offset);
    return row === undefined ? null : (row["bytes"] as Uint8Array);
  }

  put(name: string, offset: number, bytes: Uint8Array): void {
    this.#db.prepare("INSERT OR REPLACE INTO ranges VALUES (?, ?, ?)").run(name, offset, bytes);
  }

  drop(name: string): void {
    for (const table of ["ranges", "distrusted"]) this.#db.prepare(`DELETE FROM ${table} WHERE name = ?`).run(name);
  }

  keep(names: readonly string[]): void {
    const held = this.#db.prepare("SELECT DISTINCT name FROM ranges UNION SELECT name FROM distrusted").all();
    for (const { name } of held) if (!names.includes(name as string)) this.drop(name as string);
  }

  distrust(name: string): void {
    this.drop(name);
    this.#db.prepare("INSERT INTO distrusted VALUES (?)").run(name);
  }

  distrusted(names: readonly string[]): string[] {
    const known = this.#db.prepare("SELECT 1 FROM distrusted WHERE name = ?");
    return names.filter((name) => known.get(name) !== undefined);
  }
}
