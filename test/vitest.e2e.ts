import { defineConfig } from "vitest/config";

/** The whole app in processes of its own. One file at a time: each has a runtime to itself on few cores. */
export default defineConfig({
  test: {
    name: "e2e",
    include: ["test/e2e/*.test.ts"],
    fileParallelism: false,
    testTimeout: 180_000,
    hookTimeout: 90_000,
    teardownTimeout: 20_000,
  },
});
