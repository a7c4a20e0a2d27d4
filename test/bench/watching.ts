// The cost of looking: the dashboard open (an overview each two seconds) and a scrape each 15 seconds.
//
// Counted over an hour of the app's own time, on partitions that nobody sends to; measured as processor time of one look,
// against what the same app needs while it takes in events as fast as it can.

import { randomBytes } from "node:crypto";
import { dollarsOf } from "../../src/cost/prices.ts";
import { Ids } from "./body.ts";
import { load } from "./load.ts";
import type { Options } from "./options.ts";
import { cpuSecondsOf } from "./process.ts";
import { type Aim, aimTable } from "./snapshots/aim.ts";
import { Subject } from "./snapshots/subject.ts";
import { short, table, whole } from "./table.ts";
import type { Counters } from "./workers/counters.ts";

const PARTITIONS = 64;
const KEYS = 6_400;
const LOOK_MS = 2_000;
const LOOKS_A_SCRAPE = 7.5;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
const LOOKS_MEASURED = 400;

export async function watching({ seconds, warmupSeconds, connections }: Options): Promise<void> {
  const aims = [...(await idleHour()), ...(await besideIngestion({ seconds, warmupSeconds, connections }))];
  console.log(`\n${aimTable(aims)}`);
}

async function idleHour(): Promise<Aim[]> {
  const subject = await Subject.start({ worker: "accelerated.ts", partitions: PARTITIONS });
  try {
    await subject.fill(20_000, KEYS);
    // Everything that falls due by itself has happened: snapshots, and the garbage collections and verifications of a day.
    for (let day = 0; day < 3; day += 1) await subject.advance(DAY_MS);
    const alone = await used(subject, () => subject.advance(HOUR_MS));
    const watched = await used(subject, async () => {
      for (let look = 0; look < HOUR_MS / LOOK_MS; look += 1) {
        await subject.look("/v1/overview");
        if (look % LOOKS_A_SCRAPE < 1) await subject.look("/metrics");
        await subject.advance(LOOK_MS);
      }
    });
    const units = ["workerRequests", "objectRequests", "d1RowsRead", "d1RowsWritten", "objectRowsWritten"] as const;
    const objects = ["r2ClassA", "r2ClassB"] as const;
    const row = (what: string, counted: Counters): string[] => [
      what,
      ...[...units, ...objects].map((unit) => whole(counted[unit])),
      short((dollarsOf(counted) * DAY_MS) / HOUR_MS),
    ];
    const head = [`an hour of ${PARTITIONS} idle partitions`, ...units, ...objects, "dollars a day"];
    console.log(table(head, [row("nobody looks", alone), row("dashboard and scrapes", watched)]));
    const none = { most: 0 } as const;
    return [
      { what: "objects woken", value: watched.objectRequests, bound: none },
      { what: "rows written", value: watched.d1RowsWritten + watched.objectRowsWritten, bound: none },
      { what: "R2 writes", value: watched.r2ClassA, bound: none },
    ];
  } finally {
    await subject.stop();
  }
}

async function besideIngestion(plan: Pick<Options, "seconds" | "warmupSeconds" | "connections">): Promise<Aim[]> {
  const subject = await Subject.start({ partitions: PARTITIONS });
  try {
    const { pid, url } = subject.host;
    const cpu: number[] = [];
    const ids = new Ids(randomBytes(4).toString("hex"));
    const onEdge = (): void => void cpu.push(cpuSecondsOf(pid) ?? Number.NaN);
    const { eventsPerSecond } = await load({ ...plan, url, batch: 1_000, keys: KEYS, ids, onEdge });
    const ingestion = (cpu[1]! - cpu[0]!) / plan.seconds;
    const [overview, scrape] = [await cpuOf(subject, "/v1/overview"), await cpuOf(subject, "/metrics")];
    const looking = (overview + scrape / LOOKS_A_SCRAPE) / (LOOK_MS / 1_000);
    console.log(
      `\ningestion of ${whole(eventsPerSecond)} events a second takes ${short(ingestion)} s of processor time a second;` +
        ` an overview of ${PARTITIONS} partitions ${short(overview * 1_000)} ms, a scrape ${short(scrape * 1_000)} ms`,
    );
    return [
      { what: "processor time of looking by that of ingestion", value: looking / ingestion, bound: { most: 0.02 } },
    ];
  } finally {
    await subject.stop();
  }
}

/** Seconds of the processor for one. */
async function cpuOf(subject: Subject, path: string): Promise<number> {
  for (let warm = 0; warm < LOOKS_MEASURED / 4; warm += 1) await subject.look(path);
  const before = cpuSecondsOf(subject.host.pid) ?? Number.NaN;
  for (let look = 0; look < LOOKS_MEASURED; look += 1) await subject.look(path);
  return ((cpuSecondsOf(subject.host.pid) ?? Number.NaN) - before) / LOOKS_MEASURED;
}

async function used(subject: Subject, during: () => Promise<void>): Promise<Counters> {
  const before = await subject.counters();
  await during();
  const after = await subject.counters();
  const names = Object.keys(after) as (keyof Counters)[];
  return Object.fromEntries(names.map((name) => [name, after[name] - before[name]])) as Counters;
}
