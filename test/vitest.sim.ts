import { defineConfig } from "vitest/config";

/** The simulator: many seeds, every small world, every planted defect. In plain Node, on a virtual clock. */
export default defineConfig({
  test: {
    name: "sim",
    environment: "node",
    include: ["test/sim/**/*.test.ts"],
    // As in vitest.unit.ts.
    testTimeout: 1_800_000,
    maxConcurrency: 2,
    fileParallelism: false,
  },
});
