/** The catalogue: what is stored when an operator is first used, and bindings that are not what they were (CODE2). */
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { loadCatalogue, logDatabases } from "../../src/adapters/catalogue.ts";
import { MAIN_TIMELINE } from "../../src/engine/ids.ts";
import { tally } from "./operators.ts";

const both = new Map([
  ["LOG_0", env.LOG_0],
  ["LOG_1", env.LOG_1],
]);
const load = (databases: ReadonlyMap<string, D1Database>) => loadCatalogue(databases, MAIN_TIMELINE, [tally]);

describe("the catalogue", () => {
  it("CODE2: places an operator once; later readers find the same seed and databases", async () => {
    const [one, two] = await Promise.all([load(both), load(both)]);
    expect(one.get("tally")).toMatchObject({
      partitions: 4,
      hash: "kf1",
      databases: ["LOG_0", "LOG_1", "LOG_0", "LOG_1"],
    });
    expect(two.get("tally")).toEqual(one.get("tally"));
    expect(await load(both)).toEqual(one);
  });

  it("CODE2: a database that is bound under another one's name is refused", async () => {
    await load(both);
    const swapped = new Map([
      ["LOG_0", env.LOG_1],
      ["LOG_1", env.LOG_0],
    ]);
    await expect(load(swapped)).rejects.toMatchObject({ code: "database_swapped" });
  });

  it("CODE2: a database that holds partitions and isn't bound any more is refused", async () => {
    await load(both);
    await expect(load(new Map([["LOG_0", env.LOG_0]]))).rejects.toMatchObject({ code: "database_missing" });
  });

  it("finds the log databases of an environment, in the order of their numbers", () => {
    expect([...logDatabases({ LOG_10: 1, LOG_2: 1, LOG_0: 1, LOGS: 1 }).keys()]).toEqual(["LOG_0", "LOG_2", "LOG_10"]);
    expect(() => logDatabases({ LOG_1: 1 })).toThrow(/LOG_0/);
  });

  it("tables that are missing are a named failure that says what to run", async () => {
    await env.LOG_1.prepare("ALTER TABLE identity RENAME TO elsewhere").run();
    await expect(load(both)).rejects.toMatchObject({ code: "log_not_migrated" });
    await env.LOG_1.prepare("ALTER TABLE elsewhere RENAME TO identity").run();
  });
});
