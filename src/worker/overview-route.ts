/**
 * `GET /v1/overview`: all partitions of all operators, from one statement for each database, without waking any (SNAP9).
 * Made to be asked every second or two; what it costs does not grow with tails (d1-overview.ts).
 */
import { logDatabases } from "../adapters/catalogue.ts";
import { partitionGlances, type PartitionGlance } from "../adapters/d1-overview.ts";
import type { Address } from "../engine/address.ts";
import { MAIN_TIMELINE, partitionName, type Stamp } from "../engine/ids.ts";
import { readRiding } from "../engine/open.ts";
import type { Operator } from "../engine/operator.ts";
import { stampTime } from "../engine/stamp.ts";
import { limited } from "../engine/store-call.ts";
import { messageOf } from "../engine/errors.ts";
import type { Env, Routes } from "./app.ts";
import { note } from "./note.ts";
import { requestClock } from "./request-clock.ts";

/** The next look comes in two seconds. */
const LIMIT_MS = 5_000;

export async function overview(env: Env, { byOperator, lost }: Routes, operators: readonly Operator[]) {
  const glances = await glancesOf(env, byOperator);
  return Response.json({
    at: new Date(requestClock.now()).toISOString(),
    operators: operators.map(({ name, version, snapshot }) => {
      const { everyMs, recoveryMs } = snapshot;
      const why = lost?.byOperator.get(name)?.code;
      const addresses = byOperator.get(name)?.addresses ?? [];
      const partitions = addresses.map((address) => {
        const there = glances.get(address.database);
        // As `lost` is of an operator.
        if (there == null) return { ...NEVER, partition: address.partition, unknown: "store_unavailable" };
        return shown(address, there.get(partitionName(address)));
      });
      return { name, version, everyMs, recoveryMs, ...(why === undefined ? {} : { lost: why }), partitions };
    }),
  });
}

type Glances = ReadonlyMap<string, ReadonlyMap<string, PartitionGlance> | null>;

/** By database, and by name; null: it didn't answer, and takes nobody with it. Only those that an operator lives in are asked. */
async function glancesOf(env: Env, routes: Routes["byOperator"]): Promise<Glances> {
  const databases = logDatabases(env as unknown as Record<string, unknown>);
  const homes = new Set([...routes.values()].flatMap(({ placement }) => placement.databases));
  const ask = async (home: string) => {
    try {
      const all = () => partitionGlances(databases.get(home)!, MAIN_TIMELINE);
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
];

const NEVER = { epoch: 0, appliedSeq: 0, snapshotSeq: 0, tailEvents: 0, keys: 0, stateBytes: 0 };

/** A partition that was never written to has no row. */
function shown({ partition }: Address, glance: PartitionGlance | undefined): Record<string, unknown> {
  if (glance === undefined) return { ...NEVER, partition };
  const { epoch, head, snapshotSeq, headStamp, tailStamp, stats, saved } = glance;
  const riding = readRiding(stats);
  const summary = glance.snapshot === null ? null : (JSON.parse(glance.snapshot) as Summary);
  const [manifest, kind, bytes, ms, at, keys = 0, stateBytes = 0] = summary ?? [];
  return {
    partition,
    epoch,
    appliedSeq: head,
    snapshotSeq,
    tailEvents: head - snapshotSeq,
    ...timeOf("tailSince", tailStamp),
    ...timeOf("lastEventAt", headStamp),
    keys: riding.keys ?? keys,
    stateBytes: riding.stateBytes ?? stateBytes,
    ...(summary !== null && { lastSnapshot: { manifest, kind, bytes, ms, at } }),
    ...(summary === null && saved === 1 && { lastSnapshot: { unreadable: "its manifest isn't JSON" } }),
    ...(riding.lastRecovery !== undefined && { lastRecovery: riding.lastRecovery }),
    ...(riding.quarantined !== undefined && { quarantined: riding.quarantined }),
  };
}

const timeOf = (name: string, stamp: number | null): Record<string, string> =>
  stamp === null ? {} : { [name]: stampTime(stamp as Stamp) };
