/** When a snapshot is due, as a table (SNAP7), and what a recovery is estimated to take. */
import { describe, expect, it } from "vitest";
import {
  predictRecovery,
  snapshotAt,
  type RecoveryFacts,
  type SnapshotFacts,
} from "../../../src/engine/checkpoint/policy.ts";
import { withReplay, withOpening, UNMEASURED } from "../../../src/engine/recovery/recovery-rates.ts";

const MINUTE = 60_000;
const DAY = 1_440 * MINUTE;
const NOW = 1_000 * DAY;
const policy = { everyMs: 5 * MINUTE, maxTailBytes: 4_000_000, recoveryMs: 1_000, memoryBytes: 8_000_000 };
const facts = (more: Partial<SnapshotFacts>): SnapshotFacts => ({
  tailEvents: 10,
  tailBytes: 2_000,
  tailSinceMs: NOW,
  lastMs: NOW - MINUTE,
  stateMs: 20,
  tailMs: 5,
  changedBytes: 1_000,
  ...more,
});

describe("a snapshot is due", () => {
  it.each<[string, Partial<SnapshotFacts>, number | null]>([
    ["never without a tail", { tailEvents: 0, tailBytes: 0, tailSinceMs: null }, null],
    ["a day after a few events", {}, NOW + DAY],
    ["at the interval after 1,000 events", { tailEvents: 1_000 }, NOW + 5 * MINUTE],
    ["not at the interval after 999", { tailEvents: 999 }, NOW + DAY],
    ["at the interval after 1 MB", { tailBytes: 1_000_000 }, NOW + 5 * MINUTE],
    ["at the interval after 80 openings that read the tail", { openings: 80 }, NOW + 5 * MINUTE],
    ["not at the interval after 79", { openings: 79 }, NOW + DAY],
    ["an interval after the last one at the earliest", { tailEvents: 1_000, lastMs: NOW + MINUTE }, NOW + 6 * MINUTE],
    ["at once with a full tail", { tailBytes: 4_000_000 }, 0],
    ["SNAP7: at once when a recovery would take longer than promised", { tailMs: 981 }, 0],
    ["SNAP7: not before", { tailMs: 980 }, NOW + DAY],
    ["not for what a large state takes: a snapshot doesn't fix that", { stateMs: 5_000, tailMs: 250 }, NOW + DAY],
    ["but for a tail that counts beside it", { stateMs: 5_000, tailMs: 251 }, 0],
    ["also if there was none", { tailEvents: 5_000, lastMs: 0 }, NOW + 5 * MINUTE],
  ])("%s", (_, more, at) => {
    expect(snapshotAt(facts(more), policy)).toBe(at);
  });
});

describe("the estimated recovery", () => {
  const facts = { openingBytes: 0, tailEvents: 0, tailBytes: 0, rates: UNMEASURED };
  const total = (more: Partial<RecoveryFacts>): number => {
    const { stateMs, tailMs } = predictRecovery({ ...facts, ...more });
    return stateMs + tailMs;
  };
  const empty = total({});

  it("grows with state and tail, by the rates that were measured", () => {
    expect(empty).toBeGreaterThan(0);
    const slow = { ...UNMEASURED, replayPerMs: [50], loadPerMs: [10_000] };
    expect(total({ tailEvents: 50_000, rates: slow })).toBe(empty + 1_000);
    expect(total({ openingBytes: 20_000_000, rates: slow })).toBe(empty + 2_000);
    expect(total({ tailBytes: 80_000_000 }), "and the wait for a second page").toBe(empty + 1_000 + empty);
    expect(total({ tailBytes: 40_000_000, tailEvents: 50_000, rates: slow }), "measured with the bytes").toBe(
      empty + 1_000 + empty,
    );
    expect(total({ tailBytes: 160_000_000, tailEvents: 50_000, rates: slow }), "larger events").toBe(
      empty + 2_000 + empty,
    );
    expect(total({ tailBytes: 40_000_000, tailEvents: 100_000 }), "not measured yet").toBe(empty + 1_000 + empty);
    expect(total({ tailEvents: 50_000, openingBytes: 20_000_000 }), "unmeasured").toBeGreaterThan(empty);
  });

  it("begins with the way to D1, once that was measured by an answer of few rows", () => {
    const far = withOpening(UNMEASURED, 80, 20);
    expect(total({ rates: far })).toBe(80);
    expect(withOpening(far, 900, 21), "many rows").toEqual(far);
    const nothing = { events: 0, bytes: 0, ms: 0 };
    expect(withReplay(far, nothing, nothing), "kept by what measures the rest").toEqual(far);
  });

  it("rates come from what took long enough to be measured; the others stay", () => {
    const before = { replayPerMs: [7], loadPerMs: [8], openMs: [] };
    const nothing = { events: 0, bytes: 0, ms: 0 };
    expect(withReplay(before, nothing, nothing)).toEqual(before);
    expect(withReplay(before, { events: 999, ms: 100 }, { bytes: 99_999, ms: 100 })).toEqual(before);
    expect(withReplay(before, { events: 1e6, ms: 4 }, { bytes: 1e9, ms: 4 }), "a clock of milliseconds").toEqual(
      before,
    );
    expect(withReplay(before, { events: 5_000, ms: 50 }, nothing)).toEqual({ ...before, replayPerMs: [7, 100] });
    expect(withReplay(before, nothing, { bytes: 1e6, ms: 50 })).toEqual({ ...before, loadPerMs: [8, 20_000] });
  });

  it("E1: is of several openings: one that was slow moves nothing, and what has changed for good is believed", () => {
    const usual = [12, 11, 13].reduce((rates, ms) => withOpening(rates, ms, 1), UNMEASURED);
    expect(total({ rates: usual })).toBe(12);
    expect(total({ rates: withOpening(usual, 900, 1) })).toBe(12);
    const slower = [300, 310, 305].reduce((rates, ms) => withOpening(rates, ms, 1), usual);
    expect(total({ rates: slower })).toBe(300);
    expect(slower.openMs).toHaveLength(5);
    const loads = [1e6, 1.1e6, 1e5].reduce(
      (rates, bytes) => withReplay(rates, { events: 0, ms: 0 }, { bytes, ms: 100 }),
      UNMEASURED,
    );
    expect(total({ openingBytes: 1_000_000, rates: loads }), "the slow load is passed over").toBe(empty + 100);
  });

  it("doesn't rise with a snapshot of what a tail held", () => {
    // A handler slower and a store slower than the defaults, and once far slower.
    const rates = { replayPerMs: [40, 45, 2], loadPerMs: [9_000, 8_000, 300], openMs: [20, 25, 700] };
    for (const events of [1_000, 10_000, 100_000]) {
      const before = total({ tailEvents: events, tailBytes: events * 200, rates });
      // Beside states stand replies and the like, at most about the events' own size.
      expect(total({ openingBytes: events * 100, rates })).toBeLessThanOrEqual(before);
    }
  });
});
