/*
 * What the local scripts need of wrangler.toml: the log databases and where their migrations are.
 *
 * Not a TOML parser. It reads `[[d1_databases]]` tables of plain `name = "value"` lines, and refuses a table
 * that lacks what it looks for rather than leave a database without its tables.
 */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export interface Database {
  binding: string;
  name: string;
  migrationsDir: string;
}

export const PROJECT_DIR = fileURLToPath(new URL("../../", import.meta.url));
export const CONFIG_PATH = join(PROJECT_DIR, "wrangler.toml");

export function logDatabases(configPath: string): Database[] {
  const databases = tables(readFileSync(configPath, "utf8"), "d1_databases").map((table) => ({
    binding: required(table, "binding", configPath),
    name: required(table, "database_name", configPath),
    migrationsDir: join(dirname(configPath), required(table, "migrations_dir", configPath)),
  }));
  if (databases.length === 0) throw new Error(`${configPath} has no [[d1_databases]]`);
  return databases;
}

function tables(toml: string, name: string): Map<string, string>[] {
  const found: Map<string, string>[] = [];
  let current: Map<string, string> | null = null;
  for (const line of toml.split("\n")) {
    if (line.trimStart().startsWith("[")) {
      current = line.trim() === `[[${name}]]` ? new Map() : null;
      if (current !== null) found.push(current);
      continue;
    }
    const match = /^\s*(\w+)\s*=\s*"([^"]*)"/.exec(line);
    if (match?.[1] !== undefined && match[2] !== undefined) current?.set(match[1], match[2]);
  }
  return found;
}

function required(table: Map<string, string>, name: string, configPath: string): string {
  const value = table.get(name);
  if (value === undefined) throw new Error(`a [[d1_databases]] table of ${configPath} has no ${name}`);
  return value;
}
