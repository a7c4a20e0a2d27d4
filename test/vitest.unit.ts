import { defineConfig } from "vitest/config";
import { longestFirst } from "./longest-first.ts";

/**
 * The engine, the client, the test kit and the command line in plain Node: no runtime, no stores, no clock but a
 * virtual one.
 */
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
      "test/dashboard/*.test.ts",
      "test/contract/**/*.memory.test.ts",
      "test/openapi/*.test.ts",
      "test/nexmark/*.test.ts",
    ],
    // Vitest leaves one core to itself otherwise, half of a small machine.
    maxWorkers: "100%",
    sequence: {
      sequencer: longestFirst(
        import.meta.dirname,
        "engine/checkpoint/full-tail.test.ts",
        "cost/cost.test.ts",
        "engine/state/commands.test.ts",
        "client/strangers.test.ts",
      ),
    },
    // Some do seconds of work: a machine that is busy with other things makes minutes of that, and is no failure.
    testTimeout: 600_000,
    hookTimeout: 600_000,
  },
});
