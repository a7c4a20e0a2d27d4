/**
 * The catalogue in D1: the databases, and how each operator was placed at its first use. The stored placement rules
 * over the code (CODE2).
 *
 * CATALOGUE1. Every database knows its own name and app, so a swapped or foreign binding is refused by name.
 * CATALOGUE2. A placement is written once. If two Workers race, one of the two placements is stored, and both read
 *     which.
 * CATALOGUE3. A placement is made only for an operator that left no trace anywhere. If the stores hold a trace of it,
 *     D1 has lost where its keys are, and a new placement would scatter them silently.
 * CATALOGUE4. An operator that is being recovered to a moment is closed until the recovery is finished. So no event
 *     meets partitions of two different moments.
 * CATALOGUE5. An operator that is new is placed alike on all lines of history. Otherwise a line would look for a key in
 *     another partition than the line that it starts from, or that it replaces.
 */
import type { Placement } from "../engine/operator/routing.ts";
import { Failure, messageOf } from "../engine/base/errors.ts";
import { HASH_NAME } from "../engine/base/hash.ts";
import { operatorPrefix, type Stamp } from "../engine/base/ids.ts";
import type { Operator } from "../engine/operator/operator.ts";
import { homeOf } from "../engine/operator/lost-placement.ts";
import { nameFailure } from "./not-migrated.ts";

export type Databases = ReadonlyMap<string, D1Database>;

/** Returns the log databases of an environment: every binding LOG_0, LOG_1, …, by name and in order. */
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
  readonly recovering: Stamp | null;
  readonly recovered: Stamp | null;
  readonly since: string;
}

/** A stored placement. `recovering`: the moment that a recovery has begun to bring the operator to (CATALOGUE4). */
export interface StoredOperator extends Placement, Pick<StoredPlacement, "recovering" | "recovered"> {}

interface Catalogue {
  readonly placed: ReadonlyMap<string, Placement>;
  /** Operators that can't be placed now, and why. */
  readonly lost: ReadonlyMap<string, Failure>;
}

/** Returns any name in R2 with the prefix, or null if there is none. */
export type LookUp = (prefix: string) => Promise<string | null>;

const SELECT =
  "SELECT operator, partitions, hash, seed, databases, recovering, recovered, created_at AS since FROM operators WHERE line = ?1";

/**
 * Returns the stored placement of each operator. Writes the placements of new operators. Without `lookUp` nothing is
 * written, and new operators have no placement. `past`: the lines that the line starts from, which may have traces too.
 */
export async function loadCatalogue(
  databases: Databases,
  lookUp: LookUp | null,
  line: number,
  operators: readonly Operator[],
  past: readonly number[] = [],
): Promise<Catalogue> {
  const first = databases.get("LOG_0")!;
  const select = first.prepare(SELECT).bind(line);
  const identities = [...databases].map(([name, db]) => identify(name, db, databases, lookUp === null));
  let [{ results }] = await Promise.all([nameFailure(() => select.all<StoredPlacement>()), ...identities]);
  const missing = operators.filter((operator) => !results.some((stored) => stored.operator === operator.name));
  const lost = new Map<string, Failure>();
  if (missing.length > 0 && lookUp !== null) {
    const look = async ({ name }: Operator): Promise<Failure | null> => {
      const found = [line, ...past].map((one) => traceOf(databases, lookUp, one, name));
      return (await Promise.all(found)).find((trace) => trace !== null) ?? null;
    };
    const traces = await Promise.all(missing.map(look));
    missing.forEach(({ name }, i) => traces[i] && lost.set(name, traces[i]));
    const made = missing.filter(({ name }) => !lost.has(name));
    await Promise.all(made.map((operator) => storePlacement(databases, line, newPlacement(operator, databases))));
    ({ results } = await nameFailure(() => select.all<StoredPlacement>()));
  }
  for (const { operator } of results) lost.delete(operator);
  for (const { operator, recovering } of results)
    if (recovering !== null) lost.set(operator, unfinished(operator, recovering));
  return { placed: new Map(results.map((stored) => [stored.operator, placement(stored, databases)])), lost };
}

/** Returns true if any operator is placed on any line. `first`: the database that knows. */
export const hasPlacements = async (first: D1Database): Promise<boolean> =>
  (await nameFailure(() => first.prepare("SELECT 1 FROM operators LIMIT 1").first())) !== null;

/** Returns the earliest moment that an operator of the line was recovered to, or null. `first`: the database that knows. */
export async function earliestRecovery(first: D1Database, line: number): Promise<Stamp | null> {
  const sql = "SELECT MIN(COALESCE(recovering, recovered)) AS at FROM operators WHERE line = ?1";
  const found = await nameFailure(() => first.prepare(sql).bind(line).first<{ readonly at: Stamp | null }>());
  return found?.at ?? null;
}

/** Returns the stored placement of one operator, or null if there is none. */
export async function findPlacement(
  databases: Databases,
  line: number,
  operator: string,
): Promise<StoredOperator | null> {
  const select = databases.get("LOG_0")!.prepare(`${SELECT} AND operator = ?2`).bind(line, operator);
  const stored = await nameFailure(() => select.first<StoredPlacement>());
  return stored === null ? null : placement(stored, databases);
}

const unfinished = (operator: string, at: Stamp): Failure =>
  new Failure(
    "catalogue_lost",
    `operator "${operator}" is being recovered to stamp ${at}: finish it with POST /v1/operators/${operator}/recover and {"to":"${at}"}`,
  );

/** Returns the reason against a new placement (CATALOGUE3), or null if there is none. */
async function traceOf(databases: Databases, lookUp: LookUp, line: number, operator: string): Promise<Failure | null> {
  const prefix = operatorPrefix(line, operator);
  const rowIn = async ([name, db]: readonly [string, D1Database]): Promise<string | null> => {
    const sql = "SELECT partition FROM partitions WHERE partition >= ?1 AND partition < ?1 || '~' LIMIT 1";
    const row = await nameFailure(() => db.prepare(sql).bind(prefix).first<{ partition: string }>());
    return row === null ? null : `${name} has a row of ${row.partition}`;
  };
  try {
    const object = lookUp(prefix).then((name) => (name === null ? null : `R2 holds ${name}`));
    const found = (await Promise.all([object, ...[...databases].map(rowIn)])).find((trace) => trace !== null);
    if (found === undefined) return null;
    return new Failure(
      "catalogue_lost",
      `${found}, but D1 doesn't know how operator "${operator}" was placed: restore the database, or rebuild it with POST /v1/operators/${operator}/recover; if the data isn't wanted, delete everything under ${prefix} in R2 and in the databases`,
    );
  } catch (error) {
    // This operator may have no placement yet. The others have theirs, and must not wait for this one.
    if (error instanceof Failure && error.code !== "store_unavailable") throw error;
    return new Failure(
      "store_unavailable",
      `operator "${operator}" can't be placed until R2 is known to hold nothing of it: ${messageOf(error)}`,
      { cause: error },
    );
  }
}

function newPlacement({ name, partitions }: Operator, databases: Databases): Placement {
  const [seed] = crypto.getRandomValues(new Uint32Array(1));
  const homes = Array.from({ length: partitions }, (_, i) => homeOf(i, [...databases.keys()]));
  return { operator: name, partitions, hash: HASH_NAME, seed: seed!, databases: homes };
}

/**
 * Writes a placement, unless the operator is placed on the line (CATALOGUE2). `recovering` closes the operator
 * (CATALOGUE4).
 */
export async function storePlacement(
  databases: Databases,
  line: number,
  { operator, partitions, hash, seed, databases: homes }: Placement,
  recovering: Stamp | null = null,
): Promise<void> {
  // Another line's placement counts before the given one (CATALOGUE5).
  const sql = `INSERT OR IGNORE INTO operators (line, operator, partitions, hash, seed, databases, created_at, recovering)
    SELECT ?1, ?2, partitions, hash, seed, databases, ?7, ?8 FROM (
      SELECT line, partitions, hash, seed, databases FROM operators WHERE operator = ?2
      UNION ALL SELECT ${Number.MAX_SAFE_INTEGER}, ?3, ?4, ?5, ?6 ORDER BY 1 LIMIT 1)`;
  const created = new Date().toISOString();
  const values = [line, operator, partitions, hash, seed, JSON.stringify(homes), created, recovering];
  await nameFailure(() =>
    databases
      .get("LOG_0")!
      .prepare(sql)
      .bind(...values)
      .run(),
  );
}

/** Opens an operator whose recovery to a moment is finished. */
export async function finishRecovery(databases: Databases, line: number, operator: string, at: Stamp): Promise<void> {
  const sql =
    "UPDATE operators SET recovered = recovering, recovering = NULL WHERE line = ?1 AND operator = ?2 AND recovering = ?3";
  await nameFailure(() => databases.get("LOG_0")!.prepare(sql).bind(line, operator, at).run());
}

function placement(stored: StoredPlacement, databases: Databases): StoredOperator {
  const homes = homesOf(stored);
  const lost = homes.find((home) => !databases.has(home));
  if (lost !== undefined)
    throw new Failure(
      "database_missing",
      `partitions of "${stored.operator}" are in ${lost}, which isn't bound: bind it again`,
    );
  return { ...stored, databases: homes };
}

/** Returns one database for each partition. @throws Failure placement_unclear if the row doesn't name them */
function homesOf({ operator, partitions, databases }: StoredPlacement): string[] {
  const homes = parsed(databases);
  if (Array.isArray(homes) && homes.length === partitions && homes.every((home) => typeof home === "string"))
    return homes;
  throw new Failure(
    "placement_unclear",
    `the row of "${operator}" in operators is corrupt: it doesn't name ${partitions} databases: restore LOG_0, or delete that row and rebuild it with POST /v1/operators/${operator}/recover`,
  );
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

async function identify(name: string, db: D1Database, databases: Databases, onlyRead: boolean): Promise<void> {
  const select = db.prepare("SELECT app, name FROM identity WHERE one = 1");
  let found = await nameFailure(() => select.first<{ app: string; name: string }>());
  if (found === null) {
    if (onlyRead) return;
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
