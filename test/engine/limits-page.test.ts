/** docs/reference/limits.md says what limits.ts says: every limit, with its value, and the defaults of an operator. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";
import * as limits from "../../src/engine/base/limits.ts";
import { operator } from "../../src/engine/operator/operator.ts";

const page = readFileSync(path.join(import.meta.dirname, "../../docs/reference/limits.md"), "utf8");
const cells = (row: string): string[] => row.split("|").map((cell) => cell.trim());
const rows = page
  .split("\n")
  .filter((line) => line.startsWith("|"))
  .map(cells);

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  MB: 1e6,
  GB: 1e9,
  s: 1e3,
  days: 86_400_000,
};

/** "1.5 MB" → 1,500,000; a time in milliseconds. */
function valueOf(text: string): number {
  const [, digits = "", unit = ""] = /^([\d.,]+) ?(\w*)$/.exec(text) ?? [];
  const factor = UNITS[unit];
  if (digits === "" || factor === undefined) throw new Error(`${JSON.stringify(text)} is no value`);
  return Number(digits.replaceAll(",", "")) * factor;
}

/** Name -> value, with the members of what is an object. */
const inTheCode = Object.fromEntries(
  Object.entries(limits).flatMap(([name, value]): [string, number][] =>
    typeof value === "number" ? [[name, value]] : Object.entries(value).map(([member, n]) => [`${name}.${member}`, n]),
  ),
);

it("every limit of limits.ts stands in the page once, with its value, and no other", () => {
  const named = rows.flatMap(([, , value = "", name = ""]): [string, number][] => {
    const [, code] = /^`([A-Z][\w.]*)`$/.exec(name) ?? [];
    return code === undefined ? [] : [[code, valueOf(value)]];
  });
  expect(named.length).toBe(new Set(named.map(([name]) => name)).size);
  expect(Object.fromEntries(named)).toEqual(inTheCode);
});

it("the defaults of an operator are those of the page", () => {
  const said = (setting: string): string => rows.find(([, name]) => name === `\`${setting}\``)![2]!.replaceAll("`", "");
  const made = (spec: object) => operator("defaults", { version: 1, events: {}, initial: () => ({}), on: {}, ...spec });
  const durations = { dedup: { keep: said("dedup.keep") } };
  const snapshot = {
    every: said("snapshot.every"),
    recovery: said("snapshot.recovery"),
    retain: said("snapshot.retain"),
  };
  const numbers = { dedup: { ...durations.dedup, maxIds: valueOf(said("dedup.maxIds")) } };
  const spec = {
    ...numbers,
    snapshot: { ...snapshot, maxTailBytes: valueOf(said("snapshot.maxTailBytes")) },
    memory: valueOf(said("memory")),
    partitions: valueOf(said("partitions")),
  };
  const facts = ({ dedup, snapshot: policy, memoryBytes, partitions }: ReturnType<typeof made>) => {
    return { dedup, policy, memoryBytes, partitions };
  };
  expect(facts(made(spec))).toEqual(facts(made({})));
});
