/** TIME1: a stamp is above whatever was seen, and at the wall clock where that is ahead. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stamp } from "../../../src/engine/base/ids.ts";
import { nextStamp, stampMs, stampTime } from "../../../src/engine/base/hybrid-clock.ts";

const MS = 1_769_860_800_000;

describe("stamps", () => {
  it("TIME1: rise whatever the clock does, and never lag behind it", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -3_000, max: 3_000 }), { minLength: 1 }), (steps) => {
        let [seen, ms] = [stamp(0), MS];
        for (const step of steps) {
          ms += step;
          const next = nextStamp(seen, ms);
          expect(next).toBeGreaterThan(seen);
          expect(stampMs(next)).toBeGreaterThanOrEqual(ms);
          seen = next;
        }
      }),
    );
  });

  it("TIME1: a counter that runs over borrows from the next millisecond", () => {
    let seen = nextStamp(stamp(0), MS);
    expect(seen).toBe(MS * 1_024);
    for (let i = 0; i < 1_024; i++) seen = nextStamp(seen, MS);
    expect(stampMs(seen)).toBe(MS + 1);
    expect(nextStamp(seen, MS + 2)).toBe((MS + 2) * 1_024);
  });

  it("are safe integers until 2248", () => {
    const late = nextStamp(stamp(0), Date.UTC(2248, 0));
    expect(Number.isSafeInteger(late + 1_024)).toBe(true);
    expect(stampTime(late)).toBe("2248-01-01T00:00:00.000Z");
  });
});
