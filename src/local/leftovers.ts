/*
 * The bundles that wrangler leaves in .wrangler/tmp when it is killed: some megabytes each, for a day.
 *
 * 1. Only what appeared while one runtime started is taken for its own, and only where it can't be another's:
 *    with two starts at once in one checkout both leave theirs to wrangler's own sweep.
 * 2. What is claimed is written down, so that the next start on the same state directory clears it away where
 *    the owner was killed too.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const KINDS = ["dev-", "bundle-"];

export class Leftovers {
  readonly #directory: string;
  readonly #record: string;
  readonly #before: Set<string>;

  /** To be made before wrangler starts. `record` is a file of this state directory alone. */
  constructor(projectDir: string, record: string) {
    this.#directory = join(projectDir, ".wrangler", "tmp");
    this.#record = record;
    this.clear();
    this.#before = new Set(namesIn(this.#directory));
  }

  /** To be called when wrangler has started. */
  claim(): void {
    const added = namesIn(this.#directory).filter((name) => !this.#before.has(name));
    const ours = KINDS.flatMap((kind) => onlyOne(added.filter((name) => name.startsWith(kind))));
    writeFileSync(this.#record, ours.map((name) => `${join(this.#directory, name)}\n`).join(""));
  }

  /** To be called when no process is left that uses them. */
  clear(): void {
    for (const path of linesOf(this.#record)) rmSync(path, { recursive: true, force: true });
    rmSync(this.#record, { force: true });
  }
}

function onlyOne<T>(items: T[]): T[] {
  return items.length === 1 ? items : [];
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return []; // Nothing was ever built here.
  }
}

function linesOf(file: string): string[] {
  try {
    return readFileSync(file, "utf8").split("\n").filter(Boolean);
  } catch {
    return [];
  }
}
