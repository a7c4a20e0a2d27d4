// The list price of a partition's operations, counted over a run of the real engine under a clock that jumps: the
// snapshots of one that is always busy, and all of one that gets an event a minute and is evicted in between. And what
// the same events cost a Durable Object that keeps a SQLite row for each key.

import { readFileSync, existsSync } from "node:fs";
import { line, seeded } from "../body.ts";
import { feed } from "../feed.ts";
import { startHost } from "../host.ts";
import { dollarsOf } from "../../../src/cost/prices.ts";
import { short, table, whole } from "../table.ts";
import type { Counters } from "../workers/counters.ts";
import type { Aim, Found } from "./aim.ts";
import { Subject } from "./subject.ts";

const MONTH_MS = 30 * 86_400_000;
const MINUTE_MS = 60_000;
const BUSY_BATCH = 500;
/** A request of 500 events each ten seconds: 50 a second, so that it is the five minutes that decide, and not the bytes. */
const BUSY_EVERY_MS = 10_000;
const UNITS = [
  "workerRequests",
  "objectRequests",
  "objectRowsRead",
  "objectRowsWritten",
  "d1RowsRead",
  "d1RowsWritten",
  "r2ClassA",
  "r2ClassB",
] as const;

export interface DollarsPlan {
  /** Virtual time of the busy partition. */
  readonly busyMinutes: number;
  readonly busyKeys: number;
  /** Events of the slow one. */
  readonly slowEvents: number;
  readonly slowKeys: number;
  /** Keys of the Durable Object with a row for each. */
  readonly rows: number;
}

export async function prices(plan: DollarsPlan): Promise<Found> {
  const busy = await busyMonth(plan);
  const slow = await slowMillion(plan);
  const rows = await rowPerKey(plan.rows);
  const head = ["", ...UNITS, "dollars"];
  const line = (what: string, counted: Counters): string[] => [
    what,
    ...UNITS.map((unit) => whole(counted[unit])),
    short(dollarsOf(counted)),
  ];
  const text = [
    table(head, [
      line("busy, a month: its snapshots", busy.snapshots),
      line("busy, a month: all of it", busy.all),
      line("one event a minute, a million events", slow.all),
      line("a SQLite row per key, a million events", rows.perMillion),
    ]),
    `busy: ${whole(busy.count)} snapshots in ${plan.busyMinutes} minutes of its time, ${whole(busy.perMonth)} a month; rows of the log that they cut (${whole(busy.cut)} a month) are the log's`,
    `one event a minute: ${whole(plan.slowEvents)} events over ${whole(plan.slowKeys)} keys, ${slow.count} snapshots; alarms and openings are among the object's requests and rows`,
    rows.text,
  ].join("\n");
  const aims: Aim[] = [
    {
      what: "dollars a month for the snapshots of an always busy partition",
      value: dollarsOf(busy.snapshots),
      bound: { most: 0.25 },
    },
    {
      what: "dollars a million events of a partition that gets one a minute",
      value: dollarsOf(slow.all),
      bound: { most: 3 },
    },
  ];
  return { aims, text };
}

/** The same events with snapshots and without: the difference is theirs. */
async function busyMonth(plan: DollarsPlan) {
  const [taking, never] = [await busyRun(plan, false), await busyRun(plan, true)];
  const scale = MONTH_MS / (plan.busyMinutes * MINUTE_MS);
  const difference = combined(taking.used, never.used, (a, b) => (a - b) * scale);
  const cut = taking.cutRows * scale;
  return {
    snapshots: { ...difference, d1RowsWritten: difference.d1RowsWritten - cut },
    all: combined(taking.used, taking.used, (a) => a * scale),
    cut,
    count: taking.snapshots,
    perMonth: taking.snapshots * scale,
  };
}

async function busyRun({ busyMinutes, busyKeys }: DollarsPlan, never: boolean) {
  const subject = await Subject.start({ never, worker: "accelerated.ts", ...(never ? { memory: 100_000_000 } : {}) });
  try {
    const random = seeded(5);
    const round = async (): Promise<void> => {
      await subject.send(Array.from({ length: BUSY_BATCH }, () => Math.floor(random() * busyKeys)));
      await subject.advance(BUSY_EVERY_MS);
    };
    // The first snapshot of all is not what a month is made of.
    for (let ms = 0; ms < 6 * MINUTE_MS; ms += BUSY_EVERY_MS) await round();
    const before = await subject.counters();
    const rowsBefore = await subject.host.count("SELECT count(*) AS n FROM segments");
    const version = never ? 0 : (await subject.status(false)).lastSnapshot!.manifest;
    let sent = 0;
    for (let ms = 0; ms < busyMinutes * MINUTE_MS; ms += BUSY_EVERY_MS) {
      await round();
      sent += 1;
    }
    const used = combined(await subject.counters(), before, (a, b) => a - b);
    const rows = await subject.host.count("SELECT count(*) AS n FROM segments");
    const snapshots = never ? 0 : (await subject.status(false)).lastSnapshot!.manifest - version;
    return { used, snapshots, cutRows: rowsBefore + sent - rows };
  } finally {
    await subject.stop();
  }
}

async function slowMillion({ slowEvents, slowKeys }: DollarsPlan) {
  const subject = await Subject.start({ worker: "accelerated.ts" });
  try {
    const random = seeded(6);
    const before = await subject.counters();
    for (let n = 0; n < slowEvents; n += 1) {
      await subject.send([Math.floor(random() * slowKeys)]);
      await subject.advance(MINUTE_MS);
    }
    const used = combined(await subject.counters(), before, (a, b) => a - b);
    // Rows that still stand in the log are billed once more when they are cut.
    used.d1RowsWritten += await subject.host.count("SELECT count(*) AS n FROM segments");
    const count = (await subject.status(false)).lastSnapshot?.manifest ?? 0;
    return { all: combined(used, used, (a) => (a * 1e6) / slowEvents), count };
  } finally {
    await subject.stop();
  }
}

function combined(a: Counters, b: Counters, by: (a: number, b: number) => number): Counters {
  const names = Object.keys(a) as (keyof Counters)[];
  return Object.fromEntries(names.map((name) => [name, by(a[name], b[name])])) as Counters;
}

/** A Durable Object with a row for each key: its size, and what a change of 1 % writes. */
async function rowPerKey(keys: number) {
  const host = await startHost({ worker: "keyed.ts", objects: { METERS: "Meters" } });
  try {
    const counters = async (): Promise<Counters> =>
      (await (await fetch(new URL("/bench/counters", host.url))).json()) as Counters;
    const path = "/v1/events";
    for (let from = 0; from < keys; from += 20_000)
      await feed({ url: new URL(path, host.url), lines: Math.min(20_000, keys - from), keys, from, nonce: `k${from}` });
    const size = (await (await fetch(new URL("/bench/size", host.url))).json()) as number;
    const [before, written] = [await counters(), writtenBy(host.pid)];
    const random = seeded(8);
    const changes = Math.round(keys / 100);
    const requests = Math.ceil(changes / 100);
    // A request commits once; a hundred events in each is what a busy object would gather.
    for (let n = 0; n < requests; n += 1) {
      const body = Array.from({ length: 100 }, () => line("x", Math.floor(random() * keys), random)).join("");
      await (await fetch(new URL(path, host.url), { method: "POST", body })).text();
    }
    const used = combined(await counters(), before, (a, b) => a - b);
    const bytes = writtenBy(host.pid) - written;
    const text = [
      `a SQLite row per key: ${whole(keys)} keys are ${whole(size)} bytes;`,
      `1 % changed, 100 events a request: ${whole(used.objectRowsWritten)} rows`,
      Number.isFinite(bytes) ? `and ${whole(bytes)} bytes written, ${((100 * bytes) / size).toFixed(1)} % of all` : "",
    ].join(" ");
    return { perMillion: combined(used, used, (a) => (a * 1e6) / (requests * 100)), text };
  } finally {
    await host.stop();
  }
}

/** Bytes that the process has written; NaN where the system doesn't say. */
function writtenBy(pid: number): number {
  const file = `/proc/${pid}/io`;
  if (!existsSync(file)) return Number.NaN;
  return Number(/^wchar: (\d+)/m.exec(readFileSync(file, "utf8"))?.[1] ?? Number.NaN);
}
