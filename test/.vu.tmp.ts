import { defineConfig } from "vitest/config";
export default defineConfig({ test: { root: "/work/main", include: ["test/engine/**/*.test.ts", "test/contract/**/*.memory.test.ts"] } });
