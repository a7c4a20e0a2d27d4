// The options of the command line, with their defaults.

import { parseArgs } from "node:util";
import { SYSTEMS, type SystemName } from "./systems.ts";

export interface Options {
  batch: number[];
  delay: number[];
  seconds: number;
  warmupSeconds: number;
  rounds: number;
  connections: number;
  only: SystemName[];
  tailBytes: number;
  lines: number;
  keys: number;
  events: number;
  repeats: number;
  kills: number;
  json: string | undefined;
  out: string | undefined;
  quick: boolean;
  /** Build 512 MiB of state, which takes minutes. */
  large: boolean;
  parts: string[];
  flights: string | undefined;
  retail: string | undefined;
}

const FLAGS = {
  batch: { type: "string", default: "1,100,1000" },
  delay: { type: "string", default: "0" },
  seconds: { type: "string", default: "5" },
  warmup: { type: "string", default: "2" },
  rounds: { type: "string", default: "3" },
  connections: { type: "string", default: "32" },
  only: { type: "string", default: "" },
  tail: { type: "string", default: "4000000" },
  lines: { type: "string", default: "1000000" },
  keys: { type: "string", default: "100000" },
  events: { type: "string", default: "1000000" },
  repeats: { type: "string", default: "5" },
  kills: { type: "string", default: "5" },
  json: { type: "string" },
  out: { type: "string" },
  quick: { type: "boolean", default: false },
  large: { type: "boolean", default: false },
  parts: { type: "string", default: "" },
  flights: { type: "string" },
  retail: { type: "string" },
} as const;

export function parseOptions(args: string[]): Options {
  const { values } = parseArgs({ args, options: FLAGS });
  return {
    batch: numbers("batch", values.batch),
    delay: numbers("delay", values.delay),
    seconds: number("seconds", values.seconds),
    warmupSeconds: number("warmup", values.warmup),
    rounds: number("rounds", values.rounds),
    connections: number("connections", values.connections),
    only: values.only === "" ? [] : values.only.split(",").map(system),
    tailBytes: number("tail", values.tail),
    lines: number("lines", values.lines),
    keys: number("keys", values.keys),
    events: number("events", values.events),
    repeats: number("repeats", values.repeats),
    kills: number("kills", values.kills),
    json: values.json,
    out: values.out,
    quick: values.quick,
    large: values.large,
    parts: values.parts === "" ? [] : values.parts.split(","),
    flights: values.flights,
    retail: values.retail,
  };
}

function numbers(flag: string, text: string): number[] {
  return text.split(",").map((part) => number(flag, part));
}

function number(flag: string, text: string): number {
  const value = Number(text);
  if (text === "" || !Number.isFinite(value) || value < 0) throw new Error(`--${flag} ${text}: not a number`);
  return value;
}

function system(name: string): SystemName {
  const known = SYSTEMS.find((one) => one === name);
  if (known === undefined) throw new Error(`--only ${name}: known are ${SYSTEMS.join(", ")}`);
  return known;
}
