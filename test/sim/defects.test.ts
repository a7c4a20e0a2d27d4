import { describe, expect, it } from "vitest";
import { DEFECTS } from "./defects.ts";
import { findDefect } from "./plant.ts";

describe("planted defects", () => {
  it("are at least twenty", () => {
    expect(new Set(DEFECTS.map((defect) => defect.name)).size).toBeGreaterThanOrEqual(20);
  });

  it.concurrent.each(DEFECTS)("$rule: $name", async (defect) => {
    expect(await findDefect(defect), `not found within ${defect.within} seeds`).not.toBeNull();
  });
});
