import { defineConfig } from "vitest/config";

/** The whole app in processes of its own. One file at a time: each has a runtime to itself on few cores. */
export default defineConfig({
  test: {
    name: "e2e",
    include: ["test/e2e/*.test.ts"],
    fileParallelism: false,
    // As in vitest.unit.ts.
    testTimeout: 900_000,
    hookTimeout: 900_000,
    teardownTimeout: 20_000,
  },
});
