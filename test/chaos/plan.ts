/*
 * The plan of one round, drawn from the seed: when it is killed, how often, and during what.
 */
import type { Random } from "./random.ts";

export interface Kill {
  readonly during: "load" | "snapshot" | "recovery";
  /** After the snapshots were asked for, or after the app was up again; else after the load began. */
  readonly afterMs: number;
}

export interface Plan {
  /** The later ones are all during recovery. */
  readonly kills: readonly Kill[];
  /** Snapshots of every partition, begun at this share of the time before the first kill, or null for none. */
  readonly snapshotsAt: number | null;
  /** Objects that are dropped from memory, spread over the time before the first kill. */
  readonly evictions: number;
  /** When the race for credits begins, before the first kill or, without one, before the end. */
  readonly raceLeadMs: number;
  /** How long the load continues after the last restart. */
  readonly restMs: number;
}

const NO_KILL_SHARE = 0.08;
const SNAPSHOT_KILL_SHARE = 0.45;
/** Without snapshots that are whole, every recovery would be one of the whole log. */
const SNAPSHOTS_SHARE = 0.5;
const RECOVERY_SHARE = 0.45;
const MOST_KILLS = 3;
const EVICTING_SHARE = 0.4;
const SNAPSHOT_MS = 120;
const RECOVERY_MS = 250;
/** The load runs for a moment at least, so that there is something to lose. */
const FIRST_MS = 150;

export function drawPlan(random: Random, seconds: number): Plan {
  const kills: Kill[] = [];
  if (!random.chance(NO_KILL_SHARE)) {
    const snapshot = random.chance(SNAPSHOT_KILL_SHARE);
    kills.push(
      snapshot
        ? { during: "snapshot", afterMs: random.below(SNAPSHOT_MS) }
        : { during: "load", afterMs: FIRST_MS + random.below(seconds * 1_000) },
    );
    while (kills.length < MOST_KILLS && random.chance(RECOVERY_SHARE))
      kills.push({ during: "recovery", afterMs: random.below(RECOVERY_MS) });
  }
  const evictions = kills.length === 0 || random.chance(EVICTING_SHARE) ? random.between(1, 6) : 0;
  const snapshotsAt = random.chance(SNAPSHOTS_SHARE) ? random.next() : null;
  return { kills, snapshotsAt, evictions, raceLeadMs: random.below(200), restMs: 100 + random.below(300) };
}

export function planText({ kills, snapshotsAt, evictions }: Plan): string {
  const parts = kills.map(({ during }) => `kill -9 under ${during}`);
  if (snapshotsAt !== null) parts.push("snapshots");
  if (evictions > 0) parts.push(`${evictions} evictions`);
  return parts.join(", ");
}
