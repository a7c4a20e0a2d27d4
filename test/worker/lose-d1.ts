import { applyD1Migrations } from "cloudflare:test";
import { env } from "cloudflare:workers";

/** The databases are new and empty, with the tables that a migration makes. */
export async function loseD1(...databases: readonly D1Database[]): Promise<void> {
  for (const db of databases) {
    const { results } = await db
      .prepare(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE '_cf%'",
      )
      .all<{ name: string }>();
    await db.batch(results.map(({ name }) => db.prepare(`DROP TABLE "${name}"`)));
    await applyD1Migrations(db, env.MIGRATIONS);
  }
}
