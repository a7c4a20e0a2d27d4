/** Runs the same events in many ways, which must all end alike. */
import type { Operator } from "../engine/operator/operator.ts";
import { stageOf, step, type Options, type Step } from "./play.ts";
import { same } from "./same.ts";
import type { Alarms, EventOutcome, Stage, ThrownTimer } from "./stage.ts";

/** The limit of `deterministic`, which runs all events once for each of them. */
const MOST_EVENTS = 500;

/**
 * Proves on these events that the operator is deterministic. Every run must give the same outcomes and the same states,
 * to the letter of their JSON.
 *
 * It runs the events twice. Then it runs them once for each place between two events with a snapshot there, whose file
 * is written and read again. After each run it reads the states once more from the last snapshot and the log.
 *
 * If the operator has timers or `expire`, alarms come in time, late or never, and snapshots before and after them. At
 * the end all has fired that is due.
 *
 * It finds handlers that use a clock, random numbers or variables of their own that outlive an event. It also finds
 * states that hold `ctx.seq`, if there are timers: when an alarm comes decides what has which seq.
 *
 * @example
 * await deterministic(credits, [
 *   { type: "credits.bought", data: { account: "ada", n: 5 } },
 *   { type: "credits.take", data: { account: "ada", n: 9 } },
 *   { type: "account.closed", data: { account: "ada" } },
 * ]);
 * @throws AssertionError if two runs differ, with both and with the place of the snapshot; RangeError beyond 500 events
 */
export async function deterministic<O extends Operator>(
  operator: O,
  events: readonly Step<O>[],
  options: Options = {},
): Promise<void> {
  if (events.length > MOST_EVENTS)
    throw new RangeError(
      `${events.length} events: give it at most ${MOST_EVENTS}, since it runs all of them for each one`,
    );
  const timed = operator.timers.size > 0 || operator.expireMs !== null;
  const run = (alarms: Alarms, split: number | null): Promise<Run> => played(operator, events, options, alarms, split);
  const first = await run("lost", null);
  compare(await run("lost", null), first, "a second run of the same events");
  if (timed)
    for (const alarms of ["in time", "late", "between snapshots"] as const)
      compare(await run(alarms, null), first, `a run with ${ALARMS[alarms]}`);
  for (let at = 1; at < events.length; at++) {
    compare(await run("lost", at), first, `a run with a snapshot before event ${at}`);
    if (timed)
      compare(await run("in time", at), first, `a run with a snapshot before event ${at}, and ${ALARMS["in time"]}`);
  }
}

const ALARMS = {
  "in time": "alarms in time, not lost ones",
  late: "late alarms",
  "between snapshots": "snapshots around alarms",
} as const;

interface Run {
  readonly outcomes: readonly EventOutcome[];
  readonly thrown: readonly ThrownTimer[];
  readonly states: Readonly<Record<string, unknown>>;
  /** The states of all keys, in order, as text: the order of members must be the same as well. */
  readonly text: string;
}

/** Runs the events, with a snapshot before the event at `split`, and reads the result back as a recovery does. */
async function played(
  operator: Operator,
  events: readonly unknown[],
  options: Options,
  alarms: Alarms,
  split: number | null,
): Promise<Run> {
  const stage = await stageOf(operator, options, alarms);
  const outcomes: EventOutcome[] = [];
  for (const [index, event] of events.entries()) {
    if (index === split) {
      await stage.snapshot();
      stage.restart();
    }
    const outcome = await step(stage, event);
    if (outcome !== null) outcomes.push(outcome);
  }
  await stage.until(stage.nowMs);
  const live: Run = { outcomes, ...(await result(stage)) };
  stage.restart();
  const what = split === null ? "a replay of the log" : `a replay of the log on a snapshot before event ${split}`;
  compare({ outcomes, ...(await result(stage)) }, live, what);
  return live;
}

async function result(stage: Stage): Promise<Omit<Run, "outcomes">> {
  const states = await stage.states();
  return { states, text: JSON.stringify(states), thrown: await stage.thrownTimers() };
}

function compare(run: Run, first: Run, what: string): void {
  same(run.outcomes, first.outcomes, `not deterministic: ${what} gives other outcomes; the outcomes`);
  same(run.thrown, first.thrown, `not deterministic: ${what} has other timers that throw; these`);
  same(run.states, first.states, `not deterministic: ${what} gives other states; the states`);
  same(run.text, first.text, `not deterministic: ${what} gives the members of a state in another order; the states`);
}
