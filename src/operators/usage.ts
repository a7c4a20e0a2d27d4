import { z } from "zod";
import { operator, timeMs } from "../engine/operator/operator.ts";

/** A name that can be a part of a key: with a "/" in it, two customers could share an invoice. */
const name = z.string().regex(/^[\w.@:-]+$/);
/** Their product stays below 2^53, beyond which a number is no longer exact. */
const MOST_UNITS = 1_000_000_000;
const microUsd = z.int().nonnegative().max(1_000_000);

/** Usage metering: what a customer used of a meter in a month, and what it costs. The invoice is the state. */
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
  // The event's own month, not the month of arrival: what arrives late still belongs to the invoice it was used in.
  key: (event) => `${event.data.customer}/${event.data.meter}/${utcMonth(event.time)}`,
  group: (key) => key.slice(0, key.indexOf("/")),
  initial: () => ({ units: 0, microUsd: 0, corrections: 0 }),
  on: {
    // Whole micro-dollars, so sums are exact: 2^53 of them are nine billion dollars. A sum beyond that goes to the quarantine.
    "usage.recorded"(state, event) {
      const { units, unitMicroUsd } = event.data;
      state.units += units;
      state.microUsd += units * unitMicroUsd;
    },
    // A correction without a price corrects the units alone; the money was right.
    "usage.corrected"(state, event) {
      state.units += event.data.units;
      state.microUsd += event.data.units * (event.data.unitMicroUsd ?? 0);
      state.corrections += 1;
    },
  },
});

const utcMonth = (time: string): string => new Date(timeMs(time)).toISOString().slice(0, 7);
