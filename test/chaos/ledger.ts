/*
 * The independent count: what every key of every operator must hold after the events of a log.
 *
 * 1. Plain arithmetic over the drawn effects. It shares nothing with the operators that it is there to check.
 * 2. An event is entered once, by its id, in the order of its log. A copy continues from there, as a line of history does.
 */
import { type AirportCount, canonical } from "../../src/local/flights.ts";
import type { Effect } from "./drawn-event.ts";

type State = Readonly<Record<string, unknown>>;

export interface Comparison {
  keys: number;
  /** Events that are missing, and events that counted more than once. */
  lost: number;
  doubled: number;
  differences: string[];
}

export const OPERATORS = ["airport-delays", "usage", "uppercase", "credits"] as const;
export type OperatorName = (typeof OPERATORS)[number];

/** Who counts events in its states, and where. The others' states can't tell how many events differ. */
export const COUNTED: Readonly<Partial<Record<OperatorName, string>>> = {
  "airport-delays": "flights",
  uppercase: "processedRecordsCount",
};

export class Ledger {
  /** By operator, then by key. */
  readonly #states: Map<OperatorName, Map<string, State>>;
  readonly #ids: Set<string>;
  /** Events of each operator. */
  readonly events: Map<OperatorName, number>;

  constructor(from?: Ledger) {
    this.#states = new Map(OPERATORS.map((name) => [name, new Map(from?.statesOf(name))]));
    this.#ids = new Set(from?.ids);
    this.events = new Map(OPERATORS.map((name) => [name, from?.events.get(name) ?? 0]));
  }

  /** Returns false if the event is in already, and leaves it out. */
  enter(id: string, effect: Effect): boolean {
    if (this.#ids.has(id)) return false;
    this.#ids.add(id);
    const states = this.statesOf(effect.operator);
    states.set(effect.key, added(states.get(effect.key), effect));
    this.events.set(effect.operator, (this.events.get(effect.operator) ?? 0) + 1);
    return true;
  }

  get ids(): IterableIterator<string> {
    return this.#ids.values();
  }

  has(id: string): boolean {
    return this.#ids.has(id);
  }

  compare(operator: OperatorName, actual: ReadonlyMap<string, unknown>): Comparison {
    const expected = this.statesOf(operator);
    const keys = new Set([...expected.keys(), ...actual.keys()]);
    const result: Comparison = { keys: keys.size, lost: 0, doubled: 0, differences: [] };
    for (const key of keys) {
      const [want, have] = [expected.get(key), actual.get(key) as State | undefined];
      if (canonical(want) === canonical(have)) continue;
      const surplus = eventsOf(operator, have) - eventsOf(operator, want);
      result.lost += Math.max(0, -surplus);
      result.doubled += Math.max(0, surplus);
      result.differences.push(
        `${operator} ${JSON.stringify(key)}: expected ${canonical(want)}, found ${canonical(have)}`,
      );
    }
    return result;
  }

  statesOf(operator: OperatorName): Map<string, State> {
    const states = this.#states.get(operator);
    if (states === undefined) throw new Error(`no operator ${operator}`);
    return states;
  }
}

export function eventsOf(operator: OperatorName, state: State | undefined): number {
  const member = COUNTED[operator];
  const count = member === undefined ? 0 : state?.[member];
  return typeof count === "number" ? count : 0;
}

function added(state: State | undefined, effect: Effect): State {
  switch (effect.operator) {
    case "airport-delays":
      return { ...withFlight(state as AirportCount | undefined, effect.delay) };
    case "usage": {
      const { units = 0, microUsd = 0, corrections = 0 } = (state ?? {}) as Record<string, number>;
      return {
        units: units + effect.units,
        microUsd: microUsd + effect.microUsd,
        corrections: corrections + effect.corrections,
      };
    }
    case "uppercase": {
      const { processedRecordsCount = 0 } = (state ?? {}) as Record<string, number>;
      return { processedRecordsCount: processedRecordsCount + 1, last: effect.last };
    }
    case "credits": {
      const { left = 0, taken = 0 } = (state ?? {}) as Record<string, number>;
      if ("bought" in effect) return { left: left + effect.bought, taken };
      return left < effect.take ? { left, taken } : { left: left - effect.take, taken: taken + effect.take };
    }
  }
}

const NO_FLIGHT: AirportCount = {
  flights: 0,
  delaySum: 0,
  delayMax: null,
  late: 0,
  histogram: { early: 0, under15: 0, under30: 0, under60: 0, over60: 0 },
};
const BOUNDS = [
  ["early", 0],
  ["under15", 15],
  ["under30", 30],
  ["under60", 60],
  ["over60", Infinity],
] as const;

function withFlight(count: AirportCount = NO_FLIGHT, delay: number): AirportCount {
  const [bucket] = BOUNDS.find(([, bound]) => delay < bound) ?? BOUNDS[4];
  return {
    flights: count.flights + 1,
    delaySum: count.delaySum + delay,
    delayMax: Math.max(count.delayMax ?? delay, delay),
    late: count.late + (delay >= 15 ? 1 : 0),
    histogram: { ...count.histogram, [bucket]: count.histogram[bucket] + 1 },
  };
}
