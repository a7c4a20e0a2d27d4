// The benchmarks' entry: `npm run bench -- COMMAND [flags]`. The README beside this file says what each one measures.

import { endAll } from "./ending.ts";
import { ingest } from "./ingest.ts";
import { memory } from "./memory.ts";
import { type Options, parseOptions } from "./options.ts";
import { profile } from "./profile.ts";
import { recovery } from "./recovery.ts";
import { send } from "./send.ts";
import { snapshots } from "./snapshots/snapshots.ts";
import { statements } from "./statements.ts";
import { timelines } from "./timelines.ts";
import { timers } from "./timers.ts";
import { watching } from "./watching.ts";

const COMMANDS: Record<string, (options: Options) => Promise<void>> = {
  ingest,
  memory,
  recovery,
  send,
  snapshots,
  statements,
  timelines,
  timers,
  watching,
  profile,
};

const USAGE = `npm run bench -- COMMAND [flags]

  ingest    [--batch 1,100,1000] [--delay 0] [--seconds 5] [--rounds 3] [--connections 32]
            [--only keyframe,bare,kv,sqlite,d1row] [--warmup 2] [--tail 4000000] [--json FILE]
  memory    [--lines 1000000] [--delay 0] [--tail 4000000]
  recovery  [--keys 100000] [--events 1000000] [--repeats 5] [--delay 0]
  send      [--flights FILE] [--rounds 3] [--kills 5]
  snapshots [--quick] [--large] [--parts bytes,ingestion,opening,prediction,dollars,memory]
            [--flights FILE] [--retail FILE] [--json FILE]
  statements
  timelines [--keys 100000] [--repeats 5]
  timers    [--keys 100000]
  watching  [--seconds 5] [--connections 32]
  profile   [--only keyframe] [--batch 1000] [--delay 0] [--seconds 5] [--connections 32] [--out FILE.cpuprofile]`;

async function main([command, ...flags]: string[]): Promise<void> {
  const run = command === undefined ? undefined : COMMANDS[command];
  if (run !== undefined) return run(parseOptions(flags));
  console.log(USAGE);
  if (command !== undefined && command !== "--help") process.exitCode = 2;
}

for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => void endAll().finally(() => process.exit(signal === "SIGINT" ? 130 : 143)));

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
