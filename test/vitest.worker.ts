import path from "node:path";
import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-pool-workers";
import { defineConfig } from "vitest/config";
import { longestFirst } from "./longest-first.ts";

/** Inside workerd, with the real Durable Objects, D1 and R2 of the local runtime. Each file has stores of its own. */
export default defineConfig(async () => {
  const here = import.meta.dirname;
  const migrations = await readD1Migrations(path.join(here, "../src/adapters/migrations"));
  return {
    plugins: [
      cloudflareTest({
        // Expected failures of objects would otherwise fill the screen.
        verbose: false,
        main: path.join(here, "worker/app.ts"),
        wrangler: { configPath: path.join(here, "../wrangler.toml") },
        // A second database, so that partitions of one operator live in two.
        miniflare: { d1Databases: { LOG_1: "keyframe-log-1" }, bindings: { MIGRATIONS: migrations } },
      }),
    ],
    test: {
      name: "worker",
      include: [path.join(here, "worker/**/*.test.ts")],
      setupFiles: [path.join(here, "worker/setup.ts")],
      // As in vitest.unit.ts. The first ones wait for what takes its time in reality, too.
      maxWorkers: "100%",
      sequence: {
        sequencer: longestFirst(
          path.join(here, "worker"),
          "ingest/silence.test.ts",
          "note.test.ts",
          "admin/disaster.test.ts",
          "watch/watch.test.ts",
        ),
      },
      testTimeout: 600_000,
      hookTimeout: 600_000,
    },
  };
});
