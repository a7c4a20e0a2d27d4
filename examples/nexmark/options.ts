/* The options of the command line. Those of the generator have its names, such as `--out-of-order-ms 2000`. */
import { parseArgs } from "node:util";
import { DEFAULTS, type GeneratorOptions } from "./generator.ts";
import { queries } from "./queries.ts";
import type { Query } from "./query.ts";

export interface NexmarkOptions {
  readonly queries: readonly Query[];
  readonly generator: Partial<GeneratorOptions>;
  /** Requests under way at a time. */
  readonly connections: number;
  /** Events of a request. */
  readonly batch: number;
  /** How often the whole runtime is killed while events are under way. */
  readonly kills: number;
  /** Compare the rows with those of plain code. */
  readonly check: boolean;
  /** Print the events in the order of their arrival, and start nothing. */
  readonly printEvents: boolean;
}

const FLAGS = {
  query: { type: "string", default: "" },
  connections: { type: "string", default: "4" },
  batch: { type: "string", default: "1000" },
  kills: { type: "string", default: "0" },
  check: { type: "boolean", default: false },
  "print-events": { type: "boolean", default: false },
} as const;

/** Flag -> option of the generator. */
const GENERATOR = new Map(
  Object.keys(DEFAULTS).map((name) => [name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`), name]),
);

export const USAGE = `npm run nexmark -- --query N|N,N|all [--check] [--kills N] [--connections N] [--batch N]
npm run nexmark -- --print-events
queries: ${queries.map(({ number, title }) => `${number} (${title})`).join(", ")}
generator: ${[...GENERATOR.keys()].map((flag) => `--${flag}`).join(" ")}`;

/** @throws if an option is unknown or makes no sense */
export function parseOptions(args: string[]): NexmarkOptions {
  const generator = Object.fromEntries([...GENERATOR.keys()].map((flag) => [flag, { type: "string" as const }]));
  const { values } = parseArgs({ args, options: { ...generator, ...FLAGS } });
  const printEvents = values["print-events"];
  return {
    queries: printEvents ? [] : queriesOf(values.query),
    generator: generatorOptions(values),
    connections: whole("connections", values.connections, 1),
    batch: whole("batch", values.batch, 1),
    kills: whole("kills", values.kills, 0),
    check: values.check,
    printEvents,
  };
}

function queriesOf(text: string): readonly Query[] {
  if (text === "all") return queries;
  return text.split(",").map((name) => {
    const found = queries.find(({ number }) => String(number) === name);
    if (found === undefined) throw new Error(`--query ${text}: one of the queries below`);
    return found;
  });
}

function generatorOptions(values: Readonly<Record<string, unknown>>): Partial<GeneratorOptions> {
  const given = [...GENERATOR].filter(([flag]) => values[flag] !== undefined);
  return Object.fromEntries(given.map(([flag, name]) => [name, number(flag, String(values[flag]))]));
}

function whole(flag: string, text: string, least: number): number {
  const value = number(flag, text);
  if (!Number.isInteger(value) || value < least) throw new Error(`--${flag} ${text}: a whole number from ${least} on`);
  return value;
}

function number(flag: string, text: string): number {
  const value = Number(text);
  if (text === "" || !Number.isFinite(value) || value < 0) throw new Error(`--${flag} ${text}: a number from 0 on`);
  return value;
}
