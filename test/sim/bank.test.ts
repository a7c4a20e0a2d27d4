import { describe, expect, it } from "vitest";
import { runBank } from "./bank.ts";
import { BANK_DEFECTS } from "./bank-defects.ts";
import { findDefect } from "./plant.ts";

describe("the bank", () => {
  it("has all its money at every moment", async () => {
    let [audits, repeated] = [0, 0];
    for (let seed = 1; seed <= 60; seed++) {
      const run = await runBank(seed);
      expect(run.broken, `seed ${seed}`).toBeNull();
      audits += run.audits;
      repeated += run.repeated;
    }
    // It was no idle auditor.
    expect(audits).toBeGreaterThan(1_000);
    expect(repeated).toBeGreaterThan(200);
  });

  // `npm run sim:bank -- --defects` plants the rare ones too.
  it.concurrent.each(BANK_DEFECTS.filter(({ rare }) => !rare))("$rule: $name", async (defect) => {
    expect(await findDefect(defect, "bank-main"), `not found within ${defect.within} seeds`).not.toBeNull();
  });
});
