/**
 * The settings of an operator beside its handlers: read once, with defaults filled in, in milliseconds.
 *
 * SETTINGS4. A setting that can't work is refused when the operator is defined. The message names the setting and says
 *     what would work. Otherwise a bound that is never reached, or a name that nobody reads, would show only in
 *     production.
 */
import { DEDUP_IDS, KEPT_POINTS, MEMORY_BYTES, MEMORY_MOST, PARTITIONS, TAIL_BYTES } from "../base/limits.ts";

export interface RetentionPolicy {
  readonly ageMs: number;
  /** Number of newest snapshots that stay restorable, the current one included. */
  readonly last: number;
  /** Number of hours, and of days (UTC), whose newest snapshot stays. The current hour and day are included. */
  readonly hourly: number;
  readonly daily: number;
}

export interface WrittenSettings {
  /** Duplicates get the first reply for this long. Default: they get the outcome only. */
  readonly replies?: { readonly keep: Duration };
  /** Time, and number of ids, for which duplicates are recognised. Default 24h, 500,000 for each partition. */
  readonly dedup?: { readonly keep?: Duration; readonly maxIds?: number };
  /** Number of partitions when the operator is first used, up to 256. `keyframe rescale` multiplies it later. Default 1. */
  readonly partitions?: number;
  readonly snapshot?: SnapshotPolicy;
  /** Keys that the operator may have. Each partition may have its share. An event that would make one more is refused
   *  with `too_many_keys`. Default: any number. */
  readonly maxKeys?: number;
  /** Events that the operator takes on one day (UTC). Each partition takes its share, and then answers 429
   *  `quota_exceeded`. The ids that dedup keeps are counted. So a share may be at most dedup.maxIds, and dedup.keep must
   *  be at least a day. Default: any number. */
  readonly maxEventsPerDay?: number;
  /** Bytes of states that each partition holds in memory. The partition reads other states from its snapshot on demand.
   *  Default 8 MiB. */
  readonly memory?: number;
}

export interface Settings {
  readonly partitions: number;
  readonly dedup: { readonly keepMs: number; readonly maxIds: number };
  /** Time for which replies are kept. 0 keeps outcomes only. */
  readonly repliesMs: number;
  readonly snapshot: {
    readonly everyMs: number;
    readonly recoveryMs: number;
    readonly maxTailBytes: number;
    readonly retain: RetentionPolicy;
  };
  readonly memoryBytes: number;
  /** Infinity if there is no bound. */
  readonly maxKeys: number;
  readonly maxEventsPerDay: number;
}

export type Fail = (why: string) => never;

/** @throws if a setting can't work */
export function settingsOf(given: WrittenSettings, fail: Fail): Settings {
  const partitions = whole(given.partitions ?? 1, "partitions", fail);
  if (partitions > PARTITIONS)
    fail(`partitions may be ${PARTITIONS} at most, not ${partitions}: since one request may call each of them`);
  onlyNames(given.dedup ?? {}, "dedup", ["keep", "maxIds"], fail);
  onlyNames(given.replies ?? {}, "replies", ["keep"], fail);
  const dedup = {
    keepMs: durationMs(given.dedup?.keep ?? "24h", "dedup.keep", fail),
    maxIds: whole(given.dedup?.maxIds ?? 500_000, "dedup.maxIds", fail, DEDUP_IDS),
  };
  const bounds = { maxKeys: bound("maxKeys"), maxEventsPerDay: bound("maxEventsPerDay") };
  assertCountable(bounds.maxEventsPerDay, partitions, dedup, fail);
  return {
    partitions,
    dedup,
    repliesMs: given.replies === undefined ? 0 : durationMs(given.replies.keep, "replies.keep", fail),
    ...bounds,
    snapshot: snapshotOf(given.snapshot ?? {}, fail),
    memoryBytes: whole(given.memory ?? MEMORY_BYTES, "memory", fail, MEMORY_MOST),
  };

  /** Each partition has a share of at least 1, so a bound below the number of partitions can't be kept. */
  function bound(name: "maxKeys" | "maxEventsPerDay"): number {
    const n = given[name];
    if (n === undefined) return Number.POSITIVE_INFINITY;
    if (whole(n, name, fail) < partitions)
      fail(`${name} is ${n}, but each of the ${partitions} partitions may have one; raise it to ${partitions}`);
    return n;
  }
}

/** Events of a day are counted by the ids that dedup keeps. */
function assertCountable(perDay: number, partitions: number, dedup: Settings["dedup"], fail: Fail): void {
  if (perDay === Number.POSITIVE_INFINITY) return;
  const share = Math.ceil(perDay / partitions);
  if (share <= dedup.maxIds && dedup.keepMs >= UNIT_MS.d) return;
  fail(
    `maxEventsPerDay makes ${share} events a partition, counted by the ids that dedup keeps: raise dedup.maxIds to that number (at most ${DEDUP_IDS}) and dedup.keep to 24h`,
  );
}

function snapshotOf(given: SnapshotPolicy, fail: Fail): Settings["snapshot"] {
  onlyNames(given, "snapshot", ["every", "recovery", "maxTailBytes", "retain"], fail);
  return {
    everyMs: durationMs(given.every ?? "5m", "snapshot.every", fail),
    recoveryMs: durationMs(given.recovery ?? "1s", "snapshot.recovery", fail),
    // A longer tail takes no more events (503 log_full), so a snapshot would come too late.
    maxTailBytes: whole(given.maxTailBytes ?? 4_000_000, "snapshot.maxTailBytes", fail, TAIL_BYTES),
    retain: retention(given.retain ?? "7d", fail),
  };
}

function retention(given: Duration | Retain, fail: Fail): RetentionPolicy {
  const retain: Retain = typeof given === "string" ? { age: given } : given;
  onlyNames(retain, "snapshot.retain", ["age", "last", "hourly", "daily"], fail);
  if (typeof retain.age !== "string")
    fail(`snapshot.retain needs an age, such as "7d": for how long the state at any moment can be read`);
  const ageMs = durationMs(retain.age, "snapshot.retain", fail);
  const count = (name: "last" | "hourly" | "daily"): number => {
    const n = retain[name] ?? 0;
    return Number.isSafeInteger(n) && n >= 0
      ? n
      : fail(`snapshot.retain.${name} must be a whole number from 0, not ${String(n)}`);
  };
  const policy = { ageMs, last: count("last"), hourly: count("hourly"), daily: count("daily") };
  const points = policy.last + policy.hourly + policy.daily;
  if (points > KEPT_POINTS)
    fail(`snapshot.retain asks for ${points} restore points (last + hourly + daily); there may be ${KEPT_POINTS}`);
  return policy;
}

/** Refuses unknown names. A misspelt name would silently leave the default in its place. */
export function onlyNames(given: object, what: string, names: readonly string[], fail: Fail): void {
  if (typeof given !== "object" || given === null) fail(`${what} must be an object`);
  for (const name of Object.keys(given))
    if (!names.includes(name)) fail(`${what} has no "${name}"; it has ${names.join(", ")}`);
}

export function whole(n: number, what: string, fail: Fail, most = Number.MAX_SAFE_INTEGER): number {
  if (!Number.isSafeInteger(n) || n < 1) return fail(`${what} must be a whole number from 1, not ${String(n)}`);
  return n <= most ? n : fail(`${what} must be at most ${most}, not ${n}`);
}

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** A hundred years. Beyond that, computed times leave the range of a Date. */
const MOST_MS = 36_500 * UNIT_MS.d;

export function durationMs(text: string, what: string, fail: Fail): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text);
  if (!match) return fail(`${what}: "${text}" isn't a duration; write it as 500ms, 30s, 5m, 24h or 7d`);
  const ms = Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS];
  return ms >= 1 && ms <= MOST_MS ? ms : fail(`${what}: "${text}" must be from 1ms to 36500d`);
}

export type Duration = `${number}${"ms" | "s" | "m" | "h" | "d"}`;

export interface SnapshotPolicy {
  /** Shortest time between snapshots with 1,000 events or 1 MB to save, or with a tail that 80 openings have read.
   *  Without these, a snapshot is taken once a day. Default 5m. */
  readonly every?: Duration;
  /** A snapshot is taken before the tail makes a recovery take longer than this. Default 1s. */
  readonly recovery?: Duration;
  /** A snapshot is taken at once when the tail has this many bytes. Default 4,000,000. */
  readonly maxTailBytes?: number;
  /** Time for which history stays available, and the snapshots that stay as restore points besides. Default 7d. */
  readonly retain?: Duration | Retain;
}

export interface Retain {
  /** State at any moment of this time can be had, because the snapshots and the archive for it stay. */
  readonly age: Duration;
  /** Number of newest snapshots that stay restorable, the current one included. Default 0: those that `age` needs. */
  readonly last?: number;
  /** Number of hours whose newest snapshot stays. */
  readonly hourly?: number;
  /** Number of days (UTC) whose newest snapshot stays. */
  readonly daily?: number;
}
