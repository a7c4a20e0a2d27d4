/**
 * `keyframe init`: adds Keyframe's parts to the Worker in this directory, or makes a new Worker in an empty directory.
 *
 * INIT1. The command makes a plan from the existing files first, and writes then: a plan that is refused has written
 *     nothing.
 * INIT2. No existing file is overwritten, except the wrangler configuration, which gets its missing parts.
 * INIT3. A second run does nothing.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { mainFile, operatorFile, PACKAGE, testFile, TSCONFIG, TYPE_CHECK } from "./templates.ts";
import { withNeeds, type Format } from "./wrangler-needs.ts";

interface InitOptions {
  /** The Worker's directory: the place of its package.json and its wrangler configuration. */
  readonly directory: string;
  /** Prints the plan, and writes nothing. */
  readonly dryRun: boolean;
}

export type Initialised =
  | {
      readonly tag: "done";
      /** Files that were written, or would be, each with the new parts. */
      readonly written: readonly { readonly file: string; readonly what: string }[];
      /** Files that exist and stay as they are. */
      readonly kept: readonly string[];
      /** Steps that are left to do by hand, in order. */
      readonly next: readonly string[];
    }
  | { readonly tag: "refused"; readonly why: string };

const CONFIGS: readonly (readonly [file: string, format: Format])[] = [
  ["wrangler.toml", "toml"],
  ["wrangler.jsonc", "jsonc"],
  ["wrangler.json", "jsonc"],
];
const EXAMPLE = "counter";

export function init({ directory, dryRun }: InitOptions): Initialised {
  const plan = planOf(factsOf(directory));
  if (plan.tag === "refused") return plan;
  if (!dryRun) for (const { file, text } of plan.writes) write(path.join(directory, file), text);
  const { kept, next, writes } = plan;
  return { tag: "done", written: writes.map(({ file, what }) => ({ file, what })), kept, next };
}

interface Facts {
  readonly folder: string;
  readonly manifest: Manifest | null;
  readonly configs: readonly { readonly file: string; readonly format: Format; readonly text: string }[];
  readonly has: (file: string) => boolean;
  readonly textOf: (file: string) => string | null;
}

interface Manifest {
  readonly name?: string;
  readonly type?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

type Plan =
  | {
      readonly tag: "plan";
      readonly writes: readonly { readonly file: string; readonly text: string; readonly what: string }[];
      readonly kept: readonly string[];
      readonly next: readonly string[];
    }
  | Extract<Initialised, { tag: "refused" }>;

function factsOf(directory: string): Facts {
  const textOf = (file: string): string | null => {
    const at = path.join(directory, file);
    return existsSync(at) ? readFileSync(at, "utf8") : null;
  };
  const configs = CONFIGS.flatMap(([file, format]) => {
    const text = textOf(file);
    return text === null ? [] : [{ file, format, text }];
  });
  const manifest = textOf("package.json");
  return {
    folder: path.basename(path.resolve(directory)),
    manifest: manifest === null ? null : (JSON.parse(manifest) as Manifest),
    configs,
    has: (file) => existsSync(path.join(directory, file)),
    textOf,
  };
}

function planOf(facts: Facts): Plan {
  const { configs, manifest, has } = facts;
  if (configs.length > 1)
    return {
      tag: "refused",
      why: `there are ${configs.map(({ file }) => file).join(" and ")}: keep the one that wrangler reads`,
    };
  const name = workerName(manifest?.name ?? facts.folder);
  const config = configs[0] ?? {
    file: "wrangler.toml",
    format: "toml" as const,
    text: `name = "${name}"\nmain = "src/index.ts"\n`,
  };
  const added = withNeeds(config.text, config.format, name);
  if (added.tag === "refused") return { tag: "refused", why: `${config.file}: ${added.why}` };
  const writes: { file: string; text: string; what: string }[] = [];
  const kept: string[] = [];
  if (added.tag === "added") writes.push({ file: config.file, text: added.text, what: added.what.join(", ") });
  else kept.push(config.file);

  const main = mainOf(config.text) ?? "src/index.ts";
  const runner = "vitest" in { ...manifest?.dependencies, ...manifest?.devDependencies } ? "vitest" : "node:test";
  const files = [
    { file: `src/operators/${EXAMPLE}.ts`, text: operatorFile(EXAMPLE), what: "an example of an operator" },
    { file: `test/${EXAMPLE}.test.ts`, text: testFile(EXAMPLE, runner), what: `its test, for ${runner}` },
    { file: main, text: mainFile(EXAMPLE), what: "the Worker" },
    { file: "tsconfig.json", text: TSCONFIG, what: "what `npx tsc` checks" },
  ];
  // An app that has operators of its own needs no example.
  const usesIt = facts.textOf(main)?.includes(`from "${PACKAGE}"`) ?? false;
  for (const one of files) {
    if (has(one.file)) kept.push(one.file);
    else if (!usesIt) writes.push(one);
  }
  const checked = writes.some(({ text }) => text === TSCONFIG);
  return { tag: "plan", writes, kept, next: nextSteps(facts, main, usesIt || !has(main), checked, runner) };
}

function nextSteps(
  { manifest }: Facts,
  main: string,
  isReady: boolean,
  checked: boolean,
  runner: "vitest" | "node:test",
): string[] {
  const installed = { ...manifest?.dependencies, ...manifest?.devDependencies };
  const packages = [PACKAGE, "zod", "wrangler"].filter((name) => !(name in installed));
  // The package isn't in npm's registry yet.
  const sources = packages.map((name) => (name === PACKAGE ? `PATH/TO/${PACKAGE}-VERSION.tgz` : name));
  const next = packages.length === 0 ? [] : [`npm install ${sources.join(" ")}`];
  const types = TYPE_CHECK.filter((name) => !(name in installed));
  if (checked && types.length > 0) next.push(`npm install --save-dev ${types.join(" ")}`);
  if (manifest !== null && manifest.type !== "module") next.push("npm pkg set type=module");
  if (!isReady)
    next.push(
      `in ${main}: export { Keyframe, Partition } from "${PACKAGE}"; and call keyframe({ operators: [counter] }) once: its fetch, scheduled and queue are handlers for your own to call, or the default export`,
    );
  if (checked) next.push("npx tsc");
  next.push(
    runner === "vitest" ? "npx vitest run" : `node --test "test/*.test.ts"${nodeRemark(process.versions.node)}`,
  );
  next.push("npx wrangler d1 migrations apply LOG_0 --local", "npx wrangler dev");
  return next;
}

/** The remark about a Node that doesn't run TypeScript by itself. */
export function nodeRemark(version: string): string {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const runs = major > 22 || (major === 22 && minor >= 18);
  return runs ? "" : `   (with Node 22.18 or newer; this is ${version})`;
}

/** The main module that the configuration names. Both formats match. */
const mainOf = (config: string): string | null => /^\s*"?main"?\s*[:=]\s*"([^"]+)"/m.exec(config)?.[1] ?? null;

/** A name that Cloudflare accepts. */
function workerName(text: string): string {
  const plain = text
    .replace(/^@[^/]*\//, "")
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, "-")
    .replaceAll(/^-+|-+$/g, "");
  return plain.slice(0, 54) || "streams";
}

function write(file: string, text: string): void {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
}
