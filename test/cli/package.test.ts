/** The package as npm makes it: its name, which of its dependencies run scripts, and what `npx` finds. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { PACKAGE } from "../../src/cli/templates.ts";

const root = path.join(import.meta.dirname, "../..");
const read = (file: string): string => readFileSync(path.join(root, file), "utf8");
const manifest = JSON.parse(read("package.json")) as {
  readonly name: string;
  readonly bin: Readonly<Record<string, string>>;
  readonly scripts: Readonly<Record<string, string>>;
  readonly allowScripts: Readonly<Record<string, boolean>>;
};

describe("the package", () => {
  it("has the name that the templates import, and a command of that name for npx", () => {
    expect(manifest.name).toBe(PACKAGE);
    expect(manifest.bin).toEqual({ keyframe: "dist/cli.mjs", [PACKAGE]: "dist/cli.mjs" });
  });

  it("has no script that npm would run, or ask about, where somebody installs it", () => {
    const run = ["preinstall", "install", "postinstall", "prepublish", "preprepare", "prepare", "postprepare"];
    expect(Object.keys(manifest.scripts).filter((name) => run.includes(name))).toEqual([]);
  });

  it("says of each dependency with an install script that it may run, since npm 11 skips the others", () => {
    const { packages } = JSON.parse(read("package-lock.json")) as {
      packages: Record<string, { hasInstallScript?: boolean; optional?: boolean }>;
    };
    const withScripts = Object.entries(packages).flatMap(([at, one]) =>
      one.hasInstallScript === true && one.optional !== true ? [at.replace(/^.*node_modules\//, "")] : [],
    );
    expect(Object.keys(manifest.allowScripts)).toEqual(withScripts.toSorted());
  });

  it("is named wherever npx or an import would otherwise get somebody else's package", () => {
    const folders = ["docs", "src", "test", "examples"].flatMap((folder) =>
      readdirSync(path.join(root, folder), { recursive: true, encoding: "utf8" }).map((file) =>
        path.join(folder, file),
      ),
    );
    const files = ["README.md", "CONTRIBUTING.md", ...folders].filter((file) => /\.(?:md|tsx?|toml|html)$/.test(file));
    // These two say why.
    const apart = ["docs/guides/deploy.md", "test/cli/package.test.ts"];
    const foreign = /npx keyframe(?![\w-])|from "keyframe(?:\/\w+)?"|node_modules\/keyframe\//;
    const wrong = files.filter((file) => !apart.includes(file) && foreign.test(read(file)));
    expect(files.length).toBeGreaterThan(300);
    expect(wrong).toEqual([]);
  });
});
