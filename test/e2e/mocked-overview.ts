/** The answer of an app with 64 partitions, all of which took events since the last one; one of them a snapshot too. */
import type { Overview } from "../../src/client/admin-answers.ts";

export function mockedOverview(atMs: number, step: number): Overview {
  const iso = (ago: number): string => new Date(atMs - ago).toISOString();
  const partitions = Array.from({ length: 64 }, (_, partition) => ({
    partition,
    epoch: 3,
    appliedSeq: 100_000 + step * (900 + partition * 7),
    snapshotSeq: 90_000,
    tailEvents: ((partition * 997 + step * 613) % 40_000) + 1,
    tailSince: iso(60_000 + partition * 9_000),
    lastEventAt: iso(200),
    keys: 1_000 + step,
    quarantined: 0,
    stateBytes: 2_000_000 + step * 1_000 * partition,
    lastSnapshot: {
      manifest: 1 + Math.floor((step + partition) / 64),
      kind: "delta" as const,
      bytes: 20_000,
      ms: 40,
      at: iso(61_000),
    },
    lastRecovery: {
      at: "2026-01-01T00:00:00.000Z",
      ms: 30,
      manifest: 1,
      replayedEvents: 900,
      fallbacks: 0,
      phases: { openMs: 9, loadMs: 12, replayMs: 9 },
    },
  }));
  const minutes = (n: number): number[] => Array.from({ length: 61 }, (_, i) => n * (i % 7));
  const lastHour = {
    from: iso(60 * 60_000),
    applied: minutes(60_000),
    refused: minutes(0),
    quarantined: minutes(0),
    duplicates: minutes(10),
    reused: minutes(0),
    snapshotFailures: minutes(0),
    commitMs: minutes(900),
    commits: minutes(100),
  };
  return {
    at: iso(0),
    operators: [{ name: "many", version: 1, everyMs: 300_000, recoveryMs: 1_000, lastHour, partitions }],
  };
}
