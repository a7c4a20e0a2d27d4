/*
 * The plan of one round, drawn from the seed: when it is killed, how often, and during what, and how another line of
 * history becomes main.
 */
import type { Random } from "./random.ts";

export interface Kill {
  readonly during: "load" | "snapshot" | "recovery";
  /** After the snapshots were asked for, or after the app was up again; else after the load began. */
  readonly afterMs: number;
}

/** One promotion. */
export interface Turn {
  /** Clients wait meanwhile, so that nothing is given up but what the preview has named. */
  readonly rest: boolean;
  /** With the ETag of the preview, else whatever is given up. */
  readonly previewed: boolean;
  /** A kill, so long after the request. */
  readonly killAfterMs: number | null;
}

export interface PromotionPlan {
  /** From a savepoint, else from now. */
  readonly saved: boolean;
  /** How long main continues before the promotion, and before the way back. */
  readonly goOnMs: number;
  readonly turn: Turn;
  readonly back: Turn;
  /** Back to what was main, or to the moment after the promotion. */
  readonly kind: "undo" | "rollback";
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
  /** After all that. Null for none. */
  readonly promotion: PromotionPlan | null;
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
const REST_SHARE = 0.3;
const PREVIEWED_SHARE = 0.5;
const PROMOTION_KILL_SHARE = 0.4;
/** A promotion takes about a tenth of a second, or ten times that on a busy machine. */
const PROMOTION_KILL_MS = 20;
const PROMOTION_KILL_DOUBLINGS = 6;
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
  return {
    kills,
    snapshotsAt,
    evictions,
    raceLeadMs: random.below(200),
    restMs: 100 + random.below(300),
    promotion: drawPromotion(random),
  };
}

function drawPromotion(random: Random): PromotionPlan {
  const turn = (): Turn => ({
    rest: random.chance(REST_SHARE),
    previewed: random.chance(PREVIEWED_SHARE),
    killAfterMs: random.chance(PROMOTION_KILL_SHARE)
      ? Math.round(PROMOTION_KILL_MS * 2 ** (random.next() * PROMOTION_KILL_DOUBLINGS))
      : null,
  });
  const kind = random.chance(0.5) ? "undo" : "rollback";
  return { saved: random.chance(0.5), goOnMs: 200 + random.below(600), turn: turn(), back: turn(), kind };
}

export function planText({ kills, snapshotsAt, evictions, promotion }: Plan): string {
  const parts = kills.map(({ during }) => `kill -9 under ${during}`);
  if (snapshotsAt !== null) parts.push("snapshots");
  if (evictions > 0) parts.push(`${evictions} evictions`);
  if (promotion !== null) {
    const cut = [promotion.turn, promotion.back].filter(({ killAfterMs }) => killAfterMs !== null).length;
    parts.push(`promotion and ${promotion.kind}${cut === 0 ? "" : ` with ${cut} kill${cut === 1 ? "" : "s"}`}`);
  }
  return parts.join(", ");
}
