/** When a snapshot is due, as a table (SNAP7), and what a recovery is predicted to take. */
import { describe, expect, it } from "vitest";
import { predictRecoveryMs, snapshotAt, type SnapshotFacts } from "../../src/engine/policy.ts";

const MINUTE = 60_000;
const DAY = 1_440 * MINUTE;
const NOW = 1_000 * DAY;
const policy = { everyMs: 5 * MINUTE, maxTailBytes: 4_000_000 };
const facts = (more: Partial<SnapshotFacts>): SnapshotFacts => ({
  tailEvents: 10,
  tailBytes: 2_000,
  tailSinceMs: NOW,
  lastMs: NOW - MINUTE,
  ...more,
});

describe("a snapshot is due", () => {
  it.each<[string, Partial<SnapshotFacts>, number | null]>([
    ["never without a tail", { tailEvents: 0, tailBytes: 0, tailSinceMs: null }, null],
    ["a day after a few events", {}, NOW + DAY],
    ["at the interval after 1,000 events", { tailEvents: 1_000 }, NOW + 5 * MINUTE],
    ["not at the interval after 999", { tailEvents: 999 }, NOW + DAY],
    ["at the interval after 1 MB", { tailBytes: 1_000_000 }, NOW + 5 * MINUTE],
    ["an interval after the last one at the earliest", { tailEvents: 1_000, lastMs: NOW + MINUTE }, NOW + 6 * MINUTE],
    ["at once with a full tail", { tailBytes: 4_000_000 }, 0],
    ["also if there was none", { tailEvents: 5_000, lastMs: 0 }, NOW + 5 * MINUTE],
  ])("%s", (_, more, at) => {
    expect(snapshotAt(facts(more), policy)).toBe(at);
  });
});

describe("the predicted recovery", () => {
  it("grows with snapshot and tail, and uses the measured rate of replay", () => {
    const none = { snapshotBytes: 0, tailEvents: 0, tailBytes: 0, replayPerMs: null };
    const base = predictRecoveryMs(none);
    expect(base).toBeGreaterThan(0);
    expect(predictRecoveryMs({ ...none, snapshotBytes: 20_000_000 })).toBeGreaterThan(base + 500);
    expect(predictRecoveryMs({ ...none, tailEvents: 50_000, replayPerMs: 50 })).toBe(base + 1_000);
    expect(predictRecoveryMs({ ...none, tailEvents: 50_000, replayPerMs: 500 })).toBe(base + 100);
  });

  it("is a number also where the last recovery took time and replayed nothing", () => {
    const facts = { snapshotBytes: 0, tailBytes: 0, replayPerMs: 0 };
    for (const tailEvents of [0, 5_000])
      expect(predictRecoveryMs({ ...facts, tailEvents })).toBe(
        predictRecoveryMs({ ...facts, tailEvents, replayPerMs: null }),
      );
  });
});
