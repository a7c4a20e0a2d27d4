/**
 * `GET /v1/overview`: all partitions of all operators, with one statement for each database, without waking any
 * (SNAP9). The page asks every second or two, so the cost must not grow with tails (d1-overview.ts).
 */
import { logDatabases } from "../../adapters/catalogue.ts";
import { partitionGlances, type GlanceRow } from "../../adapters/d1-overview.ts";
import type { Address } from "../../engine/operator/routing.ts";
import { partitionName, type Stamp } from "../../engine/base/ids.ts";
import {
  mergeMinutes,
  MINUTE_COUNTS,
  MINUTE_MS,
  minuteOf,
  MINUTES,
  readMinutes,
  type MinuteCounts,
} from "../../engine/base/minutes.ts";
import { readRiding } from "../../engine/recovery/open-partition.ts";
import type { Operator } from "../../engine/operator/operator.ts";
import { stampTime } from "../../engine/base/hybrid-clock.ts";
import { limited } from "../../engine/base/retry.ts";
import { messageOf } from "../../engine/base/errors.ts";
import type { Env } from "../env.ts";
import type { Routes } from "../app.ts";
import { note } from "../note.ts";
import { requestClock } from "../request-clock.ts";

/** The next request comes in two seconds. */
const LIMIT_MS = 5_000;

export async function getOverview(env: Env, routes: Routes, operators: readonly Operator[]) {
  const { byOperator, lost } = routes;
  const glances = await glancesOf(env, routes);
  const nowMs = requestClock.now();
  return Response.json({
    at: new Date(nowMs).toISOString(),
    operators: operators.map(({ name, version, snapshot }) => {
      const { everyMs, recoveryMs } = snapshot;
      const why = lost?.byOperator.get(name)?.code;
      const addresses = byOperator.get(name)?.addresses ?? [];
      const minutes: (readonly MinuteCounts[])[] = [];
      const partitions = addresses.map((address) => {
        const there = glances.get(address.database);
        // Like an operator's `lost`: nothing else is known of the partition.
        if (there == null) return { partition: address.partition, unknown: "store_unavailable" };
        const glance = there.get(partitionName(address));
        if (glance !== undefined) minutes.push(minutesOf(glance));
        return shown(address, glance);
      });
      const lastHour = lastHourOf(minutes, nowMs);
      const since = byOperator.get(name)?.placement.since;
      const known = { ...(since !== undefined && { since }), ...(why !== undefined && { lost: why }) };
      return { name, version, everyMs, recoveryMs, ...known, lastHour, partitions };
    }),
  });
}

type Glances = ReadonlyMap<string, ReadonlyMap<string, GlanceRow> | null>;

/**
 * Returns the rows by database, then by name. Null stands for a database that didn't answer, which must not fail the
 * others. Only databases that an operator uses are asked.
 */
async function glancesOf(env: Env, { line, byOperator }: Routes): Promise<Glances> {
  const databases = logDatabases(env as unknown as Record<string, unknown>);
  const homes = new Set([...byOperator.values()].flatMap(({ placement }) => placement.databases));
  const ask = async (home: string) => {
    try {
      const all = () => partitionGlances(databases.get(home)!, line);
      return [
        home,
        new Map((await limited(requestClock, home, all, LIMIT_MS)).map((one) => [one.partition, one])),
      ] as const;
    } catch (error) {
      note("a database didn't answer for the overview", { database: home, error: messageOf(error) });
      return [home, null] as const;
    }
  };
  return new Map(await Promise.all([...homes].map(ask)));
}

type Summary = readonly [
  manifest: number,
  kind: string,
  bytes: number,
  ms: number,
  at: string,
  keys: number,
  stateBytes: number,
  quarantined: number | null,
  minutes: unknown,
];

const summaryOf = ({ snapshot }: GlanceRow): Summary | null =>
  snapshot === null ? null : (JSON.parse(snapshot) as Summary);

/** The snapshot holds the hour before it, and the last segment holds the minutes since (MINUTES6 of minutes.ts). */
const minutesOf = (glance: GlanceRow): MinuteCounts[] =>
  mergeMinutes([summaryOf(glance)?.[8], readRiding(glance.stats).minutes].map(readMinutes));

/** Sums the counts of all partitions, minute by minute. The last minute isn't over. */
function lastHourOf(all: readonly (readonly MinuteCounts[])[], nowMs: number): Record<string, unknown> {
  const first = minuteOf(nowMs) - MINUTES + 1;
  const sums = MINUTE_COUNTS.map(() => Array.from({ length: MINUTES }, () => 0));
  for (const [minute, ...counts] of all.flat())
    for (const [i, n] of counts.entries()) {
      const counted = sums[i];
      if (counted?.[minute - first] !== undefined) counted[minute - first]! += n;
    }
  return {
    from: new Date(first * MINUTE_MS).toISOString(),
    ...Object.fromEntries(MINUTE_COUNTS.map((name, i) => [name, sums[i]!])),
  };
}

const NEVER = { epoch: 0, appliedSeq: 0, snapshotSeq: 0, tailEvents: 0, keys: 0, stateBytes: 0, quarantined: 0 };
const FAILURES = MINUTE_COUNTS.indexOf("snapshotFailures");

/**
 * A partition that was never written to has no row. On a line that starts from another one it may hold states all the
 * same, which D1 doesn't count.
 */
function shown({ partition, ancestors = [] }: Address, glance: GlanceRow | undefined): Record<string, unknown> {
  if (glance === undefined) return { ...NEVER, partition, ...(ancestors.length > 0 && { inherited: true }) };
  const { epoch, head, snapshotSeq, headStamp, tailStamp, stats, saved, retainFrom } = glance;
  const riding = readRiding(stats);
  const summary = summaryOf(glance);
  const [manifest, kind, bytes, ms, at, keys = 0, stateBytes = 0, quarantined = 0] = summary ?? [];
  const since = at === undefined ? 0 : minuteOf(Date.parse(at));
  const failed = minutesOf(glance).reduce(
    (sum, [minute, ...counts]) => (minute > since ? sum + (counts[FAILURES] ?? 0) : sum),
    0,
  );
  return {
    partition,
    epoch,
    appliedSeq: head,
    snapshotSeq,
    tailEvents: head - snapshotSeq,
    ...timeOf("tailSince", tailStamp),
    ...timeOf("lastEventAt", headStamp),
    ...timeOf("oldest", retainFrom === 0 ? null : retainFrom),
    keys: riding.keys ?? keys,
    stateBytes: riding.stateBytes ?? stateBytes,
    ...(summary !== null && { lastSnapshot: { manifest, kind, bytes, ms, at } }),
    ...(summary === null && saved === 1 && { lastSnapshot: { unreadable: "its manifest isn't JSON" } }),
    ...(riding.lastRecovery !== undefined && { lastRecovery: riding.lastRecovery }),
    quarantined: riding.quarantined ?? quarantined ?? 0,
    ...(failed > 0 && { snapshotFailures: failed }),
  };
}

const timeOf = (name: string, stamp: number | null): Record<string, string> =>
  stamp === null ? {} : { [name]: stampTime(stamp as Stamp) };
