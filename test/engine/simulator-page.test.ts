/** docs/internals/simulator.md lists every planted defect, with the rule that it breaks, and no other. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";
import { DEFECTS } from "../sim/defects.ts";

const page = readFileSync(path.join(import.meta.dirname, "../../docs/internals/simulator.md"), "utf8");

it("the page has each planted defect with its rule, in the order of the sources", () => {
  const rows = [...page.matchAll(/^\| ([^|]+?) +\| ([^|]+?) +\| (\d+) +\|$/gm)].map(([, name, rule]) => ({
    name,
    rule,
  }));
  expect(rows).toEqual(DEFECTS.map(({ name, rule }) => ({ name, rule })));
});
