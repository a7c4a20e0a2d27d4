/*
 * Reads the log databases, and the directories of their migrations, from wrangler.toml for the local scripts.
 *
 * A database entry that lacks a member is refused, since its database would stay without tables.
 */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "smol-toml";

interface Database {
  binding: string;
  name: string;
  migrationsDir: string;
}

export const PROJECT_DIR = fileURLToPath(new URL("../../", import.meta.url));
export const CONFIG_PATH = join(PROJECT_DIR, "wrangler.toml");

export function configuredDatabases(configPath: string): Database[] {
  const { d1_databases: tables } = parse(readFileSync(configPath, "utf8"));
  if (!Array.isArray(tables) || tables.length === 0) throw new Error(`${configPath} has no [[d1_databases]]`);
  return tables.map((table) => ({
    binding: required(table, "binding", configPath),
    name: required(table, "database_name", configPath),
    migrationsDir: join(dirname(configPath), required(table, "migrations_dir", configPath)),
  }));
}

function required(table: unknown, name: string, configPath: string): string {
  const value = (table as Record<string, unknown>)[name];
  if (typeof value !== "string") throw new Error(`a [[d1_databases]] table of ${configPath} has no ${name}`);
  return value;
}
