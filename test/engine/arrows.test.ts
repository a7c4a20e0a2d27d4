/** The house has one direction: which room may import which, what the engine may not touch, and how long a file may be. */
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";

const root = path.join(import.meta.dirname, "../../src");
const files = globSync("**/*.{ts,tsx}", { cwd: root }).sort();
const text = (file: string): string => readFileSync(path.join(root, file), "utf8");

/** Room -> rooms and packages that it may import. */
const MAY: Readonly<Record<string, RegExp>> = {
  engine: /^(engine\/|@standard-schema\/spec$)/,
  adapters: /^(adapters\/|engine\/|node:)/,
  testkit: /^(testkit\/|engine\/|adapters\/brotli\.ts$|@standard-schema\/spec$|node:(assert|crypto)$)/,
  operators: /^(operators\/|engine\/operator\/operator\.ts$|zod$)/,
  worker: /^(worker\/|adapters\/|engine\/|hono$|@standard-schema\/spec$|cloudflare:workers$)/,
  // Of the engine it takes types alone, see below.
  client: /^(client\/|engine\/(operator\/operator|event\/event)\.ts$)/,
  // Of the engine types alone, as the client.
  dashboard: /^(dashboard\/|client\/|engine\/|preact$|preact\/hooks$|@preact\/signals$|uplot$)/,
  cli: /^(cli\/|client\/|engine\/|adapters\/brotli\.ts$|node:|commander$|smol-toml$|jsonc-parser$|\.\.\/package\.json$)/,
  local: /^(local\/|engine\/operator\/region\.ts$|node:|smol-toml$|esbuild$)/,
  "keyframe.ts": /^(engine\/|worker\/)/,
  "index.ts": /^(keyframe\.ts$|operators\/index\.ts$)/,
};

/** It imports nothing, and holds the texts of modules that do. */
const TEMPLATES = "cli/templates.ts";
const code = (file: string): string => (file === TEMPLATES ? "" : text(file));

function imports(file: string): string[] {
  const found = [...code(file).matchAll(/(?:^|\n)(?:import|export)[^;"']*?from "([^"]+)"/g)].map((match) => match[1]!);
  return found.map((name) => (name.startsWith(".") ? path.join(path.dirname(file), name) : name));
}

const roomOf = (file: string): string => file.split("/")[0]!;

describe("the source", () => {
  it("has only the known rooms", () => {
    expect(new Set(files.map(roomOf))).toEqual(new Set(Object.keys(MAY)));
  });

  it.each(files)("%s imports only what its room may", (file) => {
    const wrong = imports(file).filter((name) => !MAY[roomOf(file)]!.test(name));
    expect(wrong).toEqual([]);
  });

  it.each([
    ["client", /^\.\/[a-z-]+\.ts$/],
    ["dashboard", /^(\.\/[a-z-]+\.tsx?|\.\.\/client\/[a-z-]+\.ts|[^.].*)$/],
  ])("takes nothing of the engine into the %s but types", (room, may) => {
    const values = files
      .filter((file) => roomOf(file) === room)
      .flatMap((file) => [...text(file).matchAll(/(?:^|\n)(?:import|export) (?!type )[^;"']*?from "([^"]+)"/g)])
      .map((match) => match[1]!);
    expect(values.length).toBeGreaterThan(0);
    expect(values.filter((name) => !may.test(name))).toEqual([]);
  });

  it("has no circles but between types", () => {
    const values = (file: string): string[] =>
      [...code(file).matchAll(/(?:^|\n)import (?!type )([^;"']*?)from "(\.[^"]+)"/g)]
        .filter(([, names]) => !/^\{(\s*type [^,}]+,?)*\s*\}\s*$/.test(names!))
        .map((match) => path.join(path.dirname(file), match[2]!));
    const done = new Set<string>();
    const visit = (file: string, way: readonly string[]): void => {
      expect(way.includes(file), [...way, file].join(" -> ")).toBe(false);
      if (done.has(file)) return;
      for (const next of values(file)) visit(next, [...way, file]);
      done.add(file);
    };
    for (const file of files) visit(file, []);
  });

  it.each(files.filter((file) => file !== "keyframe.ts"))("%s is no barrel", (file) => {
    const code = text(file)
      .replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, "")
      .trim();
    const rest = code.replaceAll(/export (type )?(\*|\{[^}]*\}) from "[^"]+";/g, "").trim();
    expect(rest).not.toBe("");
  });

  it.each(files)("%s has at most 400 lines", (file) => {
    expect(text(file).split("\n").length).toBeLessThanOrEqual(401);
  });
});

describe("the engine", () => {
  const AMBIENT =
    /\bDate\.now\(|new Date\(\)|Math\.random|\bcrypto\b|setTimeout|setInterval|console\.|globalThis|process\.|\bfetch\(/;

  it.each(files.filter((file) => roomOf(file) === "engine"))(
    "%s has no clock, no randomness and no platform of its own",
    (file) => {
      const code = text(file).replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, "");
      expect(AMBIENT.exec(code)?.[0]).toBeUndefined();
    },
  );
});
