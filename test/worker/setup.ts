/** Before each file: the log's tables in every database. */
import { applyD1Migrations } from "cloudflare:test";
import { env } from "cloudflare:workers";

await applyD1Migrations(env.LOG_0, env.MIGRATIONS);
await applyD1Migrations(env.LOG_1, env.MIGRATIONS);
