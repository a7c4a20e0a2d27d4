/*
 * The bundles that wrangler leaves in .wrangler/tmp when it is killed: some megabytes each, for a day.
 *
 * 1. A runtime claims only bundles that appeared while it started, and that no other runtime can own. After two starts
 *    at once in one checkout, both leave their bundles to wrangler's own cleanup.
 * 2. Claims are recorded, so that the next start on the same state directory removes the bundles even if the owner was
 *    killed too.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const KINDS = ["dev-", "bundle-"];

export class Leftovers {
  readonly #directory: string;
  readonly #record: string;
  readonly #before: Set<string>;

  /** Make this before wrangler starts. `record` is a file of this state directory alone. */
  constructor(projectDir: string, record: string) {
    this.#directory = join(projectDir, ".wrangler", "tmp");
    this.#record = record;
    this.clear();
    this.#before = new Set(namesIn(this.#directory));
  }

  /** Call this when wrangler has started. */
  claim(): void {
    const added = namesIn(this.#directory).filter((name) => !this.#before.has(name));
    const ours = KINDS.flatMap((kind) => onlyOne(added.filter((name) => name.startsWith(kind))));
    writeFileSync(this.#record, ours.map((name) => `${join(this.#directory, name)}\n`).join(""));
  }

  /** Call this when no process that uses the bundles is left. */
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
