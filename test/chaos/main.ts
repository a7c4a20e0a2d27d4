/*
 * `npm run chaos -- --rounds N [--seed S] [--seconds T]`: kills the whole runtime again and again under load, and compares
 * what comes back with an independent count.
 *
 * 1. It starts from an empty store in a temporary directory, and removes it. Ctrl-C ends every process too.
 * 2. The exit status is 0 only if nothing was lost, nothing counted twice, and every retry agreed with the first answer.
 *    Findings are listed, with the seed.
 * 3. A seed repeats what is drawn (load, moments and kinds of kills), not how the machine interleaves it.
 */
import { parseArgs } from "node:util";
import { count, span } from "../../src/client/amounts.ts";
import { runChaos, summary } from "./chaos.ts";
import { drawPlan, planText, type Plan } from "./plan.ts";
import { freshSeed, Random } from "./random.ts";
import { World } from "./world.ts";

const STOPPED = 130;

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "10" },
    seed: { type: "string", default: freshSeed() },
    /** How long the load of a round may run before the first kill. */
    seconds: { type: "string", default: "1" },
  },
});
const [rounds, seconds] = [positive("rounds", values.rounds), positive("seconds", values.seconds)];
const world = new World(new Random(values.seed));
// Not waiting for requests that Ctrl-C has left without an answer.
process.exit(await main());

async function main(): Promise<number> {
  const stop = Promise.withResolvers<"stopped">();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop.resolve("stopped"));
  say(`chaos: ${count(rounds)} rounds, seed ${values.seed}`);
  const run = runChaos(world, plans(), { seconds, onRound: showRound });
  run.catch(() => undefined); // After Ctrl-C it fails one way or another.
  const end = await Promise.race([run, stop.promise]).catch((error: unknown) => {
    world.findings.add(error instanceof Error ? error.message : String(error));
  });
  const found = world.findings.list.slice();
  const left = await world.app.remove();
  if (left.length > 0) found.push(`processes ${left.join(", ")} are left`);
  say(summary(world));
  for (const finding of found) say(`  ${finding}`);
  if (found.length > 0)
    say(`wrong; to draw the same again: --rounds ${rounds} --seed ${values.seed} --seconds ${seconds}`);
  if (end === "stopped") say("stopped");
  return found.length > 0 ? 1 : end === "stopped" ? STOPPED : 0;
}

function* plans(): Generator<Plan> {
  const random = world.random.stream("plans");
  for (let round = 0; round < rounds; round++) yield drawPlan(random, seconds);
}

function showRound(round: number, plan: Plan, ms: number): void {
  const { events, repeats, granted, credits } = world.tally;
  const verdict = world.findings.list.length === 0 ? "all equal" : "WRONG";
  say(
    `round ${round}: ${planText(plan)}; by now ${count(events)} events, ${count(repeats)} repeats, ${granted} of ${credits} credits; ${verdict}, ${span(ms)}`,
  );
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`--${name} ${text} is no number above 0`);
  return value;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
