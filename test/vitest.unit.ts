import { defineConfig } from "vitest/config";

/** The engine, the client, the test kit and the command line in plain Node: no runtime, no stores, no clock but a virtual one. */
export default defineConfig({
  test: {
    name: "unit",
    environment: "node",
    include: [
      "test/engine/**/*.test.ts",
      "test/cost/*.test.ts",
      "test/testkit/*.test.ts",
      "test/cli/**/*.test.ts",
      "test/client/**/*.test.ts",
      "test/contract/**/*.memory.test.ts",
      "test/openapi/*.test.ts",
    ],
    // Some do seconds of work: a machine that is busy with other things makes minutes of that, and is no failure.
    testTimeout: 600_000,
    hookTimeout: 600_000,
  },
});
