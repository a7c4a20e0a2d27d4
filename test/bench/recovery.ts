// `recovery`: the time until a partition that was dropped from memory answers a read again, with a snapshot, and by
// replaying its whole log. Two operators with the same handler take the same events; only one of them ever snapshots.

import { randomBytes } from "node:crypto";
import { feed } from "./feed.ts";
import { startHost } from "./host.ts";
import type { Options } from "./options.ts";
import { median } from "./stats.ts";
import { keyframeSetup } from "./systems.ts";
import { short, whole } from "./table.ts";

const TARGET = 10;
const LINES_A_REQUEST = 100_000;
/** Replays take much longer than snapshots to open, and vary less. */
const REPLAYS = 3;
const ANSWER_LIMIT_MS = 300_000;

interface Status {
  appliedSeq: number;
  snapshotSeq: number;
  lastSnapshot: { bytes: number; ms: number } | null;
  lastRecovery: { ms: number; replayedEvents: number } | null;
}

export async function recovery(options: Options): Promise<void> {
  const { keys, events, repeats } = options;
  const host = await startHost(keyframeSetup("recovery.ts", { delayMs: options.delay[0] ?? 0, tailBytes: 0 }));
  try {
    await fill(host.url, keys, events);
    // The first one may join a snapshot that is under way and leaves a tail; the second covers everything.
    for (let n = 0; n < 2; n += 1) await partition(host.url, "snapshotted", "/snapshot", "POST");
    const snapshotted = await recoveries(host.url, "snapshotted", { keys, repeats });
    const replayed = await recoveries(host.url, "replayed", { keys, repeats: Math.min(repeats, REPLAYS) });
    const ratio = median(replayed.ms) / median(snapshotted.ms);
    const rate = events / (median(replayed.ms) / 1000);
    console.log(`\none partition, ${whole(keys)} keys, ${whole(events)} events, until the first read is answered:`);
    console.log(line("with a snapshot", snapshotted));
    console.log(line("by its whole log", replayed));
    console.log(`snapshot: ${whole(snapshotted.status.lastSnapshot?.bytes ?? Number.NaN)} bytes`);
    console.log(`replay: ${whole(rate)} events/s`);
    console.log(`ratio: ${short(ratio)} (target >= ${TARGET} ${ratio >= TARGET ? "ok" : "MISSED"})`);
  } finally {
    await host.stop();
  }
}

interface Recoveries {
  ms: number[];
  status: Status;
}

async function recoveries(url: URL, operator: string, plan: { keys: number; repeats: number }): Promise<Recoveries> {
  const ms: number[] = [];
  for (let n = 0; n < plan.repeats; n += 1) {
    await partition(url, operator, "/evict", "POST");
    ms.push(await firstAnswer(url, operator, Math.floor((plan.keys * n) / plan.repeats)));
  }
  return { ms, status: (await partition(url, operator, "?live=true", "GET")) as Status };
}

/** Asks for one key until it is there; a partition that is still opening may answer 503. */
async function firstAnswer(url: URL, operator: string, key: number): Promise<number> {
  const device = `dev-${String(key).padStart(6, "0")}`;
  const start = performance.now();
  for (;;) {
    const response = await fetch(new URL(`/v1/operators/${operator}/state?key=${device}`, url));
    const text = await response.text();
    const ms = performance.now() - start;
    if (response.status === 200) return ms;
    if (response.status !== 503 || ms > ANSWER_LIMIT_MS) {
      throw new Error(`state of ${operator} was answered ${response.status} ${text.slice(0, 400)}`);
    }
  }
}

async function fill(url: URL, keys: number, events: number): Promise<void> {
  const nonce = randomBytes(4).toString("hex");
  for (let from = 0; from < events; from += LINES_A_REQUEST) {
    const lines = Math.min(LINES_A_REQUEST, events - from);
    const { seconds } = await feed({ url, lines, keys, nonce: `${nonce}${from / LINES_A_REQUEST}` });
    process.stderr.write(`filled ${whole(from + lines)} events, ${whole(lines / seconds)} a second\n`);
  }
}

async function partition(url: URL, operator: string, what: string, method: string): Promise<unknown> {
  const response = await fetch(new URL(`/v1/operators/${operator}/partitions/0${what}`, url), { method });
  const text = await response.text();
  if (!response.ok)
    throw new Error(`${method} ${what} of ${operator} was answered ${response.status} ${text.slice(0, 400)}`);
  return text === "" ? undefined : JSON.parse(text);
}

function line(what: string, { ms, status }: Recoveries): string {
  const range = `${whole(Math.min(...ms))}-${whole(Math.max(...ms))}`;
  const last = status.lastRecovery;
  const inside =
    last === null
      ? ""
      : `; the last one by its own clock ${whole(last.ms)} ms, ${whole(last.replayedEvents)} events replayed`;
  return `${what.padEnd(18)} ${whole(median(ms)).padStart(7)} ms (${range}, ${ms.length} times)${inside}`;
}
