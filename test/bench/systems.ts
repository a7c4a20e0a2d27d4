// The systems that are compared: Keyframe, and four ways to do with less. All answer POST /v1/events through the same
// HTTP server and on the same storage simulators.

import type { Setup } from "./host.ts";

export const SYSTEMS = ["bare", "kv", "sqlite", "d1row", "keyframe"] as const;
export type SystemName = (typeof SYSTEMS)[number];
export type Baseline = Exclude<SystemName, "keyframe">;

export interface Conditions {
  delayMs: number;
  tailBytes: number;
}

export function setupOf(system: SystemName, conditions: Conditions): Setup {
  return SETUPS[system](conditions);
}

const SETUPS: Record<SystemName, (conditions: Conditions) => Setup> = {
  bare: () => ({ worker: "bare.ts" }),
  kv: () => ({ worker: "kv.ts", objects: { METERS: "Meters" } }),
  sqlite: () => ({ worker: "sqlite.ts", objects: { METERS: "Meters" } }),
  d1row: ({ delayMs }) => ({
    worker: "d1row.ts",
    d1: { binding: "EVENTS", schema: "test/bench/workers/d1row.sql" },
    vars: { DELAY_MS: delayMs },
  }),
  keyframe: (conditions) => keyframeSetup("keyframe.ts", conditions),
};

export function keyframeSetup(worker: string, { delayMs, tailBytes }: Conditions): Setup {
  return {
    worker,
    objects: { PARTITION: "Partition" },
    d1: { binding: "LOG_0", schema: "src/adapters/migrations" },
    r2: "SNAPSHOTS",
    vars: { DELAY_MS: delayMs, TAIL_BYTES: tailBytes },
  };
}

/** Keyframe's events per second divided by the baseline's: what was promised, without added delay. */
export const TARGETS: { batch: number; baseline: Baseline; atLeast: number }[] = [
  { batch: 1000, baseline: "bare", atLeast: 0.22 },
  { batch: 1000, baseline: "kv", atLeast: 2.2 },
  { batch: 1000, baseline: "sqlite", atLeast: 2.5 },
  { batch: 1, baseline: "kv", atLeast: 0.9 },
  { batch: 1, baseline: "d1row", atLeast: 1.3 },
];

/** The p50 of a single event, in D1 delays, where the delay is this many milliseconds or more. */
export const DELAY_TARGET = { fromMs: 25, delays: 1.6 };
