import path from "node:path";
import { defineConfig } from "vitest/config";
import { longestFirst } from "./longest-first.ts";

/**
 * The simulator: seeds, small worlds and planted defects, a share of each (`npm run sim` does the rest). In plain Node,
 * on a virtual clock.
 */
export default defineConfig({
  test: {
    name: "sim",
    environment: "node",
    include: ["test/sim/**/*.test.ts"],
    // As in vitest.unit.ts.
    testTimeout: 1_800_000,
    maxConcurrency: 2,
    maxWorkers: 2,
    sequence: {
      sequencer: longestFirst(path.join(import.meta.dirname, "sim"), "defects.test.ts", "small-worlds.test.ts"),
    },
  },
});
