// The bytes of snapshots: of a small change against everything, and of states against their JSON. The engine's own
// code writes them, in this process; nothing is timed.

import { readFileSync } from "node:fs";
import path from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { z } from "zod";
import { utf8Length } from "../../../src/engine/base/json.ts";
import { airportDelays } from "../../../src/operators/airport-delays.ts";
import { operator, type Operator } from "../../../src/engine/operator/operator.ts";
import { seeded } from "../body.ts";
import { table, whole } from "../table.ts";
import type { Aim, Found } from "./aim.ts";
import { LocalPartition, type Sent, unsteered } from "./local-partition.ts";

const FLIGHTS = path.join(import.meta.dirname, "../../data/flights-20k.ndjson.gz");

const counter = operator("counter", {
  version: 1,
  events: { "meter.read": z.object({ value: z.number() }) },
  initial: () => ({ count: 0, sum: 0, max: 0, last: 0 }),
  on: {
    "meter.read"(state, { data: { value } }) {
      state.count += 1;
      state.sum += value;
      state.max = Math.max(state.max, value);
      state.last = value;
    },
  },
});

/** 1 % of the keys changed, once each. */
export async function change(keys: number): Promise<Found> {
  const partition = new LocalPartition(unsteered(counter));
  const random = seeded(1);
  const event = (n: number, key: number): Sent => ({
    id: `c-${String(n).padStart(10, "0")}`,
    type: "meter.read",
    key: `dev-${String(key).padStart(7, "0")}`,
    data: { value: Math.round(random() * 50_000) / 100 },
  });
  await partition.sendAll(Array.from({ length: keys }, (_, n) => event(n, n)));
  const full = await partition.snapshotBytes();
  const changes = Math.round(keys / 100);
  await partition.sendAll(Array.from({ length: changes }, (_, n) => event(keys + n, Math.floor(random() * keys))));
  const delta = await partition.snapshotBytes();
  const aim = (what: string, part: number, all: number): Aim => ({
    what: `1 % of ${whole(keys)} keys changed: ${what}, of a full snapshot's`,
    value: part / all,
    bound: { most: 0.02 },
  });
  const row = (what: string, pick: (bytes: typeof full) => number): string[] => [
    what,
    whole(pick(full)),
    whole(pick(delta)),
    `${((100 * pick(delta)) / pick(full)).toFixed(2)} %`,
  ];
  return {
    aims: [
      aim("bytes of state files", delta.state, full.state),
      aim("all bytes put, archive and manifest too", delta.state + delta.archive, full.state + full.archive),
    ],
    text: table(
      ["bytes", "full", "after the change", ""],
      [
        row("state blocks", ({ blocks }) => blocks),
        row("ids", ({ ids }) => ids),
        row("state files, all of them", ({ state }) => state),
        row("archive and manifest", ({ archive }) => archive),
        row("everything put", ({ state, archive }) => state + archive),
      ],
    ),
  };
}

/** A customer's purchases, as they are kept for an invoice. Money in thousandths, so that sums are exact. */
const invoices = operator("invoices", {
  version: 1,
  events: {
    "order.line": z.object({ description: z.string().nullable(), quantity: z.number(), unitPriceMilli: z.number() }),
    "order.line.cancelled": z.object({ quantity: z.number(), unitPriceMilli: z.number() }),
    "account.adjustment": z.object({ quantity: z.number(), unitPriceMilli: z.number() }),
  },
  initial: () => ({ lines: 0, units: 0, milli: 0, cancelledMilli: 0, adjustedMilli: 0, last: null as string | null }),
  on: {
    "order.line"(state, { data }) {
      state.lines += 1;
      state.units += data.quantity;
      state.milli += data.quantity * data.unitPriceMilli;
      state.last = data.description;
    },
    "order.line.cancelled"(state, { data }) {
      state.cancelledMilli += data.quantity * data.unitPriceMilli;
    },
    "account.adjustment"(state, { data }) {
      state.adjustedMilli += data.quantity * data.unitPriceMilli;
    },
  },
});

/** Delays of each pair of airports: more keys than there are airports. */
const routes = operator("routes", {
  version: 1,
  events: {
    "flight.completed": z.object({
      origin: z.string(),
      destination: z.string(),
      distance: z.number(),
      delay: z.number(),
    }),
  },
  key: ({ data }) => `${data.origin}-${data.destination}`,
  initial: () => ({ flights: 0, delaySum: 0, delayMax: null as number | null, late: 0, distance: 0 }),
  on: {
    "flight.completed"(state, { data }) {
      state.flights += 1;
      state.delaySum += data.delay;
      state.delayMax = Math.max(state.delayMax ?? data.delay, data.delay);
      if (data.delay >= 15) state.late += 1;
      state.distance = data.distance;
    },
  },
});

/** Snapshots of real states against JSON of the same. `retail`: a file of order lines, or undefined to make some up. */
export async function compression(flights: string | undefined, retail: string | undefined): Promise<Found> {
  const flown = read(flights ?? FLIGHTS);
  const ordered = retail === undefined ? madeUpOrders() : read(retail);
  const orders = retail === undefined ? "orders (made up)" : "orders";
  const found = [
    await compared("flights, by airport", airportDelays, flown),
    await compared("flights, by pair of airports", routes, flown),
    await compared(`${orders}, by customer`, invoices, ordered),
  ];
  const head = [
    "state",
    "keys",
    "JSON",
    "JSON, gzip",
    "state blocks",
    "ids",
    "the file",
    "blocks / JSON",
    "file / JSON",
  ];
  const rows = found.map(({ name, keys, json, gzip, bytes }) => [
    name,
    ...[keys, json, gzip, bytes.blocks, bytes.ids, bytes.state].map(whole),
    (bytes.blocks / json).toFixed(3),
    (bytes.state / json).toFixed(3),
  ]);
  const aims = found.map(({ name, json, bytes }) => ({
    what: `${name}: state in a snapshot, of its JSON`,
    value: (bytes.state - bytes.ids) / json,
    bound: { most: 0.3 },
  }));
  return { aims, text: table(head, rows) };
}

async function compared(name: string, of: Operator, events: readonly Sent[]) {
  const partition = new LocalPartition(unsteered(of));
  await partition.sendAll(events);
  const bytes = await partition.snapshotBytes();
  const { items } = await partition.engine.scan("", "", 1_000_000, Number.POSITIVE_INFINITY);
  // A dump of the same states: one line for each key.
  const dump = items.map(([key, { text }]) => `{"key":${JSON.stringify(key)},"value":${text}}`).join("\n");
  return { name, keys: items.length, json: utf8Length(dump), gzip: gzipSync(dump).length, bytes };
}

function read(file: string): Sent[] {
  const lines = gunzipSync(readFileSync(file)).toString("utf8").trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line) as Sent);
}

/** Order lines of 8,000 customers, some of whom buy much more than others; the same in every run. */
function madeUpOrders(): Sent[] {
  const random = seeded(3);
  const words = [
    "red",
    "white",
    "heart",
    "light",
    "holder",
    "bag",
    "retro",
    "spot",
    "metal",
    "sign",
    "box",
    "of",
    "tea",
  ];
  const word = (): string => words[Math.floor(random() * words.length)]!;
  const goods = Array.from({ length: 3_000 }, () => ({
    description: [word(), word(), word(), word()].join(" ").toUpperCase(),
    unitPriceMilli: 10 * Math.ceil(random() ** 3 * 1_500),
  }));
  return Array.from({ length: 100_000 }, (_, n) => {
    const cancelled = random() < 0.02;
    const item = goods[Math.floor(random() ** 2 * goods.length)]!;
    const quantity = Math.ceil(random() ** 4 * 48) * (cancelled ? -1 : 1);
    return {
      id: `${536_000 + Math.floor(n / 20)}-${n % 20}`,
      type: cancelled ? "order.line.cancelled" : "order.line",
      key: String(12_000 + Math.floor(random() ** 2 * 8_000)),
      data: { ...item, quantity },
    };
  });
}
