/*
 * The bundled flights, and the state that every airport must have after them.
 *
 * The count is plain code over the file. It shares no code with the operator that it checks.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { PROJECT_DIR } from "./config.ts";

/** One line of the file unchanged, with the two members that the count needs. */
export interface Flight {
  line: string;
  origin: string;
  delay: number;
}

export interface AirportCount {
  flights: number;
  delaySum: number;
  delayMax: number | null;
  late: number;
  histogram: Record<"early" | "under15" | "under30" | "under60" | "over60", number>;
}

export interface CountComparison {
  airports: number;
  equal: number;
  lost: number;
  doubled: number;
  /** The first few differences, in words. */
  differences: string[];
}

const FILE = join(PROJECT_DIR, "test", "data", "flights-20k.ndjson.gz");
const DIFFERENCES_SHOWN = 10;

/** The bundled flights, or those of another file of the same shape. */
export function readFlights(limit = Infinity, file = FILE): Flight[] {
  const lines = gunzipSync(readFileSync(file)).toString("utf8").trimEnd().split("\n");
  return lines.slice(0, limit).map((line) => {
    const event = JSON.parse(line) as { data: { origin: string; delay: number } };
    return { line, origin: event.data.origin, delay: event.data.delay };
  });
}

export function countByAirport(flights: Flight[]): Map<string, AirportCount> {
  const delays = new Map<string, number[]>();
  for (const { origin, delay } of flights) {
    const list = delays.get(origin) ?? [];
    delays.set(origin, list);
    list.push(delay);
  }
  return new Map([...delays].map(([airport, list]) => [airport, countOf(list)]));
}

/** `lost` counts missing flights, `doubled` surplus ones. */
export function compareCounts(expected: Map<string, AirportCount>, actual: Map<string, unknown>): CountComparison {
  const result: CountComparison = { airports: expected.size, equal: 0, lost: 0, doubled: 0, differences: [] };
  for (const airport of new Set([...expected.keys(), ...actual.keys()])) {
    const want = expected.get(airport);
    const have = actual.get(airport);
    if (canonical(want) === canonical(have)) {
      result.equal += 1;
      continue;
    }
    const surplus = flightsOf(have) - flightsOf(want);
    if (surplus < 0) result.lost -= surplus;
    else result.doubled += surplus;
    result.differences.push(`${airport}: expected ${canonical(want)}, found ${canonical(have)}`);
  }
  result.differences.splice(DIFFERENCES_SHOWN);
  return result;
}

export function allEqual(result: CountComparison): boolean {
  return result.equal === result.airports && result.differences.length === 0;
}

function countOf(delays: number[]): AirportCount {
  const between = (from: number, to: number): number => delays.filter((d) => d >= from && d < to).length;
  return {
    flights: delays.length,
    delaySum: delays.reduce((sum, d) => sum + d, 0),
    delayMax: Math.max(...delays),
    late: between(15, Infinity),
    histogram: {
      early: between(-Infinity, 0),
      under15: between(0, 15),
      under30: between(15, 30),
      under60: between(30, 60),
      over60: between(60, Infinity),
    },
  };
}

function flightsOf(value: unknown): number {
  const flights = (value as Partial<AirportCount> | undefined)?.flights;
  return typeof flights === "number" ? flights : 0;
}

/** JSON with the members in order, so that only values count. */
export function canonical(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, member]) => `${name}: ${canonical(member)}`).join(", ")}}`;
}
