import { z } from "zod";
import { operator } from "../engine/operator/operator.ts";

/** The Bureau of Transportation Statistics calls a flight late from fifteen minutes on. */
const LATE_MINUTES = 15;

/** Delays of flights by airport of origin: how many, how late, and how they spread. Minutes; negative means early. */
export const airportDelays = operator("airport-delays", {
  version: 1,
  events: {
    "flight.completed": z.object({
      origin: z.string().min(1),
      destination: z.string().min(1),
      distance: z.number(),
      // A week bounds each delay, so that sums stay exact.
      delay: z.int().min(-10_080).max(10_080),
    }),
  },
  key: (event) => event.data.origin,
  initial: () => ({
    flights: 0,
    delaySum: 0,
    delayMax: null as number | null,
    late: 0,
    histogram: { early: 0, under15: 0, under30: 0, under60: 0, over60: 0 },
  }),
  on: {
    "flight.completed"(state, event) {
      const { delay } = event.data;
      state.flights += 1;
      state.delaySum += delay;
      state.delayMax = state.delayMax === null ? delay : Math.max(state.delayMax, delay);
      if (delay >= LATE_MINUTES) state.late += 1;
      state.histogram[bucket(delay)] += 1;
    },
  },
});

function bucket(delay: number): "early" | "under15" | "under30" | "under60" | "over60" {
  if (delay < 0) return "early";
  if (delay < 15) return "under15";
  if (delay < 30) return "under30";
  return delay < 60 ? "under60" : "over60";
}
