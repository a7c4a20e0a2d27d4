/**
 * The command line of bank.ts: `--seeds N [--from S]` for many, `--seed S` for the trace of one, `--defects` for the
 * planted defects. Exit status 1 if a rule was broken, or a defect not found.
 */
import { parseArgs } from "node:util";
import { runBank } from "./bank.ts";
import { BANK_DEFECTS } from "./bank-defects.ts";
import { findDefect } from "./plant.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    seeds: { type: "string", default: "1000" },
    from: { type: "string", default: "1" },
    first: { type: "boolean", default: false },
    defects: { type: "boolean", default: false },
    // Of plant.ts, for every program.
    threads: { type: "string" },
  },
});

async function one(seed: number): Promise<void> {
  const { broken, audits } = await runBank(seed, (line) => console.log(line));
  console.log(`${audits} audits`);
  if (broken === null) return;
  console.log(`seed ${seed}: ${broken}`);
  process.exitCode = 1;
}

async function many(from: number, seeds: number): Promise<void> {
  let [audits, repeated] = [0, 0];
  for (let seed = from; seed < from + seeds; seed++) {
    const run = await runBank(seed);
    audits += run.audits;
    repeated += run.repeated;
    if (run.broken === null) continue;
    console.log(`seed ${seed}: ${run.broken}`);
    process.exitCode = 1;
    if (values.first) return;
  }
  console.log(
    `seeds ${from} to ${from + seeds - 1}: ${audits} audits, ${repeated} of them of a stamp that was audited before`,
  );
}

async function defects(): Promise<void> {
  for (const defect of BANK_DEFECTS) {
    const found = await findDefect(defect, "bank-main");
    console.log(`| ${defect.name} | ${defect.rule} | ${found?.seed ?? `not within ${defect.within}`} |`);
    if (found === null) process.exitCode = 1;
  }
}

if (values.defects) await defects();
else if (values.seed !== undefined) await one(Number(values.seed));
else await many(Number(values.from), Number(values.seeds));
