/*
 * A deployment, even to an empty account: checks secrets, makes databases and the bucket, applies migrations, and
 * deploys the app with its cron. All arguments go to `wrangler deploy`, and `--env` to every command.
 *
 * 1. Flaws of the configuration, and missing parts of the account, are reported before anything is changed.
 * 2. Databases are changed before the code: code must not meet tables that it does not know yet.
 * 3. Existing parts stay as they are, so that a deployment that failed midway can run again.
 * 4. The first failure ends the deployment, with that command's exit status.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { storeLocation } from "../engine/operator/region.ts";
import { readDeployment, type Deployment } from "./deployment.ts";

interface DeployOptions {
  /** Arguments for `wrangler deploy`. */
  readonly args: readonly string[];
  readonly configPath: string;
  /** The directory in which wrangler runs. */
  readonly directory: string;
  /** Wrangler, with the arguments that precede its own. */
  readonly command: readonly string[];
}

const SECRETS = {
  INGEST_TOKEN: "to send events and to ask",
  READ_TOKEN: "to read state",
  ADMIN_TOKEN: "for everything",
};

/** Returns the exit status. */
export function deploy({ args, configPath, directory, command }: DeployOptions): number {
  const [environment, dryRun] = wishesOf(args);
  // Under another name the same stores would have two apps, whose objects fence each other.
  if (args.some((text) => /^(-c|--config|--name)(=|$)/.test(text))) {
    console.error(`Nothing was deployed: --config and --name aren't taken, what is deployed is ${configPath}`);
    return 1;
  }
  const read = readDeployment(readFileSync(configPath, "utf8"), environment);
  if (read.tag === "refused") {
    console.error(`Nothing was deployed. ${configPath}: ${read.why}`);
    return 1;
  }
  const wrangler = new Wrangling(command, directory, [
    "--config",
    configPath,
    ...(environment === null ? [] : ["--env", environment]),
  ]);
  if (!dryRun) {
    const status = prepare(wrangler, read.deployment);
    if (status !== 0) return status;
  }
  return wrangler.run(["deploy", ...withoutEnvironment(args)]);
}

function prepare(wrangler: Wrangling, { databases, bucket, place }: Deployment): number {
  const listed = wrangler.ask(["d1", "list", "--json"]);
  if (listed.status !== 0) {
    console.error(`${listed.stderr}\nNothing was deployed: the account can't be read. Log in with: npx wrangler login`);
    return listed.status;
  }
  const there = new Set(namesIn(listed.stdout, "name"));
  const missing = databases.filter(({ name }) => !there.has(name));
  const jurisdiction = place.jurisdiction === null ? [] : ["--jurisdiction", place.jurisdiction];
  const hasBucket = wrangler.ask(["r2", "bucket", "info", bucket, "--json", ...jurisdiction]).status === 0;
  sayWhatIsMissing(
    missing.map(({ name }) => name),
    hasBucket ? null : bucket,
    secretsMissing(wrangler),
  );

  // A jurisdiction decides the place, so a location beside it would have no effect.
  const where =
    place.region === null || place.jurisdiction !== null ? jurisdiction : ["--location", storeLocation(place.region)];
  const steps = [
    ...missing.map(({ name }) => ["d1", "create", name, ...where]),
    ...(hasBucket ? [] : [["r2", "bucket", "create", bucket, ...where]]),
    ...databases.map(({ binding }) => ["d1", "migrations", "apply", binding, "--remote"]),
  ];
  for (const step of steps) {
    const status = wrangler.run(step);
    if (status === 0) continue;
    console.error(`\nNothing was deployed. Fix what is named above, and deploy again: finished steps stay done.`);
    return status;
  }
  return 0;
}

/** A Worker that doesn't exist yet has no secrets. */
function secretsMissing(wrangler: Wrangling): string[] {
  const { status, stdout } = wrangler.ask(["secret", "list", "--format", "json"]);
  const set = status === 0 ? namesIn(stdout, "name") : [];
  return Object.keys(SECRETS).filter((name) => !set.includes(name));
}

function sayWhatIsMissing(databases: readonly string[], bucket: string | null, secrets: readonly string[]): void {
  for (const name of databases) console.log(`missing  database ${name}: it will be made now, empty`);
  if (bucket !== null) console.log(`missing  bucket ${bucket}: it will be made now, empty`);
  const tokens = Object.entries(SECRETS).filter(([name]) => secrets.includes(name));
  for (const [name, use] of tokens) console.log(`missing  secret ${name}, ${use}: npx wrangler secret put ${name}`);
  if (tokens.length === Object.keys(SECRETS).length)
    console.log("Without any secret the app is closed, unless it has its own authorize: it answers 401 to everyone.");
  else if (tokens.length > 0) console.log("A route whose secret is missing is closed, except to the admin token.");
}

/** The values of a member in a JSON list, even if wrangler prints other text before the list. */
function namesIn(stdout: string, member: string): string[] {
  try {
    const list = JSON.parse(stdout.slice(stdout.search(/^\[/m))) as Record<string, unknown>[];
    return list.map((one) => String(one[member]));
  } catch {
    return [];
  }
}

class Wrangling {
  readonly #command: readonly string[];
  readonly #directory: string;
  readonly #flags: readonly string[];

  constructor(command: readonly string[], directory: string, flags: readonly string[]) {
    this.#command = command;
    this.#directory = directory;
    this.#flags = flags;
  }

  /** Shows the output as it runs. Returns the exit status. */
  run(args: readonly string[]): number {
    console.log(`\n$ wrangler ${args.join(" ")}`);
    return this.#spawn(args, "inherit").status ?? 1;
  }

  /** Captures the output. */
  ask(args: readonly string[]): { readonly status: number; readonly stdout: string; readonly stderr: string } {
    const { status, stdout, stderr } = this.#spawn(args, "pipe");
    return { status: status ?? 1, stdout, stderr };
  }

  #spawn(args: readonly string[], stdio: "inherit" | "pipe") {
    const [executable = "", ...first] = this.#command;
    return spawnSync(executable, [...first, ...args, ...this.#flags], {
      cwd: this.#directory,
      stdio: stdio === "inherit" ? "inherit" : ["ignore", "pipe", "pipe"],
      encoding: "utf8",
    });
  }
}

const ENVIRONMENT = { env: { type: "string", short: "e" }, "dry-run": { type: "boolean" } } as const;

function wishesOf(args: readonly string[]): [environment: string | null, dryRun: boolean] {
  const { values } = parseArgs({ args: [...args], options: ENVIRONMENT, strict: false, allowPositionals: true });
  // Reads CLOUDFLARE_ENV as wrangler does. Otherwise wrangler would deploy another environment than the one checked.
  const env = values.env ?? process.env["CLOUDFLARE_ENV"];
  return [typeof env === "string" && env !== "" ? env : null, values["dry-run"] === true];
}

/** Removes `--env`, since every command gets it already. */
function withoutEnvironment(args: readonly string[]): string[] {
  const isFlag = (text: string | undefined): boolean => text === "--env" || text === "-e";
  return args.filter((text, i) => !isFlag(text) && !isFlag(args[i - 1]) && !/^(--env|-e)=/.test(text));
}
