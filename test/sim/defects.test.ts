import { describe, expect, it } from "vitest";
import { DEFECTS } from "./defects.ts";
import { findDefect } from "./plant.ts";

describe("planted defects", () => {
  it("are at least twenty", () => {
    expect(new Set(DEFECTS.map((defect) => defect.name)).size).toBeGreaterThanOrEqual(20);
  });

  // A quarter, but for those that take long to find: `npm run sim -- --defects` plants them all.
  it.concurrent.each(DEFECTS.filter(({ rare }, n) => n % 4 === 0 && !rare))("$rule: $name", async (defect) => {
    expect(await findDefect(defect), `not found within ${defect.within} seeds`).not.toBeNull();
  });
});
