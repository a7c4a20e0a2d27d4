/** The contract of the object store port (ports.ts), for every adapter and every fake. */
import { describe, expect, it } from "vitest";
import type { ObjectStore } from "../../src/engine/base/ports.ts";

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

export function objectsContract(name: string, make: () => ObjectStore): void {
  describe(`the object store port on ${name}`, () => {
    it("gives back what was put, and the SHA-256 of it", async () => {
      const store = make();
      expect(await store.put("a/1", bytes(97, 98, 99))).toBe(
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
      );
      expect(await store.get("a/1")).toEqual(bytes(97, 98, 99));
      expect(await store.get("a/2")).toBeNull();
    });

    it("gives a range, and what there is of one that goes beyond the end", async () => {
      const store = make();
      await store.put("r/1", bytes(1, 2, 3, 4, 5));
      expect(await store.range("r/1", 1, 3)).toEqual(bytes(2, 3, 4));
      expect(await store.range("r/1", 3, 10)).toEqual(bytes(4, 5));
      expect(await store.range("r/1", 9, 1)).toEqual(bytes());
      expect(await store.range("r/2", 0, 1)).toBeNull();
    });

    it("SNAP2: a name is never overwritten", async () => {
      const store = make();
      await store.put("b/1", bytes(1));
      await expect(store.put("b/1", bytes(2))).rejects.toThrow("exists already");
      expect(await store.get("b/1")).toEqual(bytes(1));
    });

    it("lists names with a prefix in order, above a given one, in pages", async () => {
      const store = make();
      const names = Array.from({ length: 1_005 }, (_, i) => `c/${String(i).padStart(5, "0")}`);
      await Promise.all([...names, "d/1"].map((one) => store.put(one, bytes(1))));
      const first = await store.list("c/", "");
      expect(first.more).toBe(true);
      const second = await store.list("c/", first.names.at(-1)!);
      expect([...first.names, ...second.names]).toEqual(names);
      expect(second.more).toBe(false);
    });

    it("deletes; a name that isn't there is no error", async () => {
      const store = make();
      await store.put("e/1", bytes(1));
      await store.delete(["e/1", "e/2"]);
      expect(await store.get("e/1")).toBeNull();
    });
  });
}
