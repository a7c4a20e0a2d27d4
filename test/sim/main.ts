/** `npm run sim`: see docs/simulator.md. */
import { parseArgs } from "node:util";
import { configure, describe } from "./configuration.ts";
import { runSeed } from "./run.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    seeds: { type: "string" },
    from: { type: "string" },
    steps: { type: "string" },
  },
});
const steps = values.steps === undefined ? undefined : Number(values.steps);
if (values.seed !== undefined) {
  const seed = Number(values.seed);
  console.log(describe(configure(seed, steps)));
  const outcome = await runSeed(seed, steps, (line) => console.log(line));
  for (const violation of outcome.violations) console.log(`VIOLATION seed ${seed}: ${violation}`);
  process.exitCode = outcome.violations.length > 0 ? 1 : 0;
} else {
  const from = Number(values.from ?? 1);
  const count = Number(values.seeds ?? 10);
  const t = performance.now();
  const total: Record<string, number> = {};
  let bad = 0;
  for (let seed = from; seed < from + count; seed++) {
    const outcome = await runSeed(seed, steps);
    for (const [name, n] of Object.entries(outcome.counts)) total[name] = (total[name] ?? 0) + n;
    if (outcome.violations.length > 0) {
      bad++;
      console.log(`seed ${seed}: ${outcome.violations[0]}`);
    }
    total["steps"] = (total["steps"] ?? 0) + outcome.steps;
  }
  console.log(total);
  console.log(`${count} seeds, ${bad} bad, ${((performance.now() - t) / count).toFixed(1)} ms a seed`);
}
