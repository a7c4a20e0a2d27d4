import path from "node:path";
import { defineConfig } from "vitest/config";
import { longestFirst } from "./longest-first.ts";

/**
 * The whole app in processes of its own. Two files at a time, however few cores there are, since much of it is waiting.
 * Each file has ports, stores and folders to itself.
 */
export default defineConfig({
  test: {
    name: "e2e",
    include: ["test/e2e/*.test.ts"],
    globalSetup: path.join(import.meta.dirname, "e2e/packed-once.ts"),
    maxWorkers: 2,
    sequence: {
      sequencer: longestFirst(
        path.join(import.meta.dirname, "e2e"),
        "dashboard.test.ts",
        "watch.test.ts",
        "package.test.ts",
        "dev.test.ts",
      ),
    },
    // As in vitest.unit.ts.
    testTimeout: 900_000,
    hookTimeout: 900_000,
    expect: { poll: { timeout: 300_000 } },
    teardownTimeout: 20_000,
  },
});
