import { defineConfig } from "vitest/config";

/** The engine and the test kit in plain Node: no runtime, no stores, no clock but a virtual one. */
export default defineConfig({
  test: {
    name: "unit",
    environment: "node",
    include: [
      "test/engine/**/*.test.ts",
      "test/testkit/*.test.ts",
      "test/cli/init.test.ts",
      "test/contract/**/*.memory.test.ts",
    ],
    testTimeout: 20_000,
  },
});
