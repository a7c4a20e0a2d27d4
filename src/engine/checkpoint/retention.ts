/**
 * Retention: which snapshots stay restorable, and from where on the archive is kept. Pure decisions (TIME3, SNAP10, LOG5).
 *
 * RETENTION1. Time is the log's: "now" is the stamp of the current snapshot, so neither a clock that jumps nor a partition that
 *     rests gives anything up.
 * RETENTION2. State at any moment of the last `age` is a restore point at or before it and the archive above that (TIME3). So the
 *     newest one at or before `now - age` stays, the base, and the archive from it on; and of this and the last period of that
 *     length the newest each, one of which is the base when this one has served its time.
 * RETENTION3. What the row names is never given up here: fall-backs read the older generation and what replays above it (SNAP4), a
 *     rollback its pinned snapshot and the whole log above (CODE3).
 * RETENTION4. Nothing goes before GRACE_MS have passed since the promotion that replaced it was sent: who opened on it may still be reading.
 * RETENTION5. What somebody has pinned isn't looked at here: the statement that gives up leaves it out (pins come at any time).
 */
import { stampMs } from "../base/hybrid-clock.ts";
import type { Stamp } from "../base/ids.ts";
import type { Point } from "../base/records.ts";
import type { RetentionPolicy } from "../operator/settings.ts";
import type { Manifest } from "../snapshot/manifest.ts";

/** Longer than any request, alarm or cron run: the platform ends all of them after 15 minutes. */
export const GRACE_MS = 15 * 60_000;

const HOUR_MS = 3_600_000;

const DAY_MS = 86_400_000;

/** A snapshot, and when its last event was logged. */
export interface Moment {
  readonly version: number;
  readonly ms: number;
}

/** Versions that the policy keeps, of these in the order of their versions. */
export function keptVersions(moments: readonly Moment[], nowMs: number, policy: RetentionPolicy): Set<number> {
  const { ageMs, last, hourly, daily } = policy;
  const base = baseOf(moments, nowMs, ageMs);
  return new Set([
    ...(base === null ? [] : [base.version]),
    ...newestOfEach(moments, nowMs, ageMs, 2),
    ...(last === 0 ? [] : moments.slice(-last).map(({ version }) => version)),
    ...newestOfEach(moments, nowMs, HOUR_MS, hourly),
    ...newestOfEach(moments, nowMs, DAY_MS, daily),
  ]);
}

/** What a read at the oldest moment that is promised starts from (RETENTION2); null: no snapshot is that old yet. */
const baseOf = <One extends Moment>(moments: readonly One[], nowMs: number, ageMs: number): One | null =>
  moments.findLast(({ ms }) => ms <= nowMs - ageMs) ?? null;

/** The newest of each of the last `periods` periods of that length; periods begin at multiples of it. */
function newestOfEach(moments: readonly Moment[], nowMs: number, lengthMs: number, periods: number): number[] {
  const period = (ms: number): number => Math.floor(ms / lengthMs);
  const newest = new Map<number, number>();
  for (const { version, ms } of moments) if (period(ms) > period(nowMs) - periods) newest.set(period(ms), version);
  return [...newest.values()];
}

export interface RetentionFacts {
  /** In the order of their versions. */
  readonly points: readonly Point[];
  readonly current: Manifest;
  readonly previous: Manifest | null;
  /** Kept for a rollback (CODE3). */
  readonly older: readonly Manifest[];
}

/** What may be given up. */
export interface Plan {
  /** Versions of restore points. */
  readonly drop: readonly number[];
  /** Archives of versions below it are needed by nothing but restore points that stand for themselves. */
  readonly archiveFrom: number;
  readonly retainFrom: Stamp;
}

export function plan(facts: RetentionFacts, clockMs: number, policy: RetentionPolicy): Plan {
  const { points, current, previous, older } = facts;
  const sound = [...points.filter(({ whole }) => whole), current];
  const moments = sound.map((one) => ({ version: numberOf(one), stamp: one.stamp, ms: stampMs(one.stamp) }));
  const nowMs = stampMs(current.stamp);
  const named = [current, ...(previous === null ? [] : [previous]), ...older];
  const kept = keptVersions(moments, nowMs, policy);
  for (const { number: version } of named) kept.add(version);
  const drop = points.filter(({ version, replacedMs }) => !kept.has(version) && clockMs - replacedMs >= GRACE_MS);
  const base = baseOf(moments, nowMs, policy.ageMs);
  // Without an older generation it is the log alone that stands in for a snapshot that is lost.
  const free = base !== null && previous !== null;
  return {
    drop: drop.map(({ version }) => version),
    archiveFrom: free ? Math.min(base.version, ...named.map(lowestBelow)) : 0,
    retainFrom: (base?.stamp ?? 0) as Stamp,
  };
}

const numberOf = (one: Manifest | Point): number => ("number" in one ? one.number : one.version);

/** The lowest version that a fall-back or a drill may start from on its account: those that a delta builds on, and the one before. */
const lowestBelow = ({ number: version, chain = [], history = [] }: Manifest): number =>
  Math.min(version, ...history.slice(0, Math.max(1, chain.length)).map(([earlier]) => earlier));
