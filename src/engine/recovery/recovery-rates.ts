/**
 * Recovery rates, as this partition measured them. The rates depend on its handlers and states. Segments and manifests
 * carry the rates, so an opening that replays nothing keeps them.
 *
 * RATES1. An estimate uses the median of the last few openings, so one unusually slow opening changes nothing.
 */
import { KEPT_RATES, type Rates } from "../snapshot/manifest.ts";

export const UNMEASURED: Rates = { replayPerMs: [], loadPerMs: [], openMs: [] };

/** Smaller amounts measure the clock more than the work. */
const LEAST_EVENTS = 1_000;

const LEAST_BYTES = 100_000;

const LEAST_MS = 5;

/** With more rows than this, an opening measures the rows, not the round trip to D1. */
const FEW_ROWS = 20;

/** Returns the median, or the lower one of two middle values. Returns null if there are no values. */
export function typical(all: readonly number[]): number | null {
  const sorted = all.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? null;
}

/** Returns the rates after an opening whose first call took `ms`. */
export const withOpening = (before: Rates, ms: number, rows: number): Rates =>
  rows > FEW_ROWS ? before : { ...before, openMs: kept(before.openMs, Math.max(1, ms)) };

/** Returns the rates after a recovery. */
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

/** Three digits are more precise than the measurement. */
const kept = (before: readonly number[], one: number): number[] =>
  [...before, Number(one.toPrecision(3))].slice(-KEPT_RATES);
