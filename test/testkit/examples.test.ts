/** The examples in the docstrings of what users import: they compile, and those of the test kit hold. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";

const root = path.join(import.meta.dirname, "../..");
const src = path.join(root, "src");
const TESTKIT = "testkit/testkit.ts";

/** File -> what its examples take for granted. */
const FILES: Readonly<Record<string, string>> = {
  [TESTKIT]: `import assert from "node:assert/strict";
    import { credits } from "${src}/operators/credits.ts";
    import { deterministic, given } from "keyframe/test";`,
  "keyframe.ts": `import { myOperator } from "./mine.ts";`,
  "worker/service.ts": `import { keyframe, type Service } from "keyframe";
    import { myOperator, type operators } from "./mine.ts";`,
  "engine/operator.ts": `import { z } from "zod";
    import { operator } from "keyframe";`,
};
const MINE = `import { credits } from "${src}/operators/credits.ts";
  export const myOperator = credits;
  export const operators = [credits];`;

const dir = mkdtempSync(path.join(tmpdir(), "keyframe-examples-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

beforeAll(() => {
  symlinkSync(path.join(root, "node_modules"), path.join(dir, "node_modules"));
  const base = path.join(root, "tsconfig.base.json");
  const paths = { keyframe: [`${src}/keyframe.ts`], "keyframe/test": [`${src}/${TESTKIT}`] };
  const compilerOptions = { types: ["@cloudflare/workers-types", "node"], noUnusedLocals: false, paths };
  writeFileSync(path.join(dir, "package.json"), '{"type":"module"}');
  writeFileSync(path.join(dir, "tsconfig.json"), JSON.stringify({ extends: base, compilerOptions, include: ["*.ts"] }));
  writeFileSync(path.join(dir, "mine.ts"), MINE);
});

it("compile", () => {
  for (const file of Object.keys(FILES)) {
    const found = examples(file);
    expect(found, file).not.toEqual([]);
    found.forEach((code, i) =>
      writeFileSync(path.join(dir, `${file.replaceAll(/\W/g, "-")}-${i}.ts`), moduleOf(file, code)),
    );
  }
  const tsc = path.join(root, "node_modules/.bin/tsc");
  const { status, stdout } = spawnSync(tsc, ["-p", dir], { cwd: dir, encoding: "utf8" });
  expect(stdout).toBe("");
  expect(status).toBe(0);
});

it.each(examples(TESTKIT))("hold: %s", (code) => {
  const file = path.join(dir, "run.mts");
  const text = moduleOf(TESTKIT, code).replaceAll('"keyframe/test"', JSON.stringify(path.join(src, TESTKIT)));
  writeFileSync(file, text);
  const { status, stderr } = spawnSync(process.execPath, ["--no-warnings", file], { encoding: "utf8" });
  expect(stderr).toBe("");
  expect(status).toBe(0);
});

/** The code of each `@example`, up to the next tag. */
function examples(file: string): string[] {
  const text = readFileSync(path.join(src, file), "utf8");
  return [...text.matchAll(/\/\*\*[^]*?\*\//g)].flatMap(([comment]) => {
    const lines = comment.slice(3, -2).replaceAll(/^\s*\* ?/gm, "");
    return [...lines.matchAll(/@example\s([^]*?)(?=\n@|$)/g)].map((match) => match[1]!.trim());
  });
}

/** Imports and exports stand at the top; what follows may await. */
const moduleOf = (file: string, code: string): string => `${FILES[file]}\n${code}\nexport {};\n`;
