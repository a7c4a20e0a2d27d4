import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import { SqliteCache } from "../../../src/adapters/sqlite-cache.ts";
import { cacheContract } from "../../contract/cache-contract.ts";

let objects = 0;
const within = (use: (sql: SqlStorage) => void): Promise<void> =>
  runInDurableObject(env.PARTITION.getByName(`1/cache/${String(objects++).padStart(4, "0")}`), (_, state) =>
    use(state.storage.sql),
  );

cacheContract("SQLite", (use) => within((sql) => use(() => new SqliteCache(sql))));

it("takes nothing more in beyond its limit, and continues when there is room", () =>
  within((sql) => {
    const cache = new SqliteCache(sql, 100);
    cache.put("a", 0, new Uint8Array(80));
    cache.put("b", 0, new Uint8Array(80));
    expect([cache.get("a", 0)?.length, cache.get("b", 0)]).toEqual([80, null]);
    cache.keep([]);
    cache.put("b", 0, new Uint8Array(80));
    expect(cache.get("b", 0)?.length).toBe(80);
  }));

it("is as if it were empty where the storage fails; only what must be kept says so", () =>
  within((sql) => {
    const cache = new SqliteCache({
      exec: () => {
        throw new Error("database or disk is full: SQLITE_FULL");
      },
    } as unknown as SqlStorage);
    cache.put("a", 0, new Uint8Array(1));
    expect([cache.get("a", 0), cache.distrusted(["a"])]).toEqual([null, []]);
    cache.drop("a");
    cache.keep([]);
    expect(() => cache.distrust("a")).toThrow("SQLITE_FULL");
    expect(new SqliteCache(sql).get("a", 0)).toBeNull();
  }));
