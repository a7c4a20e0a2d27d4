// `timelines`: what the start of a timeline costs, by the size of the state and the number of partitions, how soon it
// answers, and how long a promotion holds up writes.

import type { Options } from "./options.ts";
import { replays } from "./replays.ts";
import { type Aim, aimTable } from "./snapshots/aim.ts";
import { MAIN, type Named, Subject } from "./snapshots/subject.ts";
import { median } from "./stats.ts";
import { table, whole } from "./table.ts";
import type { Counters } from "./workers/counters.ts";

const DELAY_MS = 25;
const RETRY_MS = 20;
const OPERATORS = 4;
const PARTITIONS = [1, 16, 256, 1_000];
const MOST_PARTITIONS = 256;
/** So many that each partition gets one of them. */
const KEYS_A_PARTITION = 12;
const KEYS_A_REQUEST = 15;
/** Keys of the events that are replayed. There are as many events as `--keys`. */
const REPLAYED_KEYS = 20_000;

export async function timelines({ keys, repeats }: Options): Promise<void> {
  const aims: Aim[] = [];
  const costs: string[][] = [];
  for (const one of [Math.ceil(keys / 100), keys]) costs.push(await startOf(one, one === keys ? repeats : 0, aims));
  await replays(keys, Math.min(keys, REPLAYED_KEYS), aims);
  const pauses: string[][] = [];
  for (const partitions of PARTITIONS) {
    const operators = partitions > 100 ? OPERATORS : 1;
    const subject = await Subject.start({ never: true, operators, partitions: partitions / operators });
    try {
      await begin(subject, partitions, partitions / operators);
      costs.push(...(await savedAndStarted(subject, partitions)));
      process.stderr.write(`${costs.slice(-2).join("\n")}\n`);
      pauses.push(await pauseOf(subject, "fork", `${whole(partitions)} partitions`, aims));
      const each = (2 * partitions) / operators;
      if (each <= MOST_PARTITIONS) {
        const twice = Object.fromEntries((await subject.operators()).map((name) => [name, each]));
        await subject.put("/v1/timelines/wide", { from: "end", partitions: twice });
        pauses.push(await pauseOf(subject, "wide", `${whole(partitions)} partitions, each split in two`, aims));
      }
      process.stderr.write(`${pauses.slice(-2).join("\n")}\n`);
    } finally {
      await subject.stop();
    }
  }
  const head = ["", "ms", "D1 calls", "rows written", "R2 writes", "bytes", "calls of objects"];
  console.log(`\n${table(head, costs)}`);
  console.log(`\n${table(["a promotion over", "pause ms", "answered after ms", "before it ms", "promoted"], pauses)}`);
  console.log(`\n${aimTable(aims)}`);
}

/** The start of a timeline from one partition, and the first answers of both. */
async function startOf(keys: number, repeats: number, aims: Aim[]): Promise<string[]> {
  const subject = await Subject.start({ never: true });
  try {
    await subject.fill(keys, keys);
    await subject.snapshot();
    // The first request of a kind compiles what the others find compiled.
    await subject.put("/v1/timelines/first", {});
    const { row, body } = await costOf(subject, `a timeline from ${whole(keys)} keys`, "/v1/timelines/fork", {});
    if (repeats > 0) await answersOf(subject, { name: "fork", line: Number(body["line"]) }, keys, repeats, aims);
    return row;
  } finally {
    await subject.stop();
  }
}

/** Both objects take turns, so that what else the machine does falls on both alike. */
async function answersOf(subject: Subject, fork: Named, keys: number, repeats: number, aims: Aim[]): Promise<void> {
  for (const delayMs of [0, DELAY_MS]) {
    await subject.delay(delayMs);
    const times = new Map<Named, number[]>([MAIN, fork].map((one) => [one, []]));
    for (let n = 0; n <= repeats; n += 1)
      for (const [one, ms] of times) {
        await subject.crash(true, one);
        const took = await subject.read(Math.floor((keys * n) / (repeats + 1)), one);
        if (n > 0) ms.push(took);
      }
    const [main, forked] = [...times.values()].map(median) as [number, number];
    console.log(`first answer, ${delayMs} ms to the stores: main ${whole(main)} ms, timeline ${whole(forked)} ms`);
    const what = `delay ${delayMs} ms: first answer of a timeline, by that of main`;
    aims.push({ what, value: forked / main, bound: { most: 1.5 } });
  }
}

async function savedAndStarted(subject: Subject, partitions: number): Promise<string[][]> {
  const of = `over ${whole(partitions)} partitions`;
  const saved = await costOf(subject, `a savepoint ${of}`, "/v1/savepoints/now-and-then", {});
  const forked = await costOf(subject, `a timeline ${of}`, "/v1/timelines/fork", { from: "now-and-then" });
  return [saved.row, forked.row];
}

async function costOf(
  subject: Subject,
  what: string,
  path: string,
  asked: object,
): Promise<{ readonly row: string[]; readonly body: Record<string, unknown> }> {
  const before = await subject.counters();
  const { body, ms } = await subject.put(path, asked);
  const after = await subject.counters();
  const names = ["d1Calls", "d1RowsWritten", "r2ClassA", "r2BytesPut", "objectRequests"] as const;
  const added = (name: keyof Counters): number => after[name] - before[name];
  return { row: [what, whole(ms), ...names.map((name) => whole(added(name)))], body };
}

/** Writes while a timeline becomes main that has no events of its own. */
async function pauseOf(subject: Subject, name: string, over: string, aims: Aim[]): Promise<string[]> {
  const gaps: Record<"before" | "promoting", number[]> = { before: [], promoting: [] };
  const phase: { gaps: number[]; ended: boolean } = { gaps: gaps.before, ended: false };
  const sending = (async () => {
    let last = performance.now();
    while (!phase.ended) {
      while (!(await subject.offer())) await sleep(RETRY_MS);
      const now = performance.now();
      phase.gaps.push(now - last);
      last = now;
    }
  })();
  try {
    await sleep(4_000);
    phase.gaps = gaps.promoting;
    const { body, ms } = await subject.post(`/v1/timelines/${name}/promotion`, { "if-match": "*" });
    await sleep(2_000);
    const [before, pause] = [gaps.before, gaps.promoting].map((all) => Math.max(...all)) as [number, number];
    const done = body["promoted"] === true;
    const what = `delay ${DELAY_MS} ms: pause of writes in seconds, ${over}`;
    aims.push({ what, value: done ? pause / 1_000 : Number.NaN, bound: { most: 1 } });
    return [over, ...[pause, ms, before].map(whole), done ? "yes" : String(body["code"])];
  } finally {
    phase.ended = true;
    await sending;
  }
}

/** Gives every partition events. From then on D1 and R2 are some milliseconds away. */
async function begin(subject: Subject, partitions: number, ofOperator: number): Promise<void> {
  // Few at a time: many objects that open at once outlast a caller's patience here.
  const keys = ofOperator * KEYS_A_PARTITION;
  for (let from = 0; from < keys; from += KEYS_A_REQUEST)
    await subject.send(Array.from({ length: Math.min(KEYS_A_REQUEST, keys - from) }, (_, n) => from + n));
  const counted = await subject.host.count("SELECT COUNT(*) AS n FROM partitions");
  if (counted !== partitions) throw new Error(`${counted} of ${partitions} partitions have events`);
  await subject.delay(DELAY_MS);
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
