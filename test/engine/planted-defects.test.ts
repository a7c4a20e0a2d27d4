/** The lines that a planted defect replaces are there. Planting them all takes half an hour. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";
import { DEFECTS } from "../sim/defects.ts";
import { PROMOTION_DEFECTS } from "../sim/promotion-defects.ts";

it.each([...DEFECTS, ...PROMOTION_DEFECTS])("$name: its lines stand in the sources, once", ({ patches }) => {
  const times = patches.map(({ file, find }) => {
    const text = readFileSync(path.join(import.meta.dirname, "../..", file), "utf8");
    return { file, find, times: text.split(find).length - 1 };
  });
  expect(times.filter((one) => one.times !== 1)).toEqual([]);
});
