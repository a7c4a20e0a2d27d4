// `ingest`: durable events per second, latency, operations and dollars of Keyframe and its baselines. Systems take turns
// within a round, so that what else the machine does falls on all of them alike, and the medians over rounds are compared.

import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { Ids } from "./body.ts";
import { type Case, measure, type Measurement, medianOf } from "./measurement.ts";
import type { Options } from "./options.ts";
import { type Baseline, DELAY_TARGET, SYSTEMS, type SystemName, TARGETS } from "./systems.ts";
import { short, table, whole } from "./table.ts";

interface Row extends Pick<Case, "system" | "batch" | "delayMs"> {
  rounds: Measurement[];
  median: Measurement;
}

export async function ingest(options: Options): Promise<void> {
  const systems = SYSTEMS.filter((name) => options.only.length === 0 || options.only.includes(name));
  const ids = new Ids(randomBytes(4).toString("hex"));
  const rows: Row[] = [];
  for (const delayMs of options.delay) {
    for (const batch of options.batch) {
      const part = await compare(systems, { ...options, batch, delayMs }, ids);
      rows.push(...part);
      console.log(report(part));
    }
  }
  if (options.json !== undefined) await writeFile(options.json, `${JSON.stringify(rows, null, 2)}\n`);
}

type Common = Omit<Case, "system"> & { rounds: number };

async function compare(systems: SystemName[], common: Common, ids: Ids): Promise<Row[]> {
  const found = new Map<SystemName, Measurement[]>(systems.map((system) => [system, []]));
  for (let round = 1; round <= common.rounds; round += 1) {
    for (const system of systems) {
      process.stderr.write(`batch ${common.batch}, delay ${common.delayMs} ms, round ${round}: ${system}\n`);
      found.get(system)!.push(await measure({ ...common, system }, ids));
    }
  }
  const { batch, delayMs } = common;
  return systems.map((system) => {
    const rounds = found.get(system)!;
    return { system, batch, delayMs, rounds, median: medianOf(rounds) };
  });
}

function report(rows: Row[]): string {
  const { batch, delayMs } = rows[0]!;
  const head = `\nbatches of ${batch}, ${delayMs} ms added to D1 and R2 calls; median of ${rows[0]!.rounds.length} rounds (events/s: lowest-highest)`;
  return [head, measured(rows), ...ratios(rows), ...delays(rows)].join("\n");
}

function measured(rows: Row[]): string {
  const titles = ["system", "events/s", "(range)", "p50 ms", "p99 ms", "alone p50", "cpu us/ev"];
  const usage = ["d1 calls/M", "d1 read/M", "d1 written/M", "do req/M", "do written/M", "r2 A/M", "r2 B/M", "$/M"];
  const cells = rows.map(({ system, median: one, rounds }) => {
    const rates = rounds.map((round) => round.eventsPerSecond);
    const { d1Calls, d1RowsRead, d1RowsWritten, objectRequests, objectRowsWritten, r2ClassA, r2ClassB } =
      one.perMillion;
    const range = `${whole(Math.min(...rates))}-${whole(Math.max(...rates))}`;
    const times = [one.p50Ms, one.p99Ms, one.p50AloneMs, one.cpuMicrosPerEvent].map(short);
    const rows = [d1Calls, d1RowsRead, d1RowsWritten, objectRequests, objectRowsWritten].map(whole);
    const objects = [r2ClassA, r2ClassB].map(short);
    return [system, whole(one.eventsPerSecond), range, ...times, ...rows, ...objects, short(one.dollarsPerMillion)];
  });
  return table([...titles, ...usage], cells);
}

function ratios(rows: Row[]): string[] {
  const keyframe = rows.find((row) => row.system === "keyframe");
  if (keyframe === undefined || rows.length === 1) return [];
  const lines = rows
    .filter((row): row is Row & { system: Baseline } => row.system !== "keyframe")
    .map((row) => {
      const ratio = keyframe.median.eventsPerSecond / row.median.eventsPerSecond;
      const cpu = ratioOf(row.median.cpuMicrosPerEvent, keyframe.median.cpuMicrosPerEvent);
      return [`keyframe / ${row.system}`, short(ratio), target(row, ratio), short(cpu)];
    });
  return ["", table(["ratio of events/s", "reached", "target", "by cpu time"], lines)];
}

function target({ batch, delayMs, system }: Row & { system: Baseline }, reached: number): string {
  const wanted = TARGETS.find((one) => one.batch === batch && one.baseline === system);
  if (wanted === undefined || delayMs !== 0) return "-";
  return `>= ${wanted.atLeast} ${reached >= wanted.atLeast ? "ok" : "MISSED"}`;
}

function delays(rows: Row[]): string[] {
  const keyframe = rows.find((row) => row.system === "keyframe");
  if (keyframe === undefined || keyframe.batch !== 1 || keyframe.delayMs < DELAY_TARGET.fromMs) return [];
  const { delayMs, median: one } = keyframe;
  const verdict = one.p50Ms / delayMs <= DELAY_TARGET.delays ? "ok" : "MISSED";
  return [
    `p50 of a single event: ${short(one.p50Ms / delayMs)} delays of D1 under load (target <= ${DELAY_TARGET.delays} ${verdict}), ` +
      `${short((one.p50AloneMs ?? Number.NaN) / delayMs)} alone`,
  ];
}

function ratioOf(baseline: number | undefined, keyframe: number | undefined): number | undefined {
  return baseline === undefined || keyframe === undefined ? undefined : baseline / keyframe;
}
