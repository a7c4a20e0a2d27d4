// One partition whose state is much larger than its memory: how much it takes, and how fast it answers. The engine runs
// in a process of its own (large-run.ts) whose heap is bounded as an isolate's memory is; objects are files, the cache
// is SQLite.

import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { atEnd } from "../ending.ts";
import { short, table, whole } from "../table.ts";
import type { Found } from "./aim.ts";
import type { LargeReport } from "./large-run.ts";

/** The memory that the platform gives an isolate. */
const HEAP_MB = 128;
const LIMIT_MS = 40 * 60_000;
const OUTPUT_BYTES = 1_000_000;

export async function large(stateMb: number): Promise<Found> {
  const directory = await mkdtemp(path.join(tmpdir(), "keyframe-bench-"));
  const running = new AbortController();
  const end = atEnd(async () => {
    running.abort();
    await rm(directory, { recursive: true, force: true });
  });
  try {
    const script = path.join(import.meta.dirname, "large-run.ts");
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ["--expose-gc", `--max-old-space-size=${HEAP_MB}`, script, directory, String(stateMb)],
      { timeout: LIMIT_MS, maxBuffer: OUTPUT_BYTES, signal: running.signal },
    );
    return shown(JSON.parse(stdout) as LargeReport);
  } finally {
    await end();
  }
}

function shown(report: LargeReport): Found {
  const rows = report.phases.map(({ what, perSecond, heapMb, buffersMb, residentMb }) => [
    what,
    perSecond === null ? "" : short(perSecond),
    ...[heapMb, buffersMb, residentMb].map(whole),
  ]);
  const most = Math.max(...report.phases.map(({ heapMb, buffersMb }) => heapMb + buffersMb));
  const text = [
    `${whole(report.keys)} keys, ${whole(report.stateBytes / 2 ** 20)} MiB of keys and states, ${whole(report.fileBytes / 2 ** 20)} MiB of files; ${report.snapshots} snapshots while it was built, ${report.compactions} of them compactions`,
    table(["", "a second", "heap MB", "buffers MB", "resident MB"], rows),
    "heap and buffers after a collection; resident is the process with all that Node is",
  ].join("\n");
  const aims = [
    {
      what: `${whole(report.stateBytes / 2 ** 20)} MiB of state: MB of heap and buffers, of the 128 of an isolate`,
      value: most / HEAP_MB,
      bound: { most: 1 },
    },
    { what: "keys that were read wrongly or not at all", value: report.wrong, bound: { most: 0 } },
  ];
  return { aims, text };
}
