/** An exported name stands for one thing in all of src: who reads the name knows the thing. */
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { parseAst } from "vitest/node";

const root = path.join(import.meta.dirname, "../../src");

/** The local name of an export, and the file of a re-export. */
interface Export {
  readonly local: string;
  readonly from: string | null;
}

type Exports = ReadonlyMap<string, Export>;

function exportsOf(file: string, text: string): Exports {
  const found = new Map<string, Export>();
  for (const node of parseAst(text, { lang: file.endsWith("x") ? "tsx" : "ts" }).body) {
    if (node.type === "ExportAllDeclaration") throw new Error(`${file} exports all of ${node.source.value}`);
    if (node.type !== "ExportNamedDeclaration") continue;
    const from = node.source?.value ?? null;
    for (const { local, exported } of node.specifiers) found.set(textOf(exported), { local: textOf(local), from });
    for (const name of declared(node.declaration)) found.set(name, { local: name, from: null });
  }
  return found;
}

type Body = ReturnType<typeof parseAst>["body"][number];
type Declaration = Extract<Body, { type: "ExportNamedDeclaration" }>["declaration"];
type ModuleName = Extract<Body, { type: "ExportNamedDeclaration" }>["specifiers"][number]["local"];

const textOf = (name: ModuleName): string => (name.type === "Literal" ? name.value : name.name);

function declared(declaration: Declaration): string[] {
  if (declaration === null) return [];
  const ids =
    declaration.type === "VariableDeclaration" ? declaration.declarations.map(({ id }) => id) : [declaration.id];
  return ids.map((id) => {
    if (id?.type !== "Identifier") throw new Error(`an exported ${declaration.type} has no plain name`);
    return id.name;
  });
}

/** Returns the names that stand for several things, each with the things. */
function doubles(texts: ReadonlyMap<string, string>): Record<string, string[]> {
  const modules = new Map([...texts].map(([file, text]) => [file, exportsOf(file, text)]));
  /** The declaration behind an export, as file and name. */
  const thing = (file: string, name: string): string => {
    const found = modules.get(file)?.get(name);
    if (found === undefined) return `${file} ${name}`;
    return found.from === null
      ? `${file} ${found.local}`
      : thing(path.join(path.dirname(file), found.from), found.local);
  };
  const things = new Map<string, Set<string>>();
  for (const [file, exported] of modules)
    for (const name of exported.keys()) things.set(name, (things.get(name) ?? new Set()).add(thing(file, name)));
  return Object.fromEntries([...things].filter(([, of]) => of.size > 1).map(([name, of]) => [name, [...of]]));
}

const source = new Map(
  globSync("**/*.{ts,tsx}", { cwd: root })
    .sort()
    .map((file) => [file, readFileSync(path.join(root, file), "utf8")]),
);

describe("an exported name", () => {
  it("stands for one thing in all of src", () => {
    expect(source.size).toBeGreaterThan(200);
    expect(doubles(source)).toEqual({});
  });

  it.each([
    ["a function", "export function seq(): void {}"],
    ["a generator", "export async function* seq() {}"],
    ["a constant of several", "export const other = 1, seq = 2;"],
    ["an interface", "export interface seq {}"],
    ["a type", "export type seq = string;"],
    ["a class", "export abstract class seq {}"],
    ["a list", "const seq = 1;\nexport { seq };"],
    ["another name of something else", 'export { stampTime as seq } from "../base/ids.ts";'],
  ])("is found if it stands again, as %s", (_, text) => {
    const planted = new Map(source).set("engine/log/planted.ts", text);
    expect(Object.keys(doubles(planted))).toEqual(["seq"]);
  });

  it("may be exported again by an entry module", () => {
    const again = 'export { seq } from "../base/ids.ts";\nexport type { Seq } from "../base/ids.ts";';
    expect(doubles(new Map(source).set("engine/log/planted.ts", again))).toEqual({});
  });
});
