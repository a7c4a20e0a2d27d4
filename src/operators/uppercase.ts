import { z } from "zod";
import { operator } from "../engine/operator/operator.ts";

/** The State Snapshots pattern's classic example: upper-cases lines, and counts them in state that survives. */
export const uppercase = operator("uppercase", {
  version: 1,
  events: { "text.line": z.string() },
  key: (event) => event.subject ?? "all",
  initial: () => ({ processedRecordsCount: 0, last: "" }),
  on: {
    "text.line"(state, event) {
      state.processedRecordsCount += 1;
      state.last = event.data.toUpperCase();
      return state.last;
    },
  },
});
