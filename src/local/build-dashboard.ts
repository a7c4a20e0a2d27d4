/*
 * `npm run build:dashboard`: src/dashboard as three files, in one module that the Worker serves them from.
 *
 * The module, src/worker/dashboard-files.ts, is not in git. `npm ci` makes it, and so do `npm run dev`, `npm run
 * check`, the build of the package and the deploy.
 */
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build, stop } from "esbuild";
import { PROJECT_DIR } from "./config.ts";

const SOURCE = join(PROJECT_DIR, "src", "dashboard");
const TARGET = join(PROJECT_DIR, "src", "worker", "dashboard-files.ts");

interface File {
  readonly type: string;
  readonly etag: string;
  readonly text: string;
}

export async function buildDashboard(): Promise<Record<string, File>> {
  const { outputFiles } = await build({
    entryPoints: { dashboard: join(SOURCE, "main.tsx"), style: join(SOURCE, "style.css") },
    outdir: PROJECT_DIR,
    write: false,
    bundle: true,
    minify: true,
    format: "esm",
    target: ["chrome125", "firefox128", "safari18"],
    jsx: "automatic",
    jsxImportSource: "preact",
    legalComments: "none",
    logLevel: "warning",
  });
  // Without this, esbuild's process would stay for as long as this one.
  await stop();
  const output = (name: string): string => outputFiles.find(({ path }) => path.endsWith(name))!.text;
  return {
    "/": file("text/html; charset=utf-8", readFileSync(join(SOURCE, "page.html"), "utf8")),
    "/dashboard.js": file("text/javascript; charset=utf-8", output("dashboard.js")),
    "/dashboard.css": file("text/css; charset=utf-8", output("style.css")),
  };
}

function file(type: string, text: string): File {
  const hash = createHash("sha256").update(text).digest("base64url").slice(0, 16);
  return { type, etag: `"${hash}"`, text };
}

/** Writes the file only if it changed: a write would restart a running `wrangler dev`. */
export async function writeDashboard(): Promise<void> {
  const files = await buildDashboard();
  const type = "Readonly<Record<string, { readonly type: string; readonly etag: string; readonly text: string }>>";
  const text = `/** Made by src/local/build-dashboard.ts from src/dashboard. */\nexport const DASHBOARD: ${type} = ${JSON.stringify(files, null, 1)};\n`;
  if (textOf(TARGET) !== text) writeFileSync(TARGET, text);
}

function textOf(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

if (import.meta.main) await writeDashboard();
