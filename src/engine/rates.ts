/**
 * What coming back costs, as this partition measured it: it depends on its handlers and its states, and is kept in
 * manifests, so that an opening which replays nothing forgets nothing.
 */

export interface Rates {
  /** Events replayed in a millisecond; null: never measured. */
  readonly replayPerMs: number | null;
  /** Bytes of state files fetched and read in a millisecond; null: never measured. */
  readonly loadPerMs: number | null;
  /** Milliseconds of the first call to D1, where it brought few rows; missing: never measured. */
  readonly openMs?: number;
}

export const UNMEASURED: Rates = { replayPerMs: null, loadPerMs: null };

/** Less than this says more of the clock than of the work. */
const LEAST_EVENTS = 1_000;
const LEAST_BYTES = 100_000;
const LEAST_MS = 5;
/** More rows than this, and it isn't the way to D1 that was measured. */
const FEW_ROWS = 20;

/** The rates after an opening whose first call took so long. */
export const opened = (before: Rates, ms: number, rows: number): Rates =>
  rows > FEW_ROWS ? before : { ...before, openMs: Math.max(1, ms) };

/** The rates after a recovery that took so long. */
export function measured(
  before: Rates,
  replay: { readonly events: number; readonly ms: number },
  load: { readonly bytes: number; readonly ms: number },
): Rates {
  return {
    ...before,
    replayPerMs:
      replay.events >= LEAST_EVENTS && replay.ms >= LEAST_MS ? replay.events / replay.ms : before.replayPerMs,
    loadPerMs: load.bytes >= LEAST_BYTES && load.ms >= LEAST_MS ? load.bytes / load.ms : before.loadPerMs,
  };
}
