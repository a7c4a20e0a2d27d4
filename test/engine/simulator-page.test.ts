/** The pages list every planted defect, with the rule that it breaks, and no other. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";
import { DEFECTS } from "../sim/defects.ts";
import { PROMOTION_DEFECTS } from "../sim/promotion-defects.ts";

it.each([
  ["simulator.md", DEFECTS],
  ["timelines.md", PROMOTION_DEFECTS],
])("%s has each planted defect with its rule, in the order of the sources", (name, defects) => {
  const page = readFileSync(path.join(import.meta.dirname, "../../docs/internals", name), "utf8");
  const rows = [...page.matchAll(/^\| ([^|]+?) +\| ([^|]+?) +\| (\d+) +\|$/gm)].map(([, defect, rule]) => ({
    name: defect,
    rule,
  }));
  expect(rows).toEqual(defects.map(({ name: defect, rule }) => ({ name: defect, rule })));
});
