// The cost of snapshots and compaction to those who send events: the same load on a partition that takes snapshots, on
// one that has the memory for all of its state and takes them too, and on one that takes none. They take turns in every
// round.

import { randomBytes } from "node:crypto";
import { Ids } from "../body.ts";
import { load, type Outcome } from "../load.ts";
import { median } from "../stats.ts";
import { short, table, whole } from "../table.ts";
import type { Aim, Found } from "./aim.ts";
import { Subject, type SubjectOptions } from "./subject.ts";

export interface IngestionPlan {
  readonly keys: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly delays: readonly number[];
}

const ALL_IN_MEMORY = 100_000_000;
const ARMS: Record<string, SubjectOptions> = {
  "none, all in memory": { never: true, memory: ALL_IN_MEMORY },
  "snapshots, all in memory": { memory: ALL_IN_MEMORY },
  "snapshots, memory at its default": {},
};
const [NONE, ROOMY, DEFAULT] = Object.keys(ARMS) as [string, string, string];

interface Arm {
  readonly name: string;
  readonly subject: Subject;
  rounds: Outcome[];
  snapshots: number;
  compactions: number;
}

export async function ingestion(plan: IngestionPlan): Promise<Found> {
  const arms: Arm[] = [];
  try {
    for (const [name, options] of Object.entries(ARMS)) {
      const subject = await Subject.start(options);
      arms.push({ name, subject, rounds: [], snapshots: 0, compactions: 0 });
      await subject.fill(plan.keys, plan.keys);
    }
    const aims: Aim[] = [];
    const texts: string[] = [];
    for (const delayMs of plan.delays) {
      await measureAll(arms, delayMs, plan);
      aims.push(...aimsOf(arms, delayMs));
      texts.push(textOf(arms, delayMs));
    }
    return { aims, text: texts.join("\n\n") };
  } finally {
    await Promise.all(arms.map(({ subject }) => subject.stop()));
  }
}

async function measureAll(arms: readonly Arm[], delayMs: number, plan: IngestionPlan): Promise<void> {
  const ids = new Ids(randomBytes(4).toString("hex"));
  for (const arm of arms) {
    await arm.subject.delay(delayMs);
    Object.assign(arm, { rounds: [], snapshots: 0, compactions: 0 });
  }
  for (let round = 1; round <= plan.rounds; round += 1) {
    for (const arm of arms) {
      process.stderr.write(`delay ${delayMs} ms, round ${round}: ${arm.name}\n`);
      // All begin a round alike, and the log of the one that takes none stays within its bound.
      await arm.subject.snapshot();
      const before = (await arm.subject.manifests())[0]?.version ?? 0;
      const outcome = await load({
        url: arm.subject.host.url,
        batch: 1_000,
        keys: plan.keys,
        freshKeys: true,
        connections: 8,
        // While the others had their turn the runtime has dropped the object: its keys come back first.
        warmupSeconds: 3,
        seconds: plan.seconds,
        ids,
      });
      arm.rounds.push(outcome);
      const made = (await arm.subject.manifests()).filter(({ version }) => version > before);
      arm.snapshots += made.length;
      arm.compactions += made.filter(({ kind }) => kind === "full").length;
    }
  }
}

const medianOf = ({ rounds }: Arm, pick: (outcome: Outcome) => number): number => median(rounds.map(pick));

function aimsOf(arms: readonly Arm[], delayMs: number): Aim[] {
  const none = arms.find(({ name }) => name === NONE)!;
  return [DEFAULT, ROOMY].flatMap((name) => {
    const arm = arms.find((one) => one.name === name)!;
    const ratio = (pick: (outcome: Outcome) => number): number => medianOf(arm, pick) / medianOf(none, pick);
    return [
      {
        what: `delay ${delayMs} ms, ${name}: ingestion by that without`,
        value: ratio(({ eventsPerSecond }) => eventsPerSecond),
        bound: { least: 0.85 },
      },
      {
        what: `delay ${delayMs} ms, ${name}: p99 by that without`,
        value: ratio(({ p99Ms }) => p99Ms),
        bound: { most: 2 },
      },
    ];
  });
}

function textOf(arms: readonly Arm[], delayMs: number): string {
  const rows = arms.map((arm) => [
    arm.name,
    whole(medianOf(arm, ({ eventsPerSecond }) => eventsPerSecond)),
    arm.rounds.map(({ eventsPerSecond }) => whole(eventsPerSecond)).join(" "),
    short(medianOf(arm, ({ p50Ms }) => p50Ms)),
    short(medianOf(arm, ({ p99Ms }) => p99Ms)),
    whole(arm.snapshots),
    whole(arm.compactions),
  ]);
  const head = ["", "events/s", "(rounds)", "p50 ms", "p99 ms", "snapshots", "compactions"];
  return `delay ${delayMs} ms, batches of 1,000 over 8 connections\n${table(head, rows)}`;
}
