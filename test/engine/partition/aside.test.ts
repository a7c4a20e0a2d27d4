/**
 * Newer code calls an object of older code: in a deploy, and in a gradual one, where the platform keeps the object as
 * it is.
 */
import { describe, expect, it } from "vitest";
import { isHeld, readAside } from "../../../src/engine/base/aside.ts";
import { ASIDE_AGAIN_MS } from "../../../src/engine/base/limits.ts";
import { WIRE_VERSION, type AppendRequest, type AppendResponse } from "../../../src/engine/partition/protocol.ts";
import { sum } from "../fakes/sum.ts";
import { words, World, type Incarnation } from "../fakes/world.ts";

const v1 = sum();
const v2 = sum({ version: 2, migrate: { 2: (old) => old } });

const codeOf = (result: AppendResponse): string => (result.tag === "busy" ? result.code : result.tag);
const send = (world: World, to: Incarnation, id: string, more: Partial<AppendRequest>): Promise<AppendResponse> =>
  world.clock.run(to.partition.append({ ...world.slice([{ id, data: 1 }]), ...more }));

describe("an object of older code", () => {
  it.each([
    ["operator", { operatorVersion: 2 }],
    ["protocol", { v: WIRE_VERSION + 1 }],
  ])(
    "A1, A2: steps aside once for a caller of a newer %s; started as old as it was it stays, and serves its own",
    async (_, newer) => {
      const world = new World();
      const first = world.start(v1, "old");
      await world.send(first, { id: "a", data: 1 });
      expect(codeOf(await send(world, first, "n", newer))).toBe("superseded");
      expect(first.ended).not.toBeNull();
      const again = world.start(v1, "old");
      for (let n = 0; n < 20; n++) {
        expect(codeOf(await send(world, again, "n", newer))).toBe("object_older");
        expect(words(await world.send(again, { id: `o${n}`, data: 1 }))).toEqual(["applied"]);
      }
      expect(again.ended).toBeNull();
      // An eviction changes nothing of that.
      const third = world.start(v1, "old");
      expect(codeOf(await send(world, third, "n", newer))).toBe("object_older");
      expect(await world.value(third)).toEqual({ total: 21, times: 21 });
    },
  );

  it("A1: an object of the newer code takes the event, and a rollback and another deploy begin anew", async () => {
    const world = new World();
    const old = world.start(v1, "old");
    expect(codeOf(await send(world, old, "n", { operatorVersion: 2 }))).toBe("superseded");
    const next = world.start(v2, "new");
    expect(words(await send(world, next, "n", { operatorVersion: 2 }))).toEqual(["applied"]);
    // The newer object is called by code that is newer still.
    expect(codeOf(await send(world, next, "m", { operatorVersion: 3 }))).toBe("superseded");
  });

  it("A3: tries again after a time, since the deployment continues", async () => {
    const world = new World();
    expect(codeOf(await send(world, world.start(v1, "old"), "n", { operatorVersion: 2 }))).toBe("superseded");
    const again = world.start(v1, "old");
    expect(codeOf(await send(world, again, "n", { operatorVersion: 2 }))).toBe("object_older");
    await world.clock.advance(ASIDE_AGAIN_MS);
    expect(codeOf(await send(world, again, "n", { operatorVersion: 2 }))).toBe("superseded");
    expect(again.ended).not.toBeNull();
  });
});

describe("what the object's storage says", () => {
  const aside = { v: 1, code: "a", operatorVersion: 1, atMs: 1_000 } as const;

  it.each([
    [null, "a", 1, 1_000, false],
    [aside, "a", 1, 1_000, true],
    [aside, "a", 1, 999 + ASIDE_AGAIN_MS, true],
    [aside, "a", 1, 1_000 + ASIDE_AGAIN_MS, false],
    [aside, "b", 1, 1_000, false],
    [aside, "a", 2, 1_000, false],
    // A clock that was set to an earlier time.
    [aside, "a", 1, 0, true],
  ] as const)("%o, code %s, version %i at %i: held %s", (kept, code, operatorVersion, nowMs, held) => {
    expect(isHeld(kept, { code, operatorVersion }, nowMs)).toBe(held);
  });

  it("counts only if all of it is there", () => {
    expect(readAside(aside)).toEqual(aside);
    for (const stored of [undefined, null, 1, {}, { ...aside, v: 2 }, { ...aside, code: 1 }, { ...aside, atMs: -1 }])
      expect(readAside(stored)).toBeNull();
  });
});
