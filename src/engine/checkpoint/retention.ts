/**
 * Retention: which snapshots stay restorable, and from which version on the archive is kept. Pure decisions (TIME3,
 * SNAP10, LOG5).
 *
 * RETENTION1. Time is the log's: "now" is the stamp of the current snapshot. So neither a clock that jumps nor a
 *     partition that rests gives anything up.
 * RETENTION2. The state at any moment of the last `age` needs a restore point at or before it, and the archive above
 *     that restore point (TIME3). So the newest one at or before `now - age` stays as the base, and so does the archive
 *     from it on. The newest restore points of this period of that length and of the period before stay too. One of
 *     them is the base when the present base has served its time.
 * RETENTION3. Manifests that the row names are never given up here. A fallback reads the older generation and what
 *     replays above it (SNAP4). A rollback reads its pinned snapshot and the whole log above it (CODE3).
 * RETENTION4. Nothing is given up before GRACE_MS have passed since the promotion that replaced it was sent. An
 *     instance that opened on it may still be reading.
 * RETENTION5. Pins aren't considered here, since they come at any time. The statement that gives up leaves pinned
 *     manifests out.
 * RETENTION6. A savepoint at S keeps the two newest snapshots at or before S, the oldest one after S, and the archives
 *     between them. The second one serves if the first is damaged. Nothing else is needed to read S, so an old savepoint
 *     doesn't keep all of the log since. The statement that gives up fails if a savepoint was taken or removed
 *     meanwhile.
 */
import { stampMs } from "../base/hybrid-clock.ts";
import type { Stamp } from "../base/ids.ts";
import type { Point } from "../base/records.ts";
import type { RetentionPolicy } from "../operator/settings.ts";
import type { Manifest } from "../snapshot/manifest.ts";

/** Longer than any request, alarm or cron run, all of which the platform ends after 15 minutes. */
export const GRACE_MS = 15 * 60_000;

const HOUR_MS = 3_600_000;

const DAY_MS = 86_400_000;

/** A snapshot, and when its last event was logged. */
interface SnapshotTime {
  readonly version: number;
  readonly ms: number;
}

/** Returns the versions that the policy keeps. `moments` is in the order of the versions. */
export function keptVersions(moments: readonly SnapshotTime[], nowMs: number, policy: RetentionPolicy): Set<number> {
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

/** Returns the base for a read at the oldest retained moment (RETENTION2), or null if no snapshot is that old yet. */
const baseOf = <One extends SnapshotTime>(moments: readonly One[], nowMs: number, ageMs: number): One | null =>
  moments.findLast(({ ms }) => ms <= nowMs - ageMs) ?? null;

/**
 * Returns the newest version of each of the last `periods` periods of that length. Periods begin at multiples of the
 * length.
 */
function newestOfEach(moments: readonly SnapshotTime[], nowMs: number, lengthMs: number, periods: number): number[] {
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
  readonly savepoints: readonly Stamp[];
}

/** The restore points and archives that may be given up. */
interface Plan {
  /** Versions of restore points. */
  readonly drop: readonly number[];
  /** Archives of versions below this one are needed only by restore points that stand for themselves. */
  readonly archiveFrom: number;
  readonly retainFrom: Stamp;
}

export function plan(facts: RetentionFacts, clockMs: number, policy: RetentionPolicy): Plan {
  const { points, current, previous, older, savepoints } = facts;
  const sound = [...points.filter(({ intact }) => intact), current];
  const moments = sound.map((one) => ({ version: numberOf(one), stamp: one.stamp, ms: stampMs(one.stamp) }));
  const nowMs = stampMs(current.stamp);
  const named = [current, ...(previous === null ? [] : [previous]), ...older];
  const kept = keptVersions(moments, nowMs, policy);
  for (const { number: version } of named) kept.add(version);
  for (const { from, base, to } of spansOf(savepoints, moments)) kept.add(from).add(base).add(to);
  const drop = points.filter(({ version, replacedMs }) => !kept.has(version) && clockMs - replacedMs >= GRACE_MS);
  const base = baseOf(moments, nowMs, policy.ageMs);
  // Without an older generation, only the log can replace a lost snapshot.
  const free = base !== null && previous !== null;
  return {
    drop: drop.map(({ version }) => version),
    archiveFrom: free ? Math.min(base.version, ...named.map(lowestBelow)) : 0,
    retainFrom: (base?.stamp ?? 0) as Stamp,
  };
}

/** The archives of versions above `from` and up to `to` hold the log on both sides of a savepoint (RETENTION6). */
interface Span {
  readonly from: number;
  /** The newest snapshot at or before the savepoint. 0 if there is none. */
  readonly base: number;
  /** Infinity if no snapshot is after it. */
  readonly to: number;
}

/** `sound`: snapshots without known damage, in the order of their versions. */
export const spansOf = (
  savepoints: readonly Stamp[],
  sound: readonly { readonly version: number; readonly stamp: Stamp }[],
): Span[] =>
  savepoints.map((at) => {
    const [before, base] = [undefined, undefined, ...sound.filter(({ stamp }) => stamp <= at)].slice(-2);
    const after = sound.find(({ stamp }) => stamp > at);
    return {
      from: before?.version ?? 0,
      base: base?.version ?? 0,
      to: after?.version ?? Number.POSITIVE_INFINITY,
    };
  });

const numberOf = (one: Manifest | Point): number => ("number" in one ? one.number : one.version);

/**
 * Returns the lowest version that a fallback or a verification may start from because of this manifest. Candidates are
 * the versions that a delta builds on, and the one before.
 */
const lowestBelow = ({ number: version, chain = [], history = [] }: Manifest): number =>
  Math.min(version, ...history.slice(0, Math.max(1, chain.length)).map(([earlier]) => earlier));
