/**
 * The command line of the simulator (docs/internals/simulator.md).
 *
 *   --seed S [--steps M]               one seed: its world, its trace, what broke..
 *   --seeds N [--from S] [--steps M]   many: what happened in them, and which broke a rule..
 *   --small-limits …                   the same, with bounds that a few events reach..
 *   --small                            every small world with one or two things that go wrong..
 *   --defects                          every planted defect, and how many seeds it takes to find it..
 *
 * Exit status 1 where a rule was broken, or a defect not found.
 */
import { arch, cpus, platform } from "node:os";
import { parseArgs } from "node:util";
import { configure, describe } from "./configuration.ts";
import { DEFECTS } from "./defects.ts";
import { explore } from "./exhaustive.ts";
import { findDefect, simulateSmallLimits } from "./plant.ts";
import { runSeeds } from "./pool.ts";
import { runSeed, type Outcome } from "./run.ts";
import { COUNTED, noCounts } from "./trace.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    seeds: { type: "string" },
    from: { type: "string" },
    steps: { type: "string" },
    threads: { type: "string" },
    first: { type: "boolean", default: false },
    "small-limits": { type: "boolean", default: false },
    small: { type: "boolean", default: false },
    defects: { type: "boolean", default: false },
  },
});

function whole(name: "seed" | "seeds" | "from" | "steps" | "threads", otherwise: number): number {
  const n = Number(values[name] ?? otherwise);
  if (!Number.isSafeInteger(n) || n < 0) throw new Error(`--${name} must be a whole number, not "${values[name]}"`);
  return n;
}
const steps = values.steps === undefined ? undefined : whole("steps", 0);

const again = ({ seed }: Outcome): string =>
  `npm run sim -- --seed ${seed}${steps === undefined ? "" : ` --steps ${steps}`}`;

async function one(seed: number): Promise<void> {
  console.log(`${describe(configure(seed, steps))}\n`);
  const outcome = await runSeed(seed, steps, (line) => console.log(line));
  const hours = (outcome.virtualMs / 3_600_000).toFixed(1);
  console.log(`\n${outcome.steps} steps, ${hours} hours of virtual time`);
  for (const violation of outcome.violations) console.log(`seed ${seed}: ${violation}`);
  if (outcome.violations.length > 0) process.exitCode = 1;
}

async function many(from: number, seeds: number): Promise<void> {
  const began = performance.now();
  const total = noCounts();
  let [ran, broken, ranSteps, virtualMs, saidMs] = [0, 0, 0, 0, began];
  await runSeeds(
    {
      from,
      seeds,
      steps,
      first: values.first,
      ...(values.threads === undefined ? {} : { threads: whole("threads", 1) }),
    },
    (outcome) => {
      ran += 1;
      ranSteps += outcome.steps;
      virtualMs += outcome.virtualMs;
      for (const name of COUNTED) total[name] += outcome.counts[name];
      if (outcome.violations.length > 0) {
        broken += 1;
        console.log(`seed ${outcome.seed}: ${outcome.violations[0]}\n  again: ${again(outcome)}`);
      }
      if (performance.now() - saidMs < 10_000) return;
      saidMs = performance.now();
      console.log(`  ${ran} of ${seeds} seeds, ${broken} broke a rule`);
    },
  );
  const seconds = (performance.now() - began) / 1_000;
  console.log("\nWhat happened:");
  for (const name of COUNTED) console.log(`  ${total[name].toLocaleString("en").padStart(12)}  ${name}`);
  console.log(
    `\nseeds ${from} to ${from + ran - 1}: ${broken} broke a rule; ${ranSteps.toLocaleString("en")} steps, ` +
      `${(virtualMs / 86_400_000).toFixed(0)} days of virtual time, ${seconds.toFixed(1)} s, ${Math.round((ran / seconds) * 60).toLocaleString("en")} seeds a minute`,
  );
  console.log(`on ${cpus().length} cores (${platform()} ${arch()}), Node ${process.version}`);
  if (broken > 0) process.exitCode = 1;
}

async function small(): Promise<void> {
  for (const two of [false, true]) {
    const { worlds, broken } = await explore(two, { first: values.first });
    for (const { chosen, violation } of broken) console.log(`${chosen}: ${violation}`);
    console.log(
      `${worlds.toLocaleString("en")} small worlds, up to ${two ? 2 : 1} at a time: ${broken.length} broke a rule`,
    );
    if (broken.length === 0) continue;
    process.exitCode = 1;
    if (values.first) return;
  }
}

async function defects(): Promise<void> {
  console.log("| defect | rule | seeds | what the oracle says |\n| --- | --- | --- | --- |");
  for (const defect of DEFECTS) {
    const found = await findDefect(defect);
    const says = (found?.says ?? "").replaceAll("|", "\\|");
    console.log(`| ${defect.name} | ${defect.rule} | ${found?.seed ?? `not within ${defect.within}`} | ${says} |`);
    if (found === null) process.exitCode = 1;
  }
}

async function smallLimits(): Promise<void> {
  const { status, out } = await simulateSmallLimits(
    process.argv.slice(2).filter((arg: string) => arg !== "--small-limits"),
  );
  console.log(out);
  process.exitCode = status ?? 1;
}

if (values["small-limits"]) await smallLimits();
else if (values.defects) await defects();
else if (values.small) await small();
else if (values.seed !== undefined) await one(whole("seed", 1));
else await many(whole("from", 1), whole("seeds", 100));
