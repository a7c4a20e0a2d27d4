// `memory`: what is really held of what may fill an isolate, each in a process with 128 MB of heap; then how much
// memory the runtime takes while one request with a million events streams in. The figure is of the whole workerd
// process: the Worker, the Durable Objects, and the simulators of D1 and R2.

import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import { feed } from "./feed.ts";
import { startHost } from "./host.ts";
import type { Options } from "./options.ts";
import { memoryOf } from "./process.ts";
import { keyframeSetup } from "./systems.ts";
import { short, table, whole } from "./table.ts";

const SAMPLE_EVERY_MS = 200;
const POINTS_SHOWN = 16;

interface Sample {
  seconds: number;
  lines: number;
  residentMb: number;
}

const ISOLATE = ["--expose-gc", "--max-old-space-size=128"];

interface Held {
  readonly what: string;
  readonly peakBytes: number;
  readonly boundBytes: number;
}

/** Ends with an error where a process runs out of its heap. */
function showHeld(): void {
  const rows = ["held/run.ts", "stores/full-tail.ts"].flatMap((file) => {
    const script = fileURLToPath(new URL(file, import.meta.url));
    const { status, stdout } = spawnSync(process.execPath, [...ISOLATE, script], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
    });
    if (status !== 0) throw new Error(`${file} ended with status ${status}`);
    const held = stdout.trim().split("\n");
    return held.map((line) => JSON.parse(line) as Held);
  });
  const mb = (bytes: number): string => `${whole(bytes / 1e6)} MB`;
  const cells = rows.map(({ what, peakBytes, boundBytes }) => [what, mb(peakBytes), mb(boundBytes)]);
  console.log(`${table(["held at most, of the 128 MB of an isolate", "", "bound"], cells)}\n`);
  const over = rows.filter(({ peakBytes, boundBytes }) => peakBytes > boundBytes);
  if (over.length > 0) throw new Error(`above its bound: ${over.map(({ what }) => what).join(", ")}`);
}

export async function memory(options: Options): Promise<void> {
  showHeld();
  const host = await startHost(
    keyframeSetup("keyframe.ts", { delayMs: options.delay[0] ?? 0, tailBytes: options.tailBytes }),
  );
  try {
    const nonce = randomBytes(4).toString("hex");
    // The first request compiles the code and opens the partitions: not what is asked about.
    await feed({ url: host.url, lines: 1000, keys: 1000, nonce: `${nonce}w` });
    const idle = memoryOf(host.pid);
    const samples: Sample[] = [];
    let lines = 0;
    const start = performance.now();
    const sample = (): void => {
      samples.push({ seconds: (performance.now() - start) / 1000, lines, residentMb: memoryOf(host.pid).residentMb });
    };
    const sampling = setInterval(sample, SAMPLE_EVERY_MS);
    const onProgress = (sent: number): void => void (lines = sent);
    const plan = { url: host.url, lines: options.lines, keys: 1000, nonce, onProgress };
    const fed = await feed(plan).finally(() => clearInterval(sampling));
    sample();
    show(samples);
    const peak = memoryOf(host.pid).peakMb ?? Math.max(...samples.map((one) => one.residentMb));
    console.log(
      `\n${whole(options.lines)} events, ${whole(fed.bytes / 1e6)} MB, in one request: ` +
        `${short(fed.seconds)} s, ${whole(options.lines / fed.seconds)} events/s, all accepted\n` +
        `workerd: idle ${whole(idle.residentMb)} MB, peak ${whole(peak)} MB, ${whole(peak - idle.residentMb)} MB above idle`,
    );
  } finally {
    await host.stop();
  }
}

function show(samples: Sample[]): void {
  const most = Math.max(...samples.map((one) => one.residentMb));
  const step = Math.max(1, Math.ceil(samples.length / POINTS_SHOWN));
  console.log("      s       lines     MB");
  for (const one of samples.filter((_, index) => index % step === 0 || index === samples.length - 1)) {
    const bar = "#".repeat(Math.round((one.residentMb / most) * 50));
    const cells = [
      one.seconds.toFixed(1).padStart(7),
      whole(one.lines).padStart(11),
      whole(one.residentMb).padStart(6),
    ];
    console.log(`${cells.join(" ")} ${bar}`);
  }
}
