/*
 * `npm run build:cli`: the command line as one plain JavaScript file, dist/cli.mjs, for any Node from 20.15 on.
 * A user's Node may lack support for TypeScript, and needs none of this project's packages.
 */
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { PROJECT_DIR } from "./config.ts";

/** `require` for the one CommonJS package in the bundle, since a module has none. */
const REQUIRE = `import { createRequire } from "node:module";\nconst require = createRequire(import.meta.url);`;

export async function buildCli(outfile: string): Promise<void> {
  await build({
    entryPoints: [join(PROJECT_DIR, "src", "cli", "main.ts")],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    // The CommonJS build of one package looks for its files at run time.
    mainFields: ["module", "main"],
    legalComments: "inline",
    banner: { js: REQUIRE },
    logLevel: "warning",
  });
  chmodSync(outfile, 0o755);
}

if (import.meta.main) await buildCli(join(PROJECT_DIR, "dist", "cli.mjs"));
