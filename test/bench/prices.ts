// List prices of Workers Paid beyond the included amounts, in dollars per million, and what counted operations cost by
// them. Source: Cloudflare's pricing pages for Workers, Durable Objects, D1 and R2, as documented in 2026.
// Left out: CPU time, duration of Durable Objects, what is stored, the subscription.

import type { Counters } from "./workers/counters.ts";

const DOLLARS_PER_MILLION = {
  workerRequests: 0.3,
  objectRequests: 0.15,
  objectRowsRead: 0.001,
  objectRowsWritten: 1,
  d1RowsRead: 0.001,
  d1RowsWritten: 1,
  r2ClassA: 4.5,
  r2ClassB: 0.36,
} satisfies Partial<Record<keyof Counters, number>>;

/** Dollars for operations that are given per million events. */
export function dollars(perMillionEvents: Counters): number {
  let sum = 0;
  for (const [name, price] of Object.entries(DOLLARS_PER_MILLION)) {
    sum += (perMillionEvents[name as keyof typeof DOLLARS_PER_MILLION] * price) / 1e6;
  }
  return sum;
}
