/**
 * `npm run deploy`. There is no account here: what reaches Cloudflare is tested against a stand-in for wrangler that
 * keeps an account in a file. The real wrangler reads the configuration in a test of its own, with --dry-run.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CONFIG_PATH, PROJECT_DIR } from "../../src/local/config.ts";
import { readDeployment } from "../../src/local/deployment.ts";
import { projectNode } from "../../src/local/wrangler.ts";

let dir = "";
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "keyframe-deploy-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

interface Account {
  readonly databases: readonly string[];
  readonly buckets: readonly string[];
  /** Null if the Worker isn't there. */
  readonly secrets: readonly string[] | null;
  /** The first command that begins so, and all like it, fail. */
  readonly fails?: string;
}
const EMPTY: Account = { databases: [], buckets: [], secrets: null };
const FAKE = join(import.meta.dirname, "deploy/fake-wrangler.mjs");

const CONFIG = `
name = "app"
main = "src/index.ts"
[[durable_objects.bindings]]
name = "PARTITION"
class_name = "Partition"
[[d1_databases]]
binding = "LOG_0"
database_name = "app-log-0"
[[d1_databases]]
binding = "LOG_1"
database_name = "app-log-1"
[[r2_buckets]]
binding = "SNAPSHOTS"
bucket_name = "app-snapshots"
[triggers]
crons = ["*/10 * * * *"]
`;
/** The same under `[env.staging]`, with stores of its own. */
const STAGING = CONFIG.replace(/^[^[]*/, "")
  .replaceAll(/^\[triggers\]\n.*\n/gm, "")
  .replaceAll("[[", "[[env.staging.")
  .replaceAll('"app-', '"staging-');

interface Deployed {
  readonly status: number | null;
  readonly calls: string[];
  readonly stdout: string;
  readonly stderr: string;
}

function deploy(account: Account, config = CONFIG, ...args: readonly string[]): Deployed & { readonly after: Account } {
  const [configPath, accountFile, calls] = ["wrangler.toml", "account.json", "calls"].map((file) => join(dir, file));
  writeFileSync(configPath!, config);
  writeFileSync(accountFile!, JSON.stringify(account));
  writeFileSync(calls!, "");
  const options = JSON.stringify({ args, configPath, directory: dir, command: [projectNode(), FAKE] });
  const script = `import { deploy } from ${JSON.stringify(join(PROJECT_DIR, "src/local/deploying.ts"))};
    process.exit(deploy(${options}));`;
  const { status, stdout, stderr } = spawnSync(projectNode(), ["--no-warnings", "--input-type=module", "-e", script], {
    encoding: "utf8",
    env: { ...process.env, ACCOUNT: accountFile, CALLS: calls },
  });
  const after = JSON.parse(readFileSync(accountFile!, "utf8")) as Account;
  return { status, stdout, stderr, calls: readFileSync(calls!, "utf8").trim().split("\n").filter(Boolean), after };
}

const looks = ["d1 list --json", "r2 bucket info app-snapshots --json", "secret list --format json"];
const migrates = ["d1 migrations apply LOG_0 --remote", "d1 migrations apply LOG_1 --remote"];

describe("on an account", () => {
  test("without anything it makes databases and bucket, migrates, deploys, and says before what is missing", () => {
    const { status, calls, stdout, after } = deploy(EMPTY);
    expect(calls).toEqual([
      ...looks,
      "d1 create app-log-0",
      "d1 create app-log-1",
      "r2 bucket create app-snapshots",
      ...migrates,
      "deploy",
    ]);
    expect(status).toBe(0);
    expect(after).toMatchObject({ databases: ["app-log-0", "app-log-1"], buckets: ["app-snapshots"] });
    const said = stdout.slice(0, stdout.indexOf("$ wrangler d1 create"));
    expect(said).toContain("missing  database app-log-0");
    expect(said).toContain("missing  bucket app-snapshots");
    expect(said).toContain("missing  secret READ_TOKEN, to read state: npx wrangler secret put READ_TOKEN");
    expect(said).toContain("the app is closed");
  });

  test("with everything it makes nothing and asks for nothing", () => {
    const secrets = ["INGEST_TOKEN", "READ_TOKEN", "ADMIN_TOKEN"];
    const { status, calls, stdout } = deploy({
      databases: ["app-log-1", "app-log-0"],
      buckets: ["app-snapshots"],
      secrets,
    });
    expect(calls).toEqual([...looks, ...migrates, "deploy"]);
    expect(status).toBe(0);
    expect(stdout).not.toContain("missing");
  });

  test("with some of it makes the rest, and says which secrets are missing", () => {
    const { calls, stdout } = deploy({
      databases: ["app-log-0"],
      buckets: ["app-snapshots"],
      secrets: ["ADMIN_TOKEN"],
    });
    expect(calls).toEqual([...looks, "d1 create app-log-1", ...migrates, "deploy"]);
    expect(stdout.match(/missing {2}secret \w+/g)).toEqual([
      "missing  secret INGEST_TOKEN",
      "missing  secret READ_TOKEN",
    ]);
    expect(stdout).not.toContain("the app is closed");
  });

  test.each(["d1 list", "d1 create", "r2 bucket create", "d1 migrations apply LOG_1", "deploy"])(
    "a failure of `%s` ends it with that status, and the next deployment resumes from there",
    (fails) => {
      const { status, calls, after } = deploy({ ...EMPTY, fails });
      expect(status).toBe(3);
      expect(calls.at(-1)).toMatch(new RegExp(`^${fails}`));
      const { fails: _, ...fixed } = after;
      expect(deploy(fixed).status).toBe(0);
    },
  );

  test("one that can't be read is a reason to log in", () => {
    const { stderr, calls } = deploy({ ...EMPTY, fails: "d1 list" });
    expect(calls).toEqual(["d1 list --json"]);
    expect(stderr).toContain("npx wrangler login");
  });
});

test.each([
  ['REGION = "weur"', "", "--location weur"],
  ['REGION = "apac-ne"', "", "--location apac"],
  ['JURISDICTION = "eu"', 'jurisdiction = "eu"', "--jurisdiction eu"],
  ['REGION = "weur"\nJURISDICTION = "eu"', 'jurisdiction = "eu"', "--jurisdiction eu"],
])("%j puts the stores there", (vars, bucket, flags) => {
  const config = `${CONFIG.replace("[triggers]", `${bucket}\n[triggers]`)}[vars]\n${vars}\n`;
  const { calls } = deploy(EMPTY, config);
  expect(calls).toContain(`d1 create app-log-0 ${flags}`);
  expect(calls).toContain(`r2 bucket create app-snapshots ${flags}`);
});

test("arguments go to wrangler deploy, and --env to every command", () => {
  const { calls, status } = deploy(EMPTY, CONFIG + STAGING, "--env", "staging", "--message", "second try");
  expect(status).toBe(0);
  expect(calls).toContain("d1 create staging-log-0 --env staging");
  expect(calls.every((call) => call.endsWith("--env staging"))).toBe(true);
  expect(calls.at(-1)).toBe("deploy --message second try --env staging");
});

describe("refused before anything is asked of the account", () => {
  const shared = (of: string, by: string): string => CONFIG + STAGING.replace(of, by);
  test.each([
    [
      "a database of two environments",
      shared("staging-log-1", "app-log-0"),
      /the top level and staging share database app-log-0/,
    ],
    ["a bucket of two environments", shared("staging-snapshots", "app-snapshots"), /share bucket app-snapshots/],
    [
      "a database of two environments by its id",
      CONFIG.replaceAll(/(database_name = "app-log-0")/g, '$1\ndatabase_id = "same"') +
        STAGING.replace('database_name = "staging-log-0"', 'database_name = "staging-log-0"\ndatabase_id = "same"'),
      /share database same/,
    ],
    ["no log", CONFIG.replace("LOG_0", "DB"), /has no D1 database bound as LOG_0/],
    ["no bucket", CONFIG.replace('"SNAPSHOTS"', '"PICTURES"'), /has no R2 bucket bound as SNAPSHOTS/],
    ["no objects", CONFIG.replace('"PARTITION"', '"TILL"'), /has no Durable Object bound as PARTITION/],
    ["no cron", CONFIG.replace(/crons.*/, "crons = []"), /has no cron trigger/],
    ["a region that isn't known", `${CONFIG}[vars]\nREGION = "europe"\n`, /REGION is "europe"; it is one of wnam/],
    [
      "a bucket outside of the jurisdiction",
      `${CONFIG}[vars]\nJURISDICTION = "eu"\n`,
      /its bucket has jurisdiction unset/,
    ],
    ["what is no TOML", "name = ", /isn't valid TOML/],
  ])("%s", (_, config, why) => {
    const { status, calls, stderr } = deploy(EMPTY, config);
    expect(stderr).toMatch(why);
    expect(stderr).toContain("Nothing was deployed.");
    expect(calls).toEqual([]);
    expect(status).toBe(1);
  });

  test("an environment that isn't there, and another configuration", () => {
    expect(deploy(EMPTY, CONFIG + STAGING, "-e", "prod").stderr).toContain('no environment "prod"; there are staging');
    expect(deploy(EMPTY, CONFIG, "--config", "other.toml")).toMatchObject({ status: 1, calls: [] });
    process.env["CLOUDFLARE_ENV"] = "prod";
    const named = deploy(EMPTY, CONFIG + STAGING);
    delete process.env["CLOUDFLARE_ENV"];
    expect(named.stderr).toContain('no environment "prod"; there are staging');
    // Two apps on the same stores would fence each other.
    expect(deploy(EMPTY, CONFIG, "--name=other")).toMatchObject({ status: 1, calls: [] });
  });
});

test("two environments that share a third party's stores by mistake are found whichever is deployed", () => {
  const third = STAGING.replaceAll("env.staging", "env.other");
  const why = expect.stringMatching(/^staging and other share database staging-log-0/) as string;
  expect(readDeployment(CONFIG + STAGING + third, null)).toEqual({ tag: "refused", why });
});

test("the real wrangler takes this repository's configuration for a deployment (--dry-run)", () => {
  const { status, stdout, stderr } = spawnSync(
    "npm",
    ["run", "deploy", "--", "--dry-run", "--outdir", join(dir, "out")],
    {
      cwd: PROJECT_DIR,
      encoding: "utf8",
      env: { ...process.env, WRANGLER_SEND_METRICS: "false", WRANGLER_WRITE_LOGS: "false" },
    },
  );
  expect(stdout, stderr).toMatch(/env\.PARTITION[^]*env\.LOG_0[^]*env\.SNAPSHOTS/);
  expect(stdout).toContain("--dry-run: exiting now");
  expect(status).toBe(0);
  expect(readDeployment(readFileSync(CONFIG_PATH, "utf8"), null).tag).toBe("deployment");
});
