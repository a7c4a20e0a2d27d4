/** docs/reference/limits.md says what limits.ts says: every limit that users meet, and the defaults of an operator. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";
import * as limits from "../../src/engine/base/limits.ts";
import { operator } from "../../src/engine/operator/operator.ts";

const page = readFileSync(path.join(import.meta.dirname, "../../docs/reference/limits.md"), "utf8");

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

/** Limits of memory, files and pages, which limits.ts alone explains. */
const INSIDE = [
  "PARSED_CHARS",
  "ROW_BYTES",
  "PAGE_BYTES",
  "PAGE_ROWS",
  "KEPT_TEXT_BYTES",
  "MEMORY_BYTES",
  "ENTRY_BYTES",
  "FETCHES",
  "RECENT_BLOCKS",
  "LOAD_KEYS",
  "LOAD_BYTES",
  "READ_BYTES",
  "RUN_BYTES",
  "RUN_BLOCKS",
  "GAP_BYTES",
  "SIZES.blockChars",
  "SIZES.fileBytes",
  "SIZES.archiveBytes",
  "SIZES.wholeBytes",
  "SIZES.idsBytes",
  "PASS.keys",
  "PASS.bytes",
  "UNPACKED_BYTES",
  "ARCHIVE_CHARS",
  "VERIFY_CHARS",
  "SCAN_BYTES",
  "SCAN_ALL_BYTES",
  "FEED_CHARS",
  "FEED_SCAN",
  "HISTORY_CHARS",
  "HISTORY_HELD_CHARS",
  "HISTORY_OBJECTS",
  "HISTORY_VALUE_CHARS",
  "HISTORY_WORK_CHARS",
  "QUARANTINE_PAGE_CHARS",
];

it("every limit of limits.ts that users meet stands in the page once, with its value, and no other", () => {
  const named = [...page.matchAll(/^- ([^(\n]+) \(`([A-Z][\w.]*)`\): /gm)].map(
    ([, value = "", name = ""]): [string, number] => [name, valueOf(value)],
  );
  expect(named.length).toBe(new Set(named.map(([name]) => name)).size);
  const met = Object.entries(inTheCode).filter(([name]) => !INSIDE.includes(name));
  expect(Object.fromEntries(named)).toEqual(Object.fromEntries(met));
  expect(INSIDE.filter((name) => inTheCode[name] === undefined)).toEqual([]);
});

it("the defaults of an operator are those of the page", () => {
  const said = (setting: string): string => page.split(`- \`${setting}\`, by default `)[1]!.split(": ")[0]!;
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
