/** The catalogue: what is stored when an operator is first used, and bindings that are not what they were (CODE2). */
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { loadCatalogue, logDatabases, type LookUp } from "../../../src/adapters/catalogue.ts";
import { FIRST_LINE } from "../../../src/engine/base/ids.ts";
import type { Operator } from "../../../src/keyframe.ts";
import { left, right, tally } from "../operators.ts";

const both = new Map([
  ["LOG_0", env.LOG_0],
  ["LOG_1", env.LOG_1],
]);
const nothing = async (): Promise<null> => null;
const load = async (databases: ReadonlyMap<string, D1Database>) =>
  (await loadCatalogue(databases, nothing, FIRST_LINE, [tally])).placed;

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

  it("CATALOGUE5: an operator that is new is placed alike on all lines, at the same time too", async () => {
    const on = async (line: number) => (await loadCatalogue(both, nothing, line, [tally, left])).placed;
    const [first, fork, other] = await Promise.all([on(1), on(2), on(7)]);
    for (const operator of ["tally", "left"]) {
      const { seed, databases } = first.get(operator)!;
      expect(fork.get(operator)).toMatchObject({ seed, databases });
      expect(other.get(operator)).toMatchObject({ seed, databases });
    }
    await env.LOG_0.prepare("DELETE FROM operators WHERE operator = 'left'").run();
  });

  it("CODE2: an operator that left anything in R2 or in a database is not placed anew; the others are", async () => {
    const catalogue = (lookUp: LookUp, ...operators: readonly Operator[]) =>
      loadCatalogue(both, lookUp, FIRST_LINE, operators);
    const seen: string[] = [];
    const inR2: LookUp = async (prefix) => {
      seen.push(prefix);
      return prefix === "1/left/" ? "1/left/0000/snapshots/a.kfs" : null;
    };
    const found = await catalogue(inR2, left, right, tally);
    expect([...found.placed.keys()].sort(), "left isn't").toEqual(["right", "tally"]);
    expect(found.lost.get("left")).toMatchObject({
      code: "catalogue_lost",
      message: expect.stringMatching(/0000\/snapshots.*left\/recover/) as string,
    });
    expect(seen.sort(), "one look for each that has no row").toEqual(["1/left/", "1/right/"]);
    const sql =
      "INSERT INTO partitions (partition, line, seed, epoch, writer, code, version, attempt, snapshot_seq, snapshot_stamp, manifest, previous_seq, previous, pins) VALUES ('1/left/0001', 1, 1, 1, '', '', 0, '', 0, 0, NULL, 0, NULL, '[]')";
    await env.LOG_1.prepare(sql).run();
    expect((await catalogue(nothing, left)).lost.get("left")!.message).toMatch(/LOG_1 has a row of 1\/left\/0001/);
    await env.LOG_1.prepare("DELETE FROM partitions").run();
    const silent = await catalogue(() => Promise.reject(new Error("R2 is down")), left, right);
    expect(silent.lost.get("left"), "not known is not nothing").toMatchObject({ code: "store_unavailable" });
    expect(silent.placed.has("right")).toBe(true);
    expect((await catalogue(nothing, left)).placed.has("left")).toBe(true);
  });

  it("CODE2: a database that is bound under another one's name is refused", async () => {
    await load(both);
    const swapped = new Map([
      ["LOG_0", env.LOG_1],
      ["LOG_1", env.LOG_0],
    ]);
    await expect(load(swapped)).rejects.toMatchObject({ code: "database_swapped" });
  });

  it("SNAP3: a placement that is damaged is refused by name", async () => {
    await load(both);
    const write = (text: string) =>
      env.LOG_0.prepare("UPDATE operators SET databases = ?1 WHERE operator = 'tally'").bind(text).run();
    for (const text of ["", "[", "7", '["LOG_0"]', '["LOG_0",1,"LOG_0","LOG_1"]']) {
      await write(text);
      await expect(load(both)).rejects.toMatchObject({ code: "placement_unclear" });
    }
    await write('["LOG_0","LOG_1","LOG_0","LOG_1"]');
    expect((await load(both)).has("tally")).toBe(true);
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
