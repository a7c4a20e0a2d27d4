/** `keyframe init` and `keyframe new operator`: into nothing, into Workers of all kinds, twice, and where they must not. */
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parse as parseJsonc } from "jsonc-parser";
import { parse as parseToml } from "smol-toml";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { init, type Initialised, nodeRemark } from "../../src/cli/init.ts";
import { newOperator } from "../../src/cli/new.ts";
import { identifier, operatorFile, testFile } from "../../src/cli/templates.ts";

let dir = "";
beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), "keyframe-init-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function put(file: string, text: string): void {
  mkdirSync(path.dirname(path.join(dir, file)), { recursive: true });
  writeFileSync(path.join(dir, file), text);
}
const textOf = (file: string): string => readFileSync(path.join(dir, file), "utf8");
const run = (dryRun = false): Initialised => init({ directory: dir, dryRun });

function done(result: Initialised): Extract<Initialised, { tag: "done" }> {
  if (result.tag !== "done") throw new Error(result.why);
  return result;
}

const files = (): string[] =>
  readdirSync(dir, { recursive: true, encoding: "utf8" })
    .filter((file) => file.includes("."))
    .sort();

const NEEDED = {
  compatibility_date: "2026-04-01",
  compatibility_flags: ["nodejs_compat"],
  durable_objects: { bindings: [{ name: "PARTITION", class_name: "Partition" }] },
  migrations: [{ tag: "keyframe-v1", new_sqlite_classes: ["Partition"] }],
  r2_buckets: [{ binding: "SNAPSHOTS", bucket_name: "shop-snapshots" }],
  d1_databases: [
    { binding: "LOG_0", database_name: "shop-log-0", migrations_dir: "node_modules/keyframe-streams/dist/migrations" },
  ],
  version_metadata: { binding: "VERSION" },
  triggers: { crons: ["*/10 * * * *"] },
};

describe("init", () => {
  it("makes a Worker in an empty directory", () => {
    put("package.json", '{"name":"@me/Shop"}');
    const { written, kept, next } = done(run());
    expect(written.map(({ file }) => file)).toEqual([
      "wrangler.toml",
      "src/operators/counter.ts",
      "test/counter.test.ts",
      "src/index.ts",
      "tsconfig.json",
    ]);
    expect(kept).toEqual([]);
    expect(next.slice(0, 4)).toEqual([
      "npm install PATH/TO/keyframe-streams-VERSION.tgz zod wrangler",
      "npm install --save-dev typescript @cloudflare/workers-types @types/node",
      "npm pkg set type=module",
      "npx tsc",
    ]);
    expect(parseToml(textOf("wrangler.toml"))).toEqual({ name: "shop", main: "src/index.ts", ...NEEDED });
  });

  it("says of a Node that doesn't run TypeScript that the tests need another", () => {
    expect(["20.20.2", "22.17.1"].map(nodeRemark)).toEqual([
      "   (with Node 22.18 or newer; this is 20.20.2)",
      "   (with Node 22.18 or newer; this is 22.17.1)",
    ]);
    expect(["22.18.0", "24.21.0"].map(nodeRemark)).toEqual(["", ""]);
  });

  it("does nothing the second time", () => {
    done(run());
    const before = files().map((file) => [file, textOf(file)]);
    const again = done(run());
    expect(again.written).toEqual([]);
    expect(again.kept).toContain("wrangler.toml");
    expect(files().map((file) => [file, textOf(file)])).toEqual(before);
  });

  it("writes nothing on a dry run, and says the same", () => {
    const dry = done(run(true));
    expect(files()).toEqual([]);
    expect(done(run())).toEqual(dry);
  });

  it("adds to a wrangler.toml what it lacks, and changes nothing else", () => {
    const mine = `# my Worker
name = "shop"
main = "src/worker.ts"
compatibility_date = "2026-11-01" # newest

# the till
[[durable_objects.bindings]]
name = "TILL"
class_name = "Till"

[[migrations]]
tag = "v1"
new_sqlite_classes = ["Till"]

[[d1_databases]]
binding = "DB"
database_name = "shop"

[vars]
PRICE = 3`;
    put("wrangler.toml", mine);
    put("src/worker.ts", "export default {};\n");
    const { written, kept, next } = done(run());
    const made = textOf("wrangler.toml");
    expect(mine.split("\n").filter((line) => !made.split("\n").includes(line))).toEqual([]);
    expect(parseToml(made)).toEqual({
      ...NEEDED,
      name: "shop",
      main: "src/worker.ts",
      compatibility_date: "2026-11-01",
      durable_objects: { bindings: [{ name: "TILL", class_name: "Till" }, ...NEEDED.durable_objects.bindings] },
      migrations: [{ tag: "v1", new_sqlite_classes: ["Till"] }, ...NEEDED.migrations],
      d1_databases: [{ binding: "DB", database_name: "shop" }, ...NEEDED.d1_databases],
      vars: { PRICE: 3 },
    });
    // The comment stays with its table.
    expect(made).toContain('# the till\n[[durable_objects.bindings]]\nname = "TILL"');
    expect(kept).toEqual(["src/worker.ts"]);
    expect(textOf("src/worker.ts")).toBe("export default {};\n");
    expect(written.map(({ file }) => file)).not.toContain("src/worker.ts");
    expect(next.some((step) => step.startsWith("in src/worker.ts: export { Keyframe, Partition }"))).toBe(true);
  });

  it("adds to a wrangler.jsonc, comments and all", () => {
    put(
      "wrangler.jsonc",
      `{
  // my Worker
  "name": "shop",
  "main": "src/index.ts",
  "compatibility_flags": ["global_fetch_strictly_public"],
  "triggers": { "crons": ["0 0 * * *"] }, // nightly
  "r2_buckets": [{ "binding": "PICTURES", "bucket_name": "p" }],
}`,
    );
    done(run());
    const made = textOf("wrangler.jsonc");
    expect(made).toContain("// my Worker");
    expect(made).toContain("// nightly");
    expect(parseJsonc(made)).toEqual({
      ...NEEDED,
      name: "shop",
      main: "src/index.ts",
      compatibility_flags: ["global_fetch_strictly_public", "nodejs_compat"],
      triggers: { crons: ["0 0 * * *"] },
      r2_buckets: [{ binding: "PICTURES", bucket_name: "p" }, ...NEEDED.r2_buckets],
    });
    expect(done(run()).written).toEqual([]);
  });

  it("takes an app that is complete as it is, with exports in place of migrations, and gives it no example", () => {
    put("wrangler.toml", readFileSync(path.join(import.meta.dirname, "../../examples/wrangler.toml"), "utf8"));
    put("src/index.ts", 'import { keyframe } from "keyframe-streams";\n');
    expect(done(run())).toMatchObject({ written: [], kept: ["wrangler.toml", "src/index.ts"] });
    const declared = textOf("wrangler.toml")
      .replace(/\[\[migrations\]\][^[]*/, '[exports.Partition]\ntype = "durable-object"\nstorage = "sqlite"\n\n')
      .replace('new_sqlite_classes = ["Partition"]\n', "");
    put("wrangler.toml", declared);
    expect(declared).not.toContain("migrations]]");
    expect(done(run()).written).toEqual([]);
  });

  it.each([
    ["invalid TOML", "wrangler.toml", 'name = "shop', "isn't valid TOML"],
    ["invalid JSON", "wrangler.jsonc", '{"name": ', "isn't valid JSON"],
    ["lists written inline", "wrangler.toml", 'name = "shop"\nd1_databases = [{ binding = "DB" }]\n', "add by hand"],
    [
      "a PARTITION of its own",
      "wrangler.toml",
      '[[durable_objects.bindings]]\nname = "PARTITION"\nclass_name = "Mine"\n',
      "rename yours",
    ],
    ["an old compatibility date", "wrangler.toml", 'compatibility_date = "2024-01-01"\n', "raise it"],
    [
      "flags of its own in TOML",
      "wrangler.toml",
      'compatibility_flags = ["global_fetch_strictly_public"]\n',
      'compatibility_flags = ["nodejs_compat"]',
    ],
  ])("refuses %s, says what to do, and writes nothing", (_, file, text, why) => {
    put(file, text);
    const result = run();
    expect(result).toMatchObject({ tag: "refused", why: expect.stringContaining(why) });
    expect(files()).toEqual([file]);
    expect(textOf(file)).toBe(text);
  });

  it("refuses two configurations, since wrangler reads one of them", () => {
    put("wrangler.toml", "");
    put("wrangler.json", "{}");
    expect(run()).toMatchObject({ tag: "refused", why: expect.stringContaining("wrangler.toml and wrangler.json") });
  });

  it("writes vitest's tests where vitest is", () => {
    put("package.json", '{"name":"shop","devDependencies":{"vitest":"5.0.0","wrangler":"4.0.0"}}');
    const { next } = done(run());
    expect(textOf("test/counter.test.ts")).toContain('from "vitest"');
    expect(next[0]).toBe("npm install PATH/TO/keyframe-streams-VERSION.tgz zod");
    expect(next).toContain("npx vitest run");
  });

  it("leaves a Worker's own tsconfig.json, and what it checks, alone", () => {
    put("package.json", '{"name":"shop","type":"module"}');
    put("tsconfig.json", "{}");
    const { kept, next } = done(run());
    expect(kept).toContain("tsconfig.json");
    expect(textOf("tsconfig.json")).toBe("{}");
    expect(next.filter((step) => /tsc|typescript|type=/.test(step))).toEqual([]);
  });
});

describe("new operator", () => {
  const make = (name: string, dryRun = false) => newOperator({ directory: dir, name, dryRun });

  it("writes the operator and its test", () => {
    expect(make("page-views")).toEqual({
      tag: "done",
      written: ["src/operators/page-views.ts", "test/page-views.test.ts"],
      next: "change src/operators/page-views.ts and its test, which count, to what you need, and add pageViews to the list of operators that keyframe() gets",
    });
    expect(textOf("src/operators/page-views.ts")).toContain('export const pageViews = operator("page-views"');
  });

  it("writes neither where one is there, or on a dry run", () => {
    expect(make("page-views", true).tag).toBe("done");
    expect(files()).toEqual([]);
    put("test/page-views.test.ts", "mine");
    expect(make("page-views")).toMatchObject({ tag: "refused", why: expect.stringContaining("exists already") });
    expect(existsSync(path.join(dir, "src"))).toBe(false);
    expect(textOf("test/page-views.test.ts")).toBe("mine");
  });

  it.each(["", "Page", "1st", "a_b", "../x", "a/b", "a".repeat(64)])("refuses the name %j", (name) => {
    expect(make(name)).toMatchObject({ tag: "refused", why: expect.stringContaining("isn't a name of an operator") });
    expect(files()).toEqual([]);
  });
});

it.each(["counter", "page-views", "a1-2-b", "class", "test", "x-"])(
  "what the templates of %s give compiles, and its tests pass",
  (name) => {
    symlinkSync(path.join(import.meta.dirname, "../../node_modules"), path.join(dir, "node_modules"));
    const src = path.join(import.meta.dirname, "../../src");
    const here = (text: string): string =>
      text
        .replaceAll('"keyframe-streams"', `"${src}/engine/operator/operator.ts"`)
        .replaceAll('"keyframe-streams/test"', `"${src}/testkit/testkit.ts"`);
    put("package.json", '{"type":"module"}');
    put(`src/operators/${name}.ts`, here(operatorFile(name)));
    put(`test/${name}.test.ts`, here(testFile(name, "node:test")));
    expect(identifier(name)).toMatch(/^[a-z][a-zA-Z0-9]*$/);
    const base = path.join(import.meta.dirname, "../../tsconfig.base.json");
    put(
      "tsconfig.json",
      JSON.stringify({ extends: base, compilerOptions: { types: ["node"] }, include: ["src", "test"] }),
    );
    const tsc = path.join(import.meta.dirname, "../../node_modules/.bin/tsc");
    expect(spawnSync(tsc, ["-p", dir], { encoding: "utf8" }).stdout).toBe("");
    const env = { ...process.env, NODE_TEST_CONTEXT: undefined };
    const flags = ["--no-warnings", "--test", "--test-reporter=tap"];
    const { stdout, status } = spawnSync(process.execPath, [...flags, `test/${name}.test.ts`], {
      cwd: dir,
      encoding: "utf8",
      env,
    });
    expect(stdout).toMatch(/^# pass 4$/m);
    expect(status).toBe(0);
  },
);
