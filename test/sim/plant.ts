/**
 * Planting a defect: a copy of the sources in which a few lines are replaced, run seed after seed until a rule breaks.
 *
 * P1. What is to be replaced must be there, exactly once: a defect whose lines are gone fails loudly, it is not skipped.
 * P2. The sources themselves hold no switch for it.
 */
import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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
  /** Where a test begins with the seeds, to be short; the table begins with 1. */
  readonly from?: number;
}

export interface Found {
  readonly seed: number;
  readonly says: string;
}

const ROOT = path.join(import.meta.dirname, "../..");
const COPIED = ["src/engine", "src/worker", "src/adapters", "test/engine/fakes", "test/sim"];

/** The first seed that finds it, or null. */
export async function findDefect(defect: Defect, from: number): Promise<Found | null> {
  const home = mkdtempSync(path.join(tmpdir(), "keyframe-defect-"));
  try {
    for (const part of COPIED) cpSync(path.join(ROOT, part), path.join(home, part), { recursive: true });
    writeFileSync(path.join(home, "package.json"), '{"type":"module"}');
    for (const patch of defect.patches) apply(home, defect, patch);
    return await search(home, from, defect.within);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

/** Every patch fits the sources as they are. @throws where one doesn't */
export function checkPatches(defect: Defect): void {
  for (const { file, find } of defect.patches)
    assertOnce(defect, file, readFileSync(path.join(ROOT, file), "utf8"), find);
}

function apply(home: string, defect: Defect, { file, find, replace }: Patch): void {
  const target = path.join(home, file);
  const text = readFileSync(target, "utf8");
  assertOnce(defect, file, text, find);
  writeFileSync(
    target,
    text.replace(find, () => replace),
  );
}

function assertOnce(defect: Defect, file: string, text: string, find: string): void {
  const times = text.split(find).length - 1;
  if (times !== 1)
    throw new Error(`defect "${defect.name}": ${file} holds ${JSON.stringify(find)} ${times} times, not once`);
}

function search(home: string, from: number, most: number): Promise<Found | null> {
  const args = ["test/sim/main.ts", "--from", `${from}`, "--seeds", `${most}`, "--threads", "1", "--first"];
  const child = spawn(process.execPath, args, { cwd: home, stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString("utf8")));
  child.stderr.on("data", (chunk: Buffer) => (out += chunk.toString("utf8")));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (status) => {
      const found = /^seed (\d+): (.*)$/m.exec(out);
      if (found !== null) resolve({ seed: Number(found[1]), says: found[2]!.slice(0, 160) });
      else if (status === 0) resolve(null);
      else reject(new Error(`the patched simulator broke: ${out.slice(0, 2_000)}`));
    });
  });
}
