/**
 * The command line of promotions.ts: `--seeds N [--from S]` for many, `--seed S` for the trace of one, `--defects` for the
 * planted defects. Exit status 1 if a rule was broken, or a defect not found.
 */
import { parseArgs } from "node:util";
import { findDefect } from "./plant.ts";
import { PROMOTION_DEFECTS } from "./promotion-defects.ts";
import { seededPromotions } from "./promotions.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    seeds: { type: "string", default: "10000" },
    from: { type: "string", default: "1" },
    first: { type: "boolean", default: false },
    defects: { type: "boolean", default: false },
    // Of plant.ts, for every program.
    threads: { type: "string" },
  },
});

async function one(seed: number): Promise<void> {
  const { broken, trace } = await seededPromotions(seed);
  for (const line of trace) console.log(line);
  if (broken === null) return;
  console.log(`seed ${seed}: ${broken}`);
  process.exitCode = 1;
}

async function many(from: number, seeds: number): Promise<void> {
  const reached = new Map<string, number>();
  for (let seed = from; seed < from + seeds; seed++) {
    const { broken, seen } = await seededPromotions(seed);
    for (const what of seen) reached.set(what, 1 + (reached.get(what) ?? 0));
    if (broken === null) continue;
    console.log(`seed ${seed}: ${broken}`);
    process.exitCode = 1;
    if (values.first) return;
  }
  for (const [what, times] of [...reached].sort(([a], [b]) => (a < b ? -1 : 1)))
    console.log(`${String(times).padStart(8)} seeds: ${what}`);
}

async function defects(): Promise<void> {
  for (const defect of PROMOTION_DEFECTS) {
    const found = await findDefect(defect, "promotions-main");
    console.log(`| ${defect.name} | ${defect.rule} | ${found?.seed ?? `not within ${defect.within}`} |`);
    if (found === null) process.exitCode = 1;
  }
}

if (values.defects) await defects();
else if (values.seed !== undefined) await one(Number(values.seed));
else await many(Number(values.from), Number(values.seeds));
