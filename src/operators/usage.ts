import { z } from "zod";
import { operator, timeMs } from "../engine/operator.ts";

/** Micro-dollars are whole numbers, so sums are exact; 2^53 of them are nine billion dollars. */
const microUsd = z.int().nonnegative();

/** Usage metering: what a customer used of a meter in a month, and what it costs. The invoice is the state. */
export const usage = operator("usage", {
  version: 1,
  events: {
    "usage.recorded": z.object({
      customer: z.string().min(1),
      meter: z.string().min(1),
      units: z.int().nonnegative(),
      unitMicroUsd: microUsd,
    }),
    "usage.corrected": z.object({
      customer: z.string().min(1),
      meter: z.string().min(1),
      units: z.int(),
      reason: z.string().min(1),
      unitMicroUsd: microUsd.optional(),
    }),
  },
  // The event's own month, not the month of arrival: what arrives late still belongs to the invoice it was used in.
  key: (event) => `${event.data.customer}/${event.data.meter}/${utcMonth(event.time)}`,
  group: (key) => key.slice(0, key.indexOf("/")),
  initial: () => ({ units: 0, microUsd: 0, corrections: 0 }),
  on: {
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
