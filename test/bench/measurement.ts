// One measurement: one system, one batch size, one delay, on a fresh host. And the median of several.

import type { Ids } from "./body.ts";
import { type Host, startHost } from "./host.ts";
import { load, type Outcome } from "./load.ts";
import { dollarsOf } from "../../src/cost/prices.ts";
import { cpuSecondsOf } from "./process.ts";
import { median } from "./stats.ts";
import { type Conditions, setupOf, type SystemName } from "./systems.ts";
import type { Counters } from "./workers/counters.ts";

const KEYS = 1000;
/** The latency of an event that waits for nobody needs only a few samples. */
const ALONE_SECONDS = 1.5;

export interface Case extends Conditions {
  system: SystemName;
  batch: number;
  connections: number;
  warmupSeconds: number;
  seconds: number;
}

export interface Measurement {
  eventsPerSecond: number;
  p50Ms: number;
  p99Ms: number;
  /** The p50 over one connection instead of all, for batches of one. */
  p50AloneMs: number | undefined;
  /** Processor time of workerd, all of its threads and all Workers in it, the storage simulators included. */
  cpuMicrosPerEvent: number | undefined;
  perMillion: Counters;
  dollarsPerMillion: number;
}

export async function measure(one: Case, ids: Ids): Promise<Measurement> {
  const host = await startHost(setupOf(one.system, one));
  try {
    const cpu: (number | undefined)[] = [];
    const plan = { ...one, url: host.url, keys: KEYS, ids, onEdge: () => void cpu.push(cpuSecondsOf(host.pid)) };
    const outcome = await load(plan);
    const perMillion = await usage(host, one, outcome);
    return {
      eventsPerSecond: outcome.eventsPerSecond,
      p50Ms: outcome.p50Ms,
      p99Ms: outcome.p99Ms,
      p50AloneMs: one.batch === 1 ? await alone(host, ids) : undefined,
      cpuMicrosPerEvent: cpuMicros(cpu, outcome.timedEvents),
      perMillion,
      dollarsPerMillion: dollarsOf(perMillion),
    };
  } finally {
    await host.stop();
  }
}

export function medianOf(rounds: Measurement[]): Measurement {
  const of = (pick: (one: Measurement) => number | undefined): number =>
    median(rounds.map((one) => pick(one) ?? Number.NaN));
  const first = rounds[0]!;
  const names = Object.keys(first.perMillion) as (keyof Counters)[];
  return {
    eventsPerSecond: of((one) => one.eventsPerSecond),
    p50Ms: of((one) => one.p50Ms),
    p99Ms: of((one) => one.p99Ms),
    p50AloneMs: first.p50AloneMs === undefined ? undefined : of((one) => one.p50AloneMs),
    cpuMicrosPerEvent: first.cpuMicrosPerEvent === undefined ? undefined : of((one) => one.cpuMicrosPerEvent),
    perMillion: Object.fromEntries(names.map((name) => [name, of((one) => one.perMillion[name])])) as Counters,
    dollarsPerMillion: of((one) => one.dollarsPerMillion),
  };
}

/**
 * Operations per million events. Rows of Keyframe's log that are still to be trimmed are billed when they are, so they
 * count twice.
 */
async function usage(host: Host, one: Case, outcome: Outcome): Promise<Counters> {
  const counters = (await (await fetch(new URL("/bench/counters", host.url))).json()) as Counters;
  if (one.system === "keyframe") counters.d1RowsWritten += await host.count("SELECT count(*) AS n FROM segments");
  const scale = 1e6 / outcome.allEvents;
  const names = Object.keys(counters) as (keyof Counters)[];
  return Object.fromEntries(names.map((name) => [name, counters[name] * scale])) as Counters;
}

async function alone(host: Host, ids: Ids): Promise<number> {
  const plan = { url: host.url, batch: 1, keys: KEYS, connections: 1, warmupSeconds: 0.3, seconds: ALONE_SECONDS, ids };
  return (await load(plan)).p50Ms;
}

function cpuMicros([start, end]: (number | undefined)[], events: number): number | undefined {
  return start === undefined || end === undefined ? undefined : ((end - start) * 1e6) / events;
}
