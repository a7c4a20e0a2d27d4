/**
 * When to take a snapshot (SNAP7): pure decisions over a partition's own counts.
 *
 * POLICY1. A snapshot waits until there is something worth saving: 1,000 events or 1 MB of tail, or a tail that
 *     openings have read many times. Otherwise it is taken once a day.
 * POLICY2. From then on a snapshot is taken at most every `everyMs`. A snapshot is taken at once if the changed state
 *     has outgrown the memory, or if the tail has outgrown `maxTailBytes`. A snapshot is also taken at once if the tail
 *     would take a recovery past `recoveryMs`. If the state takes it past `recoveryMs`, a snapshot can't help, so none
 *     is due for that.
 * POLICY3. A snapshot is a delta until the deltas outweigh the full snapshot that they build on. So the bytes written
 *     are in proportion to the changes (SNAP5), and the bytes that a recovery reads to the state.
 */
import { VERIFY_CHARS, PAGE_BYTES } from "../base/limits.ts";
import { stateFiles, type Manifest } from "../snapshot/manifest.ts";
import type { StateFile } from "../base/records.ts";
import { typical } from "../recovery/recovery-rates.ts";
import type { Rates } from "../snapshot/manifest.ts";

export interface SnapshotFacts {
  readonly tailEvents: number;
  readonly tailBytes: number;
  /** When the oldest event of the tail was logged, in milliseconds. Null if there is no tail. */
  readonly tailSinceMs: number | null;
  /** When the last snapshot was taken, in milliseconds. 0 if there was none. */
  readonly lastMs: number;
  /** Estimated recovery in milliseconds, for the state and for the tail. */
  readonly stateMs: number;
  readonly tailMs: number;
  /** Bytes in memory of the states that changed since the last snapshot. */
  readonly changedBytes: number;
  /** Openings for writing since the last snapshot. Missing if unknown. */
  readonly openings?: number;
}

const WORTH_EVENTS = 1_000;
const WORTH_BYTES = 1_000_000;
/**
 * Each opening reads the tail again. After so many openings, a partition that wakes up for every event has paid for as
 * many rows as a snapshot costs.
 */
const WORTH_OPENINGS = 80;
/** Deltas on one full snapshot. Each is one more object that a recovery fetches, and one more that may be corrupt. */
const CHAIN_FILES = 8;
/** The least number of deltas that are merged into one. */
const LEAST_MERGED = 4;
const DAY_MS = 86_400_000;
/**
 * Memory budgets that changed states may fill before they are saved without delay. At CHANGED_BUDGETS no event is
 * accepted.
 */
const URGENT_BUDGETS = 2;
const SPACING_MS = 10_000;
/** Share of the target recovery time that a tail may take, however large the state is. */
const LEAST_TAIL_SHARE = 0.25;

/** Returns when to wake the partition for a snapshot: a time, 0 for at once, or null for not at all. */
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
  // While there is room, two snapshots have some time between them.
  if (facts.changedBytes > policy.memoryBytes) return facts.lastMs + SPACING_MS;
  if (facts.tailBytes >= policy.maxTailBytes || facts.tailMs > allowedMs) return 0;
  const worth =
    facts.tailEvents >= WORTH_EVENTS ||
    facts.tailBytes >= WORTH_BYTES ||
    (facts.openings !== undefined && facts.openings >= WORTH_OPENINGS);
  return Math.max(facts.lastMs, facts.tailSinceMs) + (worth ? policy.everyMs : Math.max(DAY_MS, policy.everyMs));
}

/**
 * Returns true if this alarm should run a verification. About one alarm a day does, unless the state is too large.
 * `chance` is at least 0 and less than 1.
 */
export const isVerificationDue = (chance: number, everyMs: number, stateChars: number): boolean =>
  chance < Math.min(1, everyMs / DAY_MS) && stateChars <= VERIFY_CHARS;

/**
 * Returns how many files of this manifest the next snapshot builds on: all of them for a plain delta, none for a full
 * snapshot (POLICY3). If the deltas have become many, the newest ones of similar size are merged into one. So a chain
 * stays short. The bytes that are written again grow with the logarithm of the changes, not with the state.
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

/** The facts that the estimated recovery is computed from. */
export interface RecoveryFacts {
  /** Bytes that are fetched before the first answer. */
  readonly openingBytes: number;
  readonly tailEvents: number;
  readonly tailBytes: number;
  readonly rates: Rates;
}

/** Default until the partition has measured the round trip to D1. */
const OPEN_MS = 10;
/** Defaults until the partition has measured its own rates: events, and bytes of state, in a millisecond. */
const REPLAY_PER_MS = 200;
const LOAD_PER_MS = 50_000;
/** Bytes of the tail that come from D1 in a millisecond. Packed for the transfer, they are about a quarter. */
const TAIL_PER_MS = 80_000;

/** Estimates the milliseconds until a partition that is opened now would answer: for its snapshot, and for its tail. */
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

/**
 * The replay waits for the second page. Later pages arrive meanwhile. A measured rate includes the time for the bytes.
 * Without a measured rate, that time is added.
 */
const tailMs = (events: number, bytesMs: number, measured: number | null): number =>
  measured === null ? bytesMs + events / REPLAY_PER_MS : Math.max(bytesMs, events / measured);
