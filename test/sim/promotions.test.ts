import { describe, expect, it } from "vitest";
import { findDefect } from "./plant.ts";
import { PROMOTION_DEFECTS } from "./promotion-defects.ts";
import { seededPromotions } from "./promotions.ts";

describe("timelines and promotions", () => {
  it("keep their rules in every seed, and the seeds reach what matters", async () => {
    const seen = new Map<string, number>();
    for (let seed = 1; seed <= 1_500; seed++) {
      const { broken, seen: some } = await seededPromotions(seed);
      expect(broken, `seed ${seed}`).toBeNull();
      for (const what of some) seen.set(what, 1 + (seen.get(what) ?? 0));
    }
    expect(REACHED.filter((what) => !seen.has(what))).toEqual([]);
  });

  // A share, as in defects.test.ts: `npm run sim:promotions -- --defects` plants them all.
  it.concurrent.each(PROMOTION_DEFECTS.filter(({ rare }, n) => n % 2 === 0 && !rare))(
    "$rule: $name",
    async (defect) => {
      expect(await findDefect(defect, "promotions-main"), `not found within ${defect.within} seeds`).not.toBeNull();
    },
  );
});

const REACHED = [
  "a late seal",
  "a replay became main",
  "a replay with other outcomes became main",
  "more partitions became main",
  "a second switch",
  "aborting",
  "an append during a promotion",
  "events given up",
  "opening",
  "make: conflict",
  "make: an undo that replays",
  "make: gone",
  "make: made",
  "promote: busy",
  "promote: moved",
  "promote: no_target",
  "promote: promoted",
  "promote: promoted again",
  "remove: main",
  "remove: parent",
  "remove: promotion",
  "remove: removed",
];
