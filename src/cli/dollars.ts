/** The app's cost of a day at the present rate: two reads of its metrics, which wake nothing. */
import { setTimeout as sleep } from "node:timers/promises";
import type { AppClient } from "./app.ts";
import { check, type Check } from "./checks.ts";
import { CommandError } from "./command.ts";
import { span } from "../client/amounts.ts";

/** Dollars since the beginning, by labels. */
type Costs = ReadonlyMap<string, number>;

const DAY_MS = 86_400_000;
const SAMPLE = /^keyframe_cost_dollars_total(\{.*\}) (\S+)$/;

export async function dollars(app: AppClient, watchMs: number): Promise<Check> {
  try {
    const before = await costs(app);
    const begun = performance.now();
    await sleep(watchMs);
    const after = await costs(app);
    return judgeDollars(before, after, performance.now() - begun);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return check("note", "cost", `unknown: ${error.message}`);
  }
}

async function costs(app: AppClient): Promise<Costs> {
  const found = new Map<string, number>();
  for await (const line of app.lines("/metrics", "text/plain")) {
    const sample = SAMPLE.exec(line);
    if (sample !== null) found.set(sample[1]!, Number(sample[2]));
  }
  return found;
}

/** Ignores labels that only one read has: a database may have been silent in the other. */
export function judgeDollars(before: Costs, after: Costs, ms: number): Check {
  let spent = 0;
  for (const [labels, value] of after) spent += Math.max(0, value - (before.get(labels) ?? value));
  const day = (spent / ms) * DAY_MS;
  return check(
    "ok",
    "cost",
    `${day.toFixed(day < 1 ? 4 : 2)} dollars a day at the rate of the last ${span(ms)}, at list price, without the Worker's requests, processor time and objects' time awake`,
  );
}
