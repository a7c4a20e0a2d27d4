/**
 * When to take a snapshot (SNAP7): pure decisions over a partition's own counts.
 *
 * POLICY1. Not before there is something worth saving: 1,000 events or 1 MB of tail, or a tail that openings have read many times;
 *     else once a day.
 * POLICY2. Then at most every `everyMs`, and at once when what changed has outgrown the memory, or the tail `maxTailBytes`, or it would take a recovery past
 *     `recoveryMs`: unless it is the state that does, which a snapshot can't mend.
 * POLICY3. A snapshot is a delta until the deltas outweigh the full one that they build on: so what is written is in proportion to
 *     what changed (SNAP5), and what a recovery reads to the state.
 */
import { DRILL_CHARS, PAGE_BYTES } from "../base/limits.ts";
import { stateFiles, type Manifest } from "../snapshot/manifest.ts";
import type { StateFile } from "../base/records.ts";
import { typical } from "../recovery/recovery-rates.ts";
import type { Rates } from "../snapshot/manifest.ts";

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
  /** How often the partition was opened to write since the last snapshot; missing: not known. */
  readonly openings?: number;
}

const WORTH_EVENTS = 1_000;
const WORTH_BYTES = 1_000_000;
/** Each opening reads the tail anew. A partition that wakes up for every event has by then paid for as many rows as a snapshot
 *  costs. */
const WORTH_OPENINGS = 80;
/** Deltas on one full snapshot: each is an object more that a recovery fetches, and that may be damaged. */
const CHAIN_FILES = 8;
/** Of these, how many are merged into one at least. */
const LEAST_MERGED = 4;
const DAY_MS = 86_400_000;
/** Budgets of memory that changed states may fill before they are saved without delay; at CHANGED_BUDGETS no event is taken. */
const URGENT_BUDGETS = 2;
const SPACING_MS = 10_000;
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
  if (facts.changedBytes > policy.memoryBytes * URGENT_BUDGETS) return 0;
  // As long as there is room, two snapshots have some time between them.
  if (facts.changedBytes > policy.memoryBytes) return facts.lastMs + SPACING_MS;
  if (facts.tailBytes >= policy.maxTailBytes || facts.tailMs > allowedMs) return 0;
  const worth =
    facts.tailEvents >= WORTH_EVENTS ||
    facts.tailBytes >= WORTH_BYTES ||
    (facts.openings !== undefined && facts.openings >= WORTH_OPENINGS);
  return Math.max(facts.lastMs, facts.tailSinceMs) + (worth ? policy.everyMs : Math.max(DAY_MS, policy.everyMs));
}

/** Should this alarm run a drill? About one a day does, where the state isn't too large. `chance`: 0 <= x < 1. */
export const isDrillDue = (chance: number, everyMs: number, stateChars: number): boolean =>
  chance < Math.min(1, everyMs / DAY_MS) && stateChars <= DRILL_CHARS;

/**
 * How many of the files of this manifest the next snapshot builds on: all of them for a plain delta, none for a full one (POLICY3). In between,
 * where the deltas have become many, the newest ones that are of a size are merged into one: so a chain stays short, and what is
 * written over and over grows with the logarithm of what changed, not with the state.
 */
export function filesKept(manifest: Manifest): number {
  const { parts = 1 } = manifest;
  const files = stateFiles(manifest);
  const bytes = (some: readonly StateFile[]): number => some.reduce((sum, file) => sum + file.bytes, 0);
  if (bytes(files.slice(parts)) > bytes(files.slice(0, parts))) return 0;
  if (files.length - parts < CHAIN_FILES) return files.length;
  let kept = files.length - LEAST_MERGED;
  while (kept > parts && files[kept - 1]!.bytes <= 2 * bytes(files.slice(kept))) kept -= 1;
  return kept;
}

/** What a recovery is estimated from. */
export interface RecoveryFacts {
  /** Bytes that are fetched before the first answer. */
  readonly openingBytes: number;
  readonly tailEvents: number;
  readonly tailBytes: number;
  readonly rates: Rates;
}

/** Until it has measured the way to D1. */
const OPEN_MS = 10;
/** Until a partition has measured its own: events, and bytes of state, in a millisecond. */
const REPLAY_PER_MS = 200;
const LOAD_PER_MS = 50_000;
/** Bytes of the tail that come from D1 in a millisecond; packed, they are about a quarter on the way. */
const TAIL_PER_MS = 80_000;

/** Milliseconds until a partition that is opened now would answer: for what its snapshot tells, and for its tail. */
export function predictRecovery({ openingBytes, tailEvents, tailBytes, rates }: RecoveryFacts): {
  readonly stateMs: number;
  readonly tailMs: number;
} {
  const openMs = typical(rates.openMs) ?? OPEN_MS;
  return {
    stateMs: Math.round(openMs + openingBytes / (typical(rates.loadPerMs) ?? LOAD_PER_MS)),
    tailMs: Math.round(
      tailMs(tailEvents, tailBytes / TAIL_PER_MS, typical(rates.replayPerMs)) + (tailBytes > PAGE_BYTES ? openMs : 0),
    ),
  };
}

/** The page after the first is waited for; those after it come meanwhile. What was measured holds what the bytes take; else that comes on top. */
const tailMs = (events: number, bytesMs: number, measured: number | null): number =>
  measured === null ? bytesMs + events / REPLAY_PER_MS : Math.max(bytesMs, events / measured);
