/**
 * When to take a snapshot (SNAP7): pure decisions over a partition's own counts.
 *
 * Y1. Not before there is something worth saving: 1,000 events or 1 MB of tail; else once a day.
 * Y2. Then at most every `everyMs`, and at once when what changed has outgrown the memory, or the tail `maxTailBytes`, or it would take a recovery past
 *     `recoveryMs`: unless it is the state that does, which a snapshot can't mend.
 * Y3. A snapshot is a delta until the deltas outweigh the full one that they build on, or are many: so what is written is in
 *     proportion to what changed (SNAP5), and what a recovery reads to the state.
 */
import { DRILL_CHARS } from "./limits.ts";
import { stateFiles, type Manifest, type StateFile } from "./manifest.ts";
import type { Rates } from "./rates.ts";

export interface SnapshotFacts {
  readonly tailEvents: number;
  readonly tailBytes: number;
  /** When the oldest event of the tail was logged, milliseconds; null: no tail. */
  readonly tailSinceMs: number | null;
  /** When the last snapshot was taken, milliseconds; 0: never. */
  readonly lastMs: number;
  /** What a recovery would take now, for the state and for the tail. */
  readonly stateMs: number;
  readonly tailMs: number;
  /** Bytes in memory of what changed since the last snapshot. */
  readonly changedBytes: number;
}

const WORTH_EVENTS = 1_000;
const WORTH_BYTES = 1_000_000;
/** Deltas on one full snapshot: each is an object more that a recovery fetches, and that may be damaged. */
const CHAIN_FILES = 8;
const DAY_MS = 86_400_000;
/** Of the promised recovery time: what a tail may take however large the state is. */
const LEAST_TAIL_SHARE = 0.25;

/** When the partition should be woken to take a snapshot: a time, at once (0), or not at all (null). */
export function snapshotAt(
  facts: SnapshotFacts,
  policy: {
    readonly everyMs: number;
    readonly maxTailBytes: number;
    readonly recoveryMs: number;
    readonly memoryBytes: number;
  },
): number | null {
  if (facts.tailEvents === 0 || facts.tailSinceMs === null) return null;
  const allowedMs = Math.max(policy.recoveryMs - facts.stateMs, policy.recoveryMs * LEAST_TAIL_SHARE);
  if (facts.changedBytes > policy.memoryBytes) return 0;
  if (facts.tailBytes >= policy.maxTailBytes || facts.tailMs > allowedMs) return 0;
  const worth = facts.tailEvents >= WORTH_EVENTS || facts.tailBytes >= WORTH_BYTES;
  return Math.max(facts.lastMs, facts.tailSinceMs) + (worth ? policy.everyMs : Math.max(DAY_MS, policy.everyMs));
}

/** Should this alarm run a drill? About one a day does, where the state isn't too large. `chance`: 0 <= x < 1. */
export const isDrillDue = (chance: number, everyMs: number, stateChars: number): boolean =>
  chance < Math.min(1, everyMs / DAY_MS) && stateChars <= DRILL_CHARS;

/** Must the snapshot after this one be full? */
export function chainFull(manifest: Manifest): boolean {
  const { parts = 1 } = manifest;
  const files = stateFiles(manifest);
  const bytes = (some: readonly StateFile[]): number => some.reduce((sum, file) => sum + file.bytes, 0);
  return files.length - parts >= CHAIN_FILES || bytes(files.slice(parts)) > bytes(files.slice(0, parts));
}

/** What a recovery is predicted from. */
export interface RecoveryFacts {
  /** Bytes that are fetched before the first answer. */
  readonly openingBytes: number;
  readonly tailEvents: number;
  readonly tailBytes: number;
  readonly rates: Rates;
}

/** One round trip to each store. */
const ROUND_TRIPS_MS = 10;
/** Until a partition has measured its own: events, and bytes of state, in a millisecond. */
const REPLAY_PER_MS = 100;
const LOAD_PER_MS = 50_000;
/** Bytes of the tail that D1 sends in a millisecond. */
const TAIL_PER_MS = 20_000;

/** Milliseconds until a partition that is opened now would answer: for what its snapshot tells, and for its tail. */
export function predictRecovery({ openingBytes, tailEvents, tailBytes, rates }: RecoveryFacts): {
  readonly stateMs: number;
  readonly tailMs: number;
} {
  return {
    stateMs: Math.round(ROUND_TRIPS_MS + openingBytes / (rates.loadPerMs ?? LOAD_PER_MS)),
    tailMs: Math.round(tailBytes / TAIL_PER_MS + tailEvents / (rates.replayPerMs ?? REPLAY_PER_MS)),
  };
}
