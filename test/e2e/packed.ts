/*
 * The package as `npm pack` makes it, for tests that use it as its users do.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, symlinkSync } from "node:fs";
import path from "node:path";
import { PACKAGE } from "../../src/cli/templates.ts";
import { PROJECT_DIR } from "../../src/local/config.ts";

export const modules = path.join(PROJECT_DIR, "node_modules");

/** `npm pack` of a directory into `into`; the tarball's path. */
export function pack(directory: string, into: string, flags: readonly string[] = []): string {
  const out = execFileSync("npm", ["pack", directory, "--json", "--pack-destination", into, ...flags], {
    cwd: PROJECT_DIR,
    encoding: "utf8",
    env: { ...process.env, PATH: `${path.join(modules, ".bin")}:${process.env["PATH"] ?? ""}` },
  });
  // The build's own output comes first.
  const [made] = JSON.parse(out.slice(out.search(/^[[{]/m))) as { filename: string }[];
  return path.join(into, made!.filename);
}

/** Unpacks it into `node_modules` of a folder, beside links to what else this repository has installed; no npm, no network. */
export function unpack(tarball: string, folder: string, beside: readonly string[]): void {
  const at = path.join(folder, "node_modules");
  mkdirSync(path.join(at, PACKAGE), { recursive: true });
  execFileSync("tar", ["xzf", tarball, "-C", path.join(at, PACKAGE), "--strip-components", "1"]);
  mkdirSync(path.join(at, ".bin"));
  symlinkSync(`../${PACKAGE}/dist/cli.mjs`, path.join(at, `.bin/${PACKAGE}`));
  for (const name of beside) {
    mkdirSync(path.dirname(path.join(at, name)), { recursive: true });
    symlinkSync(path.join(modules, name), path.join(at, name));
  }
}
