/**
 * Copies of the sources in which a few lines are replaced: planted defects, which the simulator must find, and bounds so
 * small that a small world reaches them.
 *
 * PLANT1. The lines to replace must be there, exactly once: a defect whose lines are gone fails loudly, it is not skipped.
 * PLANT2. The sources themselves hold no switch for it.
 */
import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

export interface Patch {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export interface Defect {
  readonly name: string;
  /** The rule that it breaks, and its name among the models' breaks, where it has one. */
  readonly rule: string;
  readonly patches: readonly Patch[];
  /** Found among so many seeds. */
  readonly within: number;
  /** Few seeds find it, so looking for it takes most of a minute. */
  readonly rare: boolean;
}

/** Of a file of the engine. */
export const engine = (name: string, find: string, replace: string): Patch => ({
  file: `src/engine/${name}.ts`,
  find,
  replace,
});

export const one = (name: string, rule: string, ...patches: readonly Patch[]): Defect => ({
  name,
  rule,
  patches,
  within: 450,
  rare: false,
});

export const rare = (name: string, rule: string, ...patches: readonly Patch[]): Defect => ({
  ...one(name, rule, ...patches),
  rare: true,
});

export interface Found {
  readonly seed: number;
  readonly says: string;
}

const ROOT = path.join(import.meta.dirname, "../..");
const COPIED = ["src/engine", "src/worker", "src/adapters", "src/testkit", "test/engine/fakes", "test/sim"];

/** The first seed of a program that finds it, or null. */
export async function findDefect({ name, patches, within }: Defect, program = "main"): Promise<Found | null> {
  const args = ["--seeds", `${within}`, "--threads", "1", "--first"];
  const { status, out } = await simulate(name, patches, args, program);
  const found = /^seed (\d+): (.*)$/m.exec(out);
  if (found !== null) return { seed: Number(found[1]), says: found[2]!.slice(0, 160) };
  if (status === 0) return null;
  throw new Error(`defect "${name}": the patched simulator broke: ${out.slice(0, 2_000)}`);
}

const limit = (find: string, replace: string): Patch => ({ file: "src/engine/base/limits.ts", find, replace });
/** Groups of several rows, full queues: with bounds that a few events reach. */
const SMALL_LIMITS = [
  limit("ROW_BYTES = 1_500_000", "ROW_BYTES = 2_500"),
  limit("PENDING_BYTES = 8_000_000", "PENDING_BYTES = 12_000"),
  limit("PENDING_EVENTS = 50_000", "PENDING_EVENTS = 60"),
  limit("PAGE_BYTES = 4_000_000", "PAGE_BYTES = 4_000"),
  limit("ARCHIVE_CHARS = 512 * 1024", "ARCHIVE_CHARS = 1_000"),
  limit("archiveBytes: 8_000_000", "archiveBytes: 3_000"),
];

/** The simulator over a copy with small bounds. */
export const simulateSmallLimits = (args: readonly string[]): Promise<Simulated> =>
  simulate("small limits", SMALL_LIMITS, args);

interface Simulated {
  readonly status: number | null;
  readonly out: string;
}

async function simulate(
  name: string,
  patches: readonly Patch[],
  args: readonly string[],
  program = "main",
): Promise<Simulated> {
  const home = mkdtempSync(path.join(tmpdir(), "keyframe-sim-"));
  try {
    for (const part of COPIED) cpSync(path.join(ROOT, part), path.join(home, part), { recursive: true });
    symlinkSync(path.join(ROOT, "node_modules"), path.join(home, "node_modules"));
    writeFileSync(path.join(home, "package.json"), '{"type":"module"}');
    for (const patch of patches) apply(home, name, patch);
    return await run(home, program, args);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

function apply(home: string, name: string, { file, find, replace }: Patch): void {
  const target = path.join(home, file);
  const text = readFileSync(target, "utf8");
  const times = text.split(find).length - 1;
  if (times !== 1) throw new Error(`"${name}": ${file} holds ${JSON.stringify(find)} ${times} times, not once`);
  writeFileSync(
    target,
    text.replace(find, () => replace),
  );
}

function run(home: string, program: string, args: readonly string[]): Promise<Simulated> {
  const child = spawn(process.execPath, [`test/sim/${program}.ts`, ...args], {
    cwd: home,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  const take = (chunk: Buffer): string => (out += chunk.toString("utf8"));
  child.stdout.on("data", take);
  child.stderr.on("data", take);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (status) => resolve({ status, out }));
  });
}
