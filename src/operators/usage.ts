import { z } from "zod";
import { operator, timeMs } from "../engine/operator/operator.ts";

/** A name that can be a part of a key. If names held "/", two customers could share an invoice. */
const name = z.string().regex(/^[\w.@:-]+$/);
/** The bounds keep the product below 2^53, beyond which numbers aren't exact. */
const MOST_UNITS = 1_000_000_000;
const microUsd = z.int().nonnegative().max(1_000_000);

/** Usage metering: a customer's use of a meter in a month, and its cost. The invoice is the state. */
export const usage = operator("usage", {
  version: 1,
  events: {
    "usage.recorded": z.object({
      customer: name,
      meter: name,
      units: z.int().nonnegative().max(MOST_UNITS),
      unitMicroUsd: microUsd,
    }),
    "usage.corrected": z.object({
      customer: name,
      meter: name,
      units: z.int().min(-MOST_UNITS).max(MOST_UNITS),
      reason: z.string().min(1),
      unitMicroUsd: microUsd.optional(),
    }),
  },
  // The event's own month, not the month of arrival: a late event belongs to the invoice of its month.
  key: (event) => `${event.data.customer}/${event.data.meter}/${utcMonth(event.time)}`,
  group: (key) => key.slice(0, key.indexOf("/")),
  initial: () => ({ units: 0, microUsd: 0, corrections: 0 }),
  on: {
    // Whole micro-dollars keep sums exact: 2^53 of them are nine billion dollars. An event whose sum goes beyond that
    // is quarantined.
    "usage.recorded"(state, event) {
      const { units, unitMicroUsd } = event.data;
      state.units += units;
      state.microUsd += units * unitMicroUsd;
    },
    // A correction without a price corrects the units alone, and leaves the money.
    "usage.corrected"(state, event) {
      state.units += event.data.units;
      state.microUsd += event.data.units * (event.data.unitMicroUsd ?? 0);
      state.corrections += 1;
    },
  },
});

const utcMonth = (time: string): string => new Date(timeMs(time)).toISOString().slice(0, 7);
