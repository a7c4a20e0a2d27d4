// `timers`: what a partition with very many pending timers holds, and how fast those fire that are due, beside a replay
// of as many events in the same process. The stores are on disk and in memory, without a Worker around the partition.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Options } from "./options.ts";
import { table } from "./table.ts";

interface Told {
  readonly pending: number;
  readonly due: number;
  readonly peakBytes: number;
  readonly heldBytesOpen: number;
  readonly rounds: readonly { readonly fireMs: number; readonly replayMs: number }[];
}

/** The queue of a partition, and its log, are in this heap too. */
const HEAP = ["--expose-gc", "--max-old-space-size=512"];

export async function timers({ keys }: Options): Promise<void> {
  const script = fileURLToPath(new URL("held/timers.ts", import.meta.url));
  const { status, stdout } = spawnSync(process.execPath, [...HEAP, script, String(keys)], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (status !== 0) throw new Error(`held/timers.ts ended with status ${status}`);
  const { pending, due, peakBytes, heldBytesOpen, rounds } = JSON.parse(stdout) as Told;
  const mb = (bytes: number): string => `${(bytes / 1_000_000).toFixed(0)} MB`;
  console.log(
    `${pending.toLocaleString("en")} pending timers: ${mb(heldBytesOpen)} held by the open partition, ${mb(peakBytes)} at most while they were set\n`,
  );
  const rows = rounds.map(({ fireMs, replayMs }) => [
    fireMs.toFixed(0),
    replayMs.toFixed(0),
    (replayMs / fireMs).toFixed(2),
  ]);
  console.log(table(["ms to fire", "ms to replay", "rate of firing to replay"], rows));
  console.log(`\n${due.toLocaleString("en")} timers, and as many events, of keys in files`);
}
