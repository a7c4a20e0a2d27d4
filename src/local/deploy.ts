/*
 * `npm run deploy`: the migrations of every log database, then the app. Further arguments go to `wrangler deploy`.
 *
 * 1. The databases are changed first: code must not meet tables that it does not know yet.
 * 2. The first failure ends it, with that command's exit status.
 */
import { spawnSync } from "node:child_process";
import { CONFIG_PATH, type Database, logDatabases, PROJECT_DIR } from "./config.ts";
import { projectNode, WRANGLER } from "./wrangler.ts";

const SECRETS = {
  INGEST_TOKEN: "to send events and to ask",
  READ_TOKEN: "to read state",
  ADMIN_TOKEN: "for everything",
};

process.exit(deploy(process.argv.slice(2)));

function deploy(args: string[]): number {
  const dryRun = args.includes("--dry-run");
  if (!dryRun) sayWhichSecrets();
  for (const database of dryRun ? [] : logDatabases(CONFIG_PATH)) {
    const status = wrangler(["d1", "migrations", "apply", database.binding, "--remote"]);
    if (status === 0) continue;
    sayHowToCreate(database);
    return status;
  }
  return wrangler(["deploy", ...args]);
}

function wrangler(args: string[]): number {
  console.log(`\n$ wrangler ${args.join(" ")}`);
  const { status } = spawnSync(projectNode(), ["--no-warnings", WRANGLER, ...args], {
    cwd: PROJECT_DIR,
    stdio: "inherit",
  });
  return status ?? 1;
}

function sayWhichSecrets(): void {
  console.log("Without a secret the app is shut: it answers 401 to everyone. Set those you need, once:\n");
  for (const [name, use] of Object.entries(SECRETS)) {
    console.log(`  npx wrangler secret put ${name.padEnd(14)}# ${use}`);
  }
}

function sayHowToCreate({ name, binding }: Database): void {
  console.error(`\nThe migrations of ${binding} were not applied, and nothing was deployed.`);
  console.error(
    `Before the first deployment create it, near those who send: npx wrangler d1 create ${name} --location weur`,
  );
}
