/**
 * When to take a snapshot (SNAP7): pure decisions over a partition's own counts.
 *
 * Y1. Not before there is something worth saving: 1,000 events or 1 MB of tail; else once a day.
 * Y2. Then at most every `everyMs`, and at once when the tail has outgrown `maxTailBytes`.
 * Y3. A snapshot is a delta until the deltas outweigh the full one that they build on, or are many: so what is written is in
 *     proportion to what changed (SNAP5), and what a recovery reads to the state.
 */
import type { Manifest } from "./manifest.ts";

export interface SnapshotFacts {
  readonly tailEvents: number;
  readonly tailBytes: number;
  /** When the oldest event of the tail was logged, milliseconds; null: no tail. */
  readonly tailSinceMs: number | null;
  /** When the last snapshot was taken, milliseconds; 0: never. */
  readonly lastMs: number;
}

const WORTH_EVENTS = 1_000;
const WORTH_BYTES = 1_000_000;
/** Deltas on one full snapshot: each is an object more that a recovery fetches, and that may be damaged. */
const CHAIN_FILES = 8;
const DAY_MS = 86_400_000;

/** When the partition should be woken to take a snapshot: a time, at once (0), or not at all (null). */
export function snapshotAt(
  facts: SnapshotFacts,
  policy: { readonly everyMs: number; readonly maxTailBytes: number },
): number | null {
  if (facts.tailEvents === 0 || facts.tailSinceMs === null) return null;
  if (facts.tailBytes >= policy.maxTailBytes) return 0;
  const worth = facts.tailEvents >= WORTH_EVENTS || facts.tailBytes >= WORTH_BYTES;
  return Math.max(facts.lastMs, facts.tailSinceMs) + (worth ? policy.everyMs : Math.max(DAY_MS, policy.everyMs));
}

/** Must the snapshot after this one be full? */
export function chainFull({ chain = [], snapshot }: Manifest): boolean {
  const base = chain[0] ?? snapshot;
  const bytes = chain.reduce((sum, file) => sum + file.bytes, snapshot.bytes) - base.bytes;
  return chain.length >= CHAIN_FILES || bytes > base.bytes;
}

/** What a recovery is predicted from; rates as last measured. */
export interface RecoveryFacts {
  readonly snapshotBytes: number;
  readonly tailEvents: number;
  readonly tailBytes: number;
  /** Events replayed in a millisecond; null or 0: nothing was replayed yet. */
  readonly replayPerMs: number | null;
}

/** One round trip to each store. */
const ROUND_TRIPS_MS = 10;
/** Until a partition has measured its own. */
const REPLAY_PER_MS = 100;
/** Bytes in a millisecond: what a snapshot takes to fetch and unpack, and the tail to fetch. */
const FETCH_PER_MS = 20_000;

/** Milliseconds until a partition that is opened now would answer. */
export function predictRecoveryMs({ snapshotBytes, tailEvents, tailBytes, replayPerMs }: RecoveryFacts): number {
  const rate = replayPerMs === null || replayPerMs === 0 ? REPLAY_PER_MS : replayPerMs;
  return Math.round(ROUND_TRIPS_MS + (snapshotBytes + tailBytes) / FETCH_PER_MS + tailEvents / rate);
}
