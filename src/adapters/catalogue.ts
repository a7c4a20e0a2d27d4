/**
 * The catalogue in D1: which databases there are, and how each operator was placed when it was first used. What is
 * stored rules over what the code says (CODE2).
 *
 * Q1. Every database knows its own name and app, so a swapped or foreign binding is refused by name.
 * Q2. A placement is written once; a race of two Workers ends with one of the two, and both read which.
 */
import { Failure } from "../engine/errors.ts";
import { HASH_NAME } from "../engine/hash.ts";
import type { Placement } from "../engine/address.ts";
import type { Operator } from "../engine/operator.ts";
import { named } from "./d1-log.ts";

export type Databases = ReadonlyMap<string, D1Database>;

/** The log databases of an environment: every binding LOG_0, LOG_1, …, by name and in order. */
export function logDatabases(env: Readonly<Record<string, unknown>>): Databases {
  const names = Object.keys(env).filter((name) => /^LOG_\d+$/.test(name));
  names.sort((a, b) => Number(a.slice(4)) - Number(b.slice(4)));
  if (names[0] !== "LOG_0")
    throw new Failure("database_missing", "there is no D1 binding LOG_0: the log needs one; see wrangler.toml");
  return new Map(names.map((name) => [name, env[name] as D1Database]));
}

interface StoredPlacement {
  readonly operator: string;
  readonly partitions: number;
  readonly hash: string;
  readonly seed: number;
  readonly databases: string;
}

/** The stored placement of each operator; writes those that are new. */
export async function loadCatalogue(
  databases: Databases,
  timeline: string,
  operators: readonly Operator[],
): Promise<Map<string, Placement>> {
  const first = databases.get("LOG_0")!;
  const select = first
    .prepare("SELECT operator, partitions, hash, seed, databases FROM operators WHERE timeline = ?1")
    .bind(timeline);
  const identities = [...databases].map(([name, db]) => identify(name, db, databases));
  let [{ results }] = await Promise.all([named(() => select.all<StoredPlacement>()), ...identities]);
  const missing = operators.filter((operator) => !results.some((stored) => stored.operator === operator.name));
  if (missing.length > 0) {
    await named(() => first.batch(missing.map((operator) => insert(first, timeline, operator, [...databases.keys()]))));
    ({ results } = await named(() => select.all<StoredPlacement>()));
  }
  return new Map(results.map((stored) => [stored.operator, placement(stored, databases)]));
}

function insert(db: D1Database, timeline: string, operator: Operator, names: readonly string[]): D1PreparedStatement {
  const [seed] = crypto.getRandomValues(new Uint32Array(1));
  // Partitions go round the databases; the list is stored, so a database that is added later moves nothing.
  const homes = Array.from({ length: operator.partitions }, (_, i) => names[i % names.length]!);
  return db
    .prepare(
      "INSERT OR IGNORE INTO operators (timeline, operator, partitions, hash, seed, databases, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )
    .bind(
      timeline,
      operator.name,
      operator.partitions,
      HASH_NAME,
      seed!,
      JSON.stringify(homes),
      new Date().toISOString(),
    );
}

function placement(stored: StoredPlacement, databases: Databases): Placement {
  const homes = JSON.parse(stored.databases) as string[];
  const lost = homes.find((home) => !databases.has(home));
  if (lost !== undefined)
    throw new Failure(
      "database_missing",
      `partitions of "${stored.operator}" live in ${lost}, which isn't bound: bind it again`,
    );
  return { ...stored, databases: homes };
}

async function identify(name: string, db: D1Database, databases: Databases): Promise<void> {
  const select = db.prepare("SELECT app, name FROM identity WHERE one = 1");
  let found = await named(() => select.first<{ app: string; name: string }>());
  if (found === null) {
    await db
      .prepare("INSERT OR IGNORE INTO identity (one, app, name) VALUES (1, ?1, ?2)")
      .bind(crypto.randomUUID(), name)
      .run();
    found = (await select.first<{ app: string; name: string }>())!;
  }
  if (found.name !== name)
    throw new Failure(
      "database_swapped",
      `the database bound as ${name} says that it is ${found.name}: bind ${[...databases.keys()].join(", ")} as they were`,
    );
}
