/**
 * What coming back costs, as this partition measured it: it depends on its handlers and its states, and rides in segments and
 * manifests, so that an opening which replays nothing forgets nothing.
 *
 * RATES1. An estimate is made from the median of the last few openings: one that was slow for a reason of its own changes nothing.
 */
import { KEPT_RATES, type Rates } from "../snapshot/manifest.ts";

export const UNMEASURED: Rates = { replayPerMs: [], loadPerMs: [], openMs: [] };

/** Less than this says more of the clock than of the work. */
const LEAST_EVENTS = 1_000;

const LEAST_BYTES = 100_000;

const LEAST_MS = 5;

/** More rows than this, and it isn't the way to D1 that was measured. */
const FEW_ROWS = 20;

/** The middle one; of an even number the lower one. Null if there is none. */
export function typical(all: readonly number[]): number | null {
  const sorted = all.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? null;
}

/** The rates after an opening whose first call took so long. */
export const withOpening = (before: Rates, ms: number, rows: number): Rates =>
  rows > FEW_ROWS ? before : { ...before, openMs: kept(before.openMs, Math.max(1, ms)) };

/** The rates after a recovery that took so long. */
export function withReplay(
  before: Rates,
  replay: { readonly events: number; readonly ms: number },
  load: { readonly bytes: number; readonly ms: number },
): Rates {
  const { replayPerMs, loadPerMs } = before;
  const replayed = replay.events >= LEAST_EVENTS && replay.ms >= LEAST_MS;
  const loaded = load.bytes >= LEAST_BYTES && load.ms >= LEAST_MS;
  return {
    ...before,
    replayPerMs: replayed ? kept(replayPerMs, replay.events / replay.ms) : replayPerMs,
    loadPerMs: loaded ? kept(loadPerMs, load.bytes / load.ms) : loadPerMs,
  };
}

/** Three digits are more than it was measured by. */
const kept = (before: readonly number[], one: number): number[] =>
  [...before, Number(one.toPrecision(3))].slice(-KEPT_RATES);
