/*
 * Releases of the app for the demo: a copy of its sources in which the operator of the flights is another version, with or
 * without a bug.
 *
 * 1. The lines to replace must be there, exactly once. So a demo whose bug is gone fails loudly.
 * 2. The project's own sources stay as they are.
 */
import { cpSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PROJECT_DIR } from "./config.ts";

interface Change {
  readonly find: string;
  readonly replace: string;
}

const OPERATOR = join("src", "operators", "airport-delays.ts");
const VERSION = "  version: 1,\n";

export class Releases {
  readonly #folder: string;
  readonly #source = readFileSync(join(PROJECT_DIR, OPERATOR), "utf8");

  /** Copies the app into a folder, which the caller removes. */
  constructor(folder: string) {
    this.#folder = folder;
    for (const part of ["src", "package.json", "tsconfig.json", "tsconfig.base.json", "wrangler.toml"])
      cpSync(join(PROJECT_DIR, part), join(folder, part), { recursive: true });
    symlinkSync(join(PROJECT_DIR, "node_modules"), join(folder, "node_modules"));
  }

  get configPath(): string {
    return join(this.#folder, "wrangler.toml");
  }

  /** Makes the folder hold this version. States of older ones are taken as they are. */
  write(version: number, bug: Change | null): void {
    const steps = Array.from({ length: version - 1 }, (_, i) => `${i + 2}: (state) => state`).join(", ");
    const migrate = version === 1 ? "" : `  migrate: { ${steps} },\n`;
    const versioned = replaced(this.#source, { find: VERSION, replace: `  version: ${version},\n${migrate}` });
    writeFileSync(join(this.#folder, OPERATOR), bug === null ? versioned : replaced(versioned, bug));
  }
}

function replaced(source: string, { find, replace }: Change): string {
  const times = source.split(find).length - 1;
  if (times !== 1) throw new Error(`${OPERATOR} holds ${JSON.stringify(find)} ${times} times, not once`);
  return source.replace(find, () => replace);
}
