// `profile`: a CPU profile of one system's Worker and Durable Objects under load, for Chrome's DevTools or speedscope,
// and its hottest functions as text. The simulators of D1 and R2 are Workers of their own and are not in it.

import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { Ids } from "./body.ts";
import { type Host, startHost } from "./host.ts";
import { Inspector } from "./inspector.ts";
import { load } from "./load.ts";
import type { Options } from "./options.ts";
import { setupOf } from "./systems.ts";
import { short, table, whole } from "./table.ts";

const FUNCTIONS_SHOWN = 45;
const SAMPLE_EVERY_MICROS = 200;

interface CpuProfile {
  nodes: {
    id: number;
    callFrame: { functionName: string; url: string; lineNumber: number };
  }[];
  samples: number[];
  timeDeltas: number[];
}

export async function profile(options: Options): Promise<void> {
  const system = options.only[0] ?? "keyframe";
  const batch = options.batch.at(-1) ?? 1000;
  const conditions = { delayMs: options.delay[0] ?? 0, tailBytes: options.tailBytes };
  const host = await startHost(setupOf(system, conditions), { inspector: true });
  try {
    const taken = await profileUnderLoad(host, { ...options, batch });
    const file = options.out ?? `${system}-${batch}.cpuprofile`;
    await writeFile(file, JSON.stringify(taken.profile));
    console.log(`${system}, batches of ${batch}: ${whole(taken.eventsPerSecond)} events/s while profiled; ${file}\n`);
    console.log(hottest(taken.profile, host.bundle, taken.events));
  } finally {
    await host.stop();
  }
}

async function profileUnderLoad(
  host: Host,
  plan: Omit<Options, "batch"> & { batch: number },
): Promise<{ profile: CpuProfile; eventsPerSecond: number; events: number }> {
  const inspector = await Inspector.open(host.inspector!);
  await inspector.send("Profiler.enable");
  await inspector.send("Profiler.setSamplingInterval", { interval: SAMPLE_EVERY_MICROS });
  let started: Promise<unknown> | undefined;
  let stopped: Promise<unknown> | undefined;
  const onEdge = (): void => {
    if (started === undefined) started = inspector.send("Profiler.start");
    else stopped = inspector.send("Profiler.stop");
  };
  const ids = new Ids(randomBytes(4).toString("hex"));
  const outcome = await load({ ...plan, url: host.url, keys: 1000, ids, onEdge });
  const { profile } = (await stopped) as { profile: CpuProfile };
  inspector.close();
  return { profile, eventsPerSecond: outcome.eventsPerSecond, events: outcome.timedEvents };
}

function hottest({ nodes, samples, timeDeltas }: CpuProfile, bundle: string, events: number): string {
  const sources = sourceOfLines(bundle);
  const names = new Map(
    nodes.map(({ id, callFrame: { functionName, lineNumber, url } }) => {
      const source = url.includes("bench.mjs") ? sources[lineNumber] : url;
      return [
        id,
        `${functionName || "(anonymous)"}\t${lineNumber > 0 ? `${source} (bundle line ${lineNumber + 1})` : ""}`,
      ];
    }),
  );
  const self = new Map<string, number>();
  let total = 0;
  for (const [index, sample] of samples.entries()) {
    const micros = timeDeltas[index + 1] ?? 0;
    const name = names.get(sample) ?? "?";
    self.set(name, (self.get(name) ?? 0) + micros);
    total += micros;
  }
  const rows = [...self].sort((a, b) => b[1] - a[1]).slice(0, FUNCTIONS_SHOWN);
  return table(
    ["function", "self %", "us/event", "where"],
    rows.map(([name, micros]) => {
      const [title, where] = name.split("\t");
      return [title!, ((100 * micros) / total).toFixed(1), short(micros / events), where!];
    }),
  );
}

/** esbuild leaves a comment with the file's name above each module of the bundle. */
function sourceOfLines(bundle: string): string[] {
  let source = "";
  return bundle.split("\n").map((text) => {
    const named = /^\/\/ (\S+\.[cm]?[jt]s)$/.exec(text)?.[1];
    source = named ?? source;
    return source;
  });
}
