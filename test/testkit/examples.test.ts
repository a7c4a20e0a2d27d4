/** The examples in docstrings and pages for users: they compile, and those of the test kit hold. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";

const root = path.join(import.meta.dirname, "../..");
const src = path.join(root, "src");
const TESTKIT = "testkit/testkit.ts";
/** Files whose examples are run. */
const RUN = [TESTKIT, "testkit/play.ts", "testkit/deterministic.ts"];
const GIVEN = `import assert from "node:assert/strict";
    import { credits } from "${src}/operators/credits.ts";
    import { carts } from "${root}/examples/timers/carts.ts";
    import { deterministic, given, later } from "keyframe-streams/test";`;

/** File -> what its examples take for granted. */
const FILES: Readonly<Record<string, string>> = {
  ...Object.fromEntries(RUN.map((file) => [file, GIVEN])),
  "keyframe.ts": `import { myOperator } from "./mine.ts";`,
  "worker/ingest/service.ts": `import { keyframe, type Service } from "keyframe-streams";
    import { myOperator, type operators } from "./mine.ts";`,
  "engine/operator/operator.ts": `import { z } from "zod";
    import { operator } from "keyframe-streams";`,
};
const DOCS = ["operators", "deploy", "reminders", "expiring-credits"].map((name) => `docs/guides/${name}.md`);
/** Operators of pages that stand in `examples` as well. */
const TIMERS = { carts: "reminders", grants: "expiring-credits" };
const MINE = `import { credits } from "${src}/operators/credits.ts";
  export const myOperator = credits;
  export const operators = [credits];`;

const dir = mkdtempSync(path.join(tmpdir(), "keyframe-examples-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

beforeAll(() => {
  symlinkSync(path.join(root, "node_modules"), path.join(dir, "node_modules"));
  const base = path.join(root, "tsconfig.base.json");
  const paths = {
    "keyframe-streams": [`${src}/keyframe.ts`],
    "keyframe-streams/test": [`${src}/${TESTKIT}`],
    "keyframe-streams/client": [`${src}/client/client.ts`],
  };
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
  for (const doc of DOCS) {
    const blocks = [...readFileSync(path.join(root, doc), "utf8").matchAll(/^```ts\n([^]*?)^```/gm)].map(
      (match) => match[1]!,
    );
    expect(blocks, doc).not.toEqual([]);
    // An operator that a page defines is the one that the others import.
    for (const [i, code] of blocks.entries()) {
      const defines = /^export const (\w+) = operator\(/m.exec(code)?.[1];
      writeFileSync(path.join(dir, `${defines ?? `${path.basename(doc)}-${i}`}.ts`), code);
    }
  }
  const tsc = path.join(root, "node_modules/.bin/tsc");
  const { status, stdout } = spawnSync(tsc, ["-p", dir], { cwd: dir, encoding: "utf8" });
  expect(stdout).toBe("");
  expect(status).toBe(0);
});

it.each(RUN.flatMap(examples))("hold: %s", (code) => {
  const file = path.join(dir, "run.mts");
  const text = moduleOf(TESTKIT, code).replaceAll('"keyframe-streams/test"', JSON.stringify(path.join(src, TESTKIT)));
  writeFileSync(file, text);
  const { status, stderr } = spawnSync(process.execPath, ["--no-warnings", file], { encoding: "utf8" });
  expect(stderr).toBe("");
  expect(status).toBe(0);
});

it("of the pages on operators and timers hold", () => {
  const tests = ["operators.md-1", "operators.md-2", "operators.md-3", "reminders.md-1", "expiring-credits.md-1"];
  for (const file of ["seats", ...Object.keys(TIMERS), ...tests].map((name) => `${name}.ts`)) {
    const text = readFileSync(path.join(dir, file), "utf8");
    const at = {
      "keyframe-streams/test": path.join(src, TESTKIT),
      "keyframe-streams": path.join(src, "engine/operator/operator.ts"),
    };
    writeFileSync(
      path.join(dir, file),
      Object.entries(at).reduce((so, [from, to]) => so.replace(`"${from}"`, `"${to}"`), text),
    );
  }
  const flags = ["--no-warnings", "--test", "--test-reporter=tap", ...tests.map((name) => `${name}.ts`)];
  const env = { ...process.env, NODE_TEST_CONTEXT: undefined };
  const { stdout, status } = spawnSync(process.execPath, flags, { cwd: dir, encoding: "utf8", env });
  expect(stdout).toMatch(/^# pass 15$/m);
  expect(status).toBe(0);
});

it.each(Object.entries(TIMERS))("%s is in its page what it is in the examples", (name, doc) => {
  const below = (text: string): string => text.slice(text.indexOf("import { z }"));
  const page = readFileSync(path.join(root, `docs/guides/${doc}.md`), "utf8");
  expect(page).toContain(below(readFileSync(path.join(root, `examples/timers/${name}.ts`), "utf8")));
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
