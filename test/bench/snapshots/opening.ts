// How long a partition that crashed takes to answer: by the size of its state, by what is cached, against replaying its
// log; how fast it replays; and whether that was what it had estimated.

import { randomBytes } from "node:crypto";
import { Ids, seeded } from "../body.ts";
import { load } from "../load.ts";
import { median } from "../stats.ts";
import { table, whole } from "../table.ts";
import type { Aim, Found } from "./aim.ts";
import { Subject } from "./subject.ts";

export interface OpeningPlan {
  /** Keys of the large partition and of the small one; both take `events` events. */
  readonly large: number;
  readonly small: number;
  readonly events: number;
  readonly repeats: number;
  readonly delays: readonly number[];
  readonly seconds: number;
  readonly tails: readonly number[];
}

interface Times {
  readonly delayMs: number;
  /** Medians, milliseconds. */
  readonly readCold: number;
  readonly readWarm: number;
  readonly appendCold: number;
  readonly appendWarm: number;
}
const KINDS = ["readCold", "readWarm", "appendCold", "appendWarm"] as const;
const NAMES = {
  readCold: "a read, cache cold",
  readWarm: "a read, cache warm",
  appendCold: "an append, cache cold",
  appendWarm: "an append, cache warm",
};

/** First answers of a large and a small partition after the same number of events, and of one that replays all of them. */
export async function opening(plan: OpeningPlan): Promise<Found> {
  const subjects: Subject[] = [];
  try {
    // One after the other, so that each is filled alone.
    const begun = async (keys: number, never: boolean): Promise<Subject> => {
      const subject = await Subject.start(never ? { never, memory: 100_000_000 } : {});
      subjects.push(subject);
      await subject.fill(plan.events, keys);
      if (!never) await subject.snapshot();
      return subject;
    };
    const large = await begun(plan.large, false);
    const small = await begun(plan.small, false);
    const replayed = await begun(plan.large, true);
    const found = new Map<Subject, Times[]>([large, small].map((one) => [one, []]));
    for (const delayMs of plan.delays) {
      const times = await firstAnswers([large, small], delayMs, plan);
      for (const [subject, some] of times) found.get(subject)!.push(some);
    }
    const replay = await replaying(replayed, plan);
    const [a, b] = [found.get(large)!, found.get(small)!];
    return { aims: [...aimsOf(a, b, replay), ...replay.aims], text: textOf(a, b, replay, plan) };
  } finally {
    await Promise.all(subjects.map((subject) => subject.stop()));
  }
}

/** Subjects take turns, so that what else the machine does falls on all alike. */
async function firstAnswers(
  subjects: readonly Subject[],
  delayMs: number,
  { small, repeats }: OpeningPlan,
): Promise<Map<Subject, Times>> {
  const random = seeded(delayMs + 1);
  const times = new Map<Subject, Lists>(
    subjects.map((one) => [one, { readCold: [], readWarm: [], appendCold: [], appendWarm: [] }]),
  );
  for (const subject of subjects) {
    await subject.delay(delayMs);
    // The first opening of all compiles what the others find compiled.
    await subject.crash(true);
    await subject.append(0);
  }
  for (let n = 0; n < repeats; n += 1) {
    const key = Math.floor(random() * small);
    for (const subject of subjects) {
      const lists = times.get(subject)!;
      await subject.crash(true);
      lists.readCold.push(await subject.read(key));
      await cached();
      await subject.crash(false);
      lists.readWarm.push(await subject.read(key));
      await subject.crash(true);
      lists.appendCold.push(await subject.append(key));
      await cached();
      await subject.crash(false);
      lists.appendWarm.push(await subject.append(key));
    }
  }
  return new Map(
    [...times].map(([subject, lists]) => [
      subject,
      { delayMs, ...(Object.fromEntries(KINDS.map((kind) => [kind, median(lists[kind])])) as Lists<number>) },
    ]),
  );
}
/** The ranges of R2 that an opening read are cached a second after it (engine/snapshot/range-reader.ts). */
const cached = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1_500));

type Lists<T = number[]> = Record<(typeof KINDS)[number], T>;

interface Replay {
  readonly delays: readonly { readonly delayMs: number; readonly ms: number; readonly events: number }[];
  readonly ingestion: number;
  readonly aims: Aim[];
}

/** The whole log again, and how fast the same partition had taken events in. */
async function replaying(subject: Subject, plan: OpeningPlan): Promise<Replay> {
  const delays = [];
  for (const delayMs of plan.delays) {
    await subject.delay(delayMs);
    const ms: number[] = [];
    for (let n = 0; n < 2; n += 1) {
      await subject.crash(true);
      ms.push(await subject.read(n));
    }
    const { lastRecovery } = await subject.status();
    delays.push({ delayMs, ms: median(ms), events: lastRecovery!.replayedEvents });
  }
  // The log has a bound, and the snapshot wakes it: the runtime may have dropped it.
  await subject.delay(0);
  await subject.snapshot();
  const ingested = await load({
    url: subject.host.url,
    batch: 1_000,
    keys: plan.large,
    freshKeys: true,
    connections: 32,
    warmupSeconds: 1,
    seconds: plan.seconds,
    ids: new Ids(randomBytes(4).toString("hex")),
  });
  const aims = delays.map(({ delayMs, ms, events }) => ({
    what: `delay ${delayMs} ms: events a second replayed, by ingested at 0 ms`,
    value: events / (ms / 1_000) / ingested.eventsPerSecond,
    bound: { least: 3 },
  }));
  return { delays, ingestion: ingested.eventsPerSecond, aims };
}

function aimsOf(large: readonly Times[], small: readonly Times[], replay: Replay): Aim[] {
  return large.flatMap((times, i) => [
    ...KINDS.map((kind) => ({
      what: `delay ${times.delayMs} ms: first answer, ${NAMES[kind]}, large by small state`,
      value: times[kind] / small[i]![kind],
      bound: { most: 1.5 },
    })),
    ...(["readCold", "readWarm"] as const).map((kind) => ({
      what: `delay ${times.delayMs} ms: replaying the log by ${NAMES[kind]}`,
      value: replay.delays[i]!.ms / times[kind],
      bound: { least: 50 },
    })),
  ]);
}

function textOf(large: readonly Times[], small: readonly Times[], replay: Replay, plan: OpeningPlan): string {
  const row = (keys: number, times: Times): string[] => [
    `${whole(keys)} keys`,
    String(times.delayMs),
    ...KINDS.map((kind) => whole(times[kind])),
  ];
  const rows = large.flatMap((times, i) => [row(plan.large, times), row(plan.small, small[i]!)]);
  const replays = replay.delays.map(
    ({ delayMs, ms, events }) =>
      `the whole log, delay ${delayMs} ms: ${whole(events)} events in ${whole(ms)} ms, ${whole(events / (ms / 1_000))} a second`,
  );
  return [
    `first answer after a crash, milliseconds; ${whole(plan.events)} events`,
    table(["state", "delay ms", ...KINDS.map((kind) => NAMES[kind])], rows),
    ...replays,
    `ingested: ${whole(replay.ingestion)} events a second, batches of 1,000, 32 connections`,
  ].join("\n");
}

/** The status's estimate for a crash now, and what the crash then costs. */
export async function prediction(plan: OpeningPlan): Promise<Found> {
  const subject = await Subject.start({ never: true });
  const rows: { delayMs: number; tail: number; estimated: number; took: number[]; own: number }[] = [];
  try {
    await subject.fill(plan.events, plan.small);
    await subject.snapshot();
    for (const delayMs of plan.delays) {
      await subject.delay(delayMs);
      for (const tail of plan.tails) {
        await subject.snapshot();
        // Compiled, and the rates measured, as in a partition that has come back before.
        for (const _ of [0, 1]) {
          await subject.crash(false);
          await subject.append(0);
          await cached();
        }
        if (tail > 0) await subject.fill(tail, plan.small);
        const { estimatedRecoveryMs: estimated, tailEvents } = await subject.status();
        const took: number[] = [];
        for (let n = 0; n < 3; n += 1) {
          await subject.crash(false);
          took.push(await subject.read(n));
        }
        const own = (await subject.status()).lastRecovery!.ms;
        rows.push({ delayMs, tail: tailEvents, estimated, took, own });
      }
    }
  } finally {
    await subject.stop();
  }
  const aims = rows.map(({ delayMs, tail, estimated, took }) => ({
    what: `delay ${delayMs} ms, tail of ${whole(tail)} events: estimatedRecoveryMs by what it took`,
    value: estimated / median(took),
    bound: { within: 2 },
  }));
  const cells = rows.map(({ delayMs, tail, estimated, took, own }) =>
    [delayMs, tail, estimated, median(took), own].map(whole),
  );
  return { aims, text: table(["delay ms", "tail", "estimated ms", "first answer ms", "by its own clock"], cells) };
}
