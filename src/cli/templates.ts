/** The files that `keyframe init` and `keyframe new operator` write. */

/** The package's name in npm and in imports. The command is `keyframe`. */
export const PACKAGE = "keyframe-streams";

/** An operator of this name, which counts, and the values for its test. */
export function operatorFile(name: string): string {
  return `import { operator } from "${PACKAGE}";
import { z } from "zod";

/** Keeps a total for each key. */
export const ${identifier(name)} = operator("${name}", {
  version: 1,
  // Event types with the schema of their data (zod, valibot, arktype, …).
  events: {
    "${name}.added": z.object({ key: z.string().min(1), n: z.int().min(-1_000_000).max(1_000_000) }),
  },
  // The key whose state an event changes. All events of a key come one after the other.
  key: (event) => event.data.key,
  initial: () => ({ total: 0, times: 0 }),
  on: {
    // Changes the state in place; what it returns is the reply to \`ask\`. Time and chance come from \`ctx\` alone.
    "${name}.added"(state, event, ctx) {
      if (state.total + event.data.n < 0) return ctx.refuse("below_zero", { total: state.total });
      state.total += event.data.n;
      state.times += 1;
      return { total: state.total };
    },
  },
  // A duplicate gets the first reply for this long.
  replies: { keep: "24h" },
});
`;
}

export function testFile(name: string, runner: "vitest" | "node:test"): string {
  const made = identifier(name);
  return `import { deterministic, given } from "${PACKAGE}/test";
import { test } from "${runner}";
import { ${made} } from "../src/operators/${name}.ts";

const added = (n: number) => ({ type: "${name}.added", data: { key: "k", n } }) as const;
const five = given(${made}, [added(5)]);

test("adds up", () => given(${made}, [added(5), added(-2)]).at("k").expect({ total: 3, times: 2 }));

test("answers", () => five.when(added(1)).expectReply({ total: 6 }));

test("refuses what would go below zero", () => five.when(added(-6)).expectRefusal("below_zero", { total: 5 }));

test("is deterministic", () => deterministic(${made}, [added(5), added(-6), added(-2)]));
`;
}

export const mainFile = (name: string): string => `import { keyframe } from "${PACKAGE}";
import { ${identifier(name)} } from "./operators/${name}.ts";

export { Keyframe, Partition } from "${PACKAGE}";

export const operators = [${identifier(name)}] as const;

export default keyframe({ operators });
`;

/** For `npx tsc`, with the packages of TYPE_CHECK. Wrangler bundles without checking types. */
export const TSCONFIG = `{
  "compilerOptions": {
    "strict": true,
    "noEmit": true,
    "target": "es2024",
    "lib": ["es2024"],
    "module": "esnext",
    "moduleResolution": "bundler",
    "allowImportingTsExtensions": true,
    "skipLibCheck": true,
    "types": ["@cloudflare/workers-types", "node"]
  },
  "include": ["src", "test"]
}
`;
export const TYPE_CHECK: readonly string[] = ["typescript", "@cloudflare/workers-types", "@types/node"];

/** "page-views" as a name in code. */
export function identifier(name: string): string {
  const camel = name.replaceAll(/-+([a-z0-9])/g, (_, next: string) => next.toUpperCase()).replaceAll("-", "");
  return RESERVED.has(camel) ? `${camel}Operator` : camel;
}

/** Words that may name an operator, but no constant. */
const RESERVED = new Set(
  `await break case catch class const continue debugger default delete do else enum export extends false finally for function if
  implements import in instanceof interface let new null operator package private protected public return static super switch test
  this throw true try typeof var void while with yield z given deterministic added five`.split(/\s+/),
);
