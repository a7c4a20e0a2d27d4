/*
 * The independent count: what every key of every operator must hold after the events that were sent.
 *
 * 1. Plain arithmetic over the drawn effects. It shares nothing with the operators that it is there to check.
 * 2. An effect is entered once, when its request is first acknowledged, however often the request is sent.
 */
import { type AirportCount, canonical } from "../../src/local/flights.ts";
import type { Drawn, Effect } from "./drawn-event.ts";

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
const COUNTED: Readonly<Partial<Record<OperatorName, string>>> = {
  "airport-delays": "flights",
  uppercase: "processedRecordsCount",
};

export class Ledger {
  /** By operator, then by key. */
  readonly #states = new Map<OperatorName, Map<string, State>>(OPERATORS.map((name) => [name, new Map()]));
  /** Events that each operator's log must hold: as many as have an id of their own. */
  readonly events = new Map<OperatorName, number>(OPERATORS.map((name) => [name, 0]));

  enter(effects: readonly Effect[]): void {
    for (const effect of effects) {
      const states = this.#of(effect.operator);
      states.set(effect.key, added(states.get(effect.key), effect));
      this.log(effect.operator, 1);
    }
  }

  /** Events that are in the log and do what `set` says, or nothing. */
  log(operator: OperatorName, count: number): void {
    this.events.set(operator, (this.events.get(operator) ?? 0) + count);
  }

  set(operator: OperatorName, key: string, state: State): void {
    this.#of(operator).set(key, state);
  }

  /** How many events each key of those who count has by now. */
  counts(): Map<OperatorName, Map<string, number>> {
    const counted = OPERATORS.filter((name) => COUNTED[name] !== undefined);
    return new Map(
      counted.map((name) => [name, new Map([...this.#of(name)].map(([key, state]) => [key, eventsOf(name, state)]))]),
    );
  }

  compare(operator: OperatorName, actual: ReadonlyMap<string, unknown>): Comparison {
    const expected = this.#of(operator);
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

  #of(operator: OperatorName): Map<string, State> {
    const states = this.#states.get(operator);
    if (states === undefined) throw new Error(`no operator ${operator}`);
    return states;
  }
}

export const effectsOf = (drawn: readonly Drawn[]): Effect[] => drawn.map(({ effect }) => effect);

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
      return { left: left + effect.bought, taken };
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
