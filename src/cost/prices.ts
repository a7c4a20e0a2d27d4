/**
 * List prices of Workers Paid, beyond the amounts that the subscription includes. Prices stand only here: metrics, the
 * benchmark and `keyframe cost` read them from this file.
 */
import { type CounterRow, countOf } from "../engine/base/counters.ts";

export const PRICES_SOURCE =
  "https://developers.cloudflare.com: pricing pages of Workers, Durable Objects, D1 and R2, as of November 2026";

/** Dollars for a million operations. */
export const DOLLARS_PER_MILLION = {
  workerRequests: 0.3,
  /** Milliseconds of processor time. */
  workerCpuMs: 0.02,
  /** Calls of a Durable Object, and its alarms. */
  objectRequests: 0.15,
  /** An object that is awake counts as 128 MB. */
  objectGbSeconds: 12.5,
  objectRowsRead: 0.001,
  objectRowsWritten: 1,
  d1RowsRead: 0.001,
  /** Deleted rows count as written, in D1 and in objects alike. */
  d1RowsWritten: 1,
  /** Put and list. Deleting is free. */
  r2ClassA: 4.5,
  /** Get. */
  r2ClassB: 0.36,
} as const;

export type Meter = keyof typeof DOLLARS_PER_MILLION;

export const METERS = Object.keys(DOLLARS_PER_MILLION) as readonly Meter[];

export type Operations = Readonly<Partial<Record<Meter, number>>>;

/** Dollars for a gigabyte that is kept for a month. */
export const DOLLARS_PER_GB_MONTH = { d1: 0.75, r2: 0.015, object: 0.2 } as const;

/** Dollars a month, without regard to use. */
export const SUBSCRIPTION_DOLLARS = 5;

/** Amounts that the subscription includes in a month, in the units of the meters. The bill begins above them. */
export const INCLUDED: Operations = {
  workerRequests: 10e6,
  workerCpuMs: 30e6,
  objectRequests: 1e6,
  objectGbSeconds: 400_000,
  objectRowsRead: 25e9,
  objectRowsWritten: 50e6,
  d1RowsRead: 25e9,
  d1RowsWritten: 50e6,
  r2ClassA: 1e6,
  r2ClassB: 10e6,
};

export const OBJECT_GB = 0.128;

export function dollarsOf(operations: Operations): number {
  return METERS.reduce((sum, meter) => sum + dollarsFor(meter, operations[meter] ?? 0), 0);
}

export const dollarsFor = (meter: Meter, operations: number): number => (operations * DOLLARS_PER_MILLION[meter]) / 1e6;

/** Returns a partition's operations, in the units of the bill. Requests of Workers aren't a partition's own. */
export const operationsOf = (row: CounterRow): Operations => ({
  objectRequests: countOf(row, "slices") + countOf(row, "wakes"),
  objectRowsWritten: countOf(row, "ownRowsWritten"),
  d1RowsRead: countOf(row, "d1RowsRead"),
  d1RowsWritten: countOf(row, "d1RowsWritten"),
  r2ClassA: countOf(row, "r2ClassA"),
  r2ClassB: countOf(row, "r2ClassB"),
});
