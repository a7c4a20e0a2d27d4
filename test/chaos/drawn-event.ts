/*
 * Events drawn at random for the operators of this repository, each with what it must do to the count.
 *
 * 1. The effect of an event is written down when it is drawn, in plain numbers: nothing here runs an operator.
 * 2. All but the lines of text commute, since several clients send to the same keys. A client has lines of its own, and
 *    sends one request after the other, so the last one is known too.
 */
import type { Random } from "./random.ts";

/** The amount that one event adds to one key of one operator. */
export type Effect =
  | { readonly operator: "airport-delays"; readonly key: string; readonly delay: number }
  | {
      readonly operator: "usage";
      readonly key: string;
      readonly units: number;
      readonly microUsd: number;
      readonly corrections: number;
    }
  | { readonly operator: "uppercase"; readonly key: string; readonly last: string }
  | { readonly operator: "credits"; readonly key: string; readonly bought: number }
  /** Granted if there are credits left. */
  | { readonly operator: "credits"; readonly key: string; readonly take: number };

export interface Drawn {
  /** Without an id. */
  readonly event: Readonly<Record<string, unknown>>;
  readonly effect: Effect;
}

const AIRPORTS = [
  "ATL",
  "ORD",
  "DFW",
  "LAX",
  "PHX",
  "DEN",
  "LAS",
  "DTW",
  "MSP",
  "IAH",
  "SEA",
  "SFO",
  "é😀",
  "__proto__",
];
const CUSTOMERS = 5;
const METERS = ["gb", "cpu:s", ".."];
const LINES_OF_A_CLIENT = 4;
const ACCOUNTS = 6;

export function drawEvent(random: Random, client: number): Drawn {
  switch (random.below(4)) {
    case 0:
      return flight(random);
    case 1:
      return metered(random);
    case 2:
      return line(random, client);
    default:
      return bought(random);
  }
}

function flight(random: Random): Drawn {
  const origin = random.pick(AIRPORTS as [string, ...string[]]);
  const delay = random.between(-30, 120);
  const data = { origin, destination: "LHR", distance: random.below(9_000), delay };
  return {
    event: { type: "flight.completed", time: moment(random), data },
    effect: { operator: "airport-delays", key: origin, delay },
  };
}

function metered(random: Random): Drawn {
  const customer = `customer-${random.below(CUSTOMERS)}`;
  const meter = random.pick(METERS as [string, ...string[]]);
  const time = moment(random);
  const key = `${customer}/${meter}/${time.slice(0, 7)}`;
  const [units, price] = [random.between(-5, 50), random.below(1_000_000)];
  if (units < 0) {
    const data = { customer, meter, units, reason: "a test" };
    const effect = { operator: "usage", key, units, microUsd: 0, corrections: 1 } as const;
    return { event: { type: "usage.corrected", time, data }, effect };
  }
  const data = { customer, meter, units, unitMicroUsd: price };
  const effect = { operator: "usage", key, units, microUsd: units * price, corrections: 0 } as const;
  return { event: { type: "usage.recorded", time, data }, effect };
}

function line(random: Random, client: number): Drawn {
  const key = `client ${client} line ${random.below(LINES_OF_A_CLIENT)}`;
  const last = `LINE ${random.below(1e9)} ${"PADDING ".repeat(random.below(4))}`;
  // The capitals are drawn, and the small letters made of them: the other way round would be the operator's own.
  const data = last.replaceAll(/[A-Z]/g, (letter) => String.fromCharCode(letter.charCodeAt(0) + 32));
  return { event: { type: "text.line", subject: key, data }, effect: { operator: "uppercase", key, last } };
}

function bought(random: Random): Drawn {
  const [account, n] = [`bank ${random.below(ACCOUNTS)}`, random.between(1, 9)];
  return {
    event: { type: "credits.bought", data: { account, n } },
    effect: { operator: "credits", key: account, bought: n },
  };
}

/** Late and out of order, over two months. */
const moment = (random: Random): string =>
  new Date(Date.UTC(2026, 9, 1) + random.below(61 * 86_400) * 1_000).toISOString();
