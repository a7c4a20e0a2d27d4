/** The house has one direction: which room may import which, what the engine may not touch, and how long a file may be. */
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";

const root = path.join(import.meta.dirname, "../../src");
const files = globSync("**/*.{ts,tsx}", { cwd: root }).sort();
const text = (file: string): string => readFileSync(path.join(root, file), "utf8");

/** Room -> rooms and packages that it may import. */
const MAY: Readonly<Record<string, RegExp>> = {
  engine: /^(engine\/|@standard-schema\/spec$|tinyqueue$)/,
  // Prices and estimates: of the engine it takes what is counted.
  cost: /^(cost\/|engine\/)/,
  adapters: /^(adapters\/|engine\/|node:)/,
  testkit: /^(testkit\/|engine\/|adapters\/brotli\.ts$|@standard-schema\/spec$|node:(assert|crypto)$)/,
  operators: /^(operators\/|engine\/operator\/operator\.ts$|zod$)/,
  worker: /^(worker\/|adapters\/|cost\/|engine\/|hono$|@standard-schema\/spec$|cloudflare:workers$)/,
  // Of the engine it takes types alone, see below.
  client: /^(client\/|engine\/)/,
  // Of the engine types alone, as the client.
  dashboard: /^(dashboard\/|client\/|engine\/|preact$|preact\/hooks$|@preact\/signals$|uplot$)/,
  cli: /^(cli\/|client\/|cost\/|engine\/|adapters\/brotli\.ts$|node:|commander$|smol-toml$|jsonc-parser$|\.\.\/package\.json$)/,
  local: /^(local\/|client\/amounts\.ts$|engine\/operator\/region\.ts$|node:|smol-toml$|esbuild$)/,
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

  it("has no circle of files, types included", () => {
    const done = new Set<string>();
    const visit = (file: string, way: readonly string[]): void => {
      expect(way.includes(file), [...way, file].join(" -> ")).toBe(false);
      if (done.has(file)) return;
      for (const next of imports(file)) if (known.has(next)) visit(next, [...way, file]);
      done.add(file);
    };
    const known = new Set(files);
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

/** Left to right: a room may import the rooms before it, and itself. Types count. */
const ENGINE = "base event operator log state snapshot recovery checkpoint history partition".split(" ");
/** Of the worker: `.` are the files beside the rooms. */
const WORKER = ". api http ingest read watch admin metrics object".split(" ");

const innerRoomOf = (file: string): string => (file.split("/").length === 2 ? "." : file.split("/")[1]!);

describe("the rooms of the engine", () => {
  const inside = files.filter((file) => roomOf(file) === "engine");

  it("are these, in this order, and no file stands beside them", () => {
    expect(new Set(inside.map(innerRoomOf))).toEqual(new Set(ENGINE));
  });

  it.each(inside)("%s imports only its own room and those left of it", (file) => {
    const place = ENGINE.indexOf(innerRoomOf(file));
    const right = imports(file).filter(
      (name) => roomOf(name) === "engine" && ENGINE.indexOf(innerRoomOf(name)) > place,
    );
    expect(right).toEqual([]);
  });

  it.each(ENGINE)("%s has a README that names each of its files", (room) => {
    const readme = readFileSync(path.join(root, "engine", room, "README.md"), "utf8");
    const missing = inside
      .filter((file) => innerRoomOf(file) === room)
      .map((file) => path.basename(file))
      .filter((name) => !readme.includes(name));
    expect(missing).toEqual([]);
    expect(readme.split("\n").length).toBeLessThanOrEqual(60);
  });
});

describe("the rooms of the worker", () => {
  it("are these", () => {
    const inside = files.filter((file) => roomOf(file) === "worker");
    expect(new Set(inside.map(innerRoomOf))).toEqual(new Set(WORKER));
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
