// `snapshots`: what snapshots take and save, in parts that each stand alone, and a table of what was promised at the end.

import { writeFile } from "node:fs/promises";
import type { Options } from "../options.ts";
import { type Aim, aimTable, type Found, reached } from "./aim.ts";
import { prices } from "./dollars.ts";
import { change, compression } from "./files.ts";
import { ingestion } from "./ingestion.ts";
import { large } from "./large.ts";
import { opening, type OpeningPlan, prediction } from "./opening.ts";

const DELAYS = [0, 25];

/** Each is given whether it should be quick: that shows that it works, and measures little. */
const PARTS: Record<string, (quick: boolean, options: Options) => AsyncIterable<Found>> = {
  bytes: async function* (quick, { flights, retail }) {
    yield await change(quick ? 20_000 : 1_000_000);
    yield await compression(flights, retail);
  },
  ingestion: async function* (quick) {
    yield await ingestion(
      quick
        ? { keys: 20_000, seconds: 0.5, rounds: 1, delays: DELAYS }
        : { keys: 200_000, seconds: 6, rounds: 4, delays: DELAYS },
    );
  },
  opening: async function* (quick) {
    yield await opening(openingPlan(quick));
  },
  prediction: async function* (quick) {
    yield await prediction(openingPlan(quick));
  },
  dollars: async function* (quick) {
    yield await prices(
      quick
        ? { busyMinutes: 12, busyKeys: 2_000, slowEvents: 100, slowKeys: 50, rows: 10_000 }
        : { busyMinutes: 120, busyKeys: 20_000, slowEvents: 2_500, slowKeys: 1_000, rows: 1_000_000 },
    );
  },
  memory: async function* (quick, options) {
    yield await large(options.large ? 512 : quick ? 8 : 64);
  },
};

function openingPlan(quick: boolean): OpeningPlan {
  return quick
    ? { large: 20_000, small: 1_000, events: 20_000, repeats: 1, delays: DELAYS, seconds: 0.5, tails: [0, 5_000] }
    : {
        large: 1_000_000,
        small: 10_000,
        events: 1_000_000,
        repeats: 9,
        delays: DELAYS,
        seconds: 4,
        tails: [0, 10_000, 50_000, 200_000],
      };
}

export async function snapshots(options: Options): Promise<void> {
  const parts = options.parts.length === 0 ? Object.keys(PARTS) : options.parts;
  const aims: Aim[] = [];
  for (const name of parts) {
    const part = PARTS[name];
    if (part === undefined) throw new Error(`--parts ${name}: known are ${Object.keys(PARTS).join(", ")}`);
    process.stderr.write(`${name} …\n`);
    for await (const found of part(options.quick, options)) {
      console.log(`\n${found.text}`);
      aims.push(...found.aims);
    }
  }
  console.log(`\n${aimTable(aims)}`);
  const missed = aims.filter((aim) => !reached(aim)).length;
  console.log(`\n${aims.length - missed} of ${aims.length} reached${options.quick ? " (quick: they say little)" : ""}`);
  if (options.json !== undefined) await writeFile(options.json, `${JSON.stringify(aims, null, 2)}\n`);
}
