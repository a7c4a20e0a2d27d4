// Run by large.ts: builds the state, uses it, and says what that took. Arguments: a directory, MiB of state.

import path from "node:path";
import { z } from "zod";
import { operator } from "../../../src/engine/operator/operator.ts";
import { readManifest } from "../../../src/engine/snapshot/manifest.ts";
import { brotli } from "../../../src/adapters/brotli.ts";
import { seeded } from "../body.ts";
import { DiskCache, DiskStore } from "./disk-store.ts";
import { LocalPartition, type Sent } from "./local-partition.ts";

export interface Phase {
  readonly what: string;
  /** Of what the phase did, or null if nothing is counted. */
  readonly perSecond: number | null;
  readonly heapMb: number;
  readonly buffersMb: number;
  readonly residentMb: number;
}

export interface LargeReport {
  readonly keys: number;
  readonly stateBytes: number;
  readonly fileBytes: number;
  readonly snapshots: number;
  readonly compactions: number;
  readonly phases: readonly Phase[];
  readonly wrong: number;
}

/** A state is about this long, so that 512 MiB are a million of them. */
const NOTE_CHARS = 440;
const STATE_CHARS = 512;
const EVENTS_A_SLICE = 1_000;
const READS = 2_000;
const HOT_KEYS = 200;
const SCAN_ITEMS = 1_000;

const ledger = operator("ledger", {
  version: 1,
  events: { entry: z.object({ n: z.number(), note: z.string() }) },
  initial: () => ({ entries: 0, sum: 0, note: "" }),
  on: {
    entry(state, { data }) {
      state.entries += 1;
      state.sum += data.n;
      state.note = data.note;
    },
  },
});

const [directory, stateMb] = process.argv.slice(2) as [string, string];
const keys = Math.round((Number(stateMb) * 2 ** 20) / STATE_CHARS);
const random = seeded(11);
const phases: Phase[] = [];
let wrong = 0;

/** Words and digits: it compresses as text does, about to a third. */
const note = (n: number): string => {
  const draw = seeded(n);
  let text = "";
  while (text.length < NOTE_CHARS)
    text += `${WORDS[Math.floor(draw() * WORDS.length)]} ${Math.floor(draw() * 10_000)} `;
  return text.slice(0, NOTE_CHARS);
};
const WORDS = "meter region tariff reading estimated corrected customer invoice supply grid valve sensor".split(" ");

const keyOf = (n: number): string => `account-${String(n).padStart(8, "0")}`;
const anyKey = (): number => Math.floor(random() * keys);
const event = (id: string, n: number): Sent => ({ id, type: "entry", key: keyOf(n), data: { n, note: note(n) } });

function phase(what: string, count: number | null, begun: number): void {
  const seconds = (performance.now() - begun) / 1_000;
  (globalThis as unknown as { gc: () => void }).gc();
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
  const [heapMb, buffersMb, residentMb] = [heapUsed, arrayBuffers, rss].map((bytes) => bytes / 1e6) as [
    number,
    number,
    number,
  ];
  phases.push({ what, perSecond: count === null ? null : count / seconds, heapMb, buffersMb, residentMb });
  process.stderr.write(`${what}: ${seconds.toFixed(1)} s\n`);
}

async function reads(partition: LocalPartition, count: number, pick: () => number): Promise<void> {
  for (let done = 0; done < count; done += 1) {
    const key = pick();
    const [entry] = await partition.engine.read([keyOf(key)]);
    const state = entry ? (JSON.parse(entry.text) as { entries: number; sum: number; note: string }) : null;
    if (state === null || state.sum !== state.entries * key || state.note !== note(key)) wrong += 1;
  }
}

async function build(partition: LocalPartition): Promise<void> {
  for (let from = 0; from < keys; from += EVENTS_A_SLICE) {
    const size = Math.min(EVENTS_A_SLICE, keys - from);
    await partition.send(Array.from({ length: size }, (_, i) => event(`b-${from + i}`, from + i)));
  }
  await partition.idle();
  await partition.snapshotBytes();
}

async function run(): Promise<void> {
  let begun = performance.now();
  phase("at the beginning", null, begun);
  const objects = new DiskStore(path.join(directory, "objects"));
  const partition = new LocalPartition(ledger, objects, new DiskCache(path.join(directory, "cache.sqlite")));
  begun = performance.now();
  await build(partition);
  phase("built: events", keys, begun);
  const { manifest: text, stateBytes } = await partition.engine.facts();
  const manifest = readManifest(text!, brotli.crc32);

  const step = async (what: string, count: number, work: () => Promise<void>): Promise<void> => {
    begun = performance.now();
    await work();
    phase(what, count, begun);
  };
  const hot = Array.from({ length: HOT_KEYS }, anyKey);
  await step("random reads", READS, () => reads(partition, READS, anyKey));
  await step("the same 200 keys again and again", READS * 10, async () => {
    await reads(partition, READS * 10, () => hot[Math.floor(random() * HOT_KEYS)]!);
  });
  await step("events of random keys, 100 at a time", READS, async () => {
    for (let n = 0; n < READS; n += 100)
      await partition.send(Array.from({ length: 100 }, (_, i) => event(`r-${n + i}`, anyKey())));
  });
  let scanned = 0;
  begun = performance.now();
  for (let after = "", more = true; more;) {
    const page = await partition.engine.scan("", after, SCAN_ITEMS, 2_000_000);
    scanned += page.items.length;
    after = page.items.at(-1)?.[0] ?? after;
    more = page.more;
  }
  phase("a scan of everything: keys", scanned, begun);
  if (scanned !== keys) wrong += Math.abs(keys - scanned);
  await partition.crash();
  await step("after a crash: first read", 1, () => reads(partition, 1, anyKey));
  await step("after a crash: random reads", READS, () => reads(partition, READS, anyKey));
  const files = [...(manifest.chain ?? []), manifest.snapshot];
  const report: LargeReport = {
    keys,
    stateBytes,
    fileBytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
    snapshots: manifest.number,
    compactions: partition.compactions,
    phases,
    wrong,
  };
  process.stdout.write(JSON.stringify(report));
}

await run();
