/** `keyframe new operator NAME`: writes the operator's file and its test, unless one of them exists already. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { OPERATOR_NAME } from "../engine/operator/operator.ts";
import { identifier, operatorFile, testFile } from "./templates.ts";

interface NewOperatorOptions {
  /** The Worker's directory. */
  readonly directory: string;
  /**
   * a-z, 0-9 and -, at most 63 characters, the first a letter. The name can't change later, since it names the state.
   */
  readonly name: string;
  /** Prints the plan, and writes nothing. */
  readonly dryRun: boolean;
}

type NewOperator =
  | { readonly tag: "done"; readonly written: readonly string[]; readonly next: string }
  | { readonly tag: "refused"; readonly why: string };

export function newOperator({ directory, name, dryRun }: NewOperatorOptions): NewOperator {
  if (!OPERATOR_NAME.test(name))
    return {
      tag: "refused",
      why: `${JSON.stringify(name)} isn't a name of an operator: use a-z, 0-9 and -, at most 63 characters, a letter first`,
    };
  const files: readonly (readonly [file: string, text: string])[] = [
    [`src/operators/${name}.ts`, operatorFile(name)],
    [`test/${name}.test.ts`, testFile(name, runnerOf(path.join(directory, "package.json")))],
  ];
  const there = files.find(([file]) => existsSync(path.join(directory, file)))?.[0];
  if (there !== undefined) return { tag: "refused", why: `${there} exists already; nothing was written` };
  for (const [file, text] of dryRun ? [] : files) {
    const at = path.join(directory, file);
    mkdirSync(path.dirname(at), { recursive: true });
    writeFileSync(at, text, { flag: "wx" });
  }
  const next = `change src/operators/${name}.ts and its test, which count, to what you need, and add ${identifier(name)} to the list of operators that keyframe() gets`;
  return { tag: "done", written: files.map(([file]) => file), next };
}

function runnerOf(manifest: string): "vitest" | "node:test" {
  return existsSync(manifest) && /"vitest"\s*:/.test(readFileSync(manifest, "utf8")) ? "vitest" : "node:test";
}
