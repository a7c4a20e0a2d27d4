/** The contract of the cache port (ports.ts), for every adapter and every fake. */
import { describe, expect, it } from "vitest";
import type { Cache } from "../../src/engine/base/ports.ts";

const bytes = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);

/** `make`: a new one, of an object of its own. */
export function cacheContract(name: string, on: (use: (make: () => Cache) => void) => Promise<void>): void {
  const within = (use: (cache: Cache) => void) => () => on((make) => use(make()));
  describe(`the cache port on ${name}`, () => {
    it(
      "gives back what was put, whatever its size, by name and offset",
      within((cache) => {
        cache.put("a", 0, bytes(10, 1));
        cache.put("a", 2 ** 40 + 12, bytes(4_000_000, 2));
        cache.put("b", 0, bytes(1, 3));
        expect(cache.get("a", 0)).toEqual(bytes(10, 1));
        expect(cache.get("a", 2 ** 40 + 12)?.length).toBe(4_000_000);
        expect(cache.get("b", 0)).toEqual(bytes(1, 3));
        expect([cache.get("a", 1), cache.get("c", 0)]).toEqual([null, null]);
        cache.put("b", 0, bytes(2, 4));
        expect(cache.get("b", 0)).toEqual(bytes(2, 4));
      }),
    );

    it(
      "drops an object, and all but some",
      within((cache) => {
        for (const one of ["a", "b", "c"]) cache.put(one, 0, bytes(1, 1));
        cache.drop("a");
        expect([cache.get("a", 0), cache.get("b", 0)]).toEqual([null, bytes(1, 1)]);
        cache.keep(["c", "d"]);
        expect([cache.get("b", 0), cache.get("c", 0)]).toEqual([null, bytes(1, 1)]);
      }),
    );

    it(
      "SNAP4: remembers what is distrusted until the object is not kept any more",
      within((cache) => {
        cache.put("a", 0, bytes(1, 1));
        cache.distrust("a");
        cache.distrust("a");
        expect(cache.get("a", 0)).toBeNull();
        cache.drop("a");
        expect(cache.distrusted(["b", "a"])).toEqual(["a"]);
        cache.keep(["a"]);
        expect(cache.distrusted(["a"])).toEqual(["a"]);
        cache.keep([]);
        expect(cache.distrusted(["a"])).toEqual([]);
      }),
    );
  });
}
